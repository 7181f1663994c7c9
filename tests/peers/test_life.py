"""The life of our client's contexts at the servers of other stacks: renewed, lost, given back."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.peers.our_side import our_client
from tests.peers.peer import CXF, METRO, RAMPART, PeerServer, Stack
from zeep_secureconv import Event, SecurityContext, TokenFault, UnsecuredFault
from zeep_secureconv.clock import SYSTEM_CLOCK, Clock

_LIFETIME = "3000"
_THREADS = 8
#: A call of one thread takes a few hundredths of a second when eight of them share two cores with a JVM.
_CALLS_EACH = 150
_MOST_TURNS = 20


class _Told:
    """Counts events; give it as ``on_event=``."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            self.kinds[event.kind] += 1


@pytest.fixture
def start(built: Callable[[Stack], Stack], pki: Path) -> Iterator[Callable[..., PeerServer]]:
    """Starts a server of a stack, one at a time; it ends with the test."""
    running: list[PeerServer] = []

    def begin(stack: Stack, *arguments: str) -> PeerServer:
        for server in running:
            server.stop()
        running[:] = [PeerServer(built(stack), pki, *arguments)]
        return running[0]

    yield begin
    for server in running:
        server.stop()


def _in_threads(work: Callable[[int], None]) -> None:
    with ThreadPoolExecutor(_THREADS) as pool:
        for future in [pool.submit(work, number) for number in range(_THREADS)]:
            future.result()


