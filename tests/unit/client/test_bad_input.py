"""What users and networks get wrong: a typed error with a hint, nothing lost, and the next good call works."""

from __future__ import annotations

import gzip
import io
import logging
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import requests
import zeep
import zeep.exceptions
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from tests.attacks.forge import World
from tests.attacks.line import Forward, Line, is_bootstrap
from tests.loopback import Answer, Loopback, Request
from tests.unit.parties import CLIENT, CLIENT2, NOW, SERVER, identity, key_pem, pem
from tests.unit.policy.documents import cxf_wsdl
from zeep_secureconv import (
    ConfigurationError,
    Identity,
    LimitExceeded,
    Limits,
    PolicyError,
    SecureConversation,
    SecureConversationError,
    TransportError,
    Trust,
)

MEGABYTE = 1024 * 1024


@pytest.fixture
def line() -> Iterator[Line]:
    """A service that can be told to answer anything."""
    with Line(World()) as line:
        yield line


@pytest.fixture
def sc(line: Line) -> Iterator[SecureConversation]:
    """A client's side with everything it needs."""
    with line.conversation(cancel_on_close=False) as sc:
        yield sc


def _works(client: zeep.Client) -> None:
    assert client.service.echo("hello") == "hello"


# --------------------------------------------------------------------------------------- keys and certificates


@pytest.fixture
def p12() -> bytes:
    """client.p12 with the password "changeit"."""
    key = CLIENT.private_key
    encryption = serialization.BestAvailableEncryption(b"changeit")
    return pkcs12.serialize_key_and_certificates(b"client", key, CLIENT.make(), None, encryption)


@pytest.mark.parametrize("password", ["wrong", "", None, "chängeit"])
def test_a_wrong_password_is_told(p12: bytes, password: str | None) -> None:
    """The password is named as the likely reason, and never repeated."""
    assert Identity.from_pkcs12(p12, "changeit").certificate == CLIENT.make()
    with pytest.raises(ConfigurationError) as caught:
        Identity.from_pkcs12(p12, password)
    assert "password" in caught.value.message
    assert caught.value.hint
    assert "wrong" not in str(caught.value).replace("password is wrong", "")


