"""The command line, in processes of its own, with CXF on the other side."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.peers.our_side import CLIENT, PASSWORD
from tests.peers.peer import PeerClients, PeerServer
from tests.redis_server import RedisServer

#: Far more than any of this takes: ends a test that would hang.
_TOO_LONG = 120
_COMMAND = (sys.executable, "-m", "zeep_secureconv")
_ENVIRONMENT = {**os.environ, "ZEEP_SECURECONV_IDENTITY_PASSWORD": PASSWORD}


def _call(pki: Path, *arguments: str) -> dict[str, Any]:
    """The JSON object that ``call --json`` prints."""
    credentials: list[str | Path] = [
        "--identity",
        pki / "client.p12",
        "--trust",
        pki / "ca.pem",
        "--peer",
        pki / "server.pem",
    ]
    done = subprocess.run(
        [*_COMMAND, "call", *arguments, *credentials, "--json"],
        env=_ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=_TOO_LONG,
        check=False,
    )
    assert done.stdout, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if report["ok"] else 1), done.stderr
    return report


@contextmanager
def _serve(pki: Path, policy: Path) -> Iterator[dict[str, Any]]:
    """The ready line of ``serve --json`` while it runs."""
    credentials: list[str | Path] = ["--identity", pki / "server.p12", "--trust", pki / "ca.pem"]
    with subprocess.Popen(
        [*_COMMAND, "serve", "--policy", policy, *credentials, "--parent", "--json"],
        env=_ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
            process.communicate(timeout=_TOO_LONG)
            assert process.returncode == 0
        finally:
            process.kill()


def test_call(cxf: PeerServer, pki: Path) -> None:
    """``call`` speaks with CXF's server, and the server counts one context issued and cancelled."""
    before = cxf.stats()
    report = _call(pki, cxf.wsdl("asym-dk"), "echo", "text=hello")
    after = cxf.stats()
    assert report["ok"], report
    assert report["result"] == "hello"
    assert report["error"] is None
    assert report["cancelled"] is True
    assert after["issued"] - before["issued"] == 1
    assert after["cancelled"] - before["cancelled"] == 1


def test_call_with_many_values(cxf: PeerServer, pki: Path) -> None:
    """Repeated names make a list, and --repeat makes calls on one context."""
    before = cxf.stats()["issued"]
    report = _call(
        pki, cxf.wsdl("asym-dk-soap12"), "sum", "values=1", "values=2", "values=39", "--repeat", "5"
    )
    assert report["ok"], report
    assert (report["result"], report["calls"]) == (42, 5)
    assert cxf.stats()["issued"] - before == 1


def test_call_reports_a_declared_fault(cxf: PeerServer, pki: Path) -> None:
    """A declared fault is a failure with its text, and the context is cancelled all the same."""
    before = cxf.stats()["cancelled"]
    report = _call(pki, cxf.wsdl("asym-dk"), "fail", "code=E42")
    assert not report["ok"]
    assert "failed with E42" in report["error"]["message"]
    assert cxf.stats()["cancelled"] - before == 1


@pytest.mark.parametrize("name", ["asym-dk", "asym-dk-soap12"])
def test_serve(cxf: PeerServer, cxf_client: PeerClients, pki: Path, tmp_path: Path, name: str) -> None:
    """CXF's client and our own speak with ``serve`` under the WSDL saved from CXF's server."""
    policy = tmp_path / "saved.wsdl"
    policy.write_text(cxf.wsdl_text(name), encoding="utf-8")
    with _serve(pki, policy) as ready:
        report = cxf_client(wsdl=ready["wsdl"], calls=10)
        assert report["ok"], report
        report = _call(pki, ready["wsdl"], "whoami")
        assert report["ok"], report
        assert report["result"] == CLIENT


def test_processes_share_a_context_through_redis(
    cxf: PeerServer, pki: Path, redis_server: RedisServer, tmp_path: Path
) -> None:
    """Two processes that begin at once ask CXF for one context, and a third one ends it for all."""
    key = tmp_path / "store.key"
    key.write_bytes(os.urandom(32))
    shared = ("--store", redis_server.url, "--store-key", str(key))
    echo = (cxf.wsdl("asym-dk-basic256"), "echo", "text=hello", *shared)
    before = cxf.stats()
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda _: _call(pki, *echo, "--repeat", "20"), range(2)))
    assert [report["ok"] for report in reports] == [True, True]
    assert reports[0]["context"] == reports[1]["context"]
    assert sorted(len(report["events"]) for report in reports) == [0, 1]
    last = _call(pki, *echo, "--cancel")
    assert (last["events"], last["cancelled"]) == (["cancelled"], True)
    after = cxf.stats()
    assert {name: after[name] - before[name] for name in ("issued", "cancelled", "calls", "faults")} == {
        "issued": 1,
        "cancelled": 1,
        "calls": 41,
        "faults": 0,
    }
