"""What passes between HTTP, the endpoint and the application, as values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..conversation.context import SecurityContext
from ..soap.envelope import Soap
from ..wss.unprotect import Verified


@dataclass(frozen=True, kw_only=True)
class Request:
    """A message that came in.

    Args:
        body: its octets.
        soap: the same, parsed.
        action: SOAPAction, or None where HTTP says none.
        path: where it was sent to.
        over_tls: whether it came over TLS.
        client_certificate: whether the HTTP server checked a certificate of the client.
        authentication: how the HTTP server knows the user, such as "basic", or None.
        environ: the whole of the WSGI environment, for ``authorize=``.
    """

    body: bytes = field(repr=False)
    soap: Soap = field(repr=False)
    action: str | None
    path: str
    over_tls: bool
    client_certificate: bool = False
    authentication: str | None = None
    environ: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An HTTP answer that is SOAP.

    Args:
        status: of HTTP.
        soap: the message, or None where there is none.
        headers: of HTTP, besides those that say what the message is.
    """

    status: int
    soap: Soap | None
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Called:
    """A call that was verified, for the application.

    Args:
        verified: the message in the clear, and what it proved.
        action: what is to be done, as far as the message proves it; "" where it does not.
        context: the context that it was made in.
        username: the user that the call itself names, where its policy wants one.
        respond: secures what the application answered: (HTTP status, its message, if there is one).
    """

    verified: Verified
    action: str
    context: SecurityContext
    username: str | None
    respond: Callable[[int, Soap | None], Answer] = field(repr=False)
