"""Contexts in the memory of one process."""

from __future__ import annotations

import math
import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count

from ...clock import SYSTEM_CLOCK, Clock
from ...errors import LimitExceeded
from ..context import SecurityContext
from . import RecordKey
from .flights import FLIGHT_TIMEOUT, Deadline, Flights
from .forks import in_child
from .records import GRACE, is_unused, kept_for, same, too_many_of_one

#: A moment in seconds of the monotonic clock, a number that tells two of one moment apart, and a record's key.
_Due = tuple[float, int, RecordKey]


class _Calendar:
    """Records in the order of their moments."""

    def __init__(self) -> None:
        self._dues: list[_Due] = []

    def __len__(self) -> int:
        return len(self._dues)

    def put(self, due: _Due) -> None:
        insort(self._dues, due)

    def take(self, due: _Due) -> None:
        del self._dues[bisect_left(self._dues, due)]

    def until(self, moment: float) -> list[RecordKey]:
        """The records whose moments have come."""
        return [key for _, _, key in self._dues[: self._come(moment)]]

    def after(self, moment: float) -> int:
        """How many moments are still to come."""
        return len(self._dues) - self._come(moment)

    def first(self) -> RecordKey | None:
        return self._dues[0][2] if self._dues else None

    def _come(self, moment: float) -> int:
        return bisect_right(self._dues, moment, key=_moment_of)


def _moment_of(due: _Due) -> float:
    return due[0]


@dataclass(frozen=True)
class _Record:
    """A context, when it is over, and when it goes."""

    context: SecurityContext
    over: _Due
    gone: _Due


class MemoryStore:
    """Keeps contexts in this process, up to a bound.

    What is over goes after a while. When it is full all that is over goes at once; if all are alive, adding fails, so
    that a flood of bootstraps cannot push out the contexts of others. In a forked child it starts empty: parent and
    child would use one context without knowing of each other.

    Args:
        size: how many contexts it holds.
        clock: tells what is expired.
        grace: how long contexts of a service stay that are over; those of a client stay until there is no room.
        flight_timeout: how long one thread waits for another that asks for the same context, in seconds.
    """

    def __init__(
        self,
        size: int = 100_000,
        *,
        clock: Clock = SYSTEM_CLOCK,
        grace: timedelta = GRACE,
        flight_timeout: float = FLIGHT_TIMEOUT,
    ) -> None:
        self._size = size
        self._clock = clock
        self._grace = grace
        self._flight_timeout = flight_timeout
        self._flights = Flights()
        self._begin()
        in_child(self._begin)

    def _begin(self) -> None:
        self._flights.remake()
        self._lock = threading.Lock()
        self._numbers = count()
        self._records: dict[RecordKey, _Record] = {}
        self._over = _Calendar()
        self._gone = _Calendar()
        # by when they are over, of each principal; those without a call likewise, and under None those of anybody
        self._of: dict[str | None, _Calendar] = {}
        self._unused: dict[str | None, _Calendar] = {}

    def get(self, key: RecordKey) -> SecurityContext | None:
        """The context under *key*, or None."""
        record = self._records.get(key)
        return None if record is None else record.context

    def add(self, key: RecordKey, context: SecurityContext, *, most: int | None = None) -> bool:
        """Keep *context* under *key* if nothing is there; False if something is.

        Raises:
            LimitExceeded: check "contexts-per-principal", when its principal holds *most* living contexts; check
                "contexts", when the store is full of living ones.
        """
        with self._lock:
            self._forget()
            if key in self._records:
                return False
            if most is not None and context.owner is not None and self._held_by(context.owner) >= most:
                raise too_many_of_one()
            if len(self._records) >= self._size:
                self._forget_over()
            if len(self._records) >= self._size:
                raise LimitExceeded("contexts", "The store of contexts is full")
            self._put(key, context)
            return True

    def replace(self, key: RecordKey, old: SecurityContext, new: SecurityContext) -> bool:
        """Put *new* in the place of *old*; False if what is there is not *old*."""
        with self._lock:
            if not same(self.get(key), old):
                return False
            self._remove(key)
            self._put(key, new)
            return True

    def drop(self, key: RecordKey, context: SecurityContext) -> bool:
        """Remove *context*; False if what is there is another one."""
        with self._lock:
            if not same(self.get(key), context):
                return False
            self._remove(key)
            return True

    def held_by(self, owner: str) -> int:
        """How many living records a principal holds on a service."""
        with self._lock:
            return self._held_by(owner)

    def make_room(self, owner: str | None) -> bool:
        """Drop the context of a service that no call was made in and that ends first; False when there is none."""
        with self._lock:
            unused = self._unused.get(owner)
            key = None if unused is None else unused.first()
            if key is not None:
                self._remove(key)
            return key is not None

    def items(self, role: str) -> Iterator[tuple[RecordKey, SecurityContext]]:
        """All records of a role."""
        with self._lock:
            records = list(self._records.items())
        return iter([(key, record.context) for key, record in records if key[0] == role])

    def flight(self, key: RecordKey) -> AbstractContextManager[None]:
        """Held while a context for *key* is asked for or renewed: by one thread at a time."""
        return self._flights.hold(key, Deadline(self._flight_timeout))

    # ---------------------------------------------------------------------------------------- inside

    def _put(self, key: RecordKey, context: SecurityContext) -> None:
        number, clock = next(self._numbers), self._clock
        over = (self._moment(context.remaining(clock)), number, key)
        kept = kept_for(context, clock, self._grace) if key[0] == "service" else None
        self._records[key] = record = _Record(context, over, (self._moment(kept), number, key))
        self._over.put(over)
        if record.gone[0] < math.inf:
            self._gone.put(record.gone)
        for calendars, name in self._indexes(key, context):
            calendars.setdefault(name, _Calendar()).put(over)

    def _remove(self, key: RecordKey) -> None:
        record = self._records.pop(key)
        self._over.take(record.over)
        if record.gone[0] < math.inf:
            self._gone.take(record.gone)
        for calendars, name in self._indexes(key, record.context):
            calendars[name].take(record.over)
            if not calendars[name]:
                del calendars[name]

    def _indexes(
        self, key: RecordKey, context: SecurityContext
    ) -> list[tuple[dict[str | None, _Calendar], str | None]]:
        names = dict.fromkeys((None, context.owner))
        found = [(self._of, name) for name in names if name is not None]
        return found + [(self._unused, name) for name in names if is_unused(key, context)]

    def _held_by(self, owner: str) -> int:
        held = self._of.get(owner)
        return 0 if held is None else held.after(self._now())

    def _forget(self) -> None:
        """Let go of what is over for long enough."""
        for key in self._gone.until(self._now()):
            self._remove(key)

    def _forget_over(self) -> None:
        for key in self._over.until(self._now()):
            self._remove(key)

    def _now(self) -> float:
        return self._clock.monotonic()

    def _moment(self, left: timedelta | None) -> float:
        """When so much time will have passed, whatever the wall clock does meanwhile; infinite for None."""
        return math.inf if left is None else self._now() + left.total_seconds()
