"""What client and service keep of calls and contexts: nothing but what has a bound, and that no longer than it must."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from tests.in_memory import InMemory, entries, objects

#: How long a message is remembered: five minutes, and the skew of two clocks.
REMEMBERED = timedelta(minutes=11)
#: How many values of signatures are remembered of a call: that of the request and that of the answer, on either side.
VALUES = 2


def more(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """What there is more of."""
    return {name: count for name, count in after.items() if count > before.get(name, 0)}


def test_calls_leave_nothing_behind(tmp_path: Path) -> None:
    """However many calls were made, there are no more objects and entries than after the first hundred."""
    world, pause = InMemory(tmp_path), REMEMBERED / 50
    for number in range(100):
        world.call(number, pause)
    before = objects(), entries(world.sc, world.middleware)
    remembered = [count for name, count in before[1].items() if name.endswith("._values")]
    assert 49 * VALUES <= max(remembered) <= 52 * VALUES
    for number in range(400):
        world.call(number, pause)
    assert more(before[0], objects()) == {}
    assert more(before[1], entries(world.sc, world.middleware)) == {}
    assert world.app.calls == 500
    assert len(world.sc.contexts()) == 1


def test_contexts_that_are_over_leave_nothing_behind(tmp_path: Path) -> None:
    """Each context is used once and ends; the service keeps those of the last ten minutes, the client one name each."""
    lifetime = timedelta(seconds=60)
    world = InMemory(tmp_path, lifetime=lifetime)
    for number in range(20):
        world.call(number, lifetime)
    before = objects(), entries(world.sc, world.middleware)
    records = [count for name, count in before[1].items() if name.endswith("._records")]
    assert sorted(records) == [1, 11]
    for number in range(80):
        world.call(number, lifetime)
    after = objects(), entries(world.sc, world.middleware)
    assert more(before[0], after[0]) == {}
    # what was given is not taken a second time, up to 10,000
    assert set(more(before[1], after[1]).values()) == {100}
    assert world.app.calls == 100
