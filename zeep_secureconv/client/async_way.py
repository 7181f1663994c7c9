"""How messages of asynchronous clients reach a service: on the httpx client of the user, in its event loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import ssl
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import httpx
import requests
from requests.structures import CaseInsensitiveDict

from ..errors import ConfigurationError, LimitExceeded, TransportError
from ..limits import Limits
from ..soap.envelope import Soap, http_headers, serialize
from .call import CURRENT, is_request_of, refuse_answer
from .exchange import PATIENCE, read_answer
from .way import is_https

#: How often a thread that waits for the event loop looks whether it still runs, in seconds.
_LOOK = 1.0
#: What a thread waits longer than the event loop does, so that the loop's own error comes first. Seconds.
_GRACE = 5.0


@dataclass(frozen=True)
class HttpxWay:
    """The way on an asynchronous client of httpx, for threads: the event loop does the work, the thread waits.

    Where the loop runs no more, or the client is closed, a client like it is made for one message: so contexts can
    be given back after ``asyncio.run()``.

    Args:
        client: with TLS, proxies, authentication and cookies of its own.
        loop: the event loop that it belongs to.
        verified: whether it verifies certificates.
        spare: makes a client like it.
        patience: the longest that one message may take, in seconds.
    """

    client: httpx.AsyncClient = field(repr=False)
    loop: asyncio.AbstractEventLoop = field(repr=False)
    verified: bool
    spare: Callable[[], httpx.AsyncClient] = field(repr=False)
    patience: float = PATIENCE

    def is_verified(self, endpoint: str) -> bool:
        """Whether messages to *endpoint* travel over TLS with verified certificates."""
        return is_https(endpoint) and self.verified

    def need_usable(self) -> None:
        """Refuse to wait in the thread of an event loop: it would wait for itself.

        Raises:
            ConfigurationError: naming the asynchronous methods.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        raise ConfigurationError(
            "This would block the event loop",
            hint="await the asynchronous twin of the method: acontext, aissue, arenew, acancel, avalidate, aclose; "
            "and write async with SecureConversation(...)",
        )

    def post(self, endpoint: str, soap: Soap, action: str, limits: Limits) -> Soap:
        """Send a message and parse the answer."""
        self.need_usable()
        message, headers = serialize(soap.envelope), http_headers(soap.version, action)
        if self.client.is_closed or not self.loop.is_running():
            response = asyncio.run(self._send_alone(endpoint, message, headers, limits))
        else:
            response = self._in_loop(
                self._send(self.client, endpoint, message, headers, limits), endpoint=endpoint
            )
        return read_answer(response, endpoint, limits)

    def within(self, seconds: float) -> HttpxWay:
        """The same way with that much patience."""
        return replace(self, patience=min(seconds, self.patience))

    async def _send_alone(
        self, endpoint: str, message: bytes, headers: dict[str, str], limits: Limits
    ) -> requests.Response:
        async with self.spare() as client:
            return await self._send(client, endpoint, message, headers, limits)

    async def _send(
        self,
        client: httpx.AsyncClient,
        endpoint: str,
        message: bytes,
        headers: dict[str, str],
        limits: Limits,
    ) -> requests.Response:
        try:
            return await asyncio.wait_for(send(client, endpoint, message, headers, limits), self.patience)
        except asyncio.TimeoutError:
            raise _too_late(endpoint) from None

    def _in_loop(
        self, sending: Coroutine[Any, Any, requests.Response], *, endpoint: str
    ) -> requests.Response:
        try:
            future = asyncio.run_coroutine_threadsafe(sending, self.loop)
        except RuntimeError:  # closed just now
            sending.close()
            raise _loop_ended(endpoint) from None
        left = self.patience + _GRACE
        while not concurrent.futures.wait([future], _LOOK).done:
            left -= _LOOK
            if not self.loop.is_running() or left <= 0:
                future.cancel()
                raise _too_late(endpoint) if left <= 0 else _loop_ended(endpoint)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise _loop_ended(endpoint) from None


def _too_late(endpoint: str) -> TransportError:
    return TransportError(
        "The service did not answer in time", hint="raise the timeout of the transport", endpoint=endpoint
    )


def _loop_ended(endpoint: str) -> TransportError:
    return TransportError(
        "The event loop ended before the service answered",
        hint="await calls to their end, and sc.aclose() before the event loop ends",
        endpoint=endpoint,
    )


def need_open(client: httpx.AsyncClient) -> None:
    """Refuse a client that was closed.

    Raises:
        ConfigurationError: when it was.
    """
    if client.is_closed:
        raise ConfigurationError(
            "The httpx client is closed", hint="call before aclose(), or make a new client"
        )


