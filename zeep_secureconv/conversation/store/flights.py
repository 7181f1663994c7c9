"""One at a time: turns among threads, locks among processes, and waiting that ends."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import ConfigurationError, StoreError
from . import RecordKey

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: How long to wait for a turn by default, in seconds.
FLIGHT_TIMEOUT = 30.0

_SHORTEST_PAUSE = 0.001
_LONGEST_PAUSE = 0.05


class Deadline:
    """An end of waiting, on the machine's own clock: a clock that is set by hand would never come there.

    Args:
        seconds: from now.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left, at least 0."""
        return max(0.0, self._end - time.monotonic())

    def poll(self, attempt: Callable[[], bool]) -> None:
        """Try until it is True.

        Raises:
            StoreError: when the time is over.
        """
        pause = _SHORTEST_PAUSE
        while not attempt():
            if not self.left:
                raise waited_too_long()
            time.sleep(min(pause, self.left))
            pause = min(2 * pause, _LONGEST_PAUSE)


def waited_too_long() -> StoreError:
    """The error of everybody who waited in vain."""
    return StoreError(
        "Another user of the store of contexts did not finish in time",
        hint="set a timeout for the service's answers (operation_timeout of zeep's Transport), or raise the "
        "store's flight_timeout",
    )


@dataclass(eq=False)
class _Turn:
    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0


class Flights:
    """Turns among the threads of this process, for any number of record keys."""

    def __init__(self) -> None:
        self.remake()

    def remake(self) -> None:
        """Forget all turns: in a forked child nobody is there who would end them."""
        self._guard = threading.Lock()
        self._turns: dict[RecordKey, _Turn] = {}

    @contextmanager
    def hold(self, key: RecordKey, deadline: Deadline) -> Iterator[None]:
        """The turn for *key*.

        Raises:
            StoreError: when it does not come in time.
        """
        with self._guard:
            turn = self._turns.setdefault(key, _Turn())
            turn.users += 1
        try:
            if not turn.lock.acquire(timeout=deadline.left):
                raise waited_too_long()
            try:
                yield
            finally:
                turn.lock.release()
        finally:
            with self._guard:
                turn.users -= 1
                if not turn.users and self._turns.get(key) is turn:
                    del self._turns[key]


class FileLocks:
    """Locks among processes: files that the operating system unlocks when their holder dies.

    Args:
        failed: makes an error of what the operating system refused.

    Raises:
        ConfigurationError: where the system has no such locks (Windows).
    """

    def __init__(self, failed: Callable[[OSError], StoreError]) -> None:
        if fcntl is None:
            raise ConfigurationError(
                "This system cannot lock files as FileStore needs it", hint="use MemoryStore or RedisStore"
            )
        self._failed = failed
        self._held: set[int] = set()

    def close_in_child(self) -> None:
        """Close what was inherited: the locks are the parent's, and would outlive it here."""
        for descriptor in self._held:
            with suppress(OSError):
                os.close(descriptor)
        self._held = set()

    @contextmanager
    def hold(self, path: Path, deadline: Deadline, *, remove: bool) -> Iterator[None]:
        """The lock at *path*.

        Args:
            path: where the file is made.
            deadline: when to give up.
            remove: whether the file goes away afterwards.

        Raises:
            StoreError: when the lock is not free in time, or the file cannot be made.
        """
        taken: list[int] = []

        def attempt() -> bool:
            try:
                descriptor = _try_lock(path)
            except OSError as error:
                raise self._failed(error) from error
            if descriptor is not None:
                taken.append(descriptor)
            return descriptor is not None

        deadline.poll(attempt)
        (descriptor,) = taken
        self._held.add(descriptor)
        process = os.getpid()
        try:
            yield
        finally:
            # a child that was forked inside closed its copy already
            if process == os.getpid():
                self._release(descriptor, path if remove else None)

    def _release(self, descriptor: int, remove: Path | None) -> None:
        self._held.discard(descriptor)
        if remove is not None:
            with suppress(OSError):
                remove.unlink()
        # closing alone would leave it locked as long as a forked child has a copy
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _try_lock(path: Path) -> int | None:
    """A descriptor that holds the lock, or None when another one holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink:
            return descriptor
        # its holder removed the file while we opened it: a newcomer would lock another one
    except BlockingIOError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None
