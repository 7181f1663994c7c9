"""Memory of signature values, bounded, so that a message is taken once."""

from __future__ import annotations

import math
import secrets
import threading
from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Protocol, runtime_checkable

#: How long a value is remembered that has no Timestamp.
OLDEST = timedelta(days=1)

#: Octets of a mark: what fits into 48 octets of memory with the head of its object, and far too many to collide.
MARK_BYTES = 15
#: Created of what has none.
NEVER = -math.inf

#: All values are looked through when so many have come, and at least a quarter of how many there are: so that costs
#: each that comes the look at four.
_BETWEEN_SWEEPS = 1_000
_SHARE = 4


class Seen(Protocol):
    """A memory of what was received."""

    def add(self, value: bytes, *, until: datetime, now: datetime, created: datetime | None = None) -> bool:
        """Remember *value*; False when it was seen before, or may have been.

        Args:
            value: the signature value.
            until: when the message expires.
            now: the time.
            created: Created of the message's Timestamp, or None when there is none that is signed.
        """


class Memory(Seen, Protocol):
    """One that lasts."""

    def remake(self) -> None:
        """In a forked child: make locks anew. What was received stays received."""


class OneMessage:
    """A memory for one message at which several attempts are made.

    What an attempt had remembered of it is no replay to the next, and comes once in each.

    Args:
        memory: what was received before.
    """

    def __init__(self, memory: Seen) -> None:
        self._memory = memory
        self._earlier: frozenset[bytes] = frozenset()
        self._now: set[bytes] = set()

    def begin(self) -> None:
        """Begin the next attempt."""
        self._earlier |= self._now
        self._now = set()

    def add(self, value: bytes, *, until: datetime, now: datetime, created: datetime | None = None) -> bool:
        """Remember *value*; False when another message had it, or this one has it twice."""
        if value in self._now:
            return False
        if value not in self._earlier and not self._memory.add(value, until=until, now=now, created=created):
            return False
        self._now.add(value)
        return True


@runtime_checkable
class Remembers(Protocol):
    """What several processes have in common: RedisStore and FileStore."""

    def remember(
        self, mark: bytes, *, until: datetime, now: datetime, created: datetime | None = None
    ) -> bool:
        """Remember *mark* for all; False when one of them has seen it before, or may have.

        Raises:
            StoreError: when nobody can say.
        """


def mark_of(value: bytes, key: bytes) -> bytes:
    """A hash of *value* that only who knows the key can work out, so that nobody chooses what collides."""
    return blake2b(value, digest_size=MARK_BYTES, key=key).digest()


class Marks:
    """Marks of one length, each with the moment until which it is kept; not for several threads.

    Moments are seconds of the wall clock. A mark takes about 140 octets.

    Args:
        size: how many are kept.
        floor: what was created until then may have been forgotten.
    """

    def __init__(self, size: int, floor: float = NEVER) -> None:
        self.floor = floor
        self._size = size
        # (until, created) as the parts of a complex number: it takes a quarter of a tuple's memory
        self._values: dict[bytes, complex] = {}
        # the first one of a dict is slow to find once others were taken out there
        self._order: deque[bytes] = deque()
        self._left = _BETWEEN_SWEEPS

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[tuple[bytes, float, float]]:
        """(mark, until, created) of each, the oldest first."""
        return ((mark, times.real, times.imag) for mark, times in self._values.items())

    def tidy(self) -> None:
        """Be whole again, after a fork in the middle of a change."""
        self._order = deque(self._values)

    def add(self, mark: bytes, until: float, now: float, created: float) -> bool:
        """Keep *mark*; False when it is there, or was created when others were that are forgotten."""
        known = self._values.get(mark)
        if known is not None and known.real > now:
            return False
        if NEVER < created <= self.floor:
            return False
        self._left -= 1
        if known is not None or self._left <= 0:
            self._sweep(now)
        self._values[mark] = complex(until, created)
        self._order.append(mark)
        self._forget(now)
        return True

    def _sweep(self, now: float) -> None:
        """Forget all that expired: some does so before what came earlier."""
        self._values = {mark: times for mark, times in self._values.items() if times.real > now}
        self.tidy()
        self._left = max(_BETWEEN_SWEEPS, len(self._values) // _SHARE)

    def _forget(self, now: float) -> None:
        """Forget the oldest as long as they expired, or there are too many."""
        while self._order:
            times = self._values[self._order[0]]
            if times.real > now:
                if len(self._values) <= self._size:
                    return
                self.floor = max(self.floor, times.imag)
            del self._values[self._order.popleft()]


class SeenSignatures:
    """Remembers signature values until they expire, in the memory of this process.

    When it is full the oldest are forgotten, and from then on messages are refused that were created before those: the
    age that is accepted shrinks with the load, and nothing is taken twice.

    Args:
        size: how many values are kept.
    """

    def __init__(self, size: int = 10_000) -> None:
        self._lock = threading.Lock()
        self._key = secrets.token_bytes(16)
        self._marks = Marks(size)

    def add(self, value: bytes, *, until: datetime, now: datetime, created: datetime | None = None) -> bool:
        """Remember *value*; False when it was seen before, or may have been.

        Args:
            value: the signature value.
            until: when the message expires.
            now: the time.
            created: Created of the message's Timestamp, or None when there is none that is signed.
        """
        mark, born = mark_of(value, self._key), seconds_of(created)
        with self._lock:
            return self._marks.add(mark, until.timestamp(), now.timestamp(), born)

    def remake(self) -> None:
        """In a forked child: nobody is there who would give the lock free. What was received stays received."""
        self._lock = threading.Lock()
        self._marks.tidy()


class SharedSignatures:
    """Remembers signature values together with other processes, and after a restart.

    What this process received it knows by itself too, should the store lose it.

    Args:
        store: what the processes have in common.
        purpose: tells this memory from others in the same store; the same in every process.
        size: how many values are kept here.
    """

    def __init__(self, store: Remembers, purpose: str, size: int = 10_000) -> None:
        self._store = store
        self._purpose = purpose.encode() + b"\0"
        self._own = SeenSignatures(size)

    def add(self, value: bytes, *, until: datetime, now: datetime, created: datetime | None = None) -> bool:
        """Remember *value*; False when one of the processes has seen it before, or may have.

        Raises:
            StoreError: when the store cannot say.
        """
        return self._own.add(value, until=until, now=now, created=created) and self._store.remember(
            self._purpose + value, until=until, now=now, created=created
        )

    def remake(self) -> None:
        """In a forked child, what concerns this process; the store sees to itself."""
        self._own.remake()


def memory_of(store: object, purpose: str, size: int) -> Memory:
    """The memory of a service: shared through its store of contexts, where that remembers too.

    Args:
        store: where contexts are kept.
        purpose: tells this memory from others of the service; the same in every process.
        size: how many values are kept in this process.
    """
    return SharedSignatures(store, purpose, size) if isinstance(store, Remembers) else SeenSignatures(size)


def seconds_of(created: datetime | None) -> float:
    """Created as :class:`Marks` has it."""
    return NEVER if created is None else created.timestamp()
