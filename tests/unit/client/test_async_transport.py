"""The transport of sc.async_client(): httpx as the user set it up, and bounds on what comes back."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from lxml import etree

from tests.loopback import Answer, Loopback, Request, Script
from zeep_secureconv import ConfigurationError, LimitExceeded, Limits, TransportError
from zeep_secureconv.client.async_transport import AsyncSecureTransport
from zeep_secureconv.client.async_way import HttpxWay, send
from zeep_secureconv.service.server import HttpServer
from zeep_secureconv.soap.envelope import Soap

HEADERS = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '"urn:act"'}
SOAP = b"<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body><a/></s:Body></s:Envelope>"
SMALL = Limits(message_bytes=10_000)


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    """A server that says what it got."""
    with Loopback(lambda request: Answer(request.body)) as running:
        yield running


def posting(loopback: Loopback, **options: Any) -> Any:
    """What comes back from the server through a transport."""

    async def post() -> Any:
        transport = AsyncSecureTransport(**options)
        try:
            return await transport.post_xml(f"{loopback.url}/peer", etree.fromstring(SOAP), dict(HEADERS))
        finally:
            await transport.aclose()

    return asyncio.run(post())


def always(answer: Answer) -> Script:
    """The same answer to every request."""
    return lambda _: answer


def sending(url: str, limits: Limits, **options: Any) -> Any:
    """What comes back from a URL through a client."""

    async def post() -> Any:
        async with httpx.AsyncClient(**options) as client:
            return await send(client, url, SOAP, dict(HEADERS), limits)

    return asyncio.run(post())


def test_an_answer_is_as_zeep_wants_it(loopback: Loopback) -> None:
    """Status, content and headers are those of the answer, and what was sent is what zeep sends."""
    answer = posting(loopback)
    assert answer.status_code == 200
    assert answer.content.endswith(b"</s:Envelope>")
    assert answer.headers["content-TYPE"] == "text/xml; charset=utf-8"
    (request,) = loopback.requests
    assert request.body == answer.content
    assert request.body.startswith(b"<?xml version='1.0' encoding='utf-8'?>")
    assert {name.lower(): value for name, value in request.headers.items()}["soapaction"] == '"urn:act"'


def test_headers_of_the_users_clients_stay(loopback: Loopback) -> None:
    """They stay; zeep would put its own in their place, authorization and all."""

    async def post() -> None:
        headers = {"Authorization": "Bearer mine"}
        async with httpx.AsyncClient(headers=headers) as client:
            with httpx.Client(headers=headers) as wsdl_client:
                transport = AsyncSecureTransport(client=client, wsdl_client=wsdl_client)
                await transport.post_xml(f"{loopback.url}/peer", etree.fromstring(SOAP), dict(HEADERS))
                loopback.script = lambda _: Answer(b"<definitions/>")
                assert transport.load(f"{loopback.url}/wsdl") == b"<definitions/>"

    asyncio.run(post())
    sent = [{name.lower(): value for name, value in one.headers.items()} for one in loopback.requests]
    assert [headers["authorization"] for headers in sent] == ["Bearer mine"] * 2


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_answers_have_a_bound(loopback: Loopback, packed: bool) -> None:
    """What is longer than the limit is not read to its end, unpacked neither; what is as long is."""
    for length, fits in ((SMALL.message_bytes, True), (SMALL.message_bytes + 1, False)):
        content = b"x" * length
        headers = {"Content-Type": "text/xml"} | ({"Content-Encoding": "gzip"} if packed else {})
        loopback.script = always(Answer(gzip.compress(content) if packed else content, headers=headers))
        if fits:
            assert sending(loopback.url, SMALL).content == content
            continue
        with pytest.raises(LimitExceeded) as caught:
            sending(loopback.url, SMALL)
        assert caught.value.check == "message-size"


def test_redirects_are_not_followed(loopback: Loopback) -> None:
    """Not even by a client that follows redirects; the content is not read."""
    loopback.script = lambda _: Answer(b"x" * 20_000, 307, {"Location": "/elsewhere"})
    answer = sending(f"{loopback.url}/peer", SMALL, follow_redirects=True)
    assert answer.status_code == 307
    assert answer.content == b""
    assert [request.path for request in loopback.requests] == ["/peer"]


def _no_answer(_: Request) -> None:
    return None


def _half(_: Request) -> Answer:
    return Answer(b"half", headers={"Content-Length": "100"}, cut=True)


@pytest.mark.parametrize(
    ("script", "said"),
    [(_no_answer, "cannot be read to its end"), (_half, "cannot be read to its end")],
    ids=["none", "half"],
)
def test_broken_answers_are_transport_errors(
    loopback: Loopback, script: Callable[[Request], Answer | None], said: str
) -> None:
    """Whatever httpx raises becomes a TransportError that says what to look at; httpx's own is its cause."""
    loopback.script = script
    with pytest.raises(TransportError) as caught:
        posting(loopback)
    assert said in caught.value.message
    assert caught.value.hint
    assert caught.value.endpoint == f"{loopback.url}/peer"
    assert isinstance(caught.value.__cause__, httpx.HTTPError)


def test_an_unreachable_service_is_a_transport_error() -> None:
    """Nobody listens there."""
    with Loopback(lambda _: None) as other:
        url = other.url
    with pytest.raises(TransportError) as caught:
        sending(url, SMALL)
    assert "ConnectError" in caught.value.message
    with pytest.raises(TransportError):
        sending("nonsense://example", SMALL)


def test_patience_ends(loopback: Loopback) -> None:
    """A service that does not answer in the time of the transport is a TransportError."""
    over = threading.Event()

    def wait(_: Request) -> None:
        over.wait(30)

    loopback.script = wait
    with pytest.raises(TransportError) as caught:
        posting(loopback, operation_timeout=0.05)
    over.set()
    assert "in time" in caught.value.message


