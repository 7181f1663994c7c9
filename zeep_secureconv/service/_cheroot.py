"""What is cheroot's about the HTTP server; imported where a server is started, since cheroot is an extra."""

from __future__ import annotations

import errno
import io
import logging
import socket
import ssl
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cheroot.errors import MaxSizeExceeded
from cheroot.server import HTTPConnection
from cheroot.ssl.builtin import BuiltinSSLAdapter
from cheroot.wsgi import Server

from ..limits import Limits

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_log = logging.getLogger(__name__)

_HEADER_BYTES = 64 * 1024
_KEPT_CONNECTIONS = 1_000
_STOP_SECONDS = 5
_WAITING = 128
_BLOCK = 64 * 1024


class CherootServer(Server):
    """cheroot's server with bounds, TCP_NODELAY, and its log in Python's logging.

    Args:
        listening: the socket to accept connections from; it is closed at the end.
        app: the WSGI application.
        tls: serves https with this context.
        limits: twice ``message_bytes`` bounds what a request may send.
        threads: how many requests are worked on at once.
    """

    def __init__(
        self,
        listening: socket.socket,
        app: WSGIApplication,
        tls: ssl.SSLContext | None,
        limits: Limits,
        threads: int,
    ) -> None:
        super().__init__(
            listening.getsockname()[:2],
            _Application(app),
            numthreads=threads,
            request_queue_size=_WAITING,
            shutdown_timeout=_STOP_SECONDS,
        )
        self._listening = listening
        self.max_request_header_size = _HEADER_BYTES
        # The application answers what is too long for it; this bounds what the framing of chunks adds
        self.max_request_body_size = 2 * limits.message_bytes
        self.keep_alive_conn_limit = _KEPT_CONNECTIONS
        self.ConnectionClass = _Connection
        if tls is not None:
            self.ssl_adapter = _TlsAdapter(tls)
            self.ConnectionClass = _TlsConnection

    def prepare(self) -> None:
        """Listen, and start the threads."""
        super().prepare()
        # where several processes listen one gets the connection; the others would wait a second for the next one,
        # and their kept connections with them
        self.socket.setblocking(False)

    def bind(self, _family: int, _type: int, _proto: int = 0) -> socket.socket:
        """The socket that is bound already."""
        # its connections inherit it: small answers do not wait
        self._listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = self._listening
        return self._listening

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        """Log as cheroot asks."""
        _log.log(level, "%s", msg, exc_info=traceback)


class _TlsSocket(ssl.SSLSocket):
    """A socket of TLS that stays one.

    When a server stops, cheroot ends the reading side of connections whose answers are not written yet;
    ``SSLSocket.shutdown`` takes that for the end of TLS, and they would be written in clear.
    """

    def shutdown(self, how: int) -> None:
        """End one or both sides of the connection below."""
        socket.socket.shutdown(self, how)


class _TlsAdapter(BuiltinSSLAdapter):
    """TLS by a context; cheroot's own constructor wants the names of files."""

    def __init__(self, context: ssl.SSLContext) -> None:
        context.sslsocket_class = _TlsSocket
        self.context = context
        self._server_env: dict[str, str] = {}

    def wrap(self, sock: socket.socket) -> tuple[ssl.SSLSocket, dict[str, str]]:
        """The socket, without its handshake.

        Here is the one thread that accepts connections, and clients may take their time, or say nothing at all.
        """
        return self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), {}


class _Connection(HTTPConnection):
    """A connection that drops what could not be sent when it ends.

    cheroot leaves that to the garbage collector, and Python 3.13 reports its failure on standard error.
    """

    def close(self) -> None:
        """End the connection."""
        super().close()
        with suppress(OSError, ValueError):
            self.wfile.close()


class _TlsConnection(_Connection):
    """A connection whose handshake is made by the thread that serves it."""

    def communicate(self) -> bool:
        """Serve one request; whether the connection is kept."""
        if not self.ssl_env:
            try:
                self.socket.do_handshake()
            except OSError as error:
                _log.info("no TLS with %s: %s", self.remote_addr, error)
                return False
            self.ssl_env = self.server.ssl_adapter.get_environ(self.socket)
        return bool(super().communicate())


class _BodyBroken(ConnectionResetError):
    """The body of a request is malformed, too long, or ends too early: the connection is of no more use."""

    def __init__(self) -> None:
        # cheroot closes the connection without an entry in its log on this number
        super().__init__(errno.ECONNRESET, "the body of the request is broken")


class _Application:
    """Calls a WSGI application so that the connection can be kept, or ended, in order.

    It gets a chunked body that it can read to the end, and what it leaves of it is read. When it fails before it
    answered, the client is told with status 500, where cheroot 11 would just close the connection.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        body = _ChunkedBody(environ["wsgi.input"]) if environ.get("wsgi.input_terminated") else None
        if body is not None:
            environ["wsgi.input"] = io.BufferedReader(body, _BLOCK)
        response: Iterable[bytes] | None = None
        status = "500 Internal Server Error"
        try:
            response = self._app(environ, start_response)
        except _BodyBroken:
            status, response = "400 Bad Request", None
            return
        finally:
            if response is None:
                start_response(status, [("Content-Length", "0"), ("Connection", "close")], sys.exc_info())
        try:
            yield from response
        finally:
            if hasattr(response, "close"):
                response.close()
            while body is not None and body.read(_BLOCK):
                pass


class _ChunkedBody(io.RawIOBase):
    """A chunked body, read to its very end, the trailer included.

    cheroot 11 leaves the trailer's CRLF unread and takes it for the beginning of the next request: a kept
    connection would hold one of the threads until its time-out. Its ``read`` copies all that it has for every
    chunk that comes, so it is asked for one block at a time.

    Args:
        chunks: cheroot's ChunkedRFile.
    """

    def __init__(self, chunks: Any) -> None:
        self._chunks = chunks
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._ended:
            return 0
        try:
            data = self._chunks.read(min(len(buffer), _BLOCK))
            if not data:
                self._ended = True
                for _ in self._chunks.read_trailer_lines():
                    pass
        except (OSError, ValueError, MaxSizeExceeded) as error:
            raise _BodyBroken from error
        buffer[: len(data)] = data
        return len(data)
