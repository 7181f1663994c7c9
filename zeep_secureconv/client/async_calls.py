"""Secures calls in event loops: what waits happens in threads of its own."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from lxml import etree

from ..conversation.context import SecurityContext
from ..conversation.store import RecordKey
from ..conversation.store.forks import in_child
from ..policy.model import SecureConversationToken
from .call import Call
from .calls import Calls
from .contexts import Borrowed, Contexts
from .partner import Partner
from .way import Way

T = TypeVar("T")

#: The most threads: one is busy for each endpoint that a context is asked for.
_MOST_THREADS = 64


class AsyncCalls:
    """What is done to every call in an event loop.

    Contexts are asked for and renewed by the code that serves threads, in a thread, which posts through the event
    loop of the call. The threads are not those of ``asyncio.to_thread``: the loop itself needs them to resolve host
    names, and would not get one while all wait for it. A thread goes on to the end when the task that waits for it
    is cancelled, and the context that it gets is kept.

    Args:
        calls: secures calls in threads.
        contexts: what secures them.
    """

    def __init__(self, calls: Calls, contexts: Contexts) -> None:
        self._calls = calls
        self._contexts = contexts
        self._begin()
        in_child(self._begin)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None
        self._flights: dict[tuple[asyncio.AbstractEventLoop, RecordKey], asyncio.Future[SecurityContext]] = {}

    async def run(self, work: Callable[[], T]) -> T:
        """Do *work* in a thread, to its end, even if nobody waits for it any more.

        Raises:
            What *work* raises.
        """
        return await asyncio.shield(self._submit(work))

    async def secure(self, call: Call, envelope: etree._Element) -> None:
        """Get a context where there is none, and secure a request in place.

        Raises:
            What :meth:`Calls.secure` raises.
        """
        ready = partial(self._calls.ready, call)
        known = call.way is not None and call.partner.has_everything(call.operation, call.way)
        borrowed = await self._borrow(call.partner, ready() if known else await self.run(ready))
        protect = partial(self._calls.protect, call, envelope, borrowed)
        if _asks_functions(call):
            await self._run_for(call, protect)
        else:
            protect()

    async def recover(self, call: Call, envelope: etree._Element, content: bytes) -> bool:
        """As :meth:`Calls.recover`."""
        if b"Fault" not in content:
            return False
        gives_up = not self._contexts.in_memory
        recover = partial(self._calls.recover, call, envelope, content, gives_up=gives_up)
        return await self._run_for(call, recover)

    def close(self) -> None:
        """Let the threads end, when they have nothing to do any more."""
        with self._lock:
            threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False)

    async def _borrow(self, partner: Partner, way: Way) -> Borrowed:
        while True:
            borrowed = self._contexts.at_hand(partner) if self._contexts.in_memory else None
            if borrowed is not None:
                return borrowed
            context = await self._settled(partner, way)
            lease = partner.leases.take(context)
            if lease is not None:
                return Borrowed(context=context, lease=lease)

    async def _settled(self, partner: Partner, way: Way) -> SecurityContext:
        """The context of a partner, once nothing has to be done for it; one thread finds out for all who wait."""
        loop = asyncio.get_running_loop()
        key = (loop, partner.key)
        flight = self._flights.get(key)
        if flight is None or flight.done():
            flight = self._submit(partial(self._settle, key, partner, way))
            self._flights[key] = flight
            flight.add_done_callback(partial(self._landed, key))
        # neither a cancelled task nor its end may disturb the others
        await asyncio.wait([flight])
        error = flight.exception()
        if error is None:
            return flight.result()
        # its own for each task: raising changes an exception
        own = copy.copy(error)
        raise own from error.__cause__

    def _settle(
        self, key: tuple[asyncio.AbstractEventLoop, RecordKey], partner: Partner, way: Way
    ) -> SecurityContext:
        with self._contexts.told_later():
            try:
                borrowed = self._contexts.borrow(partner, way)
            finally:
                # whoever is told now may wait for a call of his own
                self._flights.pop(key, None)
            borrowed.lease.end()
        return borrowed.context

    def _landed(
        self,
        key: tuple[asyncio.AbstractEventLoop, RecordKey],
        flight: asyncio.Future[SecurityContext],
    ) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # told, even where nobody waits for it any more

    async def _run_for(self, call: Call, work: Callable[[], T]) -> T:
        """Do what takes a use of a context's key for a call; the use ends if nobody waits for it any more."""
        future = self._submit(work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            future.add_done_callback(lambda _: call.end())
            raise

    def _submit(self, work: Callable[[], T]) -> asyncio.Future[T]:
        loop, context = asyncio.get_running_loop(), contextvars.copy_context()
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(_MOST_THREADS, "zeep_secureconv")
            return loop.run_in_executor(self._threads, partial(context.run, work))


def _asks_functions(call: Call) -> bool:
    """Whether tokens and signatures may come from functions of the user, which may take their time."""
    return any(
        not isinstance(entry.token, SecureConversationToken) for entry in call.operation.request.supporting
    )
