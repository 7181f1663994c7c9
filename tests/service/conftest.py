"""A line between our client and our service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.line import Line, opened
from zeep_secureconv.service.server import HttpServer


@pytest.fixture
def tls() -> bool:
    """Whether the line is over TLS; tests with faults say it themselves."""
    return False


@pytest.fixture(scope="module")
def server() -> Iterator[HttpServer]:
    """A server that every test gives a service of its own."""
    with HttpServer() as running:
        yield running


@pytest.fixture
def line(server: HttpServer, tmp_path: Path, tls: bool, request: pytest.FixtureRequest) -> Iterator[Line]:
    """A line without faults yet; contexts live for an hour."""
    with opened(server, tmp_path, request.getfixturevalue("pki") if tls else None) as line:
        yield line
