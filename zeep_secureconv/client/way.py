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
        """The same way with that much patience, or less where it has less."""
        return replace(self, timeout=_shorter(self.timeout, seconds))


@dataclass(frozen=True)
class NoWay:
    """The way on an asynchronous transport that is not ours, where calls are secured in the event loop.

    Nothing may be posted from there.

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
        raise would_block()

    def post(self, endpoint: str, soap: Soap, action: str, limits: Limits) -> Soap:  # noqa: ARG002 - as a Way
        """Nothing is posted."""
        raise would_block()

    def within(self, seconds: float) -> NoWay:  # noqa: ARG002 - as a Way
        """The same."""
        return self


def would_block() -> ConfigurationError:
    """The error where a context would have to be asked for in an event loop."""
    return ConfigurationError(
        "There is no security context, and asking for one here would block the event loop",
        hint="make the client with sc.async_client(wsdl), or its transport with sc.async_transport()",
    )


def _shorter(timeout: Timeout, seconds: float) -> Timeout:
    if isinstance(timeout, tuple):
        connect, read = (seconds if one is None else min(one, seconds) for one in timeout)
        return connect, read
    return seconds if timeout is None else min(timeout, seconds)


def is_https(url: str) -> bool:
    """Whether a URL is one of https."""
    return urlsplit(url).scheme.lower() == "https"
