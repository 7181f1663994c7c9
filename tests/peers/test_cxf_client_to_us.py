"""CXF's client in conversation with our service, under the WSDL that CXF's own server publishes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers.our_side import CLIENT, VARIANTS, assert_refused_cancel_only, our_client, our_service
from tests.peers.peer import PeerClients, PeerServer

_SERVICE_LOG = "zeep_secureconv.service"


@pytest.fixture
def saved(cxf: PeerServer, tmp_path: Path) -> Callable[[str], Path]:
    """Saves the WSDL of a variant of CXF's server to a file."""

    def save(name: str) -> Path:
        path = tmp_path / f"{name}.wsdl"
        path.write_text(cxf.wsdl_text(name), encoding="utf-8")
        return path

    return save


@pytest.mark.parametrize("name", VARIANTS)
def test_every_operation(
    cxf_client: PeerClients,
    pki: Path,
    saved: Callable[[str], Path],
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    """Every operation, a declared fault and a renewal work; a Cancel not secured by the context is refused."""
    with caplog.at_level(logging.INFO, logger=_SERVICE_LOG), our_service(pki, saved(name)) as service:
        report = cxf_client(wsdl=service.wsdl, check=True, size=100_000)
        assert_refused_cancel_only(report, service)
    assert report["steps"]["big"] == 100_000
    said = [record.getMessage() for record in caplog.records if record.name == _SERVICE_LOG]
    assert [text.partition(" ")[0] for text in said] == ["Issue", "Renew", "refused"]


def test_a_megabyte_and_many_values(cxf_client: PeerClients, pki: Path, saved: Callable[[str], Path]) -> None:
    """CXF's client sends and receives a megabyte, chunked, and calls often on one context."""
    with our_service(pki, saved("asym-dk")) as service:
        report = cxf_client(wsdl=service.wsdl, plan="echo:1000000:2,big:1000000:2,sum:500:5,echo:20:100")
        assert report["ok"], report
        assert len(service.contexts()) == 1


def test_stranger_is_refused(cxf_client: PeerClients, pki: Path, saved: Callable[[str], Path]) -> None:
    """A client whose certificate nobody trusts gets no context; the same call with a trusted one works."""
    with our_service(pki, saved("asym-dk")) as service:
        refused = cxf_client(wsdl=service.wsdl, cert="stranger")
        assert refused["ok"] is False
        assert service.contexts() == []
        assert cxf_client(wsdl=service.wsdl, cert="client2")["ok"]
        assert [context.principal for context in service.contexts()] == ["CN=client2,O=SecureConv Test"]


def test_both_clients_at_once(cxf_client: PeerClients, pki: Path, saved: Callable[[str], Path]) -> None:
    """Our client and CXF's are served by one service, each on a context of its own."""
    with our_service(pki, saved("asym-dk")) as service, our_client(pki) as sc:
        ours = sc.client(service.wsdl).service
        assert ours.echo("ours") == "ours"
        assert cxf_client(wsdl=service.wsdl, calls=5)["ok"]
        assert ours.whoami() == CLIENT
        assert len(service.contexts()) == 2
