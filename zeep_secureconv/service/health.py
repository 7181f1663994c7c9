"""Whether a service can work: an address that load balancers and monitors may ask, in front of any WSGI application."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..conversation.store import Store
from ..errors import StoreError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger("zeep_secureconv.service.health")

_HEALTHY = ("200 OK", "ok")
_UNHEALTHY = ("503 Service Unavailable", "unavailable")
#: No context has it: whoever looks for it learns that the store answers, and no more.
_NOBODYS = ("service", "", "health", "")


class Health:
    """A WSGI application that answers ``GET /health``, and hands everything else on.

    The answer is 200 and ``{"status": "ok"}``, or 503 and ``{"status": "unavailable"}`` while the store does not
    answer; why, the log says. Nothing of it is secured, and nothing of it is secret.

    Args:
        app: the application that answers the rest.
        store: the store of the service, where it has one that may be away.
        path: what is asked for, as the server has it in SCRIPT_NAME and PATH_INFO together.
    """

    def __init__(self, app: WSGIApplication, *, store: Store | None = None, path: str = "/health") -> None:
        self._app = app
        self._store = store
        self._path = path

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        if path != self._path or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return self._app(environ, start_response)
        status, word = self._state()
        body = json.dumps({"status": word}).encode()
        start_response(
            status,
            [
                ("Content-Type", "application/json"),
                ("Content-Length", str(len(body))),
                ("Cache-Control", "no-store"),
            ],
        )
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _state(self) -> tuple[str, str]:
        if self._store is not None:
            try:
                self._store.get(_NOBODYS)
            except StoreError as error:
                log.warning("not healthy: %s", error.message)
                return _UNHEALTHY
        return _HEALTHY
