"""What the HTTP server does beyond answering: how it ends, and what it does not wait for."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from cheroot.workers.threadpool import ThreadPool

from zeep_secureconv import ConfigurationError
from zeep_secureconv.service import _cheroot
from zeep_secureconv.service.server import HttpServer, bound_socket

_SECRET = b"what only the client may read"
#: Far more than any of this takes: ends a test that would hang.
_TOO_LONG = 60


@pytest.fixture
def tls(pki: Path) -> ssl.SSLContext:
    """A server's context."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pki / "server.pem", pki / "server.key")
    return context


@pytest.fixture
def client_tls(pki: Path) -> ssl.SSLContext:
    """A client's context."""
    return ssl.create_default_context(cafile=pki / "ca.pem")


class _Slow:
    """An application that answers when it is told to."""

    def __init__(self) -> None:
        self.entered, self.go_on = threading.Event(), threading.Event()

    def __call__(self, _environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self.entered.set()
        assert self.go_on.wait(_TOO_LONG)
        start_response("200 OK", [("Content-Length", str(len(_SECRET)))])
        return [_SECRET]


def _port(server: HttpServer) -> int:
    return int(server.url.rpartition(":")[2])


def _stopping(server: HttpServer) -> threading.Thread:
    """A thread that stops the server."""
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    return stopping


def test_a_request_under_way_is_answered_before_the_end() -> None:
    """Who is being served when the server stops gets his answer; nobody else is served any more."""
    app = _Slow()
    with HttpServer(app) as server:
        one = http.client.HTTPConnection("127.0.0.1", _port(server), timeout=_TOO_LONG)
        one.request("GET", "/")
        assert app.entered.wait(_TOO_LONG)
        port, stopping = _port(server), _stopping(server)
        assert server._thread is not None
        server._thread.join(_TOO_LONG)
        app.go_on.set()
        assert one.getresponse().read() == _SECRET
        stopping.join(_TOO_LONG)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=_TOO_LONG)
    one.close()


@pytest.fixture
def read_side_ended(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set once a server that stops has lost patience with a connection, which it does at once."""
    done = threading.Event()
    ends: Callable[[Any], None] = getattr(ThreadPool, "_force_close")  # noqa: B009 - its stub lacks it

    def force_close(connection: Any) -> None:
        ends(connection)
        if connection is not None:
            done.set()

    monkeypatch.setattr(ThreadPool, "_force_close", staticmethod(force_close))
    monkeypatch.setattr(_cheroot, "_STOP_SECONDS", 0.01)
    return done


@contextmanager
def _relayed(port: int, seen: list[bytes]) -> Iterator[socket.socket]:
    """A connection to a server; what comes back over it, as the network sees it, goes into *seen*."""
    ours, theirs = socket.socketpair()
    with ours, theirs, socket.create_connection(("127.0.0.1", port), timeout=_TOO_LONG) as server:

        def copy(source: socket.socket, target: socket.socket, note: Callable[[bytes], object]) -> None:
            while data := source.recv(65536):
                note(data)
                target.sendall(data)
            with suppress(OSError):
                target.shutdown(socket.SHUT_WR)

        ways = ((theirs, server, len), (server, theirs, seen.append))
        copying = [threading.Thread(target=copy, args=way) for way in ways]
        for thread in copying:
            thread.start()
        yield ours
        for thread in copying:
            thread.join(_TOO_LONG)


def test_a_late_answer_stays_within_tls(
    tls: ssl.SSLContext, client_tls: ssl.SSLContext, read_side_ended: threading.Event
) -> None:
    """An answer that comes when the server has lost patience is encrypted as any other."""
    app, seen = _Slow(), list[bytes]()
    with (
        HttpServer(app, tls=tls) as server,
        _relayed(_port(server), seen) as relayed,
        client_tls.wrap_socket(relayed, server_hostname="localhost") as connection,
    ):
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert app.entered.wait(_TOO_LONG)
        stopping = _stopping(server)
        assert read_side_ended.wait(_TOO_LONG)
        app.go_on.set()
        received = b"".join(iter(lambda: connection.recv(65536), b""))
        stopping.join(_TOO_LONG)
    assert received.endswith(_SECRET)
    assert seen
    assert _SECRET not in b"".join(seen)


def test_clients_that_keep_silent_do_not_hold_up_others(
    tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """While others take their time with the handshake of TLS, those who do not are served."""
    with HttpServer(tls=tls) as server, ExitStack() as silent:
        for _ in range(9):
            silent.enter_context(socket.create_connection(("127.0.0.1", _port(server)), timeout=_TOO_LONG))
        # one after the other they would take ten seconds each
        one = http.client.HTTPSConnection("127.0.0.1", _port(server), context=client_tls, timeout=30)
        one.request("GET", "/")
        assert one.getresponse().status == 503
        one.close()


def test_plain_http_at_a_port_for_tls_is_dropped(tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    """Who speaks no TLS gets no answer, and the server goes on."""
    with HttpServer(tls=tls) as server:
        with socket.create_connection(("127.0.0.1", _port(server)), timeout=_TOO_LONG) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert not plain.recv(1024).startswith(b"HTTP/1.1 2")
        one = http.client.HTTPSConnection("127.0.0.1", _port(server), context=client_tls, timeout=_TOO_LONG)
        one.request("GET", "/")
        assert one.getresponse().status == 503
        one.close()


def test_several_servers_share_one_socket() -> None:
    """Two servers on one socket are both asked, and one goes on when the other ends."""
    asked: set[str] = set()

    def application(name: str) -> Any:
        def app(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
            asked.add(name)
            start_response("200 OK", [("Content-Length", "0"), ("Connection", "close")])
            return []

        return app

    def ask(port: int) -> int:
        one = http.client.HTTPConnection("127.0.0.1", port, timeout=_TOO_LONG)
        one.request("GET", "/")
        status = one.getresponse().status
        one.close()
        return status

    with bound_socket("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        with HttpServer(application("first"), listening=listening.dup()) as first:
            assert first.url == f"http://127.0.0.1:{port}"
            with HttpServer(application("second"), listening=listening.dup()):
                statuses = {ask(port) for _ in range(200)}
            assert ask(port) == 200
    assert statuses == {200}
    assert asked == {"first", "second"}


def test_listens_on_ipv6() -> None:
    """The address of IPv6 stands in brackets."""
    try:
        listening = bound_socket("::1", 0)
    except ConfigurationError as error:
        pytest.skip(f"no IPv6: {error}")
    with HttpServer(listening=listening) as server:
        assert server.url == f"http://[::1]:{listening.getsockname()[1]}"
