"""How messages of the trust service reach a service: on the HTTP session of the client."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol
from urllib.parse import urlsplit

import requests

from ..limits import Limits
from ..soap.envelope import Soap
from .exchange import Timeout, post


class Way(Protocol):
    """A way to a service. Posts block the calling thread; redirects are not followed."""

    def is_verified(self, endpoint: str) -> bool:
        """Whether messages to *endpoint* travel over TLS with verified certificates."""

    def post(self, endpoint: str, soap: Soap, action: str, limits: Limits) -> Soap:
        """Send a message and parse the answer.

        Raises:
            TransportError: when there is no answer, or none that is SOAP.
            LimitExceeded: when the answer is too long.
        """

    def within(self, seconds: float) -> Way:
        """The same way with that much patience."""


@dataclass(frozen=True)
class RequestsWay:
    """The way on a session of requests.

    Args:
        session: with TLS, proxies, authentication and cookies of its own.
        timeout: in seconds; None for that of the library.
    """

    session: requests.Session = field(repr=False)
    timeout: Timeout = None

    def is_verified(self, endpoint: str) -> bool:
        """Whether messages to *endpoint* travel over TLS with verified certificates."""
        return is_https(endpoint) and bool(self.session.verify)

    def post(self, endpoint: str, soap: Soap, action: str, limits: Limits) -> Soap:
        """Send a message and parse the answer."""
        return post(self.session, endpoint, soap, action, timeout=self.timeout, limits=limits)

    def within(self, seconds: float) -> RequestsWay:
        """The same way with that much patience."""
        return replace(self, timeout=seconds)


def is_https(url: str) -> bool:
    """Whether a URL is one of https."""
    return urlsplit(url).scheme.lower() == "https"
