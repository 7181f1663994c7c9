"""The real stacks that the tests talk to; see README.md beside this file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.peers.peer import CXF, PeerClients, PeerServer, Stack

_HERE = Path(__file__).parent
_SWITCH = "ZEEP_SECURECONV_PEERS"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests below this folder, for ``-m "not peer"``."""
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker("peer")


@pytest.fixture(scope="session")
def built(request: pytest.FixtureRequest) -> Callable[[Stack], Stack]:
    """Builds a stack if its sources changed; without a JDK skips, or fails where peers are required."""
    switch = os.environ.get(_SWITCH) or "auto"
    if switch not in {"auto", "required", "off"}:
        pytest.fail(f"{_SWITCH} is {switch!r}, not one of auto, required, off", pytrace=False)

    def build(stack: Stack) -> Stack:
        lack = f"switched off by {_SWITCH}" if switch == "off" else stack.missing()
        if lack and switch == "required":
            pytest.fail(f"the peers are required: {lack}", pytrace=False)
        if lack:
            pytest.skip(lack)
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            return stack.build(announce=print)

    return build


@pytest.fixture(scope="session")
def cxf_server(built: Callable[[Stack], Stack], pki: Path) -> Iterator[Callable[..., PeerServer]]:
    """Starts a CXF server with further options, for example ``cxf_server("--policies", folder)``.

    A JVM is heavy: tests that want the same options share a server through a fixture of their own, which
    stops it (it is a context manager). What is left over is stopped at the end of the session.
    """
    with ExitStack() as running:

        def start(*arguments: str | Path) -> PeerServer:
            return running.enter_context(PeerServer(built(CXF), pki, *arguments))

        yield start


@pytest.fixture(scope="session")
def cxf(cxf_server: Callable[..., PeerServer]) -> PeerServer:
    """The CXF server of the session, with all its built-in variants."""
    return cxf_server()


@pytest.fixture(scope="session")
def client_of(built: Callable[[Stack], Stack], pki: Path) -> Iterator[Callable[[Stack], PeerClients]]:
    """The client of a stack: ``client_of(METRO)(wsdl=…, calls=10)["ok"]``; one JVM runs at a time."""
    all_of_them: dict[Stack, PeerClients] = {}

    def get(stack: Stack) -> PeerClients:
        for other in all_of_them.keys() - {stack}:
            all_of_them[other].stop()
        if stack not in all_of_them:
            all_of_them[stack] = PeerClients(built(stack), pki)
        return all_of_them[stack]

    yield get
    for clients in all_of_them.values():
        clients.stop()


@pytest.fixture(scope="session")
def cxf_client(client_of: Callable[[Stack], PeerClients]) -> PeerClients:
    """CXF's client against a service: ``cxf_client(wsdl=…, calls=10)["ok"]``."""
    return client_of(CXF)
