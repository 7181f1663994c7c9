"""The sample messages of WebSphere: each request is answered as its sample is, and our client sends the same requests.

Compared are the names of elements, their order, their text and their attributes, without wsse:Security, which no sample
shows. Texts count without the white space around them. What is not compared, and why, stands in the tables below.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from lxml import etree

from tests.loopback import Request, call_wsgi
from tests.unit.parties import CA, SERVER, Time, environment, identity, pem, trust
from zeep_secureconv import Limits, MemoryStore, SecureConversation, SecurityContext
from zeep_secureconv.conversation.policies import ExchangePolicy, conversation_policy
from zeep_secureconv.names import SOAP11, WSC_200512, WSSE, WST_200512, WSU
from zeep_secureconv.policy.model import Direction
from zeep_secureconv.policy.presets import preset
from zeep_secureconv.service.contract import demonstration_wsdl
from zeep_secureconv.service.demonstration import DemonstrationService
from zeep_secureconv.service.middleware import SecureConversationMiddleware
from zeep_secureconv.soap.envelope import Soap, http_headers, parse, serialize
from zeep_secureconv.trust import RequestType, new_context_token
from zeep_secureconv.wss.keys import ContextKey, Keyring
from zeep_secureconv.wss.protect import protect
from zeep_secureconv.wss.reply import read_reply
from zeep_secureconv.wss.times import read_time
from zeep_secureconv.wss.unprotect import unprotect

_SEEDS = Path(__file__).parent / "seeds"
#: The endpoint of the samples.
_URL = "http://localhost:80/WSSampleSei/EchoService"
_PRESET = "SecureConversation"
_CONVERSATION = conversation_policy(preset(_PRESET).policy())
#: How long the contexts of the samples live.
_LIFETIME = timedelta(minutes=12)

#: What secures each request. The samples show nothing of it; these are the halves of TrustServiceSecurityDefault and of
#: TrustServiceSymmetricDefault.
_SECURED: dict[RequestType, ExchangePolicy] = {
    RequestType.ISSUE: _CONVERSATION.bootstrap,
    RequestType.RENEW: _CONVERSATION.bootstrap,
    RequestType.CANCEL: _CONVERSATION.cancel_in_full,
    RequestType.VALIDATE: _CONVERSATION.cancel_in_full,
}

#: What differs from message to message, by the end of its path, and what it must look like in the sample and in ours.
_MASKED = {
    # made up by whoever writes them: a message, a context, a key of it, and an element
    "/Header/MessageID": r"\S+",
    "/SecurityContextToken/Identifier": r"\S+",
    "/SecurityContextToken/Instance": r"\S+",
    "/RequestedSecurityToken/SecurityContextToken/@Id": r"\S+",
    "/RequestedAttachedReference/SecurityTokenReference/Reference/@URI": r"#\S+",
    "/RequestedUnattachedReference/SecurityTokenReference/Reference/@URI": r"[^#\s]\S*",
    # 16 random bytes
    "/Entropy/BinarySecret": r"[A-Za-z0-9+/]{22}==",
    "/Lifetime/Created": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
    "/Lifetime/Expires": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
}
#: What only one side has, by the end of its path.
_LEFT_OUT = (
    # the samples say with it what holds without it
    "/@mustUnderstand",
    # ids of what is signed; and of a target, which stands in the header too, where our client leaves it the id
    "/Body/@Id",
    *(f"/Header/{name}/@Id" for name in ("To", "MessageID", "Action", "RelatesTo")),
    *(f"/{kind}Target/SecurityContextToken/@Id" for kind in ("Renew", "Cancel", "Validate")),
)
#: The sample answer to Validate repeats another @Context than its request has; ours repeats that of the request.
_CONTEXT = {RequestType.VALIDATE: ("http://www.ibm.com/login/", "https://www.ibm.com/login/")}


class _Line(NamedTuple):
    """An element or an attribute: the local names down to it, its namespace, its text."""

    path: str
    namespace: str | None
    text: str


def _lines(element: etree._Element, path: str = "") -> Iterator[_Line]:
    """Everything that a message says, in its order."""
    name = etree.QName(element)
    path = f"{path}/{name.localname}"
    # beside elements there is layout, and a lost hyphen in the sample of Issue
    yield _Line(path, name.namespace, "" if len(element) else (element.text or "").strip())
    for attribute in sorted(map(str, element.attrib)):
        end = etree.QName(attribute)
        yield _Line(f"{path}/@{end.localname}", end.namespace, str(element.get(attribute)))
    for child in element.iterchildren("*"):
        if child.tag != f"{{{WSSE}}}Security":
            yield from _lines(child, path)


def _compared(envelope: etree._Element) -> list[_Line]:
    """The lines that count, with what differs from message to message masked."""
    return [_masked(line) for line in _lines(envelope) if not line.path.endswith(_LEFT_OUT)]


def _masked(line: _Line) -> _Line:
    for end, form in _MASKED.items():
        if line.path.endswith(end):
            assert re.fullmatch(form, line.text), line
            return line._replace(text=f"<{form}>")
    return line


def _sample(kind: RequestType, end: str) -> Soap:
    return Soap.of(parse((_SEEDS / f"{kind.value.lower()}-{end}.xml").read_bytes(), Limits()))


def _text(soap: Soap, *names: str) -> str:
    """The text of the one element with that path of local names."""
    (found,) = soap.envelope.iterfind("/".join((".", "", *(f"{{*}}{name}" for name in names))))
    return (found.text or "").strip()


class _Service:
    """The service that the samples are sent to, under WebSphere's preset."""

    def __init__(self) -> None:
        self.time = Time()
        self.environment = environment(time=self.time)
        self.store = MemoryStore(clock=self.time.clock)
        self.app = SecureConversationMiddleware(
            DemonstrationService(),
            policy=_PRESET,
            identity=identity("server"),
            trust=trust(),
            store=self.store,
            endpoint=_URL,
            lifetime=_LIFETIME,
            clock=self.time.clock,
        )
        self.requests: list[bytes] = []
        server = identity("server").certificate
        self._client = Keyring(
            signing=identity("client"),
            decrypting=identity("client"),
            peer=server,
            signers=(server,),
            trust=trust(),
            role="server",
        )

    def post(self, request: Request) -> tuple[int, bytes]:
        """(HTTP status, content) of the answer to a request, which is kept."""
        self.requests.append(request.body)
        answer = call_wsgi(self.app, request)
        return answer.status, answer.body

    def asked(self, kind: RequestType, context: SecurityContext | None = None) -> Soap:
        """The answer, in clear, to the sample request, which is secured as its policy says."""
        soap, secured = _sample(kind, "rst"), _SECURED[kind]
        key = context.key if context is not None and secured is _CONVERSATION.cancel_in_full else None
        ring = replace(self._client, context=key, leg="application" if key else "bootstrap")
        sent = protect(
            soap,
            secured.request,
            ring,
            self.environment,
            direction=Direction.REQUEST,
            message_id=_text(soap, "MessageID"),
        )
        action = _text(soap, "Action")
        status, answer = self.post(
            Request(
                "POST", "/WSSampleSei/EchoService", http_headers(SOAP11, action), serialize(soap.envelope)
            )
        )
        assert status == 200, answer
        reply = read_reply(
            Soap.of(parse(answer, Limits())),
            secured.response,
            replace(ring, ephemeral=sent.ephemeral),
            self.environment,
            request=sent,
            seen=None,
        )
        assert reply.fault is None
        return reply.soap

    def context_of(self, kind: RequestType) -> SecurityContext:
        """The context that a sample request is about: one of the client's, with the names of the sample."""
        self.asked(RequestType.ISSUE)
        (issued, *_) = (context for _, context in self.store.items("service"))
        sample = _sample(kind, "rst")
        identifier, instance = (
            _text(sample, "SecurityContextToken", name) for name in ("Identifier", "Instance")
        )
        token = new_context_token(identifier, wsc=WSC_200512, element_id="sct-1", instance=instance)
        key = ContextKey(
            identifier=identifier,
            instance=instance,
            wsc=WSC_200512,
            secret=issued.key.secret,
            token=token.xml,
        )
        context = replace(issued, key=key)
        assert self.store.add(("service", _URL, identifier, ""), context)
        return context

    def in_clear(self, number: int, kind: RequestType) -> Soap:
        """A request that was posted, decrypted with the keys of the service."""
        keys = {(context.identifier, context.instance): context.key for context in self.known}
        ring = Keyring(
            signing=identity("server"),
            decrypting=identity("server"),
            trust=trust(),
            role="client",
            lookup=lambda identifier, instance: keys.get((identifier, instance)),
        )
        soap = Soap.of(parse(self.requests[number], Limits()))
        return unprotect(soap, _SECURED[kind].request, ring, self.environment).soap

    def remember(self) -> None:
        """Keep the contexts of this moment, to read the messages that they secured."""
        self.known = [context for _, context in self.store.items("service")]


