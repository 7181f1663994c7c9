"""Our client and our service as the tests of the peers use them, with the certificates of the fixture ``pki``."""

from __future__ import annotations

import logging
import ssl
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zeep_secureconv import Identity, MemoryStore, SecureConversation, SecurityContext, Trust
from zeep_secureconv.clock import SYSTEM_CLOCK
from zeep_secureconv.conversation.store import RecordKey
from zeep_secureconv.service.contract import Published, demonstration_wsdl
from zeep_secureconv.service.demonstration import DemonstrationService
from zeep_secureconv.service.middleware import SecureConversationMiddleware
from zeep_secureconv.service.server import HttpServer
from zeep_secureconv.wss.credentials import ReceivedToken

#: The variants of CXF's policies that both directions are tested with.
VARIANTS = (
    "asym-dk",
    "asym-dk-basic256",
    "asym-dk-basic256sha256",
    "asym-dk-tripledes",
    "asym-dk-signonly",
    "asym-dk-soap12",
)

#: The subject of the certificate "client" of the fixture ``pki``, as both CXF and we write it.
CLIENT = "CN=client,O=SecureConv Test"

PASSWORD = "changeit"


def our_client(pki: Path, **arguments: Any) -> SecureConversation:
    """A conversation of the client "client" with the service "server"."""
    return SecureConversation(
        identity=Identity.from_pkcs12(pki / "client.p12", PASSWORD),
        trust=Trust.from_pem(pki / "ca.pem"),
        peer=pki / "server.pem",
        **arguments,
    )


class WatchedStore(MemoryStore):
    """Contexts of a service, and what became of them: that is what counts, whatever a client says.

    Attributes:
        lived: how many contexts were issued, how often one was given a new Instance, how many went before their end.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lived: Counter[str] = Counter()

    def add(self, key: RecordKey, context: SecurityContext, *, most: int | None = None) -> bool:
        """Keep a context."""
        return self._count("Issue", key, super().add(key, context, most=most))

    def replace(self, key: RecordKey, old: SecurityContext, new: SecurityContext) -> bool:
        """Put one in the place of another."""
        done = super().replace(key, old, new)
        renewed = new.identifier == old.identifier and new.instance not in (None, old.instance)
        return self._count("Renew", key, done) if renewed else done

    def drop(self, key: RecordKey, context: SecurityContext) -> bool:
        """Take one away."""
        done = super().drop(key, context)
        return done if context.is_over(SYSTEM_CLOCK) else self._count("Cancel", key, done)

    def _count(self, what: str, key: RecordKey, done: bool) -> bool:
        # a context has one record without an Instance, that of its current key
        if done and not key[-1]:
            self.lived[what] += 1
        return done


@dataclass(frozen=True)
class OurService:
    """The demonstration service behind the middleware, running.

    Args:
        url: of its endpoint; its WSDL is there with ``?wsdl``.
        store: where its contexts are.
        app: the application, which counts its calls.
        said: the log of the middleware.
    """

    url: str
    store: WatchedStore
    app: DemonstrationService
    said: list[str]

    @property
    def wsdl(self) -> str:
        """URL of its WSDL."""
        return f"{self.url}?wsdl"

    def contexts(self) -> list[SecurityContext]:
        """The contexts that it holds, once for each of their keys."""
        return [context for _, context in self.store.items("service")]

    def living(self) -> list[SecurityContext]:
        """The contexts that it holds, under their current keys: other keys are nothing without these."""
        return [context for key, context in self.store.items("service") if not key[-1]]

    def counted(self) -> Counter[str]:
        """What became of the contexts: Issue, Renew, Cancel; and what the middleware says that it refused."""
        said = Counter(text.partition(" ")[0] for text in self.said)
        return self.store.lived + Counter(refused=said["refused"])


class Users:
    """The users that our service knows: alice and bob, with the password "secret"."""

    _NAMES = frozenset({"alice", "bob"})

    def check(self, name: str, password: str) -> bool:
        """Whether that is the user's password."""
        return password == self.password(name)

    def password(self, name: str) -> str | None:
        """The user's password, for tokens that do not show it."""
        return "secret" if name in self._NAMES else None

    def token(self, received: ReceivedToken) -> str | None:
        """Whose a token of another kind is: that of an LTPA token, for no stack has one."""
        return "alice of the cell" if "LTPA" in received.kind else None


class _Listener(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record."""
        self.said.append(record.getMessage())


@contextmanager
def _heard() -> Iterator[list[str]]:
    """What the service logs meanwhile."""
    logger, listener = logging.getLogger("zeep_secureconv.service"), _Listener()
    level = logger.level
    logger.addHandler(listener)
    logger.setLevel(logging.INFO)
    try:
        yield listener.said
    finally:
        logger.removeHandler(listener)
        logger.setLevel(level)


def assert_refused_cancel_only(report: dict[str, Any], service: OurService) -> None:
    """Asserts that every step of CXF's ``check=True`` worked, but that the context outlived its Cancel.

    CXF's client secures Cancel with the bootstrap alone, which proves no possession of the context: it is
    refused. The client hides that, so what the service holds has to tell.
    """
    assert report["ok"], report
    steps = report["steps"]
    assert steps["echo1"] == "one"
    assert steps["echo2"] == "two ä€<&>"
    assert steps["echo3"] == "three"
    assert steps["sum"] == 42
    assert steps["fail"] == "E42"
    assert steps["whoami"] == CLIENT
    identifier, _, first = report["token"].partition("#")
    old, _, new = steps["renew"].partition(" -> ")
    assert old == report["token"]
    name, _, second = new.partition("#")
    assert name == identifier
    assert second not in ("", first)
    held = {(context.identifier, context.instance) for context in service.contexts()}
    assert (identifier, second) in held
    assert {context.principal for context in service.contexts()} == {CLIENT}
    assert steps["after-cancel"] == "after cancel"


@contextmanager
def our_service(
    pki: Path, wsdl: Path, *, tls: bool = False, preset: str | None = None, **arguments: Any
) -> Iterator[OurService]:
    """Serves the contract of a WSDL under its policy, or under a preset.

    Args:
        pki: folder as the fixture ``pki`` makes it.
        wsdl: a WSDL of the peers' contract, whose address is replaced by ours.
        tls: serves https with the certificate "server".
        preset: the preset to serve under; the WSDL is its form for the client then.
        arguments: further ones for the middleware.
    """
    store, app = WatchedStore(), DemonstrationService()
    middleware = SecureConversationMiddleware(
        app,
        policy=preset or wsdl,
        identity=Identity.from_pkcs12(pki / "server.p12", PASSWORD),
        trust=Trust.from_pem(pki / "ca.pem"),
        store=store,
        **arguments,
    )
    with HttpServer(tls=_tls(pki) if tls else None) as server, _heard() as said:
        url = f"{server.url}/peer"
        server.app = Published(middleware, demonstration_wsdl(wsdl.read_bytes(), address=url))
        yield OurService(url, store, app, said)


def _tls(pki: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / "server.pem", pki / "server.key")
    return context
