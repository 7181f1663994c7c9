"""zeep's transport, without the work that requests repeats for every call."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import requests
import zeep

_MOST_WAYS = 100


@dataclass(frozen=True)
class _Way:
    """How requests reach an address: what requests works out from session and environment.

    Args:
        prepared: a request without a body, with the session's headers and authentication.
        settings: proxies, verification, client certificate.
    """

    prepared: requests.PreparedRequest
    settings: dict[str, Any]


class SecureTransport(zeep.Transport):
    """A zeep transport for secured calls. Redirects are not followed.

    requests reads the environment (proxies, netrc) and merges the settings of the session anew for every call,
    which takes longer than the HTTP exchange itself. Here that is done once for an address and a state of the
    session. Sessions with cookies or an authentication object go the ordinary way, since those may change what is
    sent from call to call.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._ways: dict[tuple[object, ...], _Way] = {}

    def post(self, address: str, message: bytes, headers: dict[str, str]) -> requests.Response:
        """Post a message."""
        session = self.session
        if (
            type(session) is not requests.Session
            or session.auth is not None
            or session.params
            or len(session.cookies)
            or self.logger.isEnabledFor(logging.DEBUG)
        ):
            response: requests.Response = super().post(address, message, headers)
            return response
        way = self._way(session, address)
        request = way.prepared.copy()
        request.headers.update(headers)
        request.prepare_body(message, None)
        return session.send(request, timeout=self.operation_timeout, allow_redirects=False, **way.settings)

    def _way(self, session: requests.Session, address: str) -> _Way:
        state = (
            address,
            session.verify,
            session.cert,
            session.trust_env,
            tuple(session.proxies.items()),
            tuple(session.headers.items()),
            tuple(session.hooks["response"]),
        )
        way = self._ways.get(state)
        if way is None:
            if len(self._ways) >= _MOST_WAYS:
                self._ways.clear()
            settings = session.merge_environment_settings(address, {}, None, None, None)
            way = _Way(session.prepare_request(requests.Request("POST", address)), dict(settings))
            self._ways[state] = way
        return way
