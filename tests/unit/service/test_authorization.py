"""Who may do what, and that what a call says of itself does not change who asks."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.messages import symmetric
from tests.unit.parties import identity
from tests.unit.service.peer import INVALID, PATH, Peer
from tests.unit.service.test_endpoint import (
    USERS,
    calling,
    contract,
    for_user,
    over_certificate,
    renewal,
    supporting,
)
from zeep_secureconv import LtpaToken, PolicyError, SecurityContext, UsernameToken
from zeep_secureconv.names import SOAP11, SOAP12, WSSE
from zeep_secureconv.policy import DerivedKeys, Direction, EndpointPolicy, Include
from zeep_secureconv.policy.model import PasswordForm, SuppliedToken, X509Token
from zeep_secureconv.policy.model import UsernameToken as UsernamePolicy
from zeep_secureconv.service.authorization import Access
from zeep_secureconv.soap.envelope import serialize
from zeep_secureconv.trust import RequestType
from zeep_secureconv.wss.certificates import holder
from zeep_secureconv.wss.credentials import Credential, ReceivedToken

DENIED = f"{{{WSSE}}}FailedAuthentication"
LTPA = SuppliedToken(
    assertion="{urn:sp}LTPA", accepts=frozenset({"{http://www.ibm.com/websphere/appserver/tokentype}LTPAv2"})
)


class Desk:
    """Remembers what it is asked, and refuses the kinds that it is told to."""

    def __init__(self, *refused: str) -> None:
        self.refused = refused
        self.asked: list[Access] = []

    def __call__(self, access: Access) -> bool:
        """Whether it is allowed."""
        self.asked.append(access)
        return access.kind not in self.refused


def request(peer: Peer, context: SecurityContext, kind: str) -> tuple[bytes, str]:
    """(message, action) of what is wanted."""
    if kind == "issue":
        return peer.ask(), peer.exchange.action
    if kind == "call":
        return serialize(peer.secured(context)[0].envelope), "urn:test:a"
    if kind == "renew":
        return renewal(peer, context, endorsed=False), _action(peer, RequestType.RENEW)
    ask = {"cancel": peer.initiator.ask_cancel, "validate": peer.initiator.ask_validate}[kind]
    exchange = ask(context, peer.conversation, peer.ring, peer.dialect)
    return serialize(exchange.soap.envelope), exchange.action


def _action(peer: Peer, kind: RequestType) -> str:
    found = peer.dialect.action(kind, Direction.REQUEST)
    assert found is not None
    return found


KINDS = ["issue", "renew", "cancel", "validate", "call"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("soap", [SOAP11, SOAP12], ids=["soap11", "soap12"])
def test_everything_is_asked_for_by_name(kind: str, soap: str) -> None:
    """The question says what is wanted, by whom and in which context; True lets it pass, anything else does not."""
    desk = Desk()
    peer = Peer(soap=soap, authorize=desk)
    context = peer.issue()
    desk.asked.clear()
    message, action = request(peer, context, kind)
    assert peer.post(message, action, REMOTE_ADDR="192.0.2.1")[0] == 200
    (asked,) = desk.asked
    assert (asked.kind, asked.principal, asked.action) == (kind, "CN=client,O=Test", action)
    assert asked.owner == holder(identity("client").certificate)
    assert asked.environ["REMOTE_ADDR"] == "192.0.2.1"
    assert asked.context is None if kind == "issue" else asked.context is not None
    if asked.context is not None:
        assert (asked.context.identifier, asked.context.endpoint) == (context.identifier, PATH)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("soap", [SOAP11, SOAP12], ids=["soap11", "soap12"])
def test_what_is_not_allowed_is_not_done(kind: str, soap: str, caplog: pytest.LogCaptureFixture) -> None:
    """The fault is secured: FailedAuthentication, or the sender's fault for a call; and nothing happens."""
    caplog.set_level(logging.WARNING, "zeep_secureconv.service")
    desk = Desk()
    peer = Peer(soap=soap, authorize=desk)
    context = peer.issue()
    desk.refused = (kind,)
    before = [(key, one) for key, one in peer.middleware._store.items("service")]
    message, action = request(peer, context, kind)
    refusal = peer.refusal(message, action)
    sender = f"{{{soap}}}{'Client' if soap == SOAP11 else 'Sender'}"
    assert refusal.fault.code == (sender if kind == "call" else DENIED)
    assert refusal.proven
    assert [(key, one) for key, one in peer.middleware._store.items("service")] == before
    assert "CN=client,O=Test may not" in caplog.text
    assert "CN=client" not in refusal.fault.text
    desk.refused = ()
    message, action = request(peer, context, kind)
    assert peer.post(message, action)[0] == 200