@pytest.fixture
def service() -> _Service:
    """The service."""
    return _Service()


# --------------------------------------------------------------------------------------------------- their requests


@pytest.mark.parametrize("kind", RequestType)
def test_a_sample_request_is_answered_as_its_sample_is(service: _Service, kind: RequestType) -> None:
    """Names, order, text and attributes of the answer are those of the sample."""
    context = None if kind is RequestType.ISSUE else service.context_of(kind)
    answer = service.asked(kind, context)
    said, instead = _CONTEXT.get(kind, ("", ""))
    expected = [
        line._replace(text=instead) if line.path.endswith("/@Context") and line.text == said else line
        for line in _compared(_sample(kind, "rstr").envelope)
    ]
    assert _compared(answer.envelope) == expected


def test_issue_gives_what_its_answer_says(service: _Service) -> None:
    """The references name the token, the context lives as long as in the sample, and the service holds it."""
    answer = service.asked(RequestType.ISSUE)
    _check_token(service, answer)
    assert _text(answer, "RequestedUnattachedReference", "SecurityTokenReference", "Reference") == ""
    (unattached,) = answer.envelope.iterfind(".//{*}RequestedUnattachedReference//{*}Reference")
    assert unattached.get("URI") == _text(answer, "SecurityContextToken", "Identifier")


