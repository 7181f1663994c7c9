"""The life of contexts between our client and our service, with everything that networks do to it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.resources import files
from itertools import product
from pathlib import Path
from threading import Barrier, Lock
from typing import Any
from urllib.parse import urlsplit

import pytest
import zeep

from tests.service.faulty import UNSEEN, Fault, FaultyProxy, Spoiler, Step
from tests.unit.parties import Time, identity, trust
from zeep_secureconv import Event, FileStore, SecureConversation, SecureConversationError, TransportError
from zeep_secureconv.service.contract import demonstration_wsdl
from zeep_secureconv.service.demonstration import DemonstrationService
from zeep_secureconv.service.middleware import SecureConversationMiddleware
from zeep_secureconv.service.server import HttpServer

_POLICY = files("zeep_secureconv.service").joinpath("demonstration-policy.xml").read_bytes()
_HOUR = timedelta(hours=1)
#: What the client waits for an answer, and where one comes too late. How long the proxy holds one back that comes in
#: time, and one that does not. In seconds.
_PATIENCE, _IMPATIENCE, _LATE, _TOO_LATE = 60.0, 1.5, 0.05, 2.5
#: With these the answer arrives.
_HARMLESS = frozenset({Fault.DELAY, Fault.DOUBLED})


@dataclass
class Line:
    """A service, a proxy in front of it, and what the client was told."""

    app: DemonstrationService
    proxy: FaultyProxy
    wsdl: Path
    time: Time
    kinds: Counter[str] = field(default_factory=Counter)
    _lock: Lock = field(default_factory=Lock)

    def conversation(self, **options: Any) -> SecureConversation:
        """The client's side."""
        usual: dict[str, Any] = {
            "identity": identity("client"),
            "trust": trust(),
            "peer": identity("server").certificate,
            "clock": self.time.clock,
            "on_event": self._note,
        }
        return SecureConversation(**(usual | options))

    def service(self, sc: SecureConversation, *, patience: float = _PATIENCE) -> Any:
        """The operations of the service, as zeep has them."""
        transport = sc.transport(timeout=patience, operation_timeout=patience)
        client: zeep.Client = sc.client(str(self.wsdl), transport=transport)
        return client.service

    def spoil(self, step: Step, fault: Fault) -> None:
        """Spoil the next exchange of a kind."""
        late = {Fault.DELAY: _LATE, Fault.TOO_LATE: _TOO_LATE}.get(fault, 0.0)
        self.proxy.spoiler = Spoiler(step, fault, late)

    def _note(self, event: Event) -> None:
        with self._lock:
            self.kinds[event.kind] += 1


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    """A line without faults yet; contexts live for an hour."""
    time, app = Time(), DemonstrationService()
    with HttpServer() as server:
        address = urlsplit(server.url)
        assert address.hostname is not None
        assert address.port is not None
        with FaultyProxy((address.hostname, address.port)) as proxy:
            wsdl = tmp_path / "service.wsdl"
            wsdl.write_bytes(demonstration_wsdl(_POLICY, address=f"{proxy.url}/peer"))
            server.app = SecureConversationMiddleware(
                app,
                policy=wsdl,
                identity=identity("server"),
                trust=trust(),
                lifetime=_HOUR,
                clock=time.clock,
            )
            yield Line(app, proxy, wsdl, time)


@pytest.fixture(params=["memory", "file"])
def options(request: pytest.FixtureRequest, tmp_path: Path, line: Line) -> dict[str, Any]:
    """Where the client keeps its contexts."""
    if request.param == "memory":
        return {}
    return {"store": FileStore(tmp_path / "contexts", key=bytes(32), clock=line.time.clock)}


def _patience(fault: Fault) -> float:
    return _IMPATIENCE if fault is Fault.TOO_LATE else _PATIENCE


def try_to(call: Any, text: str) -> SecureConversationError | None:
    """Call echo; the error, if there is one. Nothing but a right answer or an error of ours is allowed."""
    try:
        assert call(text) == text
    except SecureConversationError as error:
        return error
    return None


def goes_on(line: Line, sc: SecureConversation, echo: Any, options: dict[str, Any]) -> None:
    """Whatever happened, the next call works, is executed once, and one context is in the store."""
    line.proxy.spoiler = None
    before = line.app.calls
    assert echo("next") == "next"
    assert line.app.calls == before + 1
    (held,) = sc.contexts()
    if "store" in options:
        again = line.conversation(**options)
        assert line.service(again).echo("another client") == "another client"
        assert [context.identifier for context in again.contexts()] == [held.identifier]


