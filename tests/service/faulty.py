"""A proxy on the loopback interface that spoils chosen HTTP exchanges between a client and a service, also over TLS."""

from __future__ import annotations

import enum
import socket
import socketserver
import ssl
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from tests.loopback import InThread
from zeep_secureconv.conversation.faults import WSS4J
from zeep_secureconv.names import SOAP11, WSC_200512
from zeep_secureconv.soap.envelope import serialize
from zeep_secureconv.soap.faults import make_fault

_PATIENCE = 30.0
_PIECE = 65_536
_GARBAGE = bytes(range(256)) * 4
_BAD_GATEWAY = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


class Step(enum.Enum):
    """What a request asks for; the value is the end of its SOAPAction, empty for every other."""

    ISSUE = "/RST/SCT"
    RENEW = "/Renew"
    CANCEL = "/Cancel"
    CALL = ""


class Fault(enum.Enum):
    """What happens to an exchange."""

    DROP_BEFORE = "the connection is closed before the service has the request"
    DROP_AFTER = "the connection is closed in place of the answer"
    HALF = "the connection is closed in the middle of the answer"
    HALF_WITHOUT_LENGTH = "the same, and the answer does not say how long it is"
    DELAY = "the answer comes late, in time"
    TOO_LATE = "the answer comes when nobody waits for it any more"
    GARBAGE = "something that is not HTTP comes in place of the answer"
    GARBAGE_BODY = "HTTP with something that is not XML comes in place of the answer"
    BAD_GATEWAY = "the service is not asked, and the answer is 502"
    BAD_GATEWAY_AFTER = "the service is asked, and the answer is 502"
    RESET_BEFORE = "the connection is reset before the service has the request"
    RESET_AFTER = "the connection is reset in place of the answer"
    DOUBLED = "the service gets the request twice; its first answer is passed on"
    DOUBLED_LAST = "the service gets the request twice; its second answer is passed on"
    FORGED_ERROR = "the service is asked, and what CXF says to everything comes in place of the answer"
    FORGED_LOSS = "the service is asked, and what WCF says of lost contexts comes in place of the answer"
    # the connection is closed above without TLS's own end, and here with it (close_notify)
    TLS_NO_HANDSHAKE = "the connection is closed in the handshake"
    TLS_END_BEFORE = "TLS is ended before the service has the request"
    TLS_END_AFTER = "TLS is ended in place of the answer"
    TLS_END_HALF = "TLS is ended in the middle of the answer"
    TLS_END_HALF_WITHOUT_LENGTH = "the same, in an answer that does not say how long it is"


#: The faults with which the service never gets the request.
UNSEEN = frozenset(
    {
        Fault.DROP_BEFORE,
        Fault.BAD_GATEWAY,
        Fault.RESET_BEFORE,
        Fault.TLS_NO_HANDSHAKE,
        Fault.TLS_END_BEFORE,
    }
)
#: The faults that there are over TLS alone, and those of the others that end a connection.
TLS_ALONE = frozenset(fault for fault in Fault if fault.name.startswith("TLS"))
ENDINGS = TLS_ALONE | {
    Fault.DROP_BEFORE,
    Fault.DROP_AFTER,
    Fault.HALF,
    Fault.HALF_WITHOUT_LENGTH,
    Fault.RESET_BEFORE,
    Fault.RESET_AFTER,
}


