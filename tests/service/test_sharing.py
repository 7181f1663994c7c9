"""Processes that share one context of our own service through a store."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.peers.our_side import OurService, our_service
from tests.redis_server import RedisServer
from tests.service.line import POLICY
from zeep_secureconv.service.contract import demonstration_wsdl

_ROOT = Path(__file__).parents[2]
_TOO_LONG = 120.0
_PAUSE = 0.05


@pytest.fixture(params=["redis", "file"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the contexts are."""
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        return f"{server.url}#{uuid4()}:"
    return str(tmp_path / "contexts")


@pytest.fixture(params=[timedelta(hours=1), timedelta(seconds=3)], ids=["an hour", "three seconds"])
def lifetime(request: pytest.FixtureRequest) -> timedelta:
    """How long contexts live."""
    assert isinstance(request.param, timedelta)
    return request.param


@pytest.fixture
def service(pki: Path, tmp_path: Path, lifetime: timedelta) -> Iterator[OurService]:
    """A service with the shipped policy."""
    wsdl = tmp_path / "service.wsdl"
    wsdl.write_bytes(demonstration_wsdl(POLICY, address="http://localhost/peer"))
    with our_service(pki, wsdl, lifetime=lifetime) as service:
        yield service


def test_two_processes_share_a_context(
    service: OurService, pki: Path, place: str, lifetime: timedelta
) -> None:
    """Two processes that begin at once ask once, renew once each time, and every call of both is executed once."""
    renewals = 3 if lifetime < timedelta(minutes=1) else 0
    command = [sys.executable, "-m", "tests.service.sharing", str(pki), service.wsdl, place]
    reports: list[dict[str, Any]] = []
    with ExitStack() as stack:
        users = [
            stack.enter_context(
                subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for _ in range(2)
        ]
        for user in users:
            stack.callback(user.kill)
        end = time.monotonic() + _TOO_LONG
        while service.counted()["Renew"] < renewals or service.app.calls < 40:
            assert time.monotonic() < end
            assert [user.poll() for user in users] == [None, None]
            time.sleep(_PAUSE)
        for user in users:
            said, _ = user.communicate("\n", _TOO_LONG)
            reports.append(json.loads(said))
    counted = service.counted()
    total = sum((Counter(report) for report in reports if report.pop("context")), Counter[str]())
    assert all(report["calls"] for report in reports)
    assert counted["Issue"] == total["issued"] == 1
    assert counted["Renew"] == total["renewed"] >= renewals
    assert service.app.calls == total["calls"] == total["verified"]
    # a call may meet the moment at which the other process renews its key; nothing is lost by that
    assert counted["refused"] == total["recovered"]
    assert total["lost"] == total["refused"] == counted["Cancel"] == 0
    assert renewals or not total["recovered"]