# ----------------------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize("fault", Fault)
def test_a_fault_while_a_context_is_asked_for(line: Line, options: dict[str, Any], fault: Fault) -> None:
    """The call fails with one error of ours and is not executed, or it works; the next one works."""
    sc = line.conversation(**options)
    echo = line.service(sc, patience=_patience(fault)).echo
    line.spoil(Step.ISSUE, fault)
    error = try_to(echo, "first")
    assert line.proxy.spoiled == 1
    assert (error is None) == (fault in _HARMLESS)
    assert line.app.calls == (error is None)
    assert len(sc.contexts()) == (error is None)
    goes_on(line, sc, echo, options)


@pytest.mark.parametrize(
    ("fault", "recover"),
    [
        (fault, recover)
        for fault, recover in product(Fault, ["auto", "always", "never"])
        # recover="always" is for networks that double nothing
        if (fault, recover) != (Fault.DOUBLED_LAST, "always")
    ],
)
def test_a_fault_in_a_call(line: Line, fault: Fault, recover: str) -> None:
    """The call fails with one error of ours, or works; it is never executed twice, and the next one works."""
    sc = line.conversation(recover=recover)
    echo = line.service(sc, patience=_patience(fault)).echo
    assert echo("first") == "first"
    line.spoil(Step.CALL, fault)
    error = try_to(echo, "second")
    assert line.proxy.spoiled == 1
    assert (error is None) == (fault in _HARMLESS)
    assert line.app.calls == (1 if fault in UNSEEN else 2)
    assert line.proxy.steps == [Step.ISSUE, Step.CALL, Step.CALL]
    goes_on(line, sc, echo, {})


@pytest.mark.parametrize("fault", Fault)
def test_a_fault_in_a_renewal_before_a_call(line: Line, options: dict[str, Any], fault: Fault) -> None:
    """The call works all the same, once: where the renewal fails there is a new context."""
    sc = line.conversation(**options)
    echo = line.service(sc, patience=_patience(fault)).echo
    assert echo("first") == "first"
    line.time.forward(_HOUR - timedelta(minutes=1))
    line.spoil(Step.RENEW, fault)
    assert echo("second") == "second"
    assert line.proxy.spoiled == 1
    assert line.app.calls == 2
    goes_on(line, sc, echo, options)


@pytest.mark.parametrize("fault", Fault)
def test_a_fault_in_a_renewal_on_request(line: Line, options: dict[str, Any], fault: Fault) -> None:
    """renew() fails with one error of ours or works, and the next call works, whatever the service knows now."""
    sc = line.conversation(**options)
    echo = line.service(sc, patience=_patience(fault)).echo
    assert echo("first") == "first"
    (first,) = sc.contexts()
    line.spoil(Step.RENEW, fault)
    if fault in _HARMLESS | {Fault.DOUBLED_LAST}:
        # the second answer refuses a request that was seen before; it is asked in another form then
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


@pytest.mark.parametrize("fault", Fault)
def test_a_fault_in_a_cancel(line: Line, options: dict[str, Any], fault: Fault) -> None:
    """cancel() says whether the service confirmed, never raises, and the context is given up."""
    sc = line.conversation(**options)
    echo = line.service(sc, patience=_patience(fault)).echo
    assert echo("first") == "first"
    line.spoil(Step.CANCEL, fault)
    assert sc.cancel() == (fault in _HARMLESS)
    assert line.proxy.spoiled == 1
    assert sc.contexts() == []
    goes_on(line, sc, echo, options)


def test_a_call_without_an_answer_in_time_is_not_sent_again(line: Line) -> None:
    """A time-out proves nothing: even an operation that may be executed twice is not sent again."""
    sc = line.conversation(recover="always", idempotent=["echo"])
    echo = line.service(sc, patience=_IMPATIENCE).echo
    assert echo("first") == "first"
    line.spoil(Step.CALL, Fault.TOO_LATE)
    with pytest.raises(TransportError, match="in time"):
        echo("second")
    assert line.app.calls == 2
    assert line.proxy.steps == [Step.ISSUE, Step.CALL, Step.CALL]


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
            line.time.forward(_HOUR - timedelta(minutes=1))
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