def _differences(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {
        name: after[name] - before[name] for name in ("issued", "renewed", "cancelled", "calls", "faults")
    }


# -------------------------------------------------------------------------------------------------------- CXF


def test_cxf_short_lifetimes_under_load(start: Callable[..., PeerServer], pki: Path) -> None:
    """Eight threads call through several renewals of contexts that live three seconds, and no call fails."""
    server, told = start(CXF, "--lifetime-ms", _LIFETIME), _Told()
    with our_client(pki, on_event=told) as sc:
        echo = sc.client(server.wsdl("asym-dk")).service.echo

        def call(number: int) -> None:
            for turn in range(_CALLS_EACH):
                text = f"thread {number} call {turn}"
                assert echo(text) == text

        for _ in range(_MOST_TURNS):
            _in_threads(call)
            if told.kinds["renewed"] >= 3:
                break
    counted, kinds = server.stats(), told.kinds
    assert kinds["renewed"] >= 3
    assert (counted["renewed"], counted["issued"]) == (kinds["renewed"], kinds["issued"])
    assert counted["calls"] == kinds["verified"]
    assert counted["calls"] % (_THREADS * _CALLS_EACH) == 0
    assert counted["faults"] == 0


@pytest.mark.parametrize(
    "variant",
    ["asym-dk", "asym-nodk", "draft-asym-dk", "symx509-endorsing-dk", "asym-dk-soap12", "asym-dk-ebs"],
)
def test_cxf_renews_three_times(cxf: PeerServer, pki: Path, variant: str) -> None:
    """Each renewal has the context's own signature, a new Instance, and a call under it; Cancel still works."""
    before = cxf.stats()
    with our_client(pki) as sc:
        _renew_three_times(sc, sc.client(cxf.wsdl(variant)).service)
    assert _differences(before, cxf.stats()) == {
        "issued": 1,
        "renewed": 3,
        "cancelled": 1,
        "calls": 4,
        "faults": 0,
    }


def _renew_three_times(sc: Any, service: Any) -> list[SecurityContext]:
    assert service.echo("first") == "first"
    seen = sc.contexts()
    for number in range(3):
        renewed = sc.renew()
        assert renewed.identifier == seen[0].identifier
        assert renewed.instance not in {context.instance for context in seen}
        assert renewed.key.secret != seen[-1].key.secret
        seen.append(renewed)
        assert service.echo(f"after renewal {number}") == f"after renewal {number}"
        assert sc.contexts() == [renewed]
    return [context for context in seen if isinstance(context, SecurityContext)]


def test_cxf_forgets_under_load(start: Callable[..., PeerServer], pki: Path) -> None:
    """With recover="always" calls go on while CXF loses its contexts, and it executes each once.

    A call fails only where CXF lost the context between executing it and securing the answer; it is not sent again.
    """
    server, told, losses = start(CXF), _Told(), 3
    with our_client(pki, recover="always", on_event=told) as sc:
        echo = sc.client(server.wsdl("asym-dk")).service.echo
        made, unanswered = [0] * _THREADS, [0] * _THREADS

        def call(number: int) -> None:
            while not done.is_set():
                text = f"thread {number} call {made[number]}"
                try:
                    assert echo(text) == text
                    made[number] += 1
                except UnsecuredFault as fault:
                    if fault.message != "No signature token id":
                        raise
                    unanswered[number] += 1
                progress.set()

        def forget() -> None:
            try:
                for _ in range(_MOST_TURNS):
                    # every thread has got over the last time: a call is sent again once, not twice
                    goals = [count + 2 for count in made]
                    while any(count < goal for count, goal in zip(made, goals, strict=True)):
                        assert progress.wait(60), "the calls stand still"
                        progress.clear()
                    if told.kinds["lost"] >= losses:
                        return
                    server.forget()
            finally:
                done.set()

        done, progress = threading.Event(), threading.Event()
        with ThreadPoolExecutor(_THREADS + 1) as pool:
            futures = [pool.submit(call, number) for number in range(_THREADS)]
            for future in [pool.submit(forget), *futures]:
                future.result()
    assert server.stats()["calls"] == sum(made) + sum(unanswered)
    assert told.kinds["verified"] == sum(made)
    # CXF may remember a context again by a request that was on its way: then it is not lost that time
    assert told.kinds["lost"] >= losses
    assert told.kinds["recovered"] >= 1
    assert server.stats()["issued"] == told.kinds["issued"] == told.kinds["lost"] + 1


def test_cxf_restarts_between_two_calls(start: Callable[..., PeerServer], pki: Path) -> None:
    """With recover="always" the call after a restart works, and was executed once; with "auto" the one after it."""
    server = start(CXF)
    wsdl, port = server.wsdl("asym-dk"), server.url("asym-dk").rpartition(":")[2].partition("/")[0]
    with our_client(pki, recover="always") as always, our_client(pki) as auto:
        steady, careful = (sc.client(wsdl).service.echo for sc in (always, auto))
        assert [steady("one"), careful("one")] == ["one", "one"]
        assert server.stats()["calls"] == 2
        server = start(CXF, "--port", port)
        assert server.wsdl("asym-dk") == wsdl
        assert steady("two") == "two"
        assert server.stats()["calls"] == 1
        with pytest.raises(TokenFault) as caught:
            careful("two")
        assert caught.value.hint
        assert server.stats()["calls"] == 1
        assert careful("three") == "three"
        assert server.stats()["calls"] == 2


# ------------------------------------------------------------------------------------------------------ Metro


@pytest.mark.parametrize("variant", ["asym-dk", "asym-nodk", "draft-asym-dk", "soap12"])
def test_metro_renews_three_times(metro: PeerServer, pki: Path, variant: str) -> None:
    """Three renewals in a row, with a call after each, and Cancel; the first key endorses all of them."""
    before = metro.stats()
    with our_client(pki) as sc:
        seen = _renew_three_times(sc, sc.client(metro.wsdl(variant)).service)
        assert [context.first for context in seen] == [None, *[seen[0].key] * 3]
    counted = _differences(before, metro.stats())
    # the second renewal is tried under the current key first, which Metro refuses
    assert counted == {"issued": 1, "renewed": 3, "cancelled": 1, "calls": 4, "faults": 1}


@pytest.fixture(scope="module")
def metro(built: Callable[[Stack], Stack], pki: Path) -> Iterator[PeerServer]:
    """The Metro server of these tests."""
    with PeerServer(built(METRO), pki) as server:
        yield server


# ---------------------------------------------------------------------------------------------------- Rampart


def test_rampart_gives_a_new_context_instead(start: Callable[..., PeerServer], pki: Path) -> None:
    """Rampart renews nothing: a context that ends is followed by another one, and no call fails."""
    server, told, skips = start(RAMPART), _Told(), [0.0]
    clock = Clock(now=SYSTEM_CLOCK.now, monotonic=lambda: SYSTEM_CLOCK.monotonic() + skips[0])
    with our_client(pki, on_event=told, clock=clock) as sc:
        echo = sc.client(server.wsdl("asym-dk")).service.echo
        assert echo("one") == "one"
        (first,) = sc.contexts()
        with pytest.raises(UnsecuredFault):
            sc.renew(first)
        assert echo("two") == "two"
        assert sc.contexts() == [first]
        # Rampart's contexts live for five minutes: more than half of that is over
        skips[0] = timedelta(minutes=3).total_seconds()
        assert echo("three") == "three"
        (second,) = sc.contexts()
        assert second.identifier != first.identifier
    counted = server.stats()
    assert (counted["issued"], counted["renewed"], counted["calls"]) == (2, 0, 3)
    assert (told.kinds["issued"], told.kinds["renewed"]) == (2, 0)
