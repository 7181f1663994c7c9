"""The life of contexts between our client and our service, with everything that networks do to it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import product
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import pytest

from tests.service.faulty import UNSEEN, Fault, Spoiler, Step
from tests.service.line import (
    EVERYWHERE,
    HARMLESS,
    HOUR,
    IMPATIENCE,
    PATIENCE,
    REFUSED,
    Line,
    goes_on,
    named,
    opened,
    patience,
    try_to,
)
from zeep_secureconv import FileStore, SecureConversationError, TokenFault, TransportError
from zeep_secureconv.service.server import HttpServer


@pytest.fixture(params=["memory", "file"])
def options(request: pytest.FixtureRequest, tmp_path: Path, line: Line) -> dict[str, Any]:
    """Where the client keeps its contexts."""
    if request.param == "memory":
        return {}
    return {"store": FileStore(tmp_path / "contexts", key=bytes(32), clock=line.time.clock)}


# ----------------------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize(("fault", "tls"), EVERYWHERE, ids=named)
def test_a_fault_while_a_context_is_asked_for(line: Line, options: dict[str, Any], fault: Fault) -> None:
    """The call fails with one error of ours and is not executed, or it works; the next one works."""
    sc = line.conversation(**options)
    echo = line.service(sc, patience=patience(fault)).echo
    line.spoil(Step.ISSUE, fault)
    error = try_to(echo, "first")
    assert line.proxy.spoiled == 1
    assert (error is None) == (fault in HARMLESS)
    assert line.app.calls == (error is None)
    assert len(sc.contexts()) == (error is None)
    goes_on(line, sc, echo, options)


@pytest.mark.parametrize(
    ("fault", "tls", "recover"),
    [
        (fault, tls, recover)
        for (fault, tls), recover in product(EVERYWHERE, ["auto", "always", "never"])
        # recover="always" is for networks that forge and double nothing
        if not (fault in REFUSED and recover == "always")
    ],
    ids=named,
)
def test_a_fault_in_a_call(line: Line, fault: Fault, recover: str) -> None:
    """The call fails with one error of ours, or works; it is never executed twice, and the next one works."""
    sc = line.conversation(recover=recover)
    echo = line.service(sc, patience=patience(fault)).echo
    assert echo("first") == "first"
    line.spoil(Step.CALL, fault)
    error = try_to(echo, "second")
    assert line.proxy.spoiled == 1
    assert (error is None) == (fault in HARMLESS)
    assert line.app.calls == (1 if fault in UNSEEN else 2)
    assert line.proxy.steps == [Step.ISSUE, Step.CALL, Step.CALL]
    goes_on(line, sc, echo, {})


@pytest.mark.parametrize(("fault", "tls"), EVERYWHERE, ids=named)
def test_a_fault_in_a_renewal_before_a_call(line: Line, options: dict[str, Any], fault: Fault) -> None:
    """The call works all the same, once: where the renewal fails there is a new context."""
    sc = line.conversation(**options)
    echo = line.service(sc, patience=patience(fault)).echo
    assert echo("first") == "first"
    line.time.forward(HOUR - timedelta(minutes=1))
    line.spoil(Step.RENEW, fault)
    assert echo("second") == "second"
    assert line.proxy.spoiled == 1
    assert line.app.calls == 2
    goes_on(line, sc, echo, options)


@pytest.mark.parametrize(("fault", "tls"), EVERYWHERE, ids=named)
def test_a_fault_in_a_renewal_on_request(line: Line, options: dict[str, Any], fault: Fault) -> None:
    """renew() fails with one error of ours or works, and the next call works, whatever the service knows now."""
    sc = line.conversation(**options)
    echo = line.service(sc, patience=patience(fault)).echo
    assert echo("first") == "first"
    (first,) = sc.contexts()
    line.spoil(Step.RENEW, fault)
    if fault in HARMLESS | REFUSED:
        # what is refused in one form is asked in another
        renewed = sc.renew()
        assert renewed.identifier == first.identifier
        assert renewed.instance is not None
    else:
        with pytest.raises(SecureConversationError) as caught:
            sc.renew()
        assert caught.value.hint
    assert line.proxy.spoiled == 1
    assert line.app.calls == 1
    goes_on(line, sc, echo, options)


@pytest.mark.parametrize(("fault", "tls"), EVERYWHERE, ids=named)
def test_a_fault_in_a_cancel(line: Line, options: dict[str, Any], fault: Fault) -> None:
    """cancel() says whether the service confirmed, never raises, and the context is given up."""
    sc = line.conversation(**options)
    echo = line.service(sc, patience=patience(fault)).echo
    assert echo("first") == "first"
    line.spoil(Step.CANCEL, fault)
    assert sc.cancel() == (fault in HARMLESS)
    assert line.proxy.spoiled == 1
    assert sc.contexts() == []
    goes_on(line, sc, echo, options)


def test_a_call_without_an_answer_in_time_is_not_sent_again(line: Line) -> None:
    """A time-out proves nothing: even an operation that may be executed twice is not sent again."""
    sc = line.conversation(recover="always", idempotent=["echo"])
    echo = line.service(sc, patience=IMPATIENCE).echo
    assert echo("first") == "first"
    line.spoil(Step.CALL, Fault.TOO_LATE)
    with pytest.raises(TransportError, match="in time"):
        echo("second")
    assert line.app.calls == 2
    assert line.proxy.steps == [Step.ISSUE, Step.CALL, Step.CALL]


# --------------------------------------------------------------------------------------------------- recovery


@pytest.mark.parametrize("tls", [True], ids=named)
@pytest.mark.parametrize("verified", [True, False], ids=["verified", "not verified"])
@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_a_restart_behind_tls(line: Line, verified: bool) -> None:
    """The service's BadContextToken is proven by verified TLS alone: the call is sent again then, and executed once."""
    sc = line.conversation()
    echo = line.service(sc, verified=verified).echo
    assert echo("first") == "first"
    line.start()
    error = try_to(echo, "second")
    assert (error is None) == verified
    assert line.app.calls == 1 + verified
    assert line.kinds == Counter(issued=1 + verified, lost=1, verified=1 + verified, recovered=int(verified))
    goes_on(line, sc, echo, {})