def test_an_unknown_certificate_is_told_as_that(pki: Path) -> None:
    """TLS that fails says what to give the transport; with the CA the service is reached."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pki / "server.pem", pki / "server.key")
    with HttpServer(tls=tls) as server:
        with pytest.raises(TransportError) as caught:
            sending(server.url, SMALL)
        assert caught.value.message.startswith("TLS failed")
        assert "verify_ssl" in str(caught.value.hint)
        trusting = ssl.create_default_context(cafile=str(pki / "ca.pem"))
        assert sending(server.url, SMALL, verify=trusting).status_code == 503


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@pytest.mark.parametrize(
    ("options", "client", "verified"),
    [
        ({}, None, True),
        ({"verify_ssl": False}, None, False),
        ({"verify_ssl": ssl.create_default_context()}, None, True),
        ({"verify_ssl": _unverified()}, None, False),
        ({}, {}, True),
        ({}, {"verify": False}, False),
        ({"verify_ssl": False}, {}, False),
        ({}, {"mounts": {"https://": httpx.AsyncHTTPTransport(verify=False)}}, False),
    ],
    ids=["default", "off", "context", "context off", "client", "client off", "told", "mount"],
)
def test_verification_is_known(
    options: dict[str, Any], client: dict[str, Any] | None, verified: bool
) -> None:
    """Messages count as protected by TLS only over https, and only where certificates are verified."""

    async def ways() -> tuple[bool, bool]:
        given = httpx.AsyncClient(**client) if client is not None else None
        transport = AsyncSecureTransport(client=given, **options)
        way = transport.way()
        await transport.aclose()
        return way.is_verified("https://example.org/"), way.is_verified("http://example.org/")

    assert asyncio.run(ways()) == (verified, False)


def test_a_wsdl_that_is_none_is_told(loopback: Loopback) -> None:
    """A web page in the place of the WSDL, and an error of HTTP, are told as that."""
    transport = AsyncSecureTransport()
    loopback.script = lambda _: Answer(b"<!DOCTYPE html><html/>")
    with pytest.raises(ConfigurationError) as page:
        transport.load(f"{loopback.url}/wsdl")
    assert "web page" in page.value.message
    loopback.script = lambda _: Answer(b"", 404)
    with pytest.raises(TransportError) as missing:
        transport.load(f"{loopback.url}/wsdl")
    assert missing.value.status_code == 404
    asyncio.run(transport.aclose())


# ------------------------------------------------------------------------------------------ out of threads


def in_thread(work: Callable[[HttpxWay], Any], **options: Any) -> Coroutine[Any, Any, Any]:
    """The result of *work* in a thread, with the way of a transport whose event loop runs."""

    async def run() -> Any:
        transport = AsyncSecureTransport(**options)
        try:
            return await asyncio.to_thread(work, transport.way())
        finally:
            await transport.aclose()

    return run()


def ask(way: HttpxWay, url: str, limits: Limits = SMALL) -> Soap:
    """A message of the trust service, and the answer."""
    return way.post(url, Soap.of(etree.fromstring(SOAP)), "urn:act", limits)


def test_a_thread_posts_through_the_event_loop(loopback: Loopback) -> None:
    """The answer is parsed; redirects, too much, and what is no SOAP message are errors."""
    url = loopback.url
    answer = asyncio.run(in_thread(lambda way: ask(way, url)))
    assert answer.body[0].tag == "a"
    odd: list[tuple[Answer, type[Exception]]] = [
        (Answer(b"", 307, {"Location": "/"}), TransportError),
        (Answer(b""), TransportError),
        (Answer(b"hello"), TransportError),
        (Answer(b"x" * 20_000), LimitExceeded),
    ]
    for script, error in odd:
        loopback.script = always(script)
        with pytest.raises(error):
            asyncio.run(in_thread(lambda way: ask(way, url)))


def test_a_thread_waits_no_longer_than_it_may(loopback: Loopback) -> None:
    """The shorter patience counts."""
    over = threading.Event()

    def wait(_: Request) -> None:
        over.wait(30)

    loopback.script = wait
    url = loopback.url
    with pytest.raises(TransportError) as caught:
        asyncio.run(in_thread(lambda way: ask(way.within(0.05), url)))
    over.set()
    assert "in time" in caught.value.message


def test_a_thread_does_not_wait_for_an_event_loop_that_ended(loopback: Loopback) -> None:
    """What was under way when the loop ended is an error; what comes afterwards goes without it."""
    url, reached, over = loopback.url, threading.Event(), threading.Event()

    def wait(request: Request) -> Answer:
        reached.set()
        over.wait(30)
        return Answer(request.body)

    loopback.script = wait
    told: list[TransportError] = []
    ways: list[HttpxWay] = []

    def work() -> None:
        with pytest.raises(TransportError) as caught:
            ask(ways[0], url)
        told.append(caught.value)

    thread = threading.Thread(target=work)

    async def run() -> None:
        transport = AsyncSecureTransport()
        ways.append(transport.way())
        thread.start()
        await asyncio.to_thread(reached.wait, 30)
        await transport.aclose()

    asyncio.run(run())
    thread.join()
    over.set()
    assert len(told) == 1
    assert ask(ways[0], url).body[0].tag == "a"


def test_a_thread_with_an_event_loop_is_refused(loopback: Loopback) -> None:
    """A way waits, so it is of no use in the thread of a loop."""

    async def run() -> None:
        transport = AsyncSecureTransport()
        with pytest.raises(ConfigurationError) as caught:
            ask(transport.way(), loopback.url)
        assert "await" in str(caught.value.hint)
        await transport.aclose()

    asyncio.run(run())
    assert loopback.requests == []
