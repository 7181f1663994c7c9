"""CXF's client in conversation with our service, under the WSDL that CXF's own server publishes."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.peers.cxf_peer import CxfClient, CxfServer
from tests.peers.our_side import CLIENT, VARIANTS, our_client, our_service

_SERVICE_LOG = "zeep_secureconv.service"


def _save(cxf: CxfServer, name: str, folder: Path) -> Path:
    path = folder / f"{name}.wsdl"
    path.write_text(cxf.wsdl_text(name), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", VARIANTS)
def test_every_operation(
    cxf: CxfServer,
    cxf_client: CxfClient,
    pki: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    """Every operation, a declared fault and a renewal work; a Cancel not secured by the context is refused.

    CXF's client secures Cancel with the bootstrap alone, and hides that it was refused: what the store holds and
    the service's log prove it.
    """
    with (
        caplog.at_level(logging.INFO, logger=_SERVICE_LOG),
        our_service(pki, _save(cxf, name, tmp_path)) as service,
    ):
        report = cxf_client(wsdl=service.wsdl, check=True, size=100_000)
        steps = report["steps"]
        assert report["ok"], report
        assert steps["echo1"] == "one"
        assert steps["echo2"] == "two ä€<&>"
        assert steps["echo3"] == "three"
        assert steps["sum"] == 42
        assert steps["fail"] == "E42"
        assert steps["big"] == 100_000
        assert steps["whoami"] == CLIENT

        identifier, _, first_instance = report["token"].partition("#")
        before, after = steps["renew"].split(" -> ")
        assert before == report["token"]
        assert after.partition("#")[0] == identifier
        assert after.partition("#")[2] not in ("", first_instance)

        said = [record.getMessage() for record in caplog.records if record.name == _SERVICE_LOG]
        assert [text.partition(" ")[0] for text in said] == ["Issue", "Renew", "refused"]
        assert " signature-missing: " in said[2]
        held = {(context.identifier, context.instance) for context in service.contexts()}
        assert (identifier, after.partition("#")[2]) in held
        assert {context.principal for context in service.contexts()} == {CLIENT}
        assert steps["after-cancel"] == "after cancel"


def test_a_megabyte_and_many_values(
    cxf: CxfServer, cxf_client: CxfClient, pki: Path, tmp_path: Path
) -> None:
    """CXF's client sends and receives a megabyte, chunked, and calls often on one context."""
    with our_service(pki, _save(cxf, "asym-dk", tmp_path)) as service:
        report = cxf_client(wsdl=service.wsdl, plan="echo:1000000:2,big:1000000:2,sum:500:5,echo:20:100")
        assert report["ok"], report
        assert len(service.contexts()) == 1


def test_stranger_is_refused(cxf: CxfServer, cxf_client: CxfClient, pki: Path, tmp_path: Path) -> None:
    """A client whose certificate nobody trusts gets no context; the same call with a trusted one works."""
    with our_service(pki, _save(cxf, "asym-dk", tmp_path)) as service:
        refused = cxf_client(wsdl=service.wsdl, cert="stranger")
        assert refused["ok"] is False
        assert service.contexts() == []
        assert cxf_client(wsdl=service.wsdl, cert="client2")["ok"]
        assert [context.principal for context in service.contexts()] == ["CN=client2,O=SecureConv Test"]


def test_both_clients_at_once(cxf: CxfServer, cxf_client: CxfClient, pki: Path, tmp_path: Path) -> None:
    """Our client and CXF's are served by one service, each on a context of its own."""
    with our_service(pki, _save(cxf, "asym-dk", tmp_path)) as service, our_client(pki) as sc:
        ours = sc.client(service.wsdl).service
        assert ours.echo("ours") == "ours"
        assert cxf_client(wsdl=service.wsdl, calls=5)["ok"]
        assert ours.whoami() == CLIENT
        assert len(service.contexts()) == 2
