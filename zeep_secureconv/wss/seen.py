"""Memory of signature values, bounded, so that a message is taken once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import datetime, timedelta

#: How long a value is remembered that has no Timestamp, and the age at which no message is taken any more.
OLDEST = timedelta(days=1)


class SeenSignatures:
    """Remembers signature values until they expire.

    When it is full the oldest are forgotten, and from then on messages are refused that were created before those: the
    age that is accepted shrinks with the load, and nothing is taken twice.

    Args:
        size: how many values are kept.
    """

    def __init__(self, size: int = 10_000) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._values: OrderedDict[bytes, tuple[datetime, datetime | None]] = OrderedDict()
        self._floor: datetime | None = None

    def add(self, value: bytes, *, until: datetime, now: datetime, created: datetime | None = None) -> bool:
        """Remember *value*; False when it was seen before, or may have been.

        Args:
            value: the signature value.
            until: when the message expires.
            now: the time.
            created: Created of the message's Timestamp, or None when there is none that is signed.
        """
        with self._lock:
            known = self._values.get(value)
            if known is not None and known[0] > now:
                return False
            if self._floor is not None and created is not None and created <= self._floor:
                return False
            self._values[value] = (until, created)
            self._values.move_to_end(value)
            self._forget(now)
            return True

    def _forget(self, now: datetime) -> None:
        while self._values:
            until, created = next(iter(self._values.values()))
            if until > now:
                if len(self._values) <= self._size:
                    return
                if created is not None:
                    self._floor = created if self._floor is None else max(self._floor, created)
            self._values.popitem(last=False)
