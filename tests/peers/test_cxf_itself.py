"""The harness: CXF's client against CXF's server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers.peer import PeerClients, PeerError, PeerServer


def test_client_and_server_understand_each_other(cxf: PeerServer, cxf_client: PeerClients) -> None:
    """CXF's client holds ten calls with CXF's server in one conversation, and cancels it."""
    before = cxf.stats()
    report = cxf_client(wsdl=cxf.wsdl("asym-dk"), calls=10, cancel=True)
    after = cxf.stats()
    assert report["ok"], report
    assert report["cancelled"]
    assert after["issued"] - before["issued"] == 1
    assert after["cancelled"] - before["cancelled"] == 1
    assert after["calls"] - before["calls"] == 12


def test_refusal_is_a_report(cxf: PeerServer, cxf_client: PeerClients) -> None:
    """A client whose certificate nobody trusts gets a report that says no, not a failure of the harness."""
    report = cxf_client(wsdl=cxf.wsdl("asym-dk"), cert="stranger")
    assert report["ok"] is False
    assert report["error"]


def test_server_takes_policies_of_a_test(
    cxf_server: Callable[..., PeerServer], cxf_client: PeerClients, tmp_path: Path
) -> None:
    """A policy that a test writes at run time is served and called."""
    builtin = Path(__file__).parent / "cxf" / "src" / "main" / "resources" / "policies" / "asym-dk.xml"
    policy = builtin.read_text(encoding="utf-8")
    assert "Basic128" in policy
    (tmp_path / "own.xml").write_text(policy.replace("Basic128", "TripleDesRsa15"), encoding="utf-8")
    with cxf_server("--policies", tmp_path) as server:
        assert server.names == ["own"]
        assert "TripleDesRsa15" in server.wsdl_text("own")
        assert cxf_client(wsdl=server.wsdl("own"))["ok"]


def test_start_that_fails_says_why(cxf_server: Callable[..., PeerServer], tmp_path: Path) -> None:
    """A server that cannot start fails at once, with what Java said."""
    with pytest.raises(PeerError, match="NoSuchFileException"):
        cxf_server("--policies", tmp_path / "nowhere")
