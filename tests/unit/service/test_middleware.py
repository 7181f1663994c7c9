"""The middleware in front of a small application of our own."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from lxml import etree

from tests.unit.messages import SIGNED, asymmetric, canonical, symmetric
from tests.unit.parties import NOW, identity, trust
from tests.unit.service.peer import INVALID, PATH, URL, Application, Environ, Peer
from zeep_secureconv import (
    ConfigurationError,
    Limits,
    Policy,
    PolicyError,
    SecurityContext,
    VerificationError,
)
from zeep_secureconv.names import SOAP11, SOAP12, WSA_2004, WSA_2005, WSC_200512, WSSE, WST_200512
from zeep_secureconv.policy import EndpointPolicy, OperationPolicy, Parts
from zeep_secureconv.service.middleware import SecureConversationMiddleware
from zeep_secureconv.soap.addressing import ANONYMOUS, read_addressing
from zeep_secureconv.soap.envelope import Soap, content_type, parse, serialize
from zeep_secureconv.soap.faults import make_fault, read_fault

# ------------------------------------------------------------------------------------------ what the app sees


@pytest.mark.parametrize("soap", [SOAP11, SOAP12], ids=["soap11", "soap12"])
def test_the_application_sees_clear_soap(soap: str) -> None:
    """The application gets the message in the clear, without wsse:Security, and its answer is secured."""
    peer = Peer(soap=soap)
    context = peer.issue()
    status, reply = peer.call(context, "<a>h\u00e9llo <b/></a>")
    assert status == 200
    assert reply.verified is not None
    assert canonical(reply.soap.body[0]) == "<aResponse>h\u00e9llo <b></b></aResponse>".encode()
    seen = Soap.of(parse(peer.app.messages[0], Limits()))
    assert canonical(seen.body[0]) == "<a>h\u00e9llo <b></b></a>".encode()
    assert not any(block.tag == f"{{{WSSE}}}Security" for block in seen.blocks())
    assert read_addressing(seen).to == URL


def test_the_environment_says_who_calls() -> None:
    """Principal, context and action are in the environment, and SOAPAction, length and type fit the clear message."""
    peer = Peer()
    context = peer.issue()
    peer.call(context)
    (environ,) = peer.app.asked
    assert environ["zeep_secureconv.principal"] == "CN=client,O=Test"
    assert environ["zeep_secureconv.action"] == "urn:test:a"
    held = environ["zeep_secureconv.context"]
    assert isinstance(held, SecurityContext)
    assert (held.identifier, held.principal, held.endpoint) == (context.identifier, "CN=client,O=Test", PATH)
    assert environ["HTTP_SOAPACTION"] == '"urn:test:a"'
    assert environ["CONTENT_LENGTH"] == str(len(peer.app.messages[0]))
    assert environ["CONTENT_TYPE"] == content_type(SOAP11)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/soap", "/peer")


def test_a_client_cannot_say_who_it_is() -> None:
    """What a client writes into HTTP headers or the message does not become the principal."""
    peer = Peer()
    soap, _ = peer.secured(peer.issue(), headers="<principal>CN=admin</principal>")
    peer.post(serialize(soap.envelope), "urn:test:a", HTTP_ZEEP_SECURECONV_PRINCIPAL="CN=admin")
    assert peer.app.asked[0]["zeep_secureconv.principal"] == "CN=client,O=Test"


def test_the_input_is_read_in_pieces() -> None:
    """wsgi.input gives the clear message as a file does: by size, to the end, and nothing after it."""
    peer = Peer()
    context = peer.issue()
    pieces: list[bytes] = []
    original = peer.app.__call__

    def app(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        source = environ["wsgi.input"]
        pieces.extend([source.read(5), source.read(5), source.read(), source.read(), source.read(5)])
        environ["wsgi.input"] = io.BytesIO(b"".join(pieces))
        return original(environ, start_response)

    peer.middleware._app = app
    assert peer.call(context)[0] == 200
    assert [len(piece) for piece in pieces[:2]] == [5, 5]
    assert pieces[3:] == [b"", b""]
    assert b"".join(pieces) == peer.app.messages[0]


def test_both_sides_are_wsgi() -> None:
    """The middleware is an application to its server and a server to its application, as PEP 3333 says."""
    peer = Peer()
    context = peer.issue()

    def app(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        source = environ["wsgi.input"]
        lines = [source.readline(20), *source.readlines(10), *source, source.read(1)]
        soap = Soap.of(parse(b"".join(lines), Limits()))
        start_response("200 OK", [("Content-Type", "text/xml"), ("X-Application", "yes")])
        return [serialize(soap.envelope)]

    def call(body: bytes, **changes: str) -> tuple[str, bytes]:
        environ: Environ = {
            "REQUEST_METHOD": "POST",
            "SCRIPT_NAME": "/soap",
            "PATH_INFO": "/peer",
            "QUERY_STRING": "",
            "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": "text/xml",
            "wsgi.input": io.BytesIO(body),
            **changes,
        }
        setup_testing_defaults(environ)
        started: list[str] = []

        def start(status: str, _headers: object, _exc_info: object = None) -> Callable[[bytes], object]:
            started.append(status)
            return started.append  # type: ignore[return-value]

        chunks = validator(peer.middleware)(environ, start)
        content = b"".join(chunks)
        chunks.close()  # type: ignore[attr-defined]
        return started[0], content

    peer.middleware._app = validator(app)
    soap, sent = peer.secured(context)
    status, content = call(serialize(soap.envelope))
    assert status == "200 OK"
    assert peer.read(content, context, sent).soap.payload is not None
    assert call(b"no XML")[0] == "500 Internal Server Error"
    peer.middleware._app = validator(peer.app)
    assert call(b"", REQUEST_METHOD="GET") == ("200 OK", b"hello")


def test_the_answer_of_the_application_is_closed() -> None:
    """An iterable with close() is closed, once, also when it fails."""
    peer = Peer()
    context = peer.issue()
    peer.call(context)
    assert peer.app.closed == 1

    def broken(_soap: Soap) -> bytes:
        raise RuntimeError("the application is broken")

    peer.app.answer = broken
    soap, _ = peer.secured(context)
    with pytest.raises(RuntimeError):
        peer.post(serialize(soap.envelope), "urn:test:a")


def test_an_application_may_write_and_address_itself() -> None:
    """The write() of WSGI is taken, and addressing headers of the application's own are not doubled."""
    peer = Peer()
    context = peer.issue()

    def app(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        soap = Soap.of(parse(environ["wsgi.input"].read(), Limits()))
        write = start_response("200 OK", [])
        write(serialize(soap.envelope))
        return []

    peer.middleware._app = app
    _, reply = peer.call(context)
    assert reply.soap.payload is not None
    assert reply.soap.payload.tag == "a"


def test_other_methods_go_to_the_application() -> None:
    """GET and HEAD are the application's business, and bring it nobody's name."""
    peer = Peer()
    for method in ("GET", "HEAD"):
        environ = {"REQUEST_METHOD": method, "PATH_INFO": "/peer", "QUERY_STRING": "wsdl"}
        assert b"".join(peer.middleware(environ, lambda *_: None)) == b"hello"
    assert len(peer.app.asked) == 2
    assert not any("zeep_secureconv.principal" in asked for asked in peer.app.asked)


# ------------------------------------------------------------------------------------------------- answers


def test_the_answer_belongs_to_the_request() -> None:
    """The answer relates to the request, and its action is the request's with Response, in the request's generation."""
    peer = Peer()
    context = peer.issue()
    _, reply = peer.call(context)
    assert reply.verified is not None
    addressing = reply.verified.addressing
    assert addressing.action == "urn:test:aResponse"
    assert addressing.to == ANONYMOUS[WSA_2005]
    assert reply.verified.is_signed(addressing.elements["RelatesTo"])
    older = symmetric(signed=SIGNED, addressing=WSA_2004, bootstrap=asymmetric())
    old = Peer(policy=EndpointPolicy(endpoint=older, soap=SOAP11))
    _, answer = old.call(old.issue(), wsa=WSA_2004)
    assert answer.verified is not None
    assert answer.verified.addressing.wsa == WSA_2004


@pytest.mark.parametrize("soap", [SOAP11, SOAP12], ids=["soap11", "soap12"])
def test_a_fault_of_the_application_is_signed(soap: str) -> None:
    """A fault keeps its status and is proven: signed by the context, with RelatesTo."""
    peer = Peer(soap=soap)
    context = peer.issue()
    peer.app.status = "500 Internal Server Error"
    peer.app.answer = lambda _: serialize(make_fault(soap, code="{urn:app}Broken", text="no").envelope)
    status, reply = peer.call(context)
    assert status == 500
    assert reply.fault is not None
    assert (reply.fault.code, reply.fault.text) == ("{urn:app}Broken", "no")
    assert reply.proven


def test_a_fault_is_signed_where_the_policy_has_no_parts_for_it() -> None:
    """A policy that says nothing of faults leaves them signed all the same, so that they prove something."""
    whole = symmetric(bootstrap=asymmetric())
    bare = replace(whole, signed=type(whole.signed)(), encrypted=type(whole.signed)())
    operation = OperationPolicy(
        name="a",
        actions=frozenset({"urn:test:a"}),
        input_element="a",
        has_output=True,
        request=whole,
        response=whole,
        fault=bare,
    )
    policy = EndpointPolicy(endpoint=whole, operations={"a": operation}, soap=SOAP11)
    peer = Peer(policy=policy)
    context = peer.issue()
    peer.app.answer = lambda _: serialize(make_fault(SOAP11, code="{urn:app}Broken", text="no").envelope)
    _, reply = peer.call(context)
    assert reply.proven


@pytest.mark.parametrize("status", ["202 Accepted", "200 OK", "204 No Content"])
def test_a_one_way_message_has_no_answer(status: str) -> None:
    """An application that answers nothing answers nothing, with its own status."""
    peer = Peer()
    context = peer.issue()
    peer.app.status, peer.app.answer = status, lambda _: None
    soap, _ = peer.secured(context)
    answered, headers, content = peer.post(serialize(soap.envelope), "urn:test:a")
    assert (answered, content) == (int(status[:3]), b"")
    assert "Content-Type" not in headers
    assert len(peer.app.asked) == 1


def test_an_application_that_answers_no_soap_is_a_fault(caplog: pytest.LogCaptureFixture) -> None:
    """What is no SOAP does not leave in the clear: the client gets a secured fault, the log says why."""
    peer = Peer()
    context = peer.issue()
    peer.app.answer = lambda _: b"<html>internal secrets</html>"
    status, reply = peer.call(context)
    assert status == 500
    assert reply.fault is not None
    assert reply.proven
    assert "secrets" not in reply.fault.text
    assert "no SOAP" in caplog.text


# ---------------------------------------------------------------------------------------------- life of contexts


def test_a_context_is_issued_used_and_given_back() -> None:
    """Issue, call, cancel; after it the context is unknown."""
    peer = Peer(lifetime=timedelta(minutes=7))
    context = peer.issue()
    assert context.expires == NOW + timedelta(minutes=7)
    assert peer.call(context)[0] == 200
    exchange = peer.initiator.ask_cancel(context, peer.conversation, peer.ring, peer.dialect)
    _, _, content = peer.post(serialize(exchange.soap.envelope), exchange.action)
    assert peer.initiator.accept_cancel(exchange, Soap.of(parse(content, Limits())))
    soap, _ = peer.secured(context)
    assert peer.refused(serialize(soap.envelope)) == f"{{{WSC_200512}}}BadContextToken"


def test_an_expired_context_is_unknown() -> None:
    """After its lifetime a context is a BadContextToken."""
    peer = Peer()
    context = peer.issue()
    peer.time.forward(timedelta(minutes=120))
    soap, _ = peer.secured(context)
    assert peer.refused(serialize(soap.envelope)) == f"{{{WSC_200512}}}BadContextToken"


def test_contexts_are_bound_to_their_endpoint() -> None:
    """A context issued at one path is unknown at another, unless endpoint= makes them one."""
    cases: list[tuple[dict[str, Any], bool]] = [({}, False), ({"endpoint": "one"}, True)]
    for options, known in cases:
        peer = Peer(**options)
        context = peer.issue()
        soap, _ = peer.secured(context)
        if known:
            assert peer.post(serialize(soap.envelope), "urn:test:a", PATH_INFO="/other")[0] == 200
        else:
            code = peer.refused(serialize(soap.envelope), PATH_INFO="/other")
            assert code == f"{{{WSC_200512}}}BadContextToken"


def test_refusals_of_the_trust_service_are_ws_trust_faults() -> None:
    """A request that is well secured and asks for nothing we give is an InvalidRequest, with a number for the log."""
    peer = Peer()
    odd = replace(peer.dialect, wsc="http://schemas.xmlsoap.org/ws/2005/02/sc")
    exchange = peer.initiator.ask_issue(URL, peer.conversation, peer.ring, odd)
    code = peer.refused(serialize(exchange.soap.envelope), exchange.action)
    assert code == f"{{{WST_200512}}}InvalidRequest"


# ------------------------------------------------------------------------------------------------------ HTTP


def test_a_chunked_body_is_read_to_its_end() -> None:
    """Without Content-Length, where the server ends the input itself, all of it is read."""
    peer = Peer()
    soap, _ = peer.secured(peer.issue())
    body = serialize(soap.envelope)
    status, _, _ = peer.post(
        body,
        "urn:test:a",
        CONTENT_LENGTH=None,
        HTTP_TRANSFER_ENCODING="chunked",
        **{"wsgi.input_terminated": True},
    )
    assert status == 200
    assert "HTTP_TRANSFER_ENCODING" not in peer.app.asked[0]


def test_bodies_have_bounds() -> None:
    """A body over the limit is refused, whether its length was said or not, and without reading it all."""
    peer = Peer(limits=Limits(message_bytes=5_000_000))

    class Endless(io.RawIOBase):
        """Never ends, and counts."""

        taken = 0

        def read(self, size: int = -1) -> bytes:
            assert 0 <= size <= 5_000_001
            self.taken += size
            return b" " * size

    source = Endless()
    endless: Environ = {"wsgi.input": source}
    said = peer.refused(b"", CONTENT_LENGTH="5000001", **endless)
    assert (said, source.taken) == (INVALID, 0)
    endless["wsgi.input_terminated"] = True
    unsaid = peer.refused(b"", CONTENT_LENGTH=None, **endless)
    assert (unsaid, source.taken) == (INVALID, 5_000_001)
    del endless["wsgi.input_terminated"]
    assert peer.refused(b"", CONTENT_LENGTH="", **endless) == INVALID


@pytest.mark.parametrize("encrypted", [True, False])
def test_what_is_encrypted_has_bounds_too(encrypted: bool, caplog: pytest.LogCaptureFixture) -> None:
    """A client with a context of its own hides in vain what would be refused in the clear."""
    caplog.set_level(logging.WARNING, "zeep_secureconv.service")
    policy = symmetric(bootstrap=asymmetric(), encrypted=Parts(body=encrypted))
    for limits, check, few, many in (
        (Limits(attributes=50), "attributes", _with_attributes(50), _with_attributes(51)),
        (Limits(attribute_chars=9_000), "attributes", f"<a b='{'x' * 9_000}'/>", f"<a b='{'x' * 9_001}'/>"),
        (Limits(depth=20), "depth", "<a>" * 17 + "</a>" * 17, "<a>" * 25 + "</a>" * 25),
        (Limits(elements=400), "elements", f"<a>{'<b></b>' * 100}</a>", f"<a>{'<b></b>' * 800}</a>"),
    ):
        peer = Peer(policy=EndpointPolicy(endpoint=policy, soap=SOAP11), limits=limits)
        context = peer.issue()
        assert peer.post(serialize(peer.secured(context, few)[0].envelope), "urn:test:a")[0] == 200
        caplog.clear()
        assert peer.refused(serialize(peer.secured(context, many)[0].envelope)) == INVALID
        assert f"] {check}:" in caplog.text


def _with_attributes(count: int) -> str:
    attributes = " ".join(f"a{number}=''" for number in range(count))
    return f"<a {attributes}/>"


def test_what_is_no_soap_is_a_fault() -> None:
    """Nothing, HTML, truncated XML, and another version of SOAP are answered with the one fault."""
    peer = Peer()
    soap, _ = peer.secured(peer.issue())
    body = serialize(soap.envelope)
    other = body.replace(SOAP11.encode(), SOAP12.encode())
    for wrong in (b"", b"<html/>", body[:-9], b"<!DOCTYPE a><a/>"):
        assert peer.refused(wrong) == INVALID
    status, headers, content = peer.post(other, "urn:test:a")
    assert status == 500
    assert headers["Content-Type"] == content_type(SOAP12)
    assert read_fault(Soap.of(parse(content, Limits()))).code == INVALID
    assert peer.app.asked == []


@pytest.mark.parametrize("soap", [SOAP11, SOAP12], ids=["soap11", "soap12"])
def test_the_action_of_http_must_be_that_of_the_message(soap: str) -> None:
    """SOAPAction, or SOAP 1.2's action parameter, may be missing or empty, and must not differ."""
    peer = Peer(soap=soap)
    context = peer.issue()
    for action, accepted in (("urn:test:a", True), ("", True), ("urn:test:b", False)):
        envelope, _ = peer.secured(context)
        body = serialize(envelope.envelope)
        if accepted:
            assert peer.post(body, action)[0] == 200
        else:
            assert peer.refused(body, action) == INVALID
    envelope, _ = peer.secured(context)
    assert peer.post(serialize(envelope.envelope), HTTP_SOAPACTION=None, CONTENT_TYPE=None)[0] == 200


def test_answers_go_nowhere_else() -> None:
    """A ReplyTo or FaultTo that is not anonymous is refused; an anonymous one is fine."""
    peer = Peer()
    context = peer.issue()
    for local in ("ReplyTo", "FaultTo"):
        for address, accepted in ((ANONYMOUS[WSA_2005], True), ("http://elsewhere", False)):
            block = f'<w:{local} xmlns:w="{WSA_2005}"><w:Address>{address}</w:Address></w:{local}>'
            soap, _ = peer.secured(context, headers=block)
            if accepted:
                assert peer.post(serialize(soap.envelope), "urn:test:a")[0] == 200
            else:
                assert peer.refused(serialize(soap.envelope)) == INVALID


def test_every_refusal_has_a_number_that_the_log_knows(caplog: pytest.LogCaptureFixture) -> None:
    """The fault says nothing but a number, under which the log has the check that refused."""
    caplog.set_level(logging.WARNING, "zeep_secureconv.service")
    peer = Peer()
    soap, _ = peer.secured(peer.issue())
    etree.strip_elements(soap.need_header(), f"{{{WSSE}}}Security")
    _, _, content = peer.post(serialize(soap.envelope), "urn:test:a")
    text = read_fault(Soap.of(parse(content, Limits()))).text
    number = text[text.index("[") + 1 : text.index("]")]
    assert f"[{number}] security-header" in caplog.text
    assert "security-header" not in text


# --------------------------------------------------------------------------------------------- configuration


def test_a_middleware_of_no_use_is_refused() -> None:
    """No secure conversation in the policy, an operation in the clear, no lifetime: told when it is made."""
    whole = symmetric(bootstrap=asymmetric())
    open_ = OperationPolicy(
        name="a",
        actions=frozenset(),
        input_element=None,
        has_output=True,
        request=whole,
        response=Policy(),
        fault=whole,
    )
    Peer()
    for options, error in (
        ({"policy": EndpointPolicy(endpoint=asymmetric())}, PolicyError),
        ({"policy": EndpointPolicy(endpoint=whole, operations={"a": open_})}, PolicyError),
        ({"lifetime": timedelta(0)}, ConfigurationError),
        ({"policy": "/nowhere/service.wsdl"}, ConfigurationError),
    ):
        arguments: dict[str, Any] = {
            "policy": EndpointPolicy(endpoint=whole),
            "identity": identity("server"),
            "trust": trust(),
        }
        with pytest.raises(error):
            SecureConversationMiddleware(Application(), **(arguments | options))


def test_an_identity_may_be_a_pair() -> None:
    """The service may sign with one certificate and be encrypted to with another."""
    pair = (identity("client2"), identity("server"))
    peer = Peer(identity=pair)
    with pytest.raises(VerificationError) as caught:
        peer.issue()
    assert caught.value.check == "signer"
    signing = identity("client2").certificate
    peer.ring = replace(peer.ring, signers=(signing,))
    assert peer.call(peer.issue())[0] == 200
