"""Memory of signature values: bounded, forgetful in time, and safe for threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
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
    assert len(seen._values) == 1


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