@dataclass(frozen=True)
class _Message:
    """An HTTP request or answer."""

    head: bytes
    body: bytes

    @property
    def octets(self) -> bytes:
        return self.head + self.body

    def header(self, name: bytes) -> bytes:
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.strip().lower() == name:
                return value.strip()
        return b""

    @property
    def step(self) -> Step:
        action = self.header(b"soapaction").strip(b'"').decode()
        return next(step for step in Step if action.endswith(step.value))

    def closing(self) -> _Message:
        """The same, after which the connection ends."""
        lines = [line for line in self.head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
        return _Message(b"\r\n".join([lines[0], b"Connection: close", *lines[1:]]), self.body)

    def without_length(self) -> _Message:
        """The same, whose end is that of the connection."""
        lines = [line for line in self.head.split(b"\r\n") if not line.lower().startswith(b"content-length:")]
        return _Message(b"\r\n".join(lines), self.body)


@dataclass
class Spoiler:
    """Spoils the next exchange of one kind.

    Args:
        step: of what kind.
        fault: how.
        late: how long an answer is held back, in seconds.
        gate: holds an answer back until it is set, instead.
    """

    step: Step
    fault: Fault
    late: float = 0.0
    gate: threading.Event | None = None
    _left: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(1))

    def takes(self, message: _Message) -> bool:
        """Whether this is the exchange that is spoiled."""
        return message.step is self.step and self._left.acquire(blocking=False)

    def takes_connection(self) -> bool:
        """Whether this is a connection on which there will be no exchange at all: nobody knows what it was for."""
        return self.fault is Fault.TLS_NO_HANDSHAKE and self._left.acquire(blocking=False)


class FaultyProxy(InThread):
    """Passes HTTP on to a service, each exchange on a connection of its own.

    Args:
        target: (host, port) of the service.
        tls: speaks TLS with the clients, though not with the service.

    Attributes:
        spoiler: what to spoil, or None.
        spoiled: how many exchanges were spoiled.
        steps: what was asked for, in order.
        asked: set once the service was asked in an exchange that is spoiled.
    """

    def __init__(self, target: tuple[str, int], tls: ssl.SSLContext | None = None) -> None:
        self.target = target
        self.tls = tls
        self.spoiler: Spoiler | None = None
        self.spoiled = 0
        self.steps: list[Step] = []
        self.asked = threading.Event()
        server = _Server(("127.0.0.1", 0), _Handler)
        server.proxy = self
        super().__init__(server, "http" if tls is None else "https")

    def ask(self, request: _Message) -> _Message:
        """The service's answer."""
        with socket.create_connection(self.target, timeout=_PATIENCE) as upstream:
            upstream.sendall(request.closing().octets)
            answer = _read(upstream)
        assert answer is not None, "the service closed the connection"
        return answer.closing()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128
    proxy: FaultyProxy


class _Handler(socketserver.BaseRequestHandler):
    """One connection of a client: one exchange."""

    server: _Server
    request: socket.socket

    def handle(self) -> None:
        proxy, spoiler = self.server.proxy, self.server.proxy.spoiler
        self.request.settimeout(_PATIENCE)
        if spoiler is not None and spoiler.takes_connection():
            proxy.steps.append(spoiler.step)
            proxy.spoiled += 1
            self.request.recv(_PIECE)
            return
        if proxy.tls is not None:
            self.request = proxy.tls.wrap_socket(self.request, server_side=True)
        try:
            self._pass_on(proxy, spoiler)
        finally:
            self.request.close()

    def _pass_on(self, proxy: FaultyProxy, spoiler: Spoiler | None) -> None:
        message = _read(self.request)
        if message is None:
            return
        proxy.steps.append(message.step)
        if spoiler is None or not spoiler.takes(message):
            self.request.sendall(proxy.ask(message).octets)
            return
        proxy.spoiled += 1
        try:
            _SPOIL[spoiler.fault](_Exchange(self.request, proxy, message, spoiler))
        except OSError:
            # the client has gone, as it may
            return


