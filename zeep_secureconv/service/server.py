"""A real HTTP server for WSGI applications, bound before it is asked for its URL."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from ..limits import Limits

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from ._cheroot import CherootServer

_DEFAULT_LIMITS = Limits()
_WAITING = 128


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
        threads: how many requests are worked on at once; a connection that says nothing holds one for ten seconds.
        listening: a socket that is bound already, instead of *host* and *port*; it is closed at the end.

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
        threads: int = 10,
        listening: socket.socket | None = None,
    ) -> None:
        self.app: WSGIApplication = app or _not_ready
        self._listening = listening
        self._host = host if listening is None else str(listening.getsockname()[0])
        self._port = port
        self._threads = threads
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
        listening = self._listening or bound_socket(self._host, self._port)
        server = CherootServer(listening, self._run, self._tls, self._limits, self._threads)
        server.prepare()
        self._server = server
        self._thread = threading.Thread(target=server.serve, name="zeep_secureconv-http", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Answer the requests under way, then close every connection.

        Requests that are not read to their end within five seconds are given up; how long the application takes to
        answer the others is its own business.
        """
        if self._server is not None and self._thread is not None:
            self._server.stop()
            self._thread.join()
            self._server = None

    def _run(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self.app(environ, start_response)


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket that is bound and listens, for one server or several processes.

    Args:
        host: name or address of an interface; ``::`` is every one, for IPv4 too.
        port: 0 for any free one.

    Raises:
        ConfigurationError: when that cannot be.
    """
    refused: Exception | None = None
    try:
        for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE):
            try:
                return _bound(*found, is_every=host == "::")
            except OSError as error:  # noqa: PERF203 - a handful
                # a name may have addresses of a family that this machine has not
                refused = refused or error
    except (OSError, UnicodeError) as error:
        refused = error
    raise ConfigurationError(
        f"Cannot listen on {host}:{port}: {refused}",
        hint="choose another host or port; port 0 takes any free one",
    ) from refused


def _bound(
    family: int, kind: int, protocol: int, _name: str, address: tuple[Any, ...], *, is_every: bool
) -> socket.socket:
    bound = socket.socket(family, kind, protocol)
    try:
        if address[1] and os.name == "posix":
            # so that a service can be started again at once; elsewhere it lets another one take the port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_every and socket.has_dualstack_ipv6():
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind(address)
        bound.listen(_WAITING)
    except OSError:
        bound.close()
        raise
    return bound


def _not_ready(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("503 Service Unavailable", [("Content-Length", "0")])
    return []