@pytest.mark.parametrize("answer", [None, 1, "yes", []])
def test_nothing_but_true_allows(answer: object) -> None:
    """A function that forgets to answer, or answers something that counts as true, allows nothing."""
    peer = Peer(authorize=lambda _: answer)
    assert peer.refused(peer.ask(), peer.exchange.action) == DENIED
    allowing = Peer(authorize=lambda _: True)
    assert allowing.call(allowing.issue())[0] == 200


def test_a_coroutine_allows_nothing() -> None:
    """Nobody waits for it here, and as an object it is true."""

    class Waits:
        """What an async function gives."""

        def __call__(self, _access: Access) -> Any:
            return iter([True])

        def check(self, _name: str, _password: str) -> Any:
            return iter([True])

    peer = Peer(authorize=Waits())
    assert peer.refused(peer.ask(), peer.exchange.action) == DENIED
    users = (UsernameToken("alice", "anything"),)
    asking = Peer(policy=for_user(), tokens=users, https=True, authenticate=Waits())
    assert asking.refused(asking.ask(), asking.exchange.action) == DENIED


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_raises_goes_to_the_server(kind: str) -> None:
    """As what the application raises does; nothing was done then."""

    class BrokenError(Exception):
        """The directory is down."""

    peer = Peer(authorize=lambda access: _broken(access.kind))

    def _broken(wanted: str) -> bool:
        if broken and wanted == kind:
            raise BrokenError
        return True

    broken = False
    context = peer.issue()
    broken = True
    before = list(peer.middleware._store.items("service"))
    message, action = request(peer, context, kind)
    with pytest.raises(BrokenError):
        peer.post(message, action)
    assert list(peer.middleware._store.items("service")) == before
    assert peer.app.asked == []
    broken = False
    assert peer.post(*request(peer, context, kind))[0] == 200


def test_the_operation_and_the_user_of_a_call_are_told() -> None:
    """Where the policy came with a WSDL the operation has its name; the user is the one whom the call names."""
    desk = Desk()
    peer = Peer(policy=contract("a", "b"), authorize=desk)
    assert (
        peer.post(serialize(peer.secured(peer.issue(), "<b/>", action="urn:test:b")[0].envelope), "")[0]
        == 200
    )
    assert [one.operation for one in desk.asked] == [None, "b"]
    policy = calling(*supporting(UsernamePolicy(), signed=True, encrypted=True))
    peer = Peer(policy=policy, tokens=(UsernameToken("bob", "builder"),), authenticate=USERS, authorize=desk)
    peer.call(peer.issue())
    assert (desk.asked[-1].principal, desk.asked[-1].username) == ("CN=client,O=Test", "bob")
    assert desk.asked[-1].operation is None


def test_the_context_of_another_is_not_shown() -> None:
    """Who wants to renew what is not his is told apart from its holder: the question is without the context."""
    desk = Desk()
    peer = Peer(authorize=desk)
    context = peer.issue()
    peer.ring = replace(peer.ring, signing=identity("client2"), decrypting=identity("client2"))
    message, action = request(peer, context, "renew")
    assert peer.refused(message, action).endswith("}UnableToRenew")
    assert (desk.asked[-1].principal, desk.asked[-1].context) == ("CN=client2,O=Test", None)


def test_who_is_not_authenticated_is_not_asked_about() -> None:
    """Neither a wrong password nor a message that fails a check gets as far as the question."""
    desk = Desk()
    users = (UsernameToken("alice", "wrong"),)
    peer = Peer(policy=for_user(), tokens=users, https=True, authenticate=USERS, authorize=desk)
    assert peer.refused(peer.ask(), peer.exchange.action) == DENIED
    peer = Peer(authorize=desk)
    assert peer.refused(peer.ask().replace(b"SignatureValue>", b"SignatureValue>AAAA", 1), "") == INVALID
    assert desk.asked == []


