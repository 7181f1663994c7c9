"""How many requests are worked on at the same time, where each is expensive."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from .refusals import Busy

#: How long a request waits for its turn.
PATIENCE = timedelta(seconds=5)


class Turns:
    """Lets some work and some wait, and sends the others away.

    Args:
        working: how many work at the same time.
        waiting: how many may wait besides.
        patience: how long one waits.
    """

    def __init__(self, working: int, waiting: int, *, patience: timedelta = PATIENCE) -> None:
        self._sizes = working, waiting
        self._patience = patience.total_seconds()
        self._open()

    def _open(self) -> None:
        working, waiting = self._sizes
        self._process = os.getpid()
        self._room = threading.BoundedSemaphore(working + waiting)
        self._working = threading.BoundedSemaphore(working)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Held while one works.

        Raises:
            Busy: when too many wait already, or it took too long.
        """
        if self._process != os.getpid():
            # a forked child has none of the threads that would give back what they hold
            self._open()
        room, working = self._room, self._working
        if not room.acquire(blocking=False):
            raise Busy("too many wait already")
        try:
            if not working.acquire(timeout=self._patience):
                raise Busy(f"others took longer than {self._patience:g} seconds")
            try:
                yield
            finally:
                working.release()
        finally:
            room.release()
