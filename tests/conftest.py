"""What the tests of every folder share."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.redis_server import RedisServer

# The same examples in every run: what a change broke is told from what chance found.
settings.register_profile("fixed", derandomize=True)
settings.register_profile("chance", derandomize=False)
settings.load_profile("fixed")

_MAKE_PKI = Path(__file__).parent / "peers" / "pki" / "make_pki.py"


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a CA and what it issued, made once per session.

    Holds ca.pem, trust.p12 for Java, and NAME.pem, NAME.key, NAME.p12 (password "changeit"), NAME-chain.pem
    for server, client, client2, expired and stranger (which nobody trusts).
    """
    folder = tmp_path_factory.mktemp("pki")
    subprocess.run([sys.executable, _MAKE_PKI, folder], check=True, timeout=120)
    return folder


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis server of the session; whoever uses it takes a prefix of its own."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()
