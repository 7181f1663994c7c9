"""One at a time: flights, leases, and how often a forged fault is obeyed."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.conversation.pair import Pair
from tests.unit.parties import Time
from zeep_secureconv import SecurityContext, TokenFault
from zeep_secureconv.client.flights import Allowance, Leases, SingleFlight
from zeep_secureconv.clock import Clock

WAIT = 30.0


@pytest.fixture(scope="module")
def context() -> SecurityContext:
    """Some context."""
    return Pair().issue()


class Work:
    """A piece of work that begins and ends when the test says so.

    Args:
        result: what it gives, or raises.
    """

    def __init__(self, result: SecurityContext | BaseException) -> None:
        self.result = result
        self.times = 0
        self.begun = threading.Event()
        self.may_end = threading.Event()

    def __call__(self) -> SecurityContext:
        """Do it."""
        self.times += 1
        self.begun.set()
        assert self.may_end.wait(WAIT)
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


def begin(
    pool: ThreadPoolExecutor, flight: SingleFlight, work: Work, waiters: int
) -> list[Future[SecurityContext]]:
    """A thread that leads the flight, and others that join it."""
    first = pool.submit(flight.run, work)
    assert work.begun.wait(WAIT)
    joined = threading.Semaphore(0)

    def join() -> SecurityContext:
        joined.release()
        return flight.run(work)

    futures = [first, *(pool.submit(join) for _ in range(waiters))]
    for _ in range(waiters):
        assert joined.acquire(timeout=WAIT)
    return futures


# ---------------------------------------------------------------------------------------------------- flights


def test_one_does_the_work_and_all_have_the_result(context: SecurityContext) -> None:
    """Sixteen threads that ask while the work is done get its one result; the next asks anew."""
    flight, work = SingleFlight(), Work(context)
    with ThreadPoolExecutor(16) as pool:
        futures = begin(pool, flight, work, 15)
        threading.Timer(0.05, work.may_end.set).start()
        assert all(future.result(WAIT) is context for future in futures)
    done = work.times
    assert flight.run(work) is context
    assert work.times == done + 1


def test_an_error_reaches_everybody_as_its_own() -> None:
    """All who wait get the error, with its cause and attributes, each an exception of its own."""
    error = TokenFault("no", code="{urn:a}b", verified=True, endpoint="http://to")
    error.__cause__ = OSError("cause")
    flight, work = SingleFlight(), Work(error)
    with ThreadPoolExecutor(8) as pool:
        futures = begin(pool, flight, work, 7)
        threading.Timer(0.05, work.may_end.set).start()
        caught = [future.exception(WAIT) for future in futures]
    assert len({id(one) for one in caught}) == 8
    for one in caught:
        assert isinstance(one, TokenFault)
        assert (one.message, one.code, one.endpoint) == ("no", "{urn:a}b", "http://to")
        assert isinstance(one.__cause__, OSError)


def test_an_interrupted_leader_leaves_the_work_to_another(context: SecurityContext) -> None:
    """KeyboardInterrupt in one thread is no answer for the others: one of them does the work."""
    flight, interrupted, work = SingleFlight(), Work(KeyboardInterrupt()), Work(context)
    with ThreadPoolExecutor(4) as pool:
        leader = pool.submit(flight.run, interrupted)
        assert interrupted.begun.wait(WAIT)
        others = [pool.submit(flight.run, work) for _ in range(3)]
        work.may_end.set()
        interrupted.may_end.set()
        assert isinstance(leader.exception(WAIT), KeyboardInterrupt)
        assert all(future.result(WAIT) is context for future in others)


def test_flights_do_not_wait_for_each_other(context: SecurityContext) -> None:
    """While one flight is on its way another one begins and ends."""
    slow, quick = Work(context), Work(context)
    quick.may_end.set()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(SingleFlight().run, slow)
        assert slow.begun.wait(WAIT)
        assert SingleFlight().run(quick) is context
        assert not future.done()
        slow.may_end.set()
        assert future.result(WAIT) is context


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_waits_for_no_flight_of_its_parent(context: SecurityContext) -> None:
    """A process that is forked in the middle of a flight, with leases out, does the work itself and drains at once."""
    flight, work, leases = SingleFlight(), Work(context), Leases()
    lease = leases.take(context)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(flight.run, work)
        assert work.begun.wait(WAIT)
        child = os.fork()
        if child == 0:
            work.may_end.set()
            fine = flight.run(work) is context and leases.drain(context, 0, Time().clock)
            os._exit(0 if fine else 1)
        _, status = os.waitpid(child, 0)
        work.may_end.set()
        assert future.result(WAIT) is context
    assert os.waitstatus_to_exitcode(status) == 0
    assert lease is not None
    assert not leases.drain(context, 0, Time().clock)


# ----------------------------------------------------------------------------------------------------- leases


class Ticking:
    """A clock that goes on by a second whenever it is read."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def _read(self) -> float:
        self.seconds += 1
        return self.seconds

    @property
    def clock(self) -> Clock:
        """What the library reads."""
        return Clock(now=Time().clock.now, monotonic=self._read)


def test_draining_waits_for_every_lease(context: SecurityContext) -> None:
    """A renewal goes on when the last call is over, and there are no more leases of that key."""
    leases = Leases()
    held = [leases.take(context) for _ in range(3)]
    with ThreadPoolExecutor(1) as pool:
        drained = pool.submit(leases.drain, context, WAIT, Time().clock)
        while leases.take(context) is not None:
            pass
        for lease in held:
            assert lease is not None
            assert not drained.done()
            lease.end()
            lease.end()
        assert drained.result(WAIT) is True


def test_other_keys_go_on(context: SecurityContext) -> None:
    """A renewed context has leases of its own, whatever is drained; a key whose renewal failed has them again."""
    leases = Leases()
    renewed = replace(context, key=replace(context.key, instance="urn:new"))
    assert leases.drain(context, 0, Time().clock)
    assert leases.take(context) is None
    assert leases.take(renewed) is not None
    leases.reopen(context)
    assert leases.take(context) is not None


def test_draining_is_bounded(context: SecurityContext) -> None:
    """A call that never ends holds a renewal up for so long and no longer."""
    leases = Leases()
    lease = leases.take(context)
    assert not leases.drain(context, 1.0, Ticking().clock)
    assert lease is not None


def test_a_lease_that_nobody_has_is_over(context: SecurityContext) -> None:
    """A call that was given up, without a word, holds nothing up."""
    leases = Leases()
    lease = leases.take(context)
    assert not leases.drain(context, 0, Time().clock)
    del lease
    assert leases.drain(context, 0, Time().clock)


# -------------------------------------------------------------------------------------------------- allowance


def test_so_many_in_so_much_time() -> None:
    """Two in ten seconds; when the first is ten seconds ago there is one more. The wall clock does not matter."""
    time = Time()
    allowance = Allowance(2, 10.0, time.clock)
    assert allowance.spend()
    time.forward(timedelta(seconds=4))
    assert allowance.spend()
    assert not allowance.spend()
    time.forward(timedelta(hours=1), monotonic=False)
    assert not allowance.spend()
    time.forward(timedelta(seconds=6))
    assert allowance.spend()
    assert not allowance.spend()
