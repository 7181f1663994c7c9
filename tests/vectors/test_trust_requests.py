"""What the clients of other stacks once sent to a trust service, posted to ours, which has their keys and contexts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from tests.loopback import Answer, Request, call_wsgi
from tests.unit.parties import Time
from tests.vectors.replay import HERE, Conversation, Exchange
from zeep_secureconv import SecurityContext
from zeep_secureconv.names import sct_type
from zeep_secureconv.service.demonstration import DemonstrationService
from zeep_secureconv.service.middleware import SecureConversationMiddleware
from zeep_secureconv.service.users import Users
from zeep_secureconv.soap.addressing import read_addressing
from zeep_secureconv.trust import RequestType
from zeep_secureconv.wss.keys import ContextKey

CONVERSATIONS = [
    Conversation(stack, folder.name)
    for stack in ("cxf", "metro", "rampart")
    for folder in sorted((HERE / stack).iterdir())
    if folder.is_dir() and folder.name != "pki"
]
#: Nobody says who the client is, and nothing but the bootstrap secures its Renew and its Cancel.
ANONYMOUS = {"symx509-dk"}
#: Its Renew lacks the endorsing signature of the bootstrap policy; CXF's own server refuses it too.
UNENDORSED = {"tls-x509-bootstrap"}
_HOUR = timedelta(hours=1)


class Service:
    """Our service in the place of the one that a conversation was recorded with.

    Args:
        conversation: the recorded conversation.
        options: arguments of the middleware.
    """

    def __init__(self, conversation: Conversation, **options: object) -> None:
        self.conversation = conversation
        self.time = Time(conversation.exchanges[0].request.created)
        users = Users({"alice": "alice-secret" if conversation.stack == "cxf" else "secret"})
        given: dict[str, object] = {
            "policy": conversation.policy,
            "identity": conversation.service.decrypting,
            "trust": conversation.service.trust,
            "authenticate": users,
            "clock": self.time.clock,
            **options,
        }
        self.middleware = SecureConversationMiddleware(DemonstrationService(), **given)  # type: ignore[arg-type]

    def post(self, exchange: Exchange) -> Answer:
        """Post a recorded request at its time."""
        self.time.now = max(self.time.now, exchange.request.created)
        headers = dict(line.split(": ", 1) for line in exchange.request.head.splitlines()[1:] if ": " in line)
        kept = {
            name: value for name, value in headers.items() if name.lower() in ("content-type", "soapaction")
        }
        request = Request("POST", self.path(exchange), kept, exchange.request.body)
        scheme = "https" if self.conversation.service.over_tls else "http"

        def with_scheme(environ: dict[str, object], start_response: object) -> Iterable[bytes]:
            return self.middleware(environ | {"wsgi.url_scheme": scheme}, start_response)  # type: ignore[arg-type]

        return call_wsgi(with_scheme, request)

    def path(self, exchange: Exchange) -> str:
        """Where a request was sent to."""
        return urlsplit(read_addressing(exchange.request.soap()).to or "/peer").path

    def held(self) -> list[SecurityContext]:
        """The contexts that it has."""
        return [context for _, context in self.middleware._store.items("service")]

    def hold(self, exchange: Exchange, *, first: bool = False) -> SecurityContext:
        """Give it the context that a request is about, as it was recorded, in the place of the one that it issued."""
        (issued,) = self.held()
        path, store = self.path(exchange), self.middleware._store
        assert store.drop(("service", path, issued.identifier, ""), issued)
        secrets, body = self.conversation.secrets, exchange.request.body
        # CXF's Bodies are encrypted, and it has one context
        names = [name for name in secrets if name[0].encode() in body] or list(secrets)
        identifier, instance = names[0] if first else names[-1]
        key = ContextKey(
            identifier=identifier,
            instance=instance,
            wsc=issued.key.wsc,
            secret=secrets[identifier, instance],
            token=issued.key.token,
        )
        held = replace(issued, key=key)
        assert store.add(("service", path, identifier, ""), held)
        return held


def exchange_of(conversation: Conversation, kind: RequestType) -> Exchange | None:
    """The first request of a kind."""
    return next((exchange for exchange in conversation.exchanges if exchange.kind is kind), None)


def parametrized(kind: RequestType, *stacks: str) -> pytest.MarkDecorator:
    """All conversations with a request of a kind."""
    found = [
        one
        for one in CONVERSATIONS
        if exchange_of(one, kind) is not None and (not stacks or one.stack in stacks)
    ]
    return pytest.mark.parametrize("conversation", found, ids=lambda one: f"{one.stack}-{one.variant}")


def begun(conversation: Conversation, **options: object) -> Service:
    """Our service after the first Issue."""
    service = Service(conversation, **options)
    issue = exchange_of(conversation, RequestType.ISSUE)
    assert issue is not None
    answer = service.post(issue)
    assert answer.status == 200, answer.body
    return service


@parametrized(RequestType.ISSUE)
def test_an_issue_is_answered(conversation: Conversation) -> None:
    """Every client gets a context of its generation, whose key has a length of the algorithm suite."""
    service = begun(conversation, lifetime=_HOUR)
    (context,) = service.held()
    binding = conversation.conversation.application.binding
    assert binding is not None
    suite = binding.algorithm_suite
    assert suite.minimum_key_length <= len(context.key.secret) <= suite.maximum_key_length
    issue = exchange_of(conversation, RequestType.ISSUE)
    assert issue is not None
    assert sct_type(context.key.wsc) in issue.request.body.decode() or b"EncryptedData" in issue.request.body
    assert (context.principal is None) == (conversation.variant in ANONYMOUS)
    assert context.remaining(service.time.clock) in (_HOUR, timedelta(minutes=10))


@parametrized(RequestType.RENEW)
def test_a_renewal_is_answered(conversation: Conversation) -> None:
    """By CXF's client with the bootstrap alone, by Metro's with the first key, of contexts that are over too."""
    service = begun(conversation, lifetime=timedelta(seconds=1), renew_after_expiry=True)
    renew = exchange_of(conversation, RequestType.RENEW)
    assert renew is not None
    old = service.hold(renew, first=True)
    service.time.forward(timedelta(seconds=1))
    answer = service.post(renew)
    if conversation.variant in ANONYMOUS | UNENDORSED:
        assert answer.status == 500
        assert service.held() == [old]
        return
    assert answer.status == 200, answer.body
    renewed = next(one for one in service.held() if one.instance is not None)
    assert (renewed.identifier, renewed.owner, renewed.first) == (old.identifier, old.owner, old.key)
    assert renewed.key.secret != old.key.secret


@parametrized(RequestType.RENEW)
def test_a_context_that_is_over_is_not_renewed_by_default(conversation: Conversation) -> None:
    """Neither client gets a new key for it, and none of the keys works."""
    service = begun(conversation, lifetime=timedelta(seconds=1))
    renew = exchange_of(conversation, RequestType.RENEW)
    assert renew is not None
    service.hold(renew, first=True)
    service.time.forward(timedelta(seconds=1))
    assert service.post(renew).status == 500
    assert all(one.is_over(service.time.clock) for one in service.held())


@parametrized(RequestType.CANCEL, "cxf")
@pytest.mark.parametrize("tolerate", [(), ("cxf",)], ids=["strict", "tolerant"])
def test_cxf_s_cancel_needs_tolerance(conversation: Conversation, tolerate: tuple[str, ...]) -> None:
    """It is secured with the bootstrap alone: then it ends the context, of a client that is known; without, nothing."""
    service = begun(conversation, tolerate=tolerate)
    cancel = exchange_of(conversation, RequestType.CANCEL)
    assert cancel is not None
    assert cancel.is_bootstrapped_cancel
    held = service.hold(cancel)
    answer = service.post(cancel)
    cancelled = bool(tolerate) and conversation.variant not in ANONYMOUS
    assert (answer.status == 200) == cancelled
    assert service.held() == ([] if cancelled else [held])


@parametrized(RequestType.CANCEL, "metro", "rampart")
def test_a_cancel_by_the_context_is_answered(conversation: Conversation) -> None:
    """Metro's and Rampart's clients secure it with the context, which it ends."""
    service = begun(conversation)
    cancel = exchange_of(conversation, RequestType.CANCEL)
    assert cancel is not None
    service.hold(cancel)
    answer = service.post(cancel)
    assert answer.status == 200, answer.body
    assert service.held() == []
