"""Posts messages of the trust service on the session of the client, never through zeep's logging ``post``."""

from __future__ import annotations

import requests

from ..errors import LimitExceeded, TransportError, VerificationError
from ..limits import Limits
from ..soap.envelope import Soap, http_headers, parse, serialize

Timeout = float | tuple[float | None, float | None] | None

#: For clients that set no timeout: a conversation that cannot be opened is an error, not a hang. Seconds.
_PATIENCE = 300.0
_PIECE = 65_536


def post(
    session: requests.Session, endpoint: str, soap: Soap, action: str, *, timeout: Timeout, limits: Limits
) -> Soap:
    """Send a message and parse the answer. Redirects are not followed.

    Raises:
        TransportError: when there is no answer, or none that is SOAP.
        LimitExceeded: when the answer is too long.
    """
    try:
        response = session.post(
            endpoint,
            data=serialize(soap.envelope),
            headers=http_headers(soap.version, action),
            timeout=_PATIENCE if timeout is None else timeout,
            allow_redirects=False,
            stream=True,
        )
        with response:
            return _read(response, endpoint, limits)
    except requests.Timeout as error:
        raise TransportError(
            "The service did not answer in time", hint="raise the timeout of the transport", endpoint=endpoint
        ) from error
    except requests.exceptions.SSLError as error:
        raise TransportError(
            f"TLS to the service failed: {error}",
            hint="let the session trust the server's certificate: session.verify = 'ca.pem'",
            endpoint=endpoint,
        ) from error
    except requests.RequestException as error:
        raise TransportError(
            f"The service was not reached: {error.__class__.__name__}",
            hint="check the address in the WSDL and whether the service runs",
            endpoint=endpoint,
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


def _read(response: requests.Response, endpoint: str, limits: Limits) -> Soap:
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
        raise TransportError(
            f"The service answered with HTTP status {status} and nothing else",
            status_code=status,
            hint="check the address, and the log of the service",
            endpoint=endpoint,
        )
    try:
        return Soap.of(parse(content, limits))
    except VerificationError as error:
        if error.check not in ("xml", "envelope"):
            raise
        raise TransportError(
            f"The service answered with HTTP status {status} and something that is no SOAP message "
            f"({response.headers.get('Content-Type', 'no Content-Type')})",
            status_code=status,
            hint="check the address: a web page here means that it is not the service's",
            endpoint=endpoint,
        ) from error
