"""A line between our client and our service, with a proxy on it that spoils exchanges."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import zeep

from tests.service.faulty import ENDINGS, TLS_ALONE, Fault, FaultyProxy, Spoiler, Step
from tests.unit.parties import Time, identity, trust
from zeep_secureconv import Event, SecureConversation, SecureConversationError
from zeep_secureconv.service.contract import demonstration_wsdl
from zeep_secureconv.service.demonstration import DemonstrationService
from zeep_secureconv.service.middleware import SecureConversationMiddleware
from zeep_secureconv.service.server import HttpServer

#: The policy of the demonstration service.
POLICY = files("zeep_secureconv.service").joinpath("demonstration-policy.xml").read_bytes()
HOUR = timedelta(hours=1)
#: What the client waits for an answer, and where one comes too late. How long the proxy holds one back that comes in
#: time, and one that does not. In seconds.
PATIENCE, IMPATIENCE, _LATE, _TOO_LATE = 60.0, 1.5, 0.05, 2.5
#: With these the answer arrives.
HARMLESS = frozenset({Fault.DELAY, Fault.DOUBLED})
#: With these an answer arrives that looks like a refusal of the service, though it did what it was asked for.
REFUSED = frozenset({Fault.DOUBLED_LAST, Fault.FORGED_ERROR, Fault.FORGED_LOSS})


@dataclass
class Line:
    """A service, a proxy in front of it, and what the client was told.

    Args:
        app: the service.
        proxy: the proxy.
        server: what the service listens with.
        wsdl: of the service, with the address of the proxy.
        time: what the clocks of both sides show.
        options: of the middleware.
        authority: whom clients trust for TLS, or None over http.
    """

    app: DemonstrationService
    proxy: FaultyProxy
    server: HttpServer
    wsdl: Path
    time: Time
    options: dict[str, Any]
    authority: Path | None
    kinds: Counter[str] = field(default_factory=Counter)
    _lock: Lock = field(default_factory=Lock)

    def start(self) -> None:
        """Start the service, which knows no context."""
        self.server.app = SecureConversationMiddleware(
            self.app,
            **{
                "policy": self.wsdl,
                "identity": identity("server"),
                "trust": trust(),
                "lifetime": HOUR,
                "clock": self.time.clock,
                **self.options,
            },
        )

    def conversation(self, **options: Any) -> SecureConversation:
        """The client's side."""
        usual: dict[str, Any] = {
            "identity": identity("client"),
            "trust": trust(),
            "peer": identity("server").certificate,
            "clock": self.time.clock,
            "on_event": self._note,
        }
        return SecureConversation(**(usual | options))

    def service(self, sc: SecureConversation, *, patience: float = PATIENCE, verified: bool = True) -> Any:
        """The operations of the service, as zeep has them."""
        transport = sc.transport(timeout=patience, operation_timeout=patience)
        if self.authority is not None:
            transport.session.trust_env = False  # its own authority counts
            transport.session.verify = str(self.authority) if verified else False
        client: zeep.Client = sc.client(str(self.wsdl), transport=transport)
        return client.service

    async def asynchronous(self, sc: SecureConversation, *, patience: float = PATIENCE) -> Any:
        """The operations of the service, as zeep has them in event loops."""
        tls = ssl.create_default_context(cafile=self.authority) if self.authority is not None else True
        transport = sc.async_transport(verify_ssl=tls, operation_timeout=patience)
        client = await asyncio.to_thread(sc.async_client, str(self.wsdl), transport=transport)
        return client.service

    def spoil(self, step: Step, fault: Fault) -> None:
        """Spoil the next exchange of a kind."""
        late = {Fault.DELAY: _LATE, Fault.TOO_LATE: _TOO_LATE}.get(fault, 0.0)
        self.proxy.spoiler = Spoiler(step, fault, late)

    def _note(self, event: Event) -> None:
        with self._lock:
            self.kinds[event.kind] += 1


@contextmanager
def opened(server: HttpServer, folder: Path, pki: Path | None = None, **options: Any) -> Iterator[Line]:
    """A line without faults yet; contexts live for an hour.

    Args:
        server: what the service listens with; it is running.
        folder: where the WSDL is written.
        pki: a folder as the fixture ``pki`` makes it, for a line over TLS.
        options: of the middleware.
    """
    tls = None
    if pki is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(pki / "server.pem", pki / "server.key")
    time, app, address = Time(), DemonstrationService(), urlsplit(server.url)
    assert address.hostname is not None
    assert address.port is not None
    with FaultyProxy((address.hostname, address.port), tls) as proxy:
        wsdl = folder / "service.wsdl"
        wsdl.write_bytes(demonstration_wsdl(POLICY, address=f"{proxy.url}/peer"))
        line = Line(app, proxy, server, wsdl, time, options, pki / "ca.pem" if pki is not None else None)
        line.start()
        yield line


#: Every fault on each kind of line, as (fault, over TLS). There is nothing new over TLS but how a connection ends.
EVERYWHERE = [
    (fault, tls)
    for tls in (False, True)
    for fault in Fault
    if fault in (ENDINGS if tls else set(Fault) - TLS_ALONE)
]


def named(value: object) -> str:
    """What a parameter is called."""
    if isinstance(value, (Fault, Step)):
        return value.name
    return ("http", "https")[value] if isinstance(value, bool) else str(value)


def patience(fault: Fault) -> float:
    """How long a client waits where there is that fault."""
    return IMPATIENCE if fault is Fault.TOO_LATE else PATIENCE


def try_to(call: Any, text: str) -> SecureConversationError | None:
    """Call echo; the error, if there is one. Nothing but a right answer or an error of ours is allowed."""
    try:
        assert call(text) == text
    except SecureConversationError as error:
        return error
    return None


def goes_on(line: Line, sc: SecureConversation, echo: Any, options: dict[str, Any]) -> None:
    """Whatever happened, the next call works, is executed once, and one context is in the store."""
    line.proxy.spoiler = None
    before = line.app.calls
    assert echo("next") == "next"
    assert line.app.calls == before + 1
    (held,) = sc.contexts()
    if "store" in options:
        again = line.conversation(**options)
        assert line.service(again).echo("another client") == "another client"
        assert [context.identifier for context in again.contexts()] == [held.identifier]
