"""Memory of signature values: bounded, forgetful in time, and safe for threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier

from tests.unit.parties import NOW
from zeep_secureconv.wss.seen import SeenSignatures

MINUTE = timedelta(minutes=1)


def test_a_value_is_taken_once() -> None:
    """A value is new once, and another one is another one."""
    seen = SeenSignatures()
    assert seen.add(b"a", until=NOW + MINUTE, now=NOW)
    assert not seen.add(b"a", until=NOW + MINUTE, now=NOW)
    assert seen.add(b"b", until=NOW + MINUTE, now=NOW)
    assert not seen.add(b"a", until=NOW + 9 * MINUTE, now=NOW + MINUTE / 2)


def test_a_value_expires() -> None:
    """From the moment that the Timestamp refuses it, a value need not be remembered."""
    seen = SeenSignatures()
    assert seen.add(b"a", until=NOW + MINUTE, now=NOW)
    assert seen.add(b"a", until=NOW + 2 * MINUTE, now=NOW + MINUTE)
    assert not seen.add(b"a", until=NOW + 2 * MINUTE, now=NOW + MINUTE)


def test_it_is_bounded() -> None:
    """Of more values than it holds, the oldest is forgotten."""
    seen = SeenSignatures(3)
    values = [b"a", b"b", b"c", b"d"]
    assert all(seen.add(value, until=NOW + MINUTE, now=NOW) for value in values)
    assert not seen.add(b"d", until=NOW + MINUTE, now=NOW)
    assert not seen.add(b"b", until=NOW + MINUTE, now=NOW)
    assert seen.add(b"a", until=NOW + MINUTE, now=NOW)


def test_expired_values_make_room() -> None:
    """Expired values are dropped as new ones come, so that it does not stay full."""
    seen = SeenSignatures(100)
    for number in range(50):
        seen.add(b"%d" % number, until=NOW + MINUTE, now=NOW)
    assert seen.add(b"new", until=NOW + 3 * MINUTE, now=NOW + 2 * MINUTE)
    assert len(seen._marks._values) == 1


def test_threads_take_a_value_once() -> None:
    """Of eight threads that bring the same values at once, one is told that a value is new."""
    seen, barrier = SeenSignatures(), Barrier(8)

    def bring(_: int) -> int:
        barrier.wait()
        return sum(seen.add(b"%d" % number, until=NOW + MINUTE, now=NOW) for number in range(500))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(bring, range(8))) == 500


def test_what_was_forgotten_is_not_taken_again() -> None:
    """When values that still hold are forgotten, messages from before them are refused, and later ones are not."""
    seen = SeenSignatures(3)
    moments = [NOW + timedelta(milliseconds=number) for number in range(6)]
    for number, moment in enumerate(moments[:5]):
        assert seen.add(b"%d" % number, until=NOW + MINUTE, now=moment, created=moment)
    assert not seen.add(b"0", until=NOW + MINUTE, now=moments[5], created=moments[0])
    assert not seen.add(b"late", until=NOW + MINUTE, now=moments[5], created=moments[1])
    assert seen.add(b"late", until=NOW + MINUTE, now=moments[5], created=moments[2])
    assert seen.add(b"5", until=NOW + MINUTE, now=moments[5], created=moments[5])


def test_a_long_and_fast_conversation_goes_on() -> None:
    """More messages than it holds, all within their Timestamps' time, are each taken once."""
    seen = SeenSignatures(100)
    for number in range(1_000):
        moment = NOW + timedelta(milliseconds=number)
        assert seen.add(b"%d" % number, until=moment + 5 * MINUTE, now=moment, created=moment)


def test_one_long_memory_does_not_keep_the_others() -> None:
    """What is remembered for a day does not keep in memory what came after it and expired within minutes."""
    seen = SeenSignatures(100_000)
    assert seen.add(b"long", until=NOW + timedelta(days=1), now=NOW)
    most = 0
    for number in range(50_000):
        now = NOW + number * timedelta(milliseconds=100)
        assert seen.add(b"%d" % number, until=now + MINUTE, now=now, created=now)
        most = max(most, len(seen._marks._values))
    assert most <= 601 + 1_000
    assert not seen.add(b"long", until=NOW + timedelta(days=1), now=NOW + timedelta(hours=23))


def test_what_expires_out_of_turn_goes_on_being_bounded() -> None:
    """Lifetimes in any order leave no more in memory than what still holds, and a share of it."""
    seen = SeenSignatures(1_000_000)
    living: list[datetime] = []
    for number in range(40_000):
        now = NOW + number * timedelta(milliseconds=10)
        until = now + timedelta(seconds=1 + number * 7_919 % 119)
        assert seen.add(b"%d" % number, until=until, now=now)
        living.append(until)
        if number % 1_000 == 0:
            living = [moment for moment in living if moment > now]
            assert len(living) <= len(seen._marks._values) <= len(living) * 5 / 4 + 1_001
            assert len(seen._marks._values) == len(seen._marks._order)


def test_an_expired_value_comes_again_as_the_youngest() -> None:
    """A value that expired behind another one and is taken again is the last to be forgotten, and is remembered."""
    seen = SeenSignatures(3)
    assert seen.add(b"head", until=NOW + 9 * MINUTE, now=NOW)
    assert seen.add(b"again", until=NOW + MINUTE, now=NOW)
    later = NOW + 2 * MINUTE
    for value in (b"again", b"x", b"y"):
        assert seen.add(value, until=NOW + 9 * MINUTE, now=later)
    assert not seen.add(b"again", until=NOW + 9 * MINUTE, now=later)
    assert seen.add(b"head", until=NOW + 9 * MINUTE, now=later)


def test_long_values_take_no_more_room_than_short_ones() -> None:
    """What is kept of a value is of one length: a peer cannot make it long."""
    seen = SeenSignatures()
    for value in (b"", b"a", b"a" * 100_000):
        assert seen.add(value, until=NOW + MINUTE, now=NOW)
        assert not seen.add(value, until=NOW + MINUTE, now=NOW)
    assert {len(mark) for mark in seen._marks._values} == {15}


def test_nobody_else_knows_the_marks() -> None:
    """Two memories keep the same value under different marks, so that what collides in one cannot be worked out."""
    one, other = SeenSignatures(), SeenSignatures()
    for seen in (one, other):
        assert seen.add(b"a", until=NOW + MINUTE, now=NOW)
    assert not one._marks._values.keys() & other._marks._values.keys()


def test_a_forked_child_goes_on_with_what_was_received() -> None:
    """After a fork in the middle of a change nobody gives the lock free, and what was received stays received."""
    seen = SeenSignatures(3)
    for value in (b"a", b"b", b"c"):
        assert seen.add(value, until=NOW + MINUTE, now=NOW)
    seen._lock.acquire()
    seen._marks._values.pop(next(iter(seen._marks._values)))
    seen.remake()
    assert not seen.add(b"b", until=NOW + MINUTE, now=NOW)
    for value in (b"d", b"e", b"f"):
        assert seen.add(value, until=NOW + MINUTE, now=NOW)
    assert len(seen._marks._values) == 3
