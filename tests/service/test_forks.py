"""Whole conversations across os.fork(): a child shares neither nonces nor locks nor connections with its parent."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from tests.peers.our_side import OurService, our_service
from tests.redis_server import RedisServer
from tests.service.faulty import Fault, FaultyProxy, Spoiler, Step
from tests.service.line import POLICY
from zeep_secureconv.service.contract import demonstration_wsdl

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

_ROOT = Path(__file__).parents[2]
_TOO_LONG = 120
_CALLS = 3


@pytest.fixture
def service(pki: Path, tmp_path: Path) -> Iterator[OurService]:
    """A service with the shipped policy."""
    wsdl = tmp_path / "service.wsdl"
    wsdl.write_bytes(demonstration_wsdl(POLICY, address="http://localhost/peer"))
    with our_service(pki, wsdl) as service:
        yield service


@pytest.fixture(params=["memory", "file", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the contexts of the client are."""
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        return f"{server.url}#{uuid4()}:"
    return "memory" if request.param == "memory" else str(tmp_path / "contexts")


def start(act: str, pki: Path, wsdl: str, place: str) -> subprocess.Popen[str]:
    """The program that forks. From Python 3.12 on it is warned for forking with threads; that is its business here."""
    return subprocess.Popen(
        [
            *(sys.executable, "-W", "error", "-W", "ignore:This process:DeprecationWarning"),
            *("-m", "tests.service.forking", act, str(pki), wsdl, place),
        ],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def told(process: subprocess.Popen[str]) -> list[str]:
    """What the program found, at its end."""
    with process:
        try:
            said, _ = process.communicate(timeout=_TOO_LONG)
        finally:
            process.kill()
    assert process.returncode == 0
    return said.splitlines()


@pytest.mark.parametrize("act", ["both_call", "both_call_through_zeep"])
def test_both_go_on(service: OurService, pki: Path, place: str, act: str) -> None:
    """In memory a child gets a context of its own, a store is shared; every call is executed once, none refused."""
    own = place == "memory"
    assert told(start(act, pki, service.wsdl, place)) == [
        f"child had {0 if own else 1} and has {'another one' if own else 'the same'}",
        "parent has the same",
    ]
    counted = service.counted()
    assert service.app.calls == 4 * _CALLS
    assert (counted["Issue"], counted["refused"]) == (2 if own else 1, 0)
    # what is shared is not cancelled by those who go
    assert (counted["Cancel"], len(service.contexts())) == ((2, 0) if own else (0, 1))


def test_a_child_waits_for_no_thread_of_its_parent(
    service: OurService, pki: Path, tmp_path: Path, place: str
) -> None:
    """Where a thread of the parent asks for a context the child asks too; with a store it takes what comes of that."""
    address, own = urlsplit(service.url), place == "memory"
    assert address.hostname is not None
    assert address.port is not None
    with FaultyProxy((address.hostname, address.port)) as proxy:
        wsdl, gate = tmp_path / "proxy.wsdl", Event()
        wsdl.write_bytes(demonstration_wsdl(POLICY, address=f"{proxy.url}/peer"))
        proxy.spoiler = Spoiler(Step.ISSUE, Fault.DELAY, gate=gate)
        process = start("while_another_asks", pki, str(wsdl), place)
        assert process.stdin is not None
        assert process.stdout is not None
        assert proxy.asked.wait(_TOO_LONG)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "asked\n"
        if not own:
            gate.set()
        assert process.stdout.readline() == "child has 1\n"
        gate.set()
        assert told(process) == ["parent has 1"]
    counted = service.counted()
    assert service.app.calls == 2 * _CALLS
    assert (counted["Issue"], counted["refused"]) == (2 if own else 1, 0)