async def send(
    client: httpx.AsyncClient, address: str, message: bytes, headers: dict[str, str], limits: Limits
) -> requests.Response:
    """Post a message. Redirects are not followed, and their content is not read.

    Returns:
        The answer, as zeep wants it.

    Raises:
        ConfigurationError: when the client is closed.
        TransportError: when there is no answer.
        LimitExceeded: check "message-size".
    """
    need_open(client)
    with reaching("The service", endpoint=address):
        async with client.stream(
            "POST", address, content=message, headers=headers, follow_redirects=False
        ) as answer:
            redirected = 300 <= answer.status_code < 400
            return _for_zeep(answer, b"" if redirected else await _read_content(answer, limits))


async def _read_content(answer: httpx.Response, limits: Limits) -> bytes:
    """The body of an answer, not read any further than it may go."""
    pieces, size = [], 0
    async for piece in answer.aiter_bytes():
        pieces.append(piece)
        size += len(piece)
        if size > limits.message_bytes:
            raise LimitExceeded("message-size", f"The answer is longer than {limits.message_bytes} bytes")
    return b"".join(pieces)


def _for_zeep(answer: httpx.Response, content: bytes) -> requests.Response:
    response = requests.Response()
    response._content = content  # noqa: SLF001 - as zeep does itself
    response._content_consumed = True  # type: ignore[attr-defined]  # noqa: SLF001
    response.status_code = answer.status_code
    response.headers = CaseInsensitiveDict(answer.headers.items())
    response.encoding = answer.encoding
    response.url = str(answer.url)
    return response


class _Row(NamedTuple):
    """How a failure of HTTP is told."""

    failures: tuple[type[Exception], ...]
    message: str
    hint: str


#: The first row whose class fits is taken, so a class stands before its bases.
_FAILURES = (
    _Row((httpx.TimeoutException,), "{who} did not answer in time", "raise the timeout of the transport"),
    _Row(
        (ssl.SSLError,),
        "TLS failed, and {who} was not reached: {error}",
        "let the client trust the server's certificate: async_transport(verify_ssl=ssl.create_default_context("
        "cafile='ca.pem'))",
    ),
    _Row(
        (httpx.ProxyError,),
        "{who} was not reached: the proxy failed",
        "check proxy=, and HTTPS_PROXY, HTTP_PROXY and NO_PROXY",
    ),
    _Row(
        (httpx.RemoteProtocolError, httpx.DecodingError, httpx.ReadError),
        "{who} sent an answer that cannot be read to its end: {name}",
        "check what stands between here and the service, and the log of the service",
    ),
    _Row(
        (httpx.HTTPError, httpx.InvalidURL),
        "{who} was not reached: {name}",
        "check {address} and whether the service runs",
    ),
)


@contextmanager
def reaching(
    who: str,
    *,
    doing: str | None = None,
    endpoint: str | None = None,
    address: str = "the address in the WSDL",
) -> Iterator[None]:
    """What httpx raises inside becomes a TransportError with the exception of httpx as its cause.

    Args:
        who: whom the message of the error names.
        doing: circumstance of the error.
        endpoint: URL of the service.
        address: what the hint names as possibly wrong.

    Raises:
        TransportError: for every exception of httpx.
    """
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:  # TLS's own comes from older httpcore
        reason = _tls_failure(error) or error
        row = next(row for row in _FAILURES if isinstance(reason, row.failures))
        raise TransportError(
            row.message.format(who=who, error=reason, name=type(error).__name__),
            hint=row.hint.format(address=address),
            doing=doing,
            endpoint=endpoint,
        ) from error


def _tls_failure(error: BaseException) -> ssl.SSLError | None:
    """What TLS said; httpx tells it as a failed connection."""
    at: BaseException | None = error
    while at is not None:
        if isinstance(at, ssl.SSLError):
            return at
        at = at.__cause__ or at.__context__
    return None


def verifies(client: httpx.AsyncClient) -> bool:
    """Whether a client verifies certificates, as far as it lets one see.

    httpx keeps that to itself: a client with transports of its own counts as one that verifies.
    """
    transports = [getattr(client, "_transport", None), *getattr(client, "_mounts", {}).values()]
    tls = [getattr(getattr(transport, "_pool", None), "_ssl_context", None) for transport in transports]
    return all(one.verify_mode == ssl.CERT_REQUIRED for one in tls if isinstance(one, ssl.SSLContext))


def watch_client(client: httpx.AsyncClient) -> None:
    """Watch the answers of a client: zeep takes an empty 202 for success, and the client may follow redirects."""
    hooks = client.event_hooks["response"]
    if _check_answer not in hooks:
        hooks.append(_check_answer)


async def _check_answer(answer: httpx.Response) -> None:
    call = CURRENT.get()
    if call is None or call.sent is None or not is_request_of(call.sent, answer.request.content):
        return
    redirected = 300 <= answer.status_code < 400
    if not redirected:
        # zeep reads it from here
        answer._content = await _read_content(answer, call.sent.limits)  # noqa: SLF001
    refuse_answer(call, answer.status_code, b"" if redirected else answer.content)