def test_renew_gives_the_context_of_the_sample_a_new_key(service: _Service) -> None:
    """Identifier stays, Instance is new, and the service holds the new key."""
    old = service.context_of(RequestType.RENEW)
    answer = service.asked(RequestType.RENEW, old)
    _check_token(service, answer)
    assert _text(answer, "SecurityContextToken", "Identifier") == old.identifier
    assert _text(answer, "SecurityContextToken", "Instance") != old.instance


def _check_token(service: _Service, answer: Soap) -> None:
    identifier, instance = (
        _text(answer, "SecurityContextToken", name) for name in ("Identifier", "Instance")
    )
    (token,) = answer.envelope.iterfind(".//{*}RequestedSecurityToken/{*}SecurityContextToken")
    (attached,) = answer.envelope.iterfind(".//{*}RequestedAttachedReference//{*}Reference")
    assert attached.get("URI") == f"#{token.get(f'{{{WSU}}}Id')}"
    created, expires = (read_time(_text(answer, "Lifetime", name)) for name in ("Created", "Expires"))
    assert (created, expires - created) == (service.time.now, _LIFETIME)
    held = service.store.get(("service", _URL, identifier, ""))
    assert held is not None
    assert held.instance == instance


def test_cancel_ends_the_context_of_the_sample(service: _Service) -> None:
    """It is valid before, and gone afterwards."""
    context = service.context_of(RequestType.CANCEL)
    assert context.instance is not None
    name = ("service", _URL, context.identifier, "")
    assert service.store.get(name) == context
    service.asked(RequestType.CANCEL, context)
    assert service.store.get(name) is None


# ------------------------------------------------------------------------------------------------------ our requests


