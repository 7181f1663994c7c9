"""The transport of sc.client(): requests without the work that repeats, and the same result."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
import zeep

from tests.loopback import Answer, Loopback
from zeep_secureconv.client.transport import SecureTransport

HEADERS = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '"urn:act"'}


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    """A server that says what it got."""
    with Loopback(lambda request: Answer(request.body)) as running:
        yield running


def test_it_sends_what_zeeps_own_transport_sends(loopback: Loopback) -> None:
    """Method, path, body and headers are those of zeep's transport, on the first call and on later ones."""
    with requests.Session() as one, requests.Session() as two:
        for session in (one, two):
            session.headers["X-Mark"] = "mine"
        for _ in range(3):
            for transport in (zeep.Transport(session=one), SecureTransport(session=two)):
                answer = transport.post(f"{loopback.url}/peer?a=b", "<a>\u20ac</a>".encode(), dict(HEADERS))
                assert answer.content == "<a>\u20ac</a>".encode()
        plain, mine = loopback.requests[0::2], loopback.requests[1::2]
    assert mine == plain
    assert len(mine) == 3


def test_redirects_are_not_followed(loopback: Loopback) -> None:
    """A redirect is handed out as it is."""
    loopback.script = lambda _: Answer(b"", 307, {"Location": "/elsewhere"})
    with requests.Session() as session:
        answer = SecureTransport(session=session).post(f"{loopback.url}/peer", b"<a/>", dict(HEADERS))
        assert answer.status_code == 307
    assert [request.path for request in loopback.requests] == ["/peer"]


def test_changes_of_the_session_are_noticed(loopback: Loopback) -> None:
    """Headers, cookies and authentication that come later count from then on."""
    with requests.Session() as session:
        transport = SecureTransport(session=session)
        url = f"{loopback.url}/peer"
        transport.post(url, b"<a/>", dict(HEADERS))
        session.headers["X-Mark"] = "late"
        transport.post(url, b"<a/>", dict(HEADERS))
        session.cookies.set("ticket", "1")
        transport.post(url, b"<a/>", dict(HEADERS))
        session.auth = ("alice", "secret")
        transport.post(url, b"<a/>", dict(HEADERS))
    first, second, third, fourth = (request.headers for request in loopback.requests)
    assert "X-Mark" not in first
    assert second["X-Mark"] == third["X-Mark"] == "late"
    assert "Cookie" not in second
    assert third["Cookie"] == "ticket=1"
    assert "Authorization" not in third
    assert fourth["Authorization"].startswith("Basic ")


def test_hooks_of_the_session_are_called(loopback: Loopback) -> None:
    """A response hook sees every answer."""
    seen: list[int] = []
    with requests.Session() as session:
        transport = SecureTransport(session=session)
        session.hooks["response"].append(lambda answer, **_: seen.append(answer.status_code))
        for _ in range(2):
            transport.post(f"{loopback.url}/peer", b"<a/>", dict(HEADERS))
    assert seen == [200, 200]