def test_a_wrong_password_of_a_key_is_told() -> None:
    """The same for PEM, with a password where there should be none, and the reverse."""
    certificate = pem(CLIENT.make())
    locked = key_pem(CLIENT.private_key, "changeit")
    assert Identity.from_pem(certificate, locked, "changeit").certificate == CLIENT.make()
    for key, password in (
        (locked, "wrong"),
        (locked, None),
        (key_pem(CLIENT.private_key), "changeit"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            Identity.from_pem(certificate, key, password)
        assert "password" in str(caught.value)
        assert "PRIVATE KEY" not in str(caught.value)


@pytest.mark.parametrize(
    "load",
    [
        lambda path: Identity.from_pkcs12(path, "x"),
        Identity.from_pem,
        lambda path: Identity.from_pem(pem(CLIENT.make()), path),
        Trust.from_pem,
    ],
    ids=["PKCS#12", "certificate", "key", "trust"],
)
@pytest.mark.parametrize("what", ["missing", "a folder", "empty", "something else"])
def test_a_file_that_is_not_what_it_should_be_is_told(
    tmp_path: Path, load: Callable[[Path], object], what: str
) -> None:
    """The error names the file where it cannot be read, and what it should hold where it does not."""
    path = tmp_path / "the-file"
    if what == "a folder":
        path.mkdir()
    elif what != "missing":
        path.write_bytes(b"" if what == "empty" else b"\x89PNG\r\n\x1a\n" + bytes(100))
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    assert caught.value.hint
    if what in ("missing", "a folder"):
        assert "the-file" in caught.value.message


def test_a_key_that_does_not_fit_is_told() -> None:
    """A certificate with the key of another one would sign what nobody can verify."""
    Identity.from_pem(pem(CLIENT.make()), key_pem(CLIENT.private_key))
    with pytest.raises(ConfigurationError) as caught:
        Identity.from_pem(pem(CLIENT.make()), key_pem(CLIENT2.private_key))
    assert "does not belong" in caught.value.message
    assert caught.value.hint


OVER = {"begin": NOW - timedelta(days=30), "end": NOW - timedelta(days=20)}


@pytest.mark.parametrize("whose", ["ours", "the service's"])
def test_an_expired_certificate_is_told_before_any_traffic(line: Line, whose: str) -> None:
    """Nothing is sent that could not succeed, and the certificate's dates are named."""
    options: dict[str, object] = {"identity": CLIENT.but(**OVER).identity()}
    if whose == "the service's":
        options = {"peer": SERVER.but(**OVER).make()}
    with line.conversation(**options) as sc:
        with pytest.raises(ConfigurationError) as caught:
            line.client(sc).service.echo("hello")
        assert f"{OVER['end']:%Y-%m-%d}" in caught.value.message
        assert caught.value.hint
    assert line.loopback.posts == []


def test_a_missing_peer_certificate_is_told_before_any_traffic(line: Line, tmp_path: Path) -> None:
    """Also where peer= is a path that leads nowhere."""
    for peer in (None, str(tmp_path / "server.pem")):
        with line.conversation(peer=peer) as sc:
            with pytest.raises(ConfigurationError) as caught:
                line.client(sc).service.echo("hello")
            assert caught.value.hint
    assert line.loopback.posts == []


def test_a_service_that_does_not_know_us_says_so(line: Line) -> None:
    """A certificate that the service's CA did not issue: a fault of the service, with a hint, and no context."""
    stranger = CLIENT.but(issuer=None, name="stranger").identity()
    with line.conversation(identity=stranger) as sc:
        with pytest.raises(SecureConversationError) as caught:
            line.client(sc).service.echo("hello")
        assert caught.value.hint
        assert sc.contexts() == []


# ----------------------------------------------------------------------------------------- strange answers


HTML = b"<!DOCTYPE html>\n<html><body><h1>502 Bad Gateway</h1><hr>proxy</body></html>"
CUT = b'<?xml version="1.0"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><a'


def _html(status: int) -> Answer:
    return Answer(HTML, status, {"Content-Type": "text/html"})


ANSWERS: dict[str, Callable[[], Answer | None]] = {
    "HTML 200": lambda: _html(200),
    "HTML 404": lambda: _html(404),
    "HTML 502": lambda: _html(502),
    "plain text": lambda: Answer(b"upstream timed out", 504, {"Content-Type": "text/plain"}),
    "500 without a body": lambda: Answer(b"", 500),
    "404 without a body": lambda: Answer(b"", 404),
    "XML cut off": lambda: Answer(CUT),
    "XML of something else": lambda: Answer(b"<note><to>you</to></note>"),
    "cut by the network": lambda: Answer(
        CUT, 200, {"Content-Type": "text/xml", "Content-Length": "100000"}, cut=True
    ),
    "no gzip": lambda: Answer(b"not gzip", 200, {"Content-Encoding": "gzip"}),
    "20 MB of zeros": lambda: Answer(bytes(20 * MEGABYTE)),
    "20 MB of spaces": lambda: Answer(b" " * (20 * MEGABYTE)),
    "20 MB of spaces, packed": lambda: Answer(
        gzip.compress(b" " * (20 * MEGABYTE)), 200, {"Content-Encoding": "gzip"}
    ),
    "connection closed": lambda: None,
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_strange_answer_of_the_trust_service_is_told(line: Line, sc: SecureConversation, name: str) -> None:
    """One typed error with a hint, no context, nothing of the call sent; the next call works."""
    client = line.client(sc)
    line.post = lambda _request, _forward: ANSWERS[name]()
    with pytest.raises(TransportError) as caught:
        client.service.echo("hello")
    assert caught.value.hint
    assert caught.value.endpoint == line.endpoint
    assert isinstance(caught.value, zeep.exceptions.TransportError)
    assert sc.contexts() == []
    assert all(is_bootstrap(request) for request in line.loopback.posts)
    line.let_pass()
    _works(client)


@pytest.mark.parametrize("name", ANSWERS)
def test_a_strange_answer_to_a_call_is_told(line: Line, sc: SecureConversation, name: str) -> None:
    """One typed error with a hint, the context is kept, and the next call works without another bootstrap."""
    client = line.client(sc)
    _works(client)
    held = sc.contexts()
    line.post = lambda _request, _forward: ANSWERS[name]()
    with pytest.raises(TransportError) as caught:
        client.service.echo("hello")
    assert caught.value.hint
    assert caught.value.doing == "calling the service"
    assert (caught.value.endpoint, caught.value.context) == (line.endpoint, held[0].identifier)
    line.let_pass()
    _works(client)
    assert sc.contexts() == held
    assert sum(is_bootstrap(request) for request in line.loopback.posts) == 1


def test_an_answer_over_the_limit_is_not_read_to_its_end(line: Line) -> None:
    """A small packed answer that would unpack to a gigabyte stops at the limit, in both kinds of exchange."""
    bomb = gzip.compress(b" " * (64 * MEGABYTE))

    def packed(_request: Request, _forward: Forward) -> Answer:
        return Answer(bomb, 200, {"Content-Encoding": "gzip", "Content-Type": "text/xml"})

    with line.conversation(cancel_on_close=False, limits=Limits(message_bytes=MEGABYTE)) as sc:
        client = line.client(sc)
        line.post = packed
        with pytest.raises(LimitExceeded) as caught:
            client.service.echo("hello")
        assert caught.value.check == "message-size"
        line.let_pass()
        _works(client)
        line.post = packed
        with pytest.raises(LimitExceeded) as caught:
            client.service.echo("hello")
        assert caught.value.check == "message-size"
        line.let_pass()
        _works(client)


def test_a_service_that_does_not_answer_is_told(line: Line, sc: SecureConversation) -> None:
    """The transport's own time-out counts for the trust service too; the call may be repeated."""
    transport = zeep.Transport(operation_timeout=0.05)
    client = sc.client(line.wsdl, transport=transport)

    def slow(request: Request, forward: Forward) -> Answer:
        time.sleep(0.5)
        return forward(request)

    line.post = slow
    with pytest.raises(TransportError) as caught:
        client.service.echo("hello")
    assert "timeout" in (caught.value.hint or "")
    line.let_pass()
    transport.operation_timeout = 10
    _works(client)
    transport.session.close()


def test_an_unreachable_service_is_told(line: Line, sc: SecureConversation) -> None:
    """Nobody listens where the WSDL says: the address is named, and what to check."""
    client = line.client(sc)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{unused.getsockname()[1]}/peer"
        service = client.create_service("{urn:secureconv:peer}PeerBinding", nowhere)
        with pytest.raises(TransportError) as caught:
            service.echo("hello")
    assert caught.value.endpoint == nowhere
    assert caught.value.hint
    _works(client)


@pytest.mark.parametrize("gone", [False, True], ids=["slow", "gone"])
def test_a_call_without_an_answer_is_told(line: Line, sc: SecureConversation, gone: bool) -> None:
    """Time-outs and lost connections of a call are TransportErrors, whose cause is the exception of requests."""
    transport = sc.transport(operation_timeout=10)
    client = sc.client(line.wsdl, transport=transport)
    _works(client)

    def slow(request: Request, forward: Forward) -> Answer | None:
        time.sleep(0 if gone else 0.5)
        return None if gone else forward(request)

    line.post = slow
    transport.operation_timeout = 10 if gone else 0.05
    with pytest.raises(TransportError) as caught:
        client.service.echo("hello")
    assert isinstance(caught.value.__cause__, requests.ConnectionError if gone else requests.Timeout)
    assert caught.value.hint
    line.let_pass()
    transport.operation_timeout = 10
    _works(client)
    transport.session.close()


def test_an_answer_too_wide_is_refused_before_it_is_parsed(line: Line) -> None:
    """Empty elements by the thousand would take many times their size in memory."""
    with line.conversation(cancel_on_close=False, limits=Limits(elements=1_000)) as sc:
        client = line.client(sc)
        _works(client)
        body = CUT.replace(b"<a", b"<a/>" * 3_000) + b"</soap:Body></soap:Envelope>"
        line.post = lambda _request, _forward: Answer(body)
        with pytest.raises(LimitExceeded) as caught:
            client.service.echo("hello")
        assert caught.value.check == "elements"
        line.let_pass()
        _works(client)


# --------------------------------------------------------------------------------------------- wrong WSDLs


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (Answer(HTML, 200, {"Content-Type": "text/html"}), ConfigurationError, "web page"),
        (Answer(HTML, 404, {"Content-Type": "text/html"}), TransportError, "404"),
        (None, TransportError, "not reached"),
    ],
    ids=["HTML", "404", "gone"],
)
def test_a_wsdl_that_cannot_be_fetched_is_told(
    line: Line, sc: SecureConversation, answer: Answer | None, error: type[Exception], said: str
) -> None:
    """What is not at the WSDL's address is told with the address, without the password in it, and a hint."""
    _works(line.client(sc))
    with Loopback(lambda _: answer) as other, pytest.raises(error, match=said) as caught:
        sc.client(f"{other.url.replace('//', '//alice:Kennwort@')}/peer?wsdl")
    assert isinstance(caught.value, SecureConversationError)
    assert caught.value.hint
    assert "/peer?wsdl" in str(caught.value)
    assert "Kennwort" not in str(caught.value)


def test_a_missing_import_of_a_policy_file_is_told(line: Line, tmp_path: Path) -> None:
    """A WSDL given as policy= that imports what is not there, and the same after it was put there."""
    whole = cxf_wsdl("asym-dk")
    at = whole.index("<wsdl:types" if "<wsdl:types" in whole else "<types")
    end = whole.index("definitions>", whole.index("types>", at))
    end = whole.rindex("<", 0, end)
    outer = (
        whole[:at] + '<i:import xmlns:i="http://schemas.xmlsoap.org/wsdl/" namespace="urn:secureconv:peer" '
    )
    outer += f'location="inner.wsdl"/>{whole[end:]}'
    path = tmp_path / "outer.wsdl"
    path.write_text(outer)
    with line.conversation(policy=str(path)) as sc:
        with pytest.raises(ConfigurationError, match=r"inner\.wsdl") as caught:
            line.client(sc).service.echo("hello")
        assert caught.value.hint
    assert line.loopback.posts == []
    (tmp_path / "inner.wsdl").write_text(whole)
    with line.conversation(policy=str(path), cancel_on_close=False) as sc:
        _works(line.client(sc))


def _save(folder: Path, wsdl: str, line: Line) -> str:
    path = folder / "service.wsdl"
    path.write_text(wsdl.replace("http://127.0.0.1:8080/peer", line.endpoint))
    return str(path)


def test_a_wsdl_without_policy_is_told(line: Line, sc: SecureConversation, tmp_path: Path) -> None:
    """Nothing is sent in the clear, and the hint says where a policy could come from."""
    from zeep_secureconv.service.contract import demonstration_wsdl

    path = tmp_path / "clear.wsdl"
    path.write_bytes(demonstration_wsdl(None, address=line.endpoint))
    with pytest.raises(PolicyError) as caught:
        sc.client(str(path)).service.echo("hello")
    assert "policy=" in (caught.value.hint or "")
    assert line.loopback.posts == []
    _works(line.client(sc))


def test_an_assertion_nobody_knows_is_told(line: Line, sc: SecureConversation, tmp_path: Path) -> None:
    """The error names the assertion and the line it stands in, before anything is sent."""
    wsdl = cxf_wsdl("asym-dk").replace(
        "<sp:IncludeTimestamp/>", '<x:Levitate xmlns:x="urn:x"/><sp:IncludeTimestamp/>'
    )
    with pytest.raises(PolicyError) as caught:
        sc.client(_save(tmp_path, wsdl, line)).service.echo("hello")
    assert caught.value.assertion == "{urn:x}Levitate"
    assert "line " in (caught.value.position or "")
    assert caught.value.hint
    assert line.loopback.posts == []
    _works(line.client(sc))


def test_a_wsdl_of_another_service_is_told(line: Line, sc: SecureConversation, tmp_path: Path) -> None:
    """The service refuses what it does not know; its fault is told with a hint, and the right WSDL works."""
    wsdl = cxf_wsdl("asym-dk").replace("urn:secureconv:peer", "urn:another:contract")
    with pytest.raises(SecureConversationError) as caught:
        sc.client(_save(tmp_path, wsdl, line)).service.echo("hello")
    assert caught.value.hint
    _works(line.client(sc))


def test_a_policy_for_other_operations_is_told(line: Line, tmp_path: Path) -> None:
    """A WSDL given as policy= that lacks the operation is not guessed about."""
    wsdl = cxf_wsdl("asym-dk").replace('operation name="echo"', 'operation name="reflect"')
    with line.conversation(policy=_save(tmp_path, wsdl, line)) as sc:
        with pytest.raises(PolicyError) as caught:
            line.client(sc).service.echo("hello")
        assert "echo" in caught.value.message
        assert caught.value.hint
    assert line.loopback.posts == []


@pytest.mark.parametrize(
    "content", [None, HTML, CUT, b"", b"<note/>"], ids=["missing", "HTML", "cut", "empty", "other"]
)
def test_a_policy_file_that_is_none_is_told(line: Line, tmp_path: Path, content: bytes | None) -> None:
    """A path given as policy= that leads to nothing, or to something else."""
    path = tmp_path / "policy.xml"
    if content is not None:
        path.write_bytes(content)
    with line.conversation(policy=str(path)) as sc:
        with pytest.raises(ConfigurationError) as caught:
            line.client(sc).service.echo("hello")
        assert caught.value.hint
    assert line.loopback.posts == []


def test_a_wsdl_as_an_open_file_needs_a_policy(line: Line) -> None:
    """Zeep reads it once and does not tell from where; with policy= it works."""
    with line.conversation() as sc:
        client = sc.client(io.BytesIO(_published(line)))  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError) as caught:
            client.service.echo("hello")
        assert "policy=" in (caught.value.hint or "")
        assert line.loopback.posts == []
    policy = line.service.policy
    with line.conversation(policy=replace(policy, address=line.endpoint), cancel_on_close=False) as sc:
        client = sc.client(io.BytesIO(_published(line)))  # type: ignore[arg-type]
        _works(client)
        client.transport.session.close()


def _published(line: Line) -> bytes:
    return requests.get(line.wsdl, timeout=10).content


def test_no_password_or_key_is_logged(
    line: Line, sc: SecureConversation, p12: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """With everything at DEBUG, over good and bad, neither passwords nor keys appear in the log."""
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ConfigurationError):
        Identity.from_pkcs12(p12, "a-password-that-must-not-leak")
    client = line.client(sc)
    _works(client)
    (context,) = sc.contexts()
    line.post = lambda _request, _forward: Answer(CUT)
    with pytest.raises(zeep.exceptions.TransportError):
        client.service.echo("hello")
    assert "a-password-that-must-not-leak" not in caplog.text
    assert context.key.secret.hex() not in caplog.text
    assert identity("client").certificate.subject is not None
