"""A scripted HTTP server on the loopback interface: what it answers is decided by the test, request by request."""

from __future__ import annotations

import http.server
import io
import socket
import socketserver
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

_Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What the server says.

    Args:
        body: the content.
        status: of HTTP.
        headers: further headers; a Content-Length here wins over the true one.
        cut: close the connection after the content, whatever Content-Length promised.
    """

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "text/xml; charset=utf-8"})
    cut: bool = False


#: Gives the answer to a request; None closes the connection without one.
Script = Callable[[Request], "Answer | None"]


class InThread:
    """Runs a server in a thread of its own while its block runs.

    Args:
        server: the server, bound to a port of 127.0.0.1.
        scheme: of its URL.
    """

    def __init__(self, server: socketserver.TCPServer, scheme: str = "http") -> None:
        self._server = server
        self._scheme = scheme
        self._thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Loopback(InThread):
    """A server in a thread of its own. It keeps the requests that it got in :attr:`requests`.

    Args:
        script: what to answer; may be replaced at any time.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[Request] = []
        server = _Server(("127.0.0.1", 0), _Handler)
        server.loopback = self
        super().__init__(server)

    @property
    def posts(self) -> list[Request]:
        """The requests that could have carried a message."""
        return [request for request in self.requests if request.method != "GET"]


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    loopback: Loopback

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class names it
        pass

    def _respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, self.path, dict(self.headers.items()), body)
        loopback = self.server.loopback
        loopback.requests.append(request)
        answer = loopback.script(request)
        if answer is None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)
        self.wfile.flush()
        if answer.cut:
            self.close_connection = True


def through_wsgi(app: _Wsgi) -> Script:
    """A script that hands every request to a WSGI application."""

    def script(request: Request) -> Answer:
        return call_wsgi(app, request)

    return script


def call_wsgi(app: _Wsgi, request: Request) -> Answer:
    """What a WSGI application answers to a request (PEP 3333)."""
    path, _, query = request.path.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "CONTENT_LENGTH": str(len(request.body)),
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
    }
    for name, value in request.headers.items():
        key = name.upper().replace("-", "_")
        if key == "CONTENT_TYPE":
            environ[key] = value
        elif key != "CONTENT_LENGTH":
            environ[f"HTTP_{key}"] = value
    started: list[tuple[str, dict[str, str]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: object = None) -> None:
        started[:] = [(status, dict(headers))]

    content = b"".join(app(environ, start_response))
    ((status, headers),) = started
    return Answer(content, int(status.split(" ", 1)[0]), headers)
