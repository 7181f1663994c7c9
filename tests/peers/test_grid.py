"""Every policy of every stack: our client and its server, its client and our service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.peers.grid import (
    ATTEMPTED,
    PAGE,
    RELIABLE,
    SECURED,
    TOLERATED,
    Way,
    compared_with,
    described,
    expected,
    our_client_calls,
    seen_in_this_run,
    service_arguments,
    table,
    their_client_calls,
)
from tests.peers.our_side import our_client, our_service
from tests.peers.peer import CXF, PeerClients, PeerServer, Stack
from tests.peers.variants import Variant
from zeep_secureconv import PolicyError


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


@pytest.mark.parametrize("variant", ATTEMPTED, ids=str)
def test_our_client_and_their_server(
    variant: Variant, server_of: Callable[[Stack], PeerServer], pki: Path
) -> None:
    """Our client calls every operation, gets the declared fault and cancels, by the server's counters."""
    seen = our_client_calls(variant, server_of(variant.stack), pki)
    seen_in_this_run[variant, Way.OUR_CLIENT] = seen
    assert seen == expected(variant, Way.OUR_CLIENT).text


@pytest.mark.parametrize("variant", ATTEMPTED, ids=str)
def test_their_client_and_our_service(
    variant: Variant, client_of: Callable[[Stack], PeerClients], pki: Path, tmp_path: Path
) -> None:
    """The stack's client calls every operation, renews and cancels, by the contexts that our service has then."""
    client, wsdl = client_of(variant.stack), variant.write_wsdl(tmp_path)
    tolerances = [set(), *filter(None, [TOLERATED.get(variant.stack)])]
    done = []
    for tolerate in tolerances:
        with our_service(pki, wsdl, tolerate=tolerate, **service_arguments(variant)) as service:
            done.append(their_client_calls(variant, service, client))
    cell = expected(variant, Way.THEIR_CLIENT)
    seen = described(variant.stack, done[0], done[-1], cell)
    seen_in_this_run[variant, Way.THEIR_CLIENT] = seen
    assert seen == cell.text


@pytest.mark.parametrize("variant", RELIABLE, ids=str)
def test_what_is_not_done_yet_is_refused(variant: Variant, pki: Path, tmp_path: Path) -> None:
    """A policy with WS-ReliableMessaging is refused on both sides, by the name of the assertion."""
    wsdl = variant.write_wsdl(tmp_path)
    with our_client(pki) as sc, pytest.raises(PolicyError, match="RMAssertion"):
        sc.client(str(wsdl)).service.echo("hello")
    with pytest.raises(PolicyError, match="RMAssertion"), our_service(pki, wsdl):
        pass


def test_every_policy_is_in_the_grid() -> None:
    """What a stack brings along is tried, or refused by name, or asks for no security at all."""
    assert {str(variant) for variant in (*ATTEMPTED, *RELIABLE)} == {str(variant) for variant in SECURED}
    assert len(SECURED) == 38


def test_cxf_cannot_call_basic192_as_it_comes(
    cxf: PeerServer, client_of: Callable[[Stack], PeerClients]
) -> None:
    """CXF's own client calls its own server under Basic192 only without the Basic Security Profile."""
    client, wsdl = client_of(CXF), cxf.wsdl("asym-dk-basic192")
    refused = client(wsdl=wsdl)
    assert refused["ok"] is False
    assert "BSP:R5620" in refused["error"]
    assert client(wsdl=wsdl, set={"ws-security.is-bsp-compliant": "false"})["ok"]


def test_the_documentation_has_the_table() -> None:
    """The table of the documentation is what was seen; ZEEP_SECURECONV_WRITE_GRID=1 writes it anew."""
    old, new = compared_with(PAGE, "grid", table(seen_in_this_run))
    assert old == new
