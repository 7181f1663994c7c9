"""How messages of the trust service reach a service: on the HTTP session of the client."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol
from urllib.parse import urlsplit

import requests

from ..errors import ConfigurationError
from ..limits import Limits
from ..soap.envelope import Soap
from .exchange import Timeout, post


class Way(Protocol):
    """A way to a service. Posts block the calling thread; redirects are not followed."""

    def is_verified(self, endpoint: str) -> bool:
        """Whether messages to *endpoint* travel over TLS with verified certificates."""

    def need_usable(self) -> None:
        """Check that messages can be posted from this thread.

        Raises:
            ConfigurationError: when they cannot.
        """

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

    def need_usable(self) -> None:
        """Every thread can post."""

    def post(self, endpoint: str, soap: Soap, action: str, limits: Limits) -> Soap:
        """Send a message and parse the answer."""
        return post(self.session, endpoint, soap, action, timeout=self.timeout, limits=limits)

    def within(self, seconds: float) -> RequestsWay:
        """The same way with that much patience."""
        return replace(self, timeout=seconds)


@dataclass(frozen=True)
class NoWay:
    """The way on an asynchronous transport that is not ours: zeep secures a call in the event loop, and nothing may
    be posted there.

    Args:
        verified: whether calls travel over TLS with verified certificates, where they do over TLS.
    """

    verified: bool

    def is_verified(self, endpoint: str) -> bool:
        """Whether messages to *endpoint* travel over TLS with verified certificates."""
        return is_https(endpoint) and self.verified

    def need_usable(self) -> None:
        """No thread can post.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError(
            "There is no security context, and asking for one here would block the event loop",
            hint="make the client with sc.async_client(wsdl), or its transport with sc.async_transport()",
        )

    def post(self, endpoint: str, soap: Soap, action: str, limits: Limits) -> Soap:  # noqa: ARG002 - as a Way
        """Nothing is posted."""
        self.need_usable()
        return soap

    def within(self, seconds: float) -> NoWay:  # noqa: ARG002 - as a Way
        """The same."""
        return self


def is_https(url: str) -> bool:
    """Whether a URL is one of https."""
    return urlsplit(url).scheme.lower() == "https"