@dataclass(frozen=True)
class _Exchange:
    """An exchange that is spoiled: one method for each fault."""

    client: socket.socket
    proxy: FaultyProxy
    message: _Message
    spoiler: Spoiler

    def ask(self) -> _Message:
        """The service's answer."""
        return self.proxy.ask(self.message)

    def drop_before(self) -> None:
        """The connection ends by itself."""

    def drop_after(self) -> None:
        self.ask()

    def half(self) -> None:
        self._send_half(self.ask())

    def half_without_length(self) -> None:
        self._send_half(self.ask().without_length())

    def _send_half(self, answer: _Message) -> None:
        self.client.sendall(answer.head + answer.body[: len(answer.body) // 2])

    def forged_error(self) -> None:
        self._forge(f"{{{WSS4J}}}SecurityError")

    def forged_loss(self) -> None:
        self._forge(f"{{{WSC_200512}}}BadContextToken")

    def _forge(self, code: str) -> None:
        self.ask()
        forged = serialize(make_fault(SOAP11, code=code, text="forged").envelope)
        self.client.sendall(_http(b"500 Internal Server Error", b"text/xml", forged))

    def end_before(self) -> None:
        assert isinstance(self.client, ssl.SSLSocket)
        # its own end is sent at once; that of the other side is not waited for
        self.client.setblocking(False)
        with suppress(OSError):
            self.client.unwrap()

    def end_after(self) -> None:
        self.ask()
        self.end_before()

    def end_half(self) -> None:
        self.half()
        self.end_before()

    def end_half_without_length(self) -> None:
        self.half_without_length()
        self.end_before()

    def delay(self) -> None:
        answer = self.ask()
        self.proxy.asked.set()
        if self.spoiler.gate is not None:
            assert self.spoiler.gate.wait(_PATIENCE)
        else:
            time.sleep(self.spoiler.late)
        self.client.sendall(answer.octets)

    def garbage(self) -> None:
        self.ask()
        self.client.sendall(_GARBAGE)

    def garbage_body(self) -> None:
        self.ask()
        self.client.sendall(_http(b"200 OK", b"text/xml", _GARBAGE))

    def bad_gateway(self) -> None:
        self.client.sendall(_http(b"502 Bad Gateway", b"text/html", _BAD_GATEWAY))

    def bad_gateway_after(self) -> None:
        self.ask()
        self.bad_gateway()

    def reset_before(self) -> None:
        # closing with this option sends RST instead of FIN
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.client.close()

    def reset_after(self) -> None:
        self.ask()
        self.reset_before()

    def doubled(self) -> None:
        answer = self.ask()
        self.ask()
        self.client.sendall(answer.octets)

    def doubled_last(self) -> None:
        self.ask()
        self.client.sendall(self.ask().octets)


_SPOIL: dict[Fault, Callable[[_Exchange], None]] = {
    Fault.DROP_BEFORE: _Exchange.drop_before,
    Fault.DROP_AFTER: _Exchange.drop_after,
    Fault.HALF: _Exchange.half,
    Fault.HALF_WITHOUT_LENGTH: _Exchange.half_without_length,
    Fault.DELAY: _Exchange.delay,
    Fault.TOO_LATE: _Exchange.delay,
    Fault.GARBAGE: _Exchange.garbage,
    Fault.GARBAGE_BODY: _Exchange.garbage_body,
    Fault.BAD_GATEWAY: _Exchange.bad_gateway,
    Fault.BAD_GATEWAY_AFTER: _Exchange.bad_gateway_after,
    Fault.RESET_BEFORE: _Exchange.reset_before,
    Fault.RESET_AFTER: _Exchange.reset_after,
    Fault.DOUBLED: _Exchange.doubled,
    Fault.DOUBLED_LAST: _Exchange.doubled_last,
    Fault.FORGED_ERROR: _Exchange.forged_error,
    Fault.FORGED_LOSS: _Exchange.forged_loss,
    Fault.TLS_END_BEFORE: _Exchange.end_before,
    Fault.TLS_END_AFTER: _Exchange.end_after,
    Fault.TLS_END_HALF: _Exchange.end_half,
    Fault.TLS_END_HALF_WITHOUT_LENGTH: _Exchange.end_half_without_length,
}


def _http(status: bytes, media: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    return head % (status, media, len(body)) + body


def _read(connection: socket.socket) -> _Message | None:
    """A request or an answer with a Content-Length; None where the other side closes before it."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(_PIECE)
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    message = _Message(head + b"\r\n\r\n", body)
    length = int(message.header(b"content-length") or 0)
    while len(body) < length:
        piece = connection.recv(_PIECE)
        if not piece:
            return None
        body += piece
    return _Message(message.head, body)
