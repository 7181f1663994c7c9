"""A long conversation of one process with CXF's server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.peers.peer import PeerServer
from tests.peers.thousand_calls import CALLS

_ROOT = Path(__file__).parents[2]
_GROWTH = 5 * 1024 * 1024


@pytest.fixture(scope="module")
def conversation(cxf: PeerServer, pki: Path) -> dict[str, Any]:
    """What a new process reports after 1,000 calls, and what CXF counted meanwhile."""
    before = cxf.stats()
    done = subprocess.run(
        [sys.executable, "-m", "tests.peers.thousand_calls", cxf.wsdl("asym-dk"), str(pki)],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    after = cxf.stats()
    report: dict[str, Any] = json.loads(done.stdout)
    return {**report, "counted": {name: after[name] - before[name] for name in after}}


def test_one_context(conversation: dict[str, Any]) -> None:
    """CXF issued one context for 1,000 calls, and it was cancelled at the end."""
    assert conversation["contexts"] == 1
    counted = conversation["counted"]
    assert counted == {"issued": 1, "renewed": 0, "cancelled": 1, "calls": CALLS, "faults": 0}


def test_every_key_is_derived_anew(conversation: dict[str, Any]) -> None:
    """Each call has two DerivedKeyTokens, and no nonce is used twice."""
    assert conversation["derived_keys"] == 2 * CALLS
    assert conversation["nonces"] == 2 * CALLS


def test_memory_stays(conversation: dict[str, Any]) -> None:
    """800 further calls make the process grow by 5 MB at most."""
    warm, done = conversation["resident"]
    if warm is None:
        pytest.skip("this system has no /proc/self/statm to read the resident memory from")
    assert done - warm <= _GROWTH, f"{(done - warm) / 1024:.0f} KB"
