"""A real HTTP server for WSGI applications, bound before it is asked for its URL."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from ..limits import Limits

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from ._cheroot import CherootServer

_DEFAULT_LIMITS = Limits()


class HttpServer:
    """An HTTP/1.1 server in a background thread: keep-alive, chunked request bodies, TCP_NODELAY, and TLS.

    The socket is bound when the server is entered, so that :attr:`url` is known before the application is::

        with HttpServer() as server:
            server.app = SecureConversationMiddleware(app, endpoint=server.url + "/peer", ...)

    A chunked body comes with ``environ["wsgi.input_terminated"]`` true and without ``CONTENT_LENGTH``.

    Args:
        app: the WSGI application; until there is one, every request is answered with 503.
        host: the interface to listen on.
        port: the port, 0 for any free one.
        tls: serves https with this context.
        limits: twice ``message_bytes`` bounds what a request may send; the application may take less.

    Raises:
        ConfigurationError: on entering, when cheroot is not installed, or the port cannot be bound.
    """

    def __init__(
        self,
        app: WSGIApplication | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        limits: Limits = _DEFAULT_LIMITS,
    ) -> None:
        self.app: WSGIApplication = app or _not_ready
        self._host = host
        self._port = port
        self._tls = tls
        self._limits = limits
        self._server: CherootServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Scheme, host and port that it listens on, without a path."""
        if self._server is None:
            raise RuntimeError("the server is not running")
        scheme = "http" if self._tls is None else "https"
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{scheme}://{host}:{self._server.bind_addr[1]}"

    def __enter__(self) -> HttpServer:
        try:
            from ._cheroot import CherootServer
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                "The HTTP server needs cheroot, which is not installed",
                hint="pip install zeep_secureconv[service]",
            ) from error
        server = CherootServer((self._host, self._port), self._run, self._tls, self._limits)
        try:
            server.prepare()
        except OSError as error:
            raise ConfigurationError(
                f"Cannot listen on {self._host}:{self._port}: {error}",
                hint="choose another host or port; port 0 takes any free one",
            ) from error
        self._server = server
        self._thread = threading.Thread(target=server.serve, name="zeep_secureconv-http", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Finish the requests under way, within a bound, and close every connection."""
        if self._server is not None and self._thread is not None:
            self._server.stop()
            self._thread.join()
            self._server = None

    def _run(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self.app(environ, start_response)


def _not_ready(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("503 Service Unavailable", [("Content-Length", "0")])
    return []