class _Direct(requests.adapters.BaseAdapter):
    """Brings a client's requests to a service without a network, so that the address is that of the samples."""

    def __init__(self, service: _Service) -> None:
        super().__init__()
        self._service = service

    def send(self, request: requests.PreparedRequest, **_options: Any) -> requests.Response:  # type: ignore[override]
        """The service's answer."""
        assert isinstance(request.body, bytes)
        status, content = self._service.post(
            Request("POST", request.path_url, dict(request.headers), request.body)
        )
        response = requests.Response()
        response.status_code, response.request, response.url = status, request, str(request.url)
        response.headers["Content-Type"] = "text/xml; charset=utf-8"
        response.raw = io.BytesIO(content)
        return response

    def close(self) -> None:
        """There is nothing to close."""


@pytest.fixture
def sent(service: _Service, tmp_path: Path) -> dict[RequestType, Soap]:
    """What our client sends when it asks for a context, renews it, asks whether it is valid, and gives it back."""
    wsdl = tmp_path / "service.wsdl"
    wsdl.write_bytes(demonstration_wsdl(None, address=_URL))
    with (
        requests.Session() as session,
        SecureConversation(
            policy=_PRESET,
            identity=identity("client"),
            trust=trust(),
            peer=pem(SERVER.make(), CA.make()),
            clock=service.time.clock,
        ) as sc,
    ):
        session.mount(_URL, _Direct(service))
        client = sc.client(str(wsdl), transport=sc.transport(session=session))
        assert client.service.echo("hello") == "hello"
        (context,) = sc.contexts()
        renewed = sc.renew(context)
        assert sc.validate(renewed) is True
        service.remember()
        assert sc.cancel(renewed) == 1
    kinds = (RequestType.ISSUE, None, RequestType.RENEW, RequestType.VALIDATE, RequestType.CANCEL)
    assert len(service.requests) == len(kinds)
    return {kind: service.in_clear(number, kind) for number, kind in enumerate(kinds) if kind is not None}


@pytest.mark.parametrize("kind", RequestType)
def test_our_client_sends_the_sample_request(sent: dict[RequestType, Soap], kind: RequestType) -> None:
    """Names, order, text and attributes of the request are those of the sample."""
    assert _compared(sent[kind].envelope) == _compared(_sample(kind, "rst").envelope)


def test_our_requests_are_about_the_context_that_was_issued(
    service: _Service, sent: dict[RequestType, Soap]
) -> None:
    """Each names the context, Renew its first key, the later ones the second; nonces and messages are fresh."""
    (identifier,) = {context.identifier for context in service.known}
    targets = {
        kind: [
            _text(sent[kind], f"{kind.value}Target", "SecurityContextToken", name)
            for name in ("Identifier", "Instance")
        ]
        for kind in (RequestType.RENEW, RequestType.VALIDATE, RequestType.CANCEL)
    }
    assert {name for name, _ in targets.values()} == {identifier}
    first, *later = (instance for _, instance in targets.values())
    assert len({first, *later}) == 2
    assert len({_text(soap, "MessageID") for soap in sent.values()}) == len(sent)
    secrets = [
        _text(sent[kind], "Entropy", "BinarySecret") for kind in (RequestType.ISSUE, RequestType.RENEW)
    ]
    assert len(set(secrets)) == 2


def test_what_is_compared_would_show_a_difference() -> None:
    """A name, an order, a text and an attribute that are others are found; another MessageID alone is not."""
    sample = (_SEEDS / "renew-rst.xml").read_text(encoding="utf-8")
    compared = _compared(_sample(RequestType.RENEW, "rst").envelope)
    for old, new in {
        "wst:KeySize": "wst:KeyLength",
        WST_200512: "http://schemas.xmlsoap.org/ws/2005/02/trust",
        "http://localhost:80/WSSampleSei": "http://localhost/WSSampleSei",
        "https://www.ibm.com": "http://www.ibm.com",
        ">128<": ">256<",
    }.items():
        assert old in sample
        assert _compared(etree.fromstring(sample.replace(old, new).encode())) != compared
    other = sample.replace("fc0632828e1252b4:487cee53", "urn:uuid:1")
    assert other != sample
    assert _compared(etree.fromstring(other.encode())) == compared
    swapped = etree.fromstring(sample.encode())
    swapped[0].append(swapped[0][0])
    assert _compared(swapped) != compared