# ----------------------------------------------------------------------------- who it is stays who it is

_CERTIFICATE = X509Token(include=Include.ALWAYS_TO_RECIPIENT)


class Judge:
    """Believes every LTPA token."""

    def token(self, received: ReceivedToken) -> str | None:
        """Whose it is."""
        return "ltpa-user" if received.kind in LTPA.accepts else None


@pytest.mark.parametrize(
    ("policy", "tokens", "authenticate", "username"),
    [
        (calling(*supporting(LTPA, signed=True)), (LtpaToken("R09PRA=="),), Judge(), "ltpa-user"),
        (
            calling(*supporting(UsernamePolicy(), signed=True, encrypted=True)),
            (UsernameToken("bob", "builder"),),
            USERS,
            "bob",
        ),
        (calling(*supporting(_CERTIFICATE, endorsing=True)), (), None, None),
    ],
    ids=["token", "user", "certificate"],
)
def test_tokens_of_calls_do_not_change_the_principal(
    policy: EndpointPolicy, tokens: tuple[Credential, ...], authenticate: Any, username: str | None
) -> None:
    """A token, a user or a certificate in a call is told beside, and the context stays whose it was."""
    peer = Peer(policy=policy, tokens=tokens, authenticate=authenticate)
    context = peer.issue()
    if username is None:
        # endorsed by another certificate than the one that the context was issued to
        peer.ring = replace(peer.ring, signing=identity("client2"))
    assert peer.call(context)[0] == 200
    (environ,) = peer.app.asked
    assert environ["zeep_secureconv.principal"] == "CN=client,O=Test"
    assert environ["zeep_secureconv.context"].owner == holder(identity("client").certificate)
    assert environ["zeep_secureconv.username"] == username
    (held,) = {context.owner for _, context in peer.middleware._store.items("service")}
    assert held == holder(identity("client").certificate)


def test_a_context_is_not_renewed_by_the_user_of_a_call() -> None:
    """Who named himself in calls under a context does not come to own it."""
    policy = calling(*supporting(UsernamePolicy(), signed=True, encrypted=True))
    peer = Peer(policy=policy, tokens=(UsernameToken("bob", "builder"),), authenticate=USERS)
    context = peer.issue()
    assert peer.call(context)[0] == 200
    mine = peer.ring
    peer.ring = replace(peer.ring, signing=identity("client2"), decrypting=identity("client2"))
    assert peer.refused(*request(peer, context, "renew")).endswith("}UnableToRenew")
    peer.ring = mine
    assert peer.post(*request(peer, context, "renew"))[0] == 200


@pytest.mark.parametrize(
    "policy",
    [
        for_user(PasswordForm.DIGEST),
        EndpointPolicy(
            endpoint=calling(
                *supporting(UsernamePolicy(derived_keys=DerivedKeys.EXPLICIT), endorsing=True)
            ).endpoint
        ),
    ],
    ids=["digest", "derived key"],
)
def test_digests_and_keys_need_the_password_itself(policy: EndpointPolicy) -> None:
    """Whoever can only check passwords is told at the start that this policy needs to know them."""

    class Checks:
        """Knows hashes."""

        def check(self, name: str, password: str) -> bool:
            """Whether they fit."""
            return bool(name and password)

    Peer(policy=policy, authenticate=USERS)
    with pytest.raises(PolicyError, match="digests"):
        Peer(policy=policy, authenticate=Checks())


def test_an_anonymous_client_may_be_refused_too() -> None:
    """Where the policy does not want to know who asks the principal is None, and the hook decides all the same."""
    desk = Desk("issue")
    peer = Peer(policy=EndpointPolicy(endpoint=symmetric(bootstrap=over_certificate())), authorize=desk)
    refusal = peer.refusal(peer.ask(), peer.exchange.action)
    assert (refusal.fault.code, refusal.proven) == (DENIED, True)
    assert (desk.asked[0].principal, desk.asked[0].owner) == (None, "anonymous")
    desk.refused = ()
    assert peer.call(peer.issue())[0] == 200
