"""The contexts of a client: there when they are needed, renewed before they end, and forgotten in the end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta

from ..conversation.context import SecurityContext
from ..conversation.store import Store
from ..conversation.store.memory import MemoryStore
from ..environment import Environment
from ..errors import (
    ConfigurationError,
    ContextExpired,
    SecureConversationError,
    TransportError,
    VerificationError,
)
from .events import Event, Events
from .flights import Lease
from .partner import Partner, Partners
from .trust_service import TrustService
from .way import Way

log = logging.getLogger(__name__)

#: How long a renewal waits for calls on their way, in seconds.
_DRAIN = 5.0


@dataclass(frozen=True, kw_only=True)
class Borrowed:
    """A context for one call, and the call's use of it."""

    context: SecurityContext
    lease: Lease


class Contexts:
    """Keeps one context for each partner.

    Args:
        partners: whom they are for.
        store: where they are kept.
        environment: time, randomness and bounds.
        on_event: told of everything that happens, or None.
        renew_before: how long before its end a context is renewed; never more than half of its lifetime.
    """

    def __init__(
        self,
        partners: Partners,
        store: Store,
        environment: Environment,
        on_event: Callable[[Event], object] | None,
        *,
        renew_before: timedelta,
    ) -> None:
        self._partners = partners
        self._store = store
        self._environment = environment
        self._events = Events(on_event)
        self._renew_before = renew_before
        self._service = TrustService(partners, environment, self.tell)

    def all(self) -> list[SecurityContext]:
        """The living contexts of this client's own credentials."""
        clock = self._environment.clock
        return [
            context
            for key, context in self._store.items("client")
            if not context.is_over(clock) and self._partners.of_record(key) is not None
        ]

    def borrow(self, partner: Partner, way: Way) -> Borrowed:
        """The context for a call. A renewal of it waits until the lease ends."""
        while True:
            context = self.get(partner, way)
            lease = partner.leases.take(context)
            if lease is not None:
                return Borrowed(context=context, lease=lease)
            # its key was changed just now, or is about to be: whoever does that is waited for
            self._fly(partner, lambda: self._current(partner, way))

    @property
    def in_memory(self) -> bool:
        """Whether looking into the store takes no time."""
        return isinstance(self._store, MemoryStore)

    def at_hand(self, partner: Partner) -> Borrowed | None:
        """The context for a call if there is one that nothing has to be done for."""
        context = self._store.get(partner.key)
        if context is None or self._is_due(context):
            return None
        lease = partner.leases.take(context)
        return None if lease is None else Borrowed(context=context, lease=lease)

    def get(self, partner: Partner, way: Way | None = None) -> SecurityContext:
        """The living context for a partner; one is asked for or renewed, once however many threads wait for it.

        Args:
            partner: whom it is for.
            way: the way to ask; by default the partner's latest.
        """
        context = self._store.get(partner.key)
        if context is not None and not self._is_due(context):
            return context
        return self._fly(partner, lambda: self._current(partner, way))

    def _current(self, partner: Partner, way: Way | None) -> SecurityContext:
        """What is in the store, renewed where it is time, or a new context."""
        with self._store.flight(partner.key):
            context = self._store.get(partner.key)
            if context is None:
                return self._keep(partner, None, self._service.issue(partner, way))
            if not self._is_due(context):
                # whoever drained its calls has gone, perhaps without success: nobody renews it now
                partner.leases.reopen(context)
                return context
            return self._keep(partner, context, self._succeed(partner, context, way))

    def issue(self, partner: Partner) -> SecurityContext:
        """A new context in any case; it takes the place of the old one, which is cancelled."""
        old: SecurityContext | None = None

        def work() -> SecurityContext:
            nonlocal old
            with self._store.flight(partner.key):
                old = self._store.get(partner.key)
                return self._keep(partner, old, self._service.issue(partner, None))

        new = self._fly(partner, work)
        if old is not None:
            self._service.cancel(partner, old)
        return new

    def renew(self, context: SecurityContext) -> SecurityContext:
        """A new key for a context, now.

        Raises:
            ConfigurationError: when the context is not one of this client.
            ContextExpired: when it is none any more.
            TokenFault, UnsecuredFault, TransportError, VerificationError: when the service does not renew it.
        """
        partner = self._partner_of(context)

        def work() -> SecurityContext:
            with self._store.flight(partner.key):
                held = self._store.get(partner.key)
                if held is None or held.identifier != context.identifier:
                    raise ContextExpired(
                        "The context was given up, and another may have taken its place",
                        hint="ask for the endpoint's context with context(endpoint)",
                        endpoint=partner.endpoint,
                        context=context.identifier,
                    )
                return self._keep(partner, held, self._renewed_or_lost(partner, held))

        return self._fly(partner, work)

    def _renewed_or_lost(self, partner: Partner, context: SecurityContext) -> SecurityContext:
        """A context renewed; given up where nobody knows whether its old key still works."""
        try:
            return self._renewed(partner, context, None)
        except (TransportError, VerificationError) as error:
            if self._store.drop(partner.key, context):
                self.tell("lost", partner.endpoint, context, error.message)
            raise

    def refresh(self, partner: Partner, context: SecurityContext, way: Way) -> SecurityContext:
        """What follows a context of which the service says that it is over."""

        def work() -> SecurityContext:
            with self._store.flight(partner.key):
                held = self._store.get(partner.key)
                if held is not None and _name(held) != _name(context):
                    return held
                return self._keep(partner, held, self._succeed(partner, context, way))

        return self._fly(partner, work)

    def cancel(self, context: SecurityContext | None) -> int:
        """Cancel one context, or all; how many the service confirmed."""
        count = 0
        for key, held in self._store.items("client"):
            meant = context is None or _name(held) == _name(context)
            partner = self._partners.of_record(key)
            if not meant or partner is None:
                continue
            self._partners.way_to(partner).need_usable()
            if self._store.drop(key, held):
                count += self._service.cancel(partner, held)
        return count

    def validate(self, context: SecurityContext) -> bool:
        """Whether the service takes a context for valid; with its current key, where it was renewed meanwhile.

        Raises:
            ConfigurationError: when the context is not one of this client.
            TokenFault, UnsecuredFault, TransportError, VerificationError: when the service does not say.
        """
        partner = self._partner_of(context)
        borrowed = self._borrow_again(partner, context)
        if borrowed is None:
            return False
        with self.told_later():
            try:
                return self._service.validate(partner, borrowed.context)
            finally:
                borrowed.lease.end()

    def lose(self, partner: Partner, context: SecurityContext, why: str, *, proven: bool = False) -> bool:
        """Forget a context that the service seems to have lost, so that the next call asks for a new one.

        A fault that proves nothing is obeyed so often and no more: whoever forges them would make us ask for contexts
        without end.

        Returns:
            Whether a new one may be asked for now: the context is not that of the store any more.
        """
        held = self._store.get(partner.key)
        if held is None or _name(held) != _name(context):
            return True
        if not proven and not partner.patience.spend():
            log.warning("%s answers with faults that prove nothing; the context is kept", partner.endpoint)
            return False
        if self._store.drop(partner.key, context):
            self.tell("lost", partner.endpoint, context, why)
        return True

    def tell(self, kind: str, endpoint: str, context: SecurityContext | None, detail: str) -> None:
        """Report something that happened."""
        identifier = context.identifier if context is not None else None
        log.debug("%s %s %s %s", kind, endpoint, identifier, detail)
        instance = context.instance if context is not None else None
        self._events.tell(Event(kind, endpoint, identifier, instance, self._environment.clock.now(), detail))

    def told_later(self) -> AbstractContextManager[None]:
        """Tell what happens in the block at its end, when nobody waits for it any more."""
        return self._events.told_later()

    # ---------------------------------------------------------------------------------------- inside

    def _fly(self, partner: Partner, work: Callable[[], SecurityContext]) -> SecurityContext:
        """Do *work* once for all who ask for the context of a partner."""
        with self.told_later():
            return partner.flight.run(work)

    def _partner_of(self, context: SecurityContext) -> Partner:
        for partner in self._partners.known():
            held = self._store.get(partner.key)
            if held is not None and held.identifier == context.identifier:
                return partner
        for key, held in self._store.items("client"):
            found = self._partners.of_record(key) if held.identifier == context.identifier else None
            if found is not None:
                return found
        raise ConfigurationError(
            "The context is none of this client's",
            hint="use the object that it came from, or one with the same store, credentials and policy",
            context=context.identifier,
        )

    def _is_due(self, context: SecurityContext) -> bool:
        """Whether it is time to renew a context, or it is over."""
        left = context.remaining(self._environment.clock)
        if left is None:
            return False
        margin = self._renew_before
        if context.created is not None and context.expires is not None:
            margin = min(margin, (context.expires - context.created) / 2)
        return left <= margin

    def _keep(self, partner: Partner, old: SecurityContext | None, new: SecurityContext) -> SecurityContext:
        """Put a context in the store; where another was faster, that is the one to use."""
        kept = (
            self._store.add(partner.key, new) if old is None else self._store.replace(partner.key, old, new)
        )
        if kept:
            return new
        if self._store.add(partner.key, new):
            return new
        return self._store.get(partner.key) or new

    def _succeed(self, partner: Partner, context: SecurityContext, way: Way | None) -> SecurityContext:
        """What follows a context that ends: itself renewed, or a new one where that cannot be."""
        if self._may_renew(partner, context):
            try:
                return self._renewed(partner, context, way)
            except SecureConversationError as error:
                log.info("The context %s was not renewed: %r", context.identifier, error.message)
        return self._service.issue(partner, way)

    def _may_renew(self, partner: Partner, context: SecurityContext) -> bool:
        over = context.is_over(self._environment.clock)
        allowed = context.renewable_late if over else context.renewable
        return allowed and not partner.conversation.token.must_not_send_renew

    def _renewed(self, partner: Partner, context: SecurityContext, way: Way | None) -> SecurityContext:
        """Renew a context, when the calls under its key are over."""
        way = way or self._partners.way_to(partner)
        with self._drained(partner, context):
            return self._service.renew(partner, context, way)

    @contextmanager
    def _drained(self, partner: Partner, context: SecurityContext) -> Iterator[None]:
        """Without calls under a key, unless the service keeps it for a while beside the new one."""
        if partner.dialect.keeps_old_key:
            yield
            return
        if not partner.leases.drain(context, _DRAIN, self._environment.clock):
            log.info("The context %s is renewed with calls on their way", context.identifier)
        try:
            yield
        except BaseException:
            partner.leases.reopen(context)
            raise

    def _borrow_again(self, partner: Partner, context: SecurityContext) -> Borrowed | None:
        """A living context with its current key, so that no renewal ends that key; None where there is none."""
        held = self._store.get(partner.key)
        while held is not None and held.identifier == context.identifier:
            if held.is_over(self._environment.clock):
                return None
            lease = partner.leases.take(held)
            if lease is not None:
                return Borrowed(context=held, lease=lease)
            with self._store.flight(partner.key):  # until the renewal is over
                held = self._store.get(partner.key)
        return None


def _name(context: SecurityContext) -> tuple[str, str | None]:
    return context.identifier, context.instance
