"""Every policy of every stack: our client and its server, its client and our service, and ours with ours."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.peers.grid import (
    ATTEMPTED,
    RELIABLE,
    Way,
    expected,
    our_client_calls,
    published,
    service_arguments,
    table,
    their_client_calls,
    we_call_ourselves,
    with_table,
)
from tests.peers.our_side import OurService, our_client, our_service
from tests.peers.peer import CXF, PeerClient, PeerServer, Stack
from tests.peers.variants import Variant
from zeep_secureconv import PolicyError

_PAGE = Path(__file__).parents[2] / "docs" / "interoperability.md"
_WRITE = "ZEEP_SECURECONV_WRITE_GRID"


@pytest.fixture(scope="module")
def cells() -> dict[tuple[Variant, Way], str]:
    """What was seen in this run."""
    return {}


@pytest.fixture(scope="module")
def server_of(
    request: pytest.FixtureRequest, built: Callable[[Stack], Stack], pki: Path
) -> Iterator[Callable[[Stack], PeerServer]]:
    """The server of a stack; besides that of CXF, which others use too, one runs at a time."""
    running: dict[Stack, PeerServer] = {}
    with ExitStack() as last:

        def start(stack: Stack) -> PeerServer:
            if stack is CXF:
                cxf: PeerServer = request.getfixturevalue("cxf")
                return cxf
            if stack not in running:
                last.close()
                running.clear()
                running[stack] = last.enter_context(PeerServer(built(stack), pki))
            return running[stack]

        yield start


@pytest.fixture
def served(pki: Path, tmp_path: Path) -> Iterator[Callable[[Variant], OurService]]:
    """Serves a variant with our own service."""
    with ExitStack() as running:

        def serve(variant: Variant) -> OurService:
            wsdl = tmp_path / f"{variant}.wsdl"
            wsdl.write_text(variant.wsdl("http://localhost/peer"), encoding="utf-8")
            return running.enter_context(our_service(pki, wsdl, **service_arguments(variant)))

        yield serve


@pytest.mark.parametrize("variant", ATTEMPTED, ids=str)
def test_our_client_and_their_server(
    variant: Variant,
    server_of: Callable[[Stack], PeerServer],
    pki: Path,
    cells: dict[tuple[Variant, Way], str],
) -> None:
    """Our client calls every operation, gets the declared fault and cancels, by the server's counters."""
    seen = our_client_calls(variant, server_of(variant.stack), pki)
    cells[variant, Way.OUR_CLIENT] = seen
    assert seen == expected(variant, Way.OUR_CLIENT)[0]


@pytest.mark.parametrize("variant", ATTEMPTED, ids=str)
def test_their_client_and_our_service(
    variant: Variant,
    built: Callable[[Stack], Stack],
    served: Callable[[Variant], OurService],
    pki: Path,
    cells: dict[tuple[Variant, Way], str],
) -> None:
    """The stack's client calls every operation of our service, by what the service counts and logs."""
    client = PeerClient(built(variant.stack), pki)
    seen = their_client_calls(variant, served(variant), client)
    cells[variant, Way.THEIR_CLIENT] = seen
    assert seen == expected(variant, Way.THEIR_CLIENT)[0]
