"""Memory of signature values, bounded, so that a message is taken once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import datetime, timedelta

#: How long a value is remembered that has no Timestamp, and the age at which no message is taken any more.
OLDEST = timedelta(days=1)


class SeenSignatures:
    """Remembers signature values until they expire.

    When it is full the oldest are forgotten; the Timestamp check then still bounds the age of what can be replayed.

    Args:
        size: how many values are kept.
    """

    def __init__(self, size: int = 10_000) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._values: OrderedDict[bytes, datetime] = OrderedDict()

    def add(self, value: bytes, *, until: datetime, now: datetime) -> bool:
        """Remember *value*; False when it was seen before and is not expired."""
        with self._lock:
            known = self._values.get(value)
            if known is not None and known > now:
                return False
            self._values[value] = until
            self._values.move_to_end(value)
            while len(self._values) > self._size or (
                self._values and next(iter(self._values.values())) <= now and len(self._values) > 1
            ):
                self._values.popitem(last=False)
            return True
