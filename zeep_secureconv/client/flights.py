"""One at a time: requests for a context, and calls that must end before its key changes."""

from __future__ import annotations

import copy
import threading
import weakref
from collections import Counter, OrderedDict
from collections.abc import Callable
from concurrent.futures import Future

from ..clock import Clock
from ..conversation.context import SecurityContext
from ..conversation.store.forks import in_child

#: How many keys that were renewed are remembered, for threads that hold one still.
_REMEMBERED = 1_000


class SingleFlight:
    """Does a piece of work once, however many threads ask for it; all get its result, or its error.

    A forked child begins anew: a flight of its parent never lands there.
    """

    def __init__(self) -> None:
        self._begin()
        in_child(self._begin)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._current: Future[SecurityContext] | None = None

    def run(self, work: Callable[[], SecurityContext]) -> SecurityContext:
        """Do *work*, or wait for the thread that does.

        Raises:
            What *work* raises, to everybody who waits.
        """
        while True:
            with self._lock:
                flight, leads = self._current, self._current is None
                if flight is None:
                    flight = self._current = Future()
            if leads:
                return self._lead(flight, work)
            error = flight.exception()
            if error is None:
                return flight.result()
            if isinstance(error, Exception):
                raise _own(error) from error.__cause__
            # KeyboardInterrupt and the like are for the thread that had it; another one does the work

    def _lead(self, flight: Future[SecurityContext], work: Callable[[], SecurityContext]) -> SecurityContext:
        try:
            result = work()
        except BaseException as error:
            self._current = None
            flight.set_exception(error)
            raise
        self._current = None
        flight.set_result(result)
        return result


def _own(error: Exception) -> Exception:
    """A copy for one thread: raising changes an exception."""
    try:
        return copy.copy(error)
    except TypeError:
        # its constructor wants more than its arguments
        return error


class Lease:
    """A call's use of a context's key, until its reply is there.

    Args:
        end: what is done once when it ends.
    """

    def __init__(self, end: Callable[[], None]) -> None:
        self._finish = weakref.finalize(self, end)
        self._finish.atexit = False

    def end(self) -> None:
        """The call is over; may be told more than once, and happens by itself when nobody has the lease any more."""
        self._finish()


class Leases:
    """Counts the calls that use each key of a context, so that a renewal can wait for them.

    CXF drops the old key with the renewal: a call on its way would be refused. In a forked child nothing is on its way.
    """

    def __init__(self) -> None:
        self._begin()
        in_child(self._begin)

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._counts: Counter[tuple[str, str | None]] = Counter()
        self._closed: OrderedDict[tuple[str, str | None], None] = OrderedDict()

    def take(self, context: SecurityContext) -> Lease | None:
        """A lease of the context's key, or None once it is being renewed."""
        name = (context.identifier, context.instance)
        with self._changed:
            if name in self._closed:
                return None
            self._counts[name] += 1
        return Lease(lambda: self._give_back(name))

    def drain(self, context: SecurityContext, patience: float, clock: Clock) -> bool:
        """Give no more leases of a key, and wait until none is left.

        Args:
            context: whose key.
            patience: how long to wait, in seconds.
            clock: measures it.

        Returns:
            Whether none is left.
        """
        name, end = (context.identifier, context.instance), clock.monotonic() + patience
        with self._changed:
            self._closed[name] = None
            while len(self._closed) > _REMEMBERED:
                self._closed.popitem(last=False)
            while self._counts[name]:
                left = end - clock.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
            return True

    def reopen(self, context: SecurityContext) -> None:
        """Give leases of a key again: its renewal came to nothing."""
        with self._changed:
            self._closed.pop((context.identifier, context.instance), None)

    def _give_back(self, name: tuple[str, str | None]) -> None:
        with self._changed:
            self._counts[name] -= 1
            if self._counts[name] <= 0:
                del self._counts[name]
            self._changed.notify_all()


class Allowance:
    """So many in so much time: what a forged fault may make us do.

    Args:
        count: how many.
        seconds: in how many seconds.
        clock: measures them.
    """

    def __init__(self, count: int, seconds: float, clock: Clock) -> None:
        self._count = count
        self._seconds = seconds
        self._clock = clock
        self._begin()
        in_child(self._begin)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._times: list[float] = []

    def spend(self) -> bool:
        """Whether one more is allowed; it counts then."""
        now = self._clock.monotonic()
        with self._lock:
            self._times = [moment for moment in self._times if now - moment < self._seconds]
            if len(self._times) >= self._count:
                return False
            self._times.append(now)
            return True
