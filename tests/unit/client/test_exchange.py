"""Messages of the trust service on their way."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from threading import Event

import pytest
import requests

from tests.loopback import Answer, Loopback
from tests.unit.messages import canonical, message
from zeep_secureconv import LimitExceeded, Limits, TransportError, VerificationError
from zeep_secureconv.client.exchange import post
from zeep_secureconv.names import SOAP11, SOAP12
from zeep_secureconv.soap.envelope import Soap, parse, serialize

GOOD = serialize(message().envelope)


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    """A server that answers with a SOAP message until told otherwise."""
    with Loopback(lambda _: Answer(GOOD)) as running:
        yield running


def send(
    loopback: Loopback, *, version: str = SOAP11, timeout: float = 10, limits: Limits | None = None
) -> Soap:
    """Post a message, and give what came back."""
    with requests.Session() as session:
        return post(
            session,
            f"{loopback.url}/peer",
            message(version=version),
            "urn:act",
            timeout=timeout,
            limits=limits or Limits(),
        )


@pytest.mark.parametrize("version", [SOAP11, SOAP12], ids=["soap11", "soap12"])
def test_a_message_is_posted_as_its_version_wants(loopback: Loopback, version: str) -> None:
    """The action stands in SOAPAction or in the Content-Type; the answer is taken apart."""
    answer = send(loopback, version=version)
    assert canonical(answer.envelope) == canonical(parse(GOOD, Limits()))
    (request,) = loopback.requests
    assert (request.method, request.path) == ("POST", "/peer")
    if version == SOAP11:
        assert request.headers["SOAPAction"] == '"urn:act"'
        assert request.headers["Content-Type"] == "text/xml; charset=utf-8"
    else:
        assert 'action="urn:act"' in request.headers["Content-Type"]
        assert "SOAPAction" not in request.headers


@pytest.mark.parametrize("status", [200, 400, 500])
def test_soap_is_taken_with_any_status(loopback: Loopback, status: int) -> None:
    """Faults come with 500 or 400, and Metro's with 200: the message decides."""
    loopback.script = lambda _: Answer(GOOD, status)
    assert send(loopback).body is not None


@pytest.mark.parametrize(
    ("answer", "text", "status"),
    [
        (Answer(b"<html>Welcome</html>", 200, {"Content-Type": "text/html"}), "text/html", 200),
        (Answer(b"oops", 503, {}), "no Content-Type", 503),
        (Answer(GOOD[:-20]), "no SOAP message", 200),
        (Answer(b"", 500), "500 and nothing else", 500),
        (Answer(b"", 202), "202 and nothing else", 202),
        (Answer(GOOD, 307, {"Location": "/elsewhere"}), "redirects", 307),
        (Answer(GOOD, 301, {}), "redirects", 301),
        (None, "cannot be read to its end|not reached", 0),
        (Answer(GOOD, 200, {"Content-Length": str(len(GOOD) + 5)}, cut=True), "to its end", 0),
    ],
)
def test_what_is_no_answer_is_a_transport_error(
    loopback: Loopback, answer: Answer | None, text: str, status: int
) -> None:
    """Pages, nothing, redirects and broken connections are TransportErrors with a status and a hint."""
    assert send(loopback).body is not None
    loopback.script = lambda _: answer
    with pytest.raises(TransportError, match=text) as caught:
        send(loopback)
    assert (caught.value.status_code, caught.value.endpoint) == (status, f"{loopback.url}/peer")
    assert caught.value.hint
    assert all(request.path == "/peer" for request in loopback.requests)


def test_an_answer_has_a_bound(loopback: Loopback) -> None:
    """An answer over the limit is refused, compressed or not, said or not."""
    limits = Limits(message_bytes=len(GOOD))
    assert send(loopback, limits=limits).body is not None
    long = GOOD + b" " * 100_000
    packed = Answer(gzip.compress(long), 200, {"Content-Encoding": "gzip"})
    for answer in (Answer(long), packed):
        loopback.script = lambda _, answer=answer: answer  # type: ignore[misc]
        with pytest.raises(LimitExceeded) as caught:
            send(loopback, limits=limits)
        assert caught.value.check == "message-size"


def test_a_document_type_in_the_answer_is_no_transport_error(loopback: Loopback) -> None:
    """What is an attack, and no accident, keeps the id of its check."""
    loopback.script = lambda _: Answer(b"<!DOCTYPE a><a/>")
    with pytest.raises(VerificationError) as caught:
        send(loopback)
    assert caught.value.check == "dtd"


def test_a_service_that_does_not_answer_is_given_up(loopback: Loopback) -> None:
    """After the timeout of the client the wait ends with a TransportError."""
    waiting = Event()

    def late(_: object) -> None:
        waiting.wait(10)

    loopback.script = late
    with pytest.raises(TransportError, match="in time") as caught:
        send(loopback, timeout=0.2)
    waiting.set()
    assert caught.value.hint
