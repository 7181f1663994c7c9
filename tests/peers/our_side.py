"""Our client and our service as the tests of the peers use them, with the certificates of the fixture ``pki``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zeep_secureconv import Identity, MemoryStore, SecureConversation, SecurityContext, Trust
from zeep_secureconv.service.contract import Published, demonstration_wsdl
from zeep_secureconv.service.demonstration import DemonstrationService
from zeep_secureconv.service.middleware import SecureConversationMiddleware
from zeep_secureconv.service.server import HttpServer

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


@dataclass(frozen=True)
class OurService:
    """The demonstration service behind the middleware, running.

    Args:
        url: of its endpoint; its WSDL is there with ``?wsdl``.
        store: where its contexts are.
    """

    url: str
    store: MemoryStore

    @property
    def wsdl(self) -> str:
        """URL of its WSDL."""
        return f"{self.url}?wsdl"

    def contexts(self) -> list[SecurityContext]:
        """The contexts that it holds."""
        return [context for _, context in self.store.items("service")]


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
def our_service(pki: Path, wsdl: Path) -> Iterator[OurService]:
    """Serves the contract of a WSDL under its policy.

    Args:
        pki: folder as the fixture ``pki`` makes it.
        wsdl: a WSDL of the peers' contract, whose address is replaced by ours.
    """
    store = MemoryStore()
    middleware = SecureConversationMiddleware(
        DemonstrationService(),
        policy=wsdl,
        identity=Identity.from_pkcs12(pki / "server.p12", PASSWORD),
        trust=Trust.from_pem(pki / "ca.pem"),
        store=store,
    )
    with HttpServer() as server:
        url = f"{server.url}/peer"
        server.app = Published(middleware, demonstration_wsdl(wsdl.read_bytes(), address=url))
        yield OurService(url, store)
