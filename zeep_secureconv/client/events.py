"""What happens to contexts, told to whoever wants to know."""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Event:
    """Something that happened to a context. Holds no secret.

    The kinds:

    - "issued": the service gave a context.
    - "renewed": it gave an existing one a new key; ``instance`` is the new one.
    - "verified": the reply to a call was verified.
    - "lost": a fault says that the service does not know the context, or casts doubt on it; the context is forgotten.
    - "recovered": the call that met that fault is sent again, once, under the context that is named.
    - "refused": an answer did not pass a check.
    - "cancelled": the service confirmed that it has forgotten the context.

    Args:
        kind: one of these; later versions may have more.
        endpoint: URL of the service.
        identifier, instance: name of the context, where there is one.
        at: when, aware UTC.
        detail: of "issued" and "renewed" the end of the lifetime, of "refused" the id of the check, of "lost" and
            "recovered" the code of the fault; otherwise empty.
    """

    kind: str
    endpoint: str
    identifier: str | None
    instance: str | None
    at: datetime
    detail: str


class Events:
    """Tells what happens, in its order, and outside of everything that others wait for.

    So whoever is told may call the same client, and wait for it. What he raises is logged, and breaks nothing: the
    context that he is told of is there.

    Args:
        on_event: told of everything that happens, or None.
    """

    def __init__(self, on_event: Callable[[Event], object] | None) -> None:
        self._on_event = on_event
        self._held = threading.local()

    def tell(self, event: Event) -> None:
        """Tell of something, now or at the end of :meth:`told_later`."""
        held: list[Event] | None = getattr(self._held, "events", None)
        if held is None:
            self._tell_now(event)
        else:
            held.append(event)

    @contextmanager
    def told_later(self) -> Iterator[None]:
        """Keep what happens in this thread to oneself until the end of the block: others wait for it."""
        if self._on_event is None or getattr(self._held, "events", None) is not None:
            yield
            return
        held: list[Event] = []
        self._held.events = held
        try:
            yield
        finally:
            self._held.events = None
            for event in held:
                self._tell_now(event)

    def _tell_now(self, event: Event) -> None:
        if self._on_event is None:
            return
        try:
            # a copy: calls that are made in there must not take the place of the call that this is about
            contextvars.copy_context().run(self._on_event, event)
        except Exception:  # it is the user's own function: it may raise anything
            log.exception("on_event= failed when it was told %r of %s", event.kind, event.endpoint)