@pytest.mark.parametrize("tls", [True], ids=named)
def test_a_forgery_behind_verified_tls(line: Line) -> None:
    """Who sits behind TLS is the service; whatever else it says, a sign without a proof doubles nothing."""
    sc = line.conversation()
    echo = line.service(sc).echo
    assert echo("first") == "first"
    line.spoil(Step.CALL, Fault.FORGED_ERROR)
    error = try_to(echo, "second")
    assert isinstance(error, TokenFault)
    assert line.app.calls == 2
    goes_on(line, sc, echo, {})


# ---------------------------------------------------------------------------------------------------- threads


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("switching")
def test_sixty_four_threads(line: Line) -> None:
    """64 threads that begin at once, and go on through a renewal: one RST, one Renew, every call once and right."""
    threads, sc = 64, line.conversation()
    echo, barrier = line.service(sc, patience=60).echo, Barrier(64, timeout=60)

    def call(number: int) -> str:
        barrier.wait()
        return str(echo(f"thread {number}"))

    with ThreadPoolExecutor(threads) as pool:
        for _ in range(2):
            assert list(pool.map(call, range(threads))) == [f"thread {number}" for number in range(threads)]
            line.time.forward(HOUR - timedelta(minutes=1))
    assert line.app.calls == 2 * threads
    assert Counter(line.proxy.steps) == {Step.ISSUE: 1, Step.RENEW: 1, Step.CALL: 2 * threads}
    assert line.kinds == {"issued": 1, "renewed": 1, "verified": 2 * threads}


@pytest.mark.usefixtures("switching")
def test_threads_renew_and_call_at_once(line: Line) -> None:
    """While one thread renews again and again the calls of the others work, each executed once."""
    threads, turns, sc = 16, 8, line.conversation()
    echo = line.service(sc, patience=60).echo
    assert echo("first") == "first"

    def call(number: int) -> None:
        for turn in range(turns):
            if number == 0:
                sc.renew()
            assert echo(f"{number} {turn}") == f"{number} {turn}"

    with ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(call, number) for number in range(threads)]:
            future.result()
    assert line.app.calls == 1 + threads * turns
    assert line.kinds["renewed"] == turns
    assert line.kinds["issued"] == 1
    assert not line.kinds["refused"]


def test_endpoints_do_not_wait_for_each_other(line: Line, tmp_path: Path) -> None:
    """While one service lets the client wait for a context, another one is called, by the same object."""
    folder, sc, gate = tmp_path / "other", line.conversation(), Event()
    folder.mkdir()
    with HttpServer() as server, opened(server, folder) as other, ThreadPoolExecutor(1) as pool:
        line.proxy.spoiler = Spoiler(Step.ISSUE, Fault.DELAY, gate=gate)
        waiting = pool.submit(line.service(sc).echo, "one")
        try:
            assert line.proxy.asked.wait(PATIENCE)
            assert other.service(sc).echo("two") == "two"
            assert not waiting.done()
        finally:
            gate.set()
        assert waiting.result() == "one"
        assert len(sc.contexts()) == 2
        assert sc.cancel() == 2
