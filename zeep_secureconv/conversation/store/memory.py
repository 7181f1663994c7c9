"""Contexts in the memory of one process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import AbstractContextManager

from ...clock import SYSTEM_CLOCK, Clock
from ...errors import LimitExceeded
from ..context import SecurityContext
from . import RecordKey
from .flights import FLIGHT_TIMEOUT, Deadline, Flights
from .forks import in_child
from .records import same


class MemoryStore:
    """Keeps contexts in this process, up to a bound.

    When it is full the expired ones make room; if all are alive, adding fails, so that a flood of bootstraps
    cannot push out the contexts of others. In a forked child it starts empty: parent and child would use one
    context without knowing of each other.

    Args:
        size: how many contexts it holds.
        clock: tells what is expired.
        flight_timeout: how long one thread waits for another that asks for the same context, in seconds.
    """

    def __init__(
        self,
        size: int = 100_000,
        *,
        clock: Clock = SYSTEM_CLOCK,
        flight_timeout: float = FLIGHT_TIMEOUT,
    ) -> None:
        self._size = size
        self._clock = clock
        self._flight_timeout = flight_timeout
        self._flights = Flights()
        self._begin()
        in_child(self._begin)

    def _begin(self) -> None:
        self._flights.remake()
        self._lock = threading.Lock()
        self._records: OrderedDict[RecordKey, SecurityContext] = OrderedDict()
        self._of: dict[str, set[RecordKey]] = {}

    def get(self, key: RecordKey) -> SecurityContext | None:
        """The context under *key*, or None."""
        return self._records.get(key)

    def add(self, key: RecordKey, context: SecurityContext) -> bool:
        """Keep *context* under *key* if nothing is there; False if something is.

        Raises:
            LimitExceeded: check "contexts", when the store is full of living contexts.
        """
        with self._lock:
            if key in self._records:
                return False
            if len(self._records) >= self._size:
                self._make_room()
            self._put(key, context)
            return True

    def replace(self, key: RecordKey, old: SecurityContext, new: SecurityContext) -> bool:
        """Put *new* in the place of *old*; False if what is there is not *old*."""
        with self._lock:
            if not same(self._records.get(key), old):
                return False
            self._remove(key)
            self._put(key, new)
            return True

    def drop(self, key: RecordKey, context: SecurityContext) -> bool:
        """Remove *context*; False if what is there is another one."""
        with self._lock:
            if not same(self._records.get(key), context):
                return False
            self._remove(key)
            return True

    def held_by(self, owner: str) -> int:
        """How many living records a principal holds on a service; those that are over are dropped."""
        with self._lock:
            for key in list(self._of.get(owner, ())):
                if self._records[key].is_over(self._clock):
                    self._remove(key)
            return len(self._of.get(owner, ()))

    def items(self, role: str) -> Iterator[tuple[RecordKey, SecurityContext]]:
        """All records of a role."""
        with self._lock:
            records = list(self._records.items())
        return iter([(key, context) for key, context in records if key[0] == role])

    def flight(self, key: RecordKey) -> AbstractContextManager[None]:
        """Held while a context for *key* is asked for or renewed: by one thread at a time."""
        return self._flights.hold(key, Deadline(self._flight_timeout))

    def _put(self, key: RecordKey, context: SecurityContext) -> None:
        self._records[key] = context
        if context.owner is not None:
            self._of.setdefault(context.owner, set()).add(key)

    def _remove(self, key: RecordKey) -> None:
        owner = self._records.pop(key).owner
        if owner is not None:
            keys = self._of[owner]
            keys.discard(key)
            if not keys:
                del self._of[owner]

    def _make_room(self) -> None:
        for key in [key for key, context in self._records.items() if context.is_over(self._clock)]:
            self._remove(key)
        if len(self._records) >= self._size:
            raise LimitExceeded("contexts", "The store of contexts is full")
