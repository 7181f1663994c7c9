"""A TCP proxy on the loopback interface: each connection goes to the next of several servers in turn."""

from __future__ import annotations

import select
import socket
import socketserver
import threading
from collections import Counter
from contextlib import suppress

from tests.loopback import InThread

_PIECE = 65_536


class RoundRobin(InThread):
    """Passes on connections in a thread for each, byte for byte; it knows nothing of HTTP.

    A server that does not listen any more is passed over. One that ends in the middle of a connection ends that for the
    client too. A client whose every request is to go to the next server sends ``Connection: close``.

    Attributes:
        connections: how many connections each port got.
    """

    def __init__(self) -> None:
        self.connections: Counter[int] = Counter()
        self._lock = threading.Lock()
        self._ports: list[int] = []
        self._turn = 0
        server = _Server(("127.0.0.1", 0), _Connection)
        server.proxy = self
        super().__init__(server)

    def serve(self, *ports: int) -> None:
        """From now on connections go to these ports of this machine."""
        with self._lock:
            self._ports = list(ports)

    def connect(self) -> socket.socket | None:
        """A connection to the next server that takes one."""
        with self._lock:
            self._turn += 1
            turn, ports = self._turn, self._ports
        for number in range(len(ports)):
            port = ports[(turn + number) % len(ports)]
            with suppress(ConnectionError):
                connection = socket.create_connection(("127.0.0.1", port))
                with self._lock:
                    self.connections[port] += 1
                return connection
        return None


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    proxy: RoundRobin


class _Connection(socketserver.BaseRequestHandler):
    server: _Server
    request: socket.socket

    def handle(self) -> None:
        """Pass on both ways until one end closes."""
        server = self.server.proxy.connect()
        if server is None:
            return
        with server, suppress(ConnectionError):
            ends = {self.request: server, server: self.request}
            for end in ends:
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                for end in select.select(list(ends), [], [])[0]:
                    piece = end.recv(_PIECE)
                    if not piece:
                        return
                    ends[end].sendall(piece)
