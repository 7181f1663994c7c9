"""Every preset: the clients of the stacks at our service."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers.grid import PAGE, TOLERATED, compared_with
from tests.peers.our_side import Users, our_service
from tests.peers.peer import STACKS, PeerClients, Stack
from tests.peers.presets import (
    described_under,
    expected_under,
    preset_wsdl,
    seen_in_this_run,
    table_of_presets,
    their_client_calls,
)
from zeep_secureconv.policy.presets import PRESETS, preset
from zeep_secureconv.service.contract import demonstration_wsdl


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("stack", STACKS.values(), ids=lambda stack: stack.name)
def test_their_client_under_a_preset(
    stack: Stack, name: str, client_of: Callable[[Stack], PeerClients], pki: Path, tmp_path: Path
) -> None:
    """The stack's client does what the table says, by the contexts that our service has then."""
    one, client, wsdl = preset(name), client_of(stack), tmp_path / "service.wsdl"
    tls, done = one.dialect == "wcf", []
    wsdl.write_bytes(preset_wsdl(one, "http://localhost/peer"))
    for tolerate in [set(), *filter(None, [TOLERATED.get(stack)])]:
        with our_service(pki, wsdl, tls=tls, preset=name, tolerate=tolerate, authenticate=Users()) as service:
            wsdl.write_bytes(preset_wsdl(one, service.url))
            done.append(their_client_calls(stack, one, service, client, wsdl))
    seen = described_under(stack, name, done[0], done[-1])
    seen_in_this_run[stack, name] = seen
    assert seen == expected_under(stack, name).text


@pytest.mark.parametrize("stack", STACKS.values(), ids=lambda stack: stack.name)
def test_no_stack_reads_the_form_of_websphere(
    stack: Stack, client_of: Callable[[Stack], PeerClients], pki: Path, tmp_path: Path
) -> None:
    """As WebSphere writes its policy it is nothing to any of them: no context is asked for, no call comes through."""
    wsdl = tmp_path / "service.wsdl"
    wsdl.write_bytes(
        demonstration_wsdl(preset("SecureConversation").document(), address="http://localhost/peer")
    )
    with our_service(pki, wsdl, preset="SecureConversation") as service:
        report = client_of(stack)(wsdl=service.wsdl, check=True)
        assert not report["ok"]
        assert not service.store.lived
        assert service.app.calls == 0


def test_the_documentation_has_the_table() -> None:
    """The table of the documentation is what was seen; ZEEP_SECURECONV_WRITE_GRID=1 writes it anew."""
    old, new = compared_with(PAGE, "presets", table_of_presets())
    assert old == new
