"""Posts messages of the trust service on the session of the client, never through zeep's logging ``post``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import requests

from ..errors import LimitExceeded, TransportError, VerificationError
from ..limits import Limits
from ..soap.envelope import Soap, http_headers, parse, serialize

Timeout = float | tuple[float | None, float | None] | None

#: For clients that set no timeout: a conversation that cannot be opened is an error, not a hang. Seconds.
PATIENCE = 300.0
_PIECE = 65_536


def post(
    session: requests.Session, endpoint: str, soap: Soap, action: str, *, timeout: Timeout, limits: Limits
) -> Soap:
    """Send a message and parse the answer. Redirects are not followed.

    Raises:
        TransportError: when there is no answer, or none that is SOAP.
        LimitExceeded: when the answer is too long.
    """
    with reaching("The service", endpoint=endpoint):
        response = session.post(
            endpoint,
            data=serialize(soap.envelope),
            headers=http_headers(soap.version, action),
            timeout=PATIENCE if timeout is None else timeout,
            allow_redirects=False,
            stream=True,
        )
        with response:
            return read_answer(response, endpoint, limits)


class _Row(NamedTuple):
    """How a failure of HTTP is told."""

    failures: tuple[type[requests.RequestException], ...]
    message: str
    hint: str


#: The first row whose class fits is taken, so a class stands before its bases.
_FAILURES = (
    _Row((requests.Timeout,), "{who} did not answer in time", "raise the timeout of the transport"),
    _Row(
        (requests.exceptions.SSLError,),
        "TLS failed, and {who} was not reached: {error}",
        "let the session trust the server's certificate: session.verify = 'ca.pem'",
    ),
    _Row(
        (requests.exceptions.ProxyError,),
        "{who} was not reached: the proxy failed",
        "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY",
    ),
    _Row(
        (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError),
        "{who} sent an answer that cannot be read to its end: {name}",
        "check what stands between here and the service, and the log of the service",
    ),
    _Row(
        (requests.RequestException,),
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
    context: str | None = None,
    address: str = "the address in the WSDL",
) -> Iterator[None]:
    """What requests raises inside becomes a TransportError with the exception of requests as its cause.

    Args:
        who: whom the message of the error names.
        doing: circumstance of the error, as the two that follow.
        endpoint: URL of the service.
        context: identifier of the security context.
        address: what the hint names as possibly wrong.

    Raises:
        TransportError: for every exception of requests.
    """
    try:
        yield
    except requests.RequestException as error:
        row = next(row for row in _FAILURES if isinstance(error, row.failures))
        raise TransportError(
            row.message.format(who=who, error=error, name=error.__class__.__name__),
            hint=row.hint.format(address=address),
            doing=doing,
            endpoint=endpoint,
            context=context,
        ) from error


def read_content(response: requests.Response, limits: Limits) -> bytes:
    """The body of an answer, not read any further than it may go (and unpacked no further, where it is compressed).

    Raises:
        LimitExceeded: check "message-size".
    """
    pieces, size = [], 0
    for piece in response.iter_content(_PIECE):
        pieces.append(piece)
        size += len(piece)
        if size > limits.message_bytes:
            response.close()
            raise LimitExceeded("message-size", f"The answer is longer than {limits.message_bytes} bytes")
    return b"".join(pieces)


def read_answer(response: requests.Response, endpoint: str, limits: Limits) -> Soap:
    """The message in the answer of a trust service.

    Raises:
        TransportError: when it redirects, or is no SOAP message.
        LimitExceeded: when it is too long.
    """
    status = response.status_code
    if response.is_redirect or 300 <= status < 400:
        raise TransportError(
            "The service redirects, and a secured message is for nobody else",
            status_code=status,
            hint="give the address that it redirects to as the endpoint, if you trust it",
            endpoint=endpoint,
        )
    content = read_content(response, limits)
    if not content:
        raise nothing_in(response, endpoint)
    return read_soap(response, content, endpoint, limits)


def nothing_in(response: requests.Response, endpoint: str) -> TransportError:
    """The error for an empty answer."""
    return TransportError(
        f"The service answered with HTTP status {response.status_code} and nothing else",
        status_code=response.status_code,
        hint="check the address, and the log of the service",
        endpoint=endpoint,
    )


def read_soap(response: requests.Response, content: bytes, endpoint: str, limits: Limits) -> Soap:
    """The message in an answer.

    Raises:
        TransportError: when it is none.
        VerificationError: when it is one that is refused whatever it says; check "dtd".
        LimitExceeded: when it is too large.
    """
    try:
        return Soap.of(parse(content, limits))
    except VerificationError as error:
        if error.check not in ("xml", "envelope"):
            raise
        raise TransportError(
            f"The service answered with HTTP status {response.status_code} and something that is no SOAP message "
            f"({response.headers.get('Content-Type', 'no Content-Type')})",
            status_code=response.status_code,
            hint="check the address: a web page here means that it is not the service's",
            endpoint=endpoint,
        ) from error
