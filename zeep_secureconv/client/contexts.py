"""The contexts of a client: asked for when they are needed, renewed before they end, and given back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

from ..conversation.context import SecurityContext
from ..conversation.faults import fault_error
from ..conversation.initiator import Exchange, Initiator
from ..conversation.store import Store
from ..conversation.store.memory import MemoryStore
from ..environment import Environment
from ..errors import (
    ConfigurationError,
    ContextExpired,
    SecureConversationError,
    TokenFault,
    TransportError,
    VerificationError,
)
from ..soap.envelope import Soap
from ..trust import RenewalForm
from ..wss.keys import Keyring
from ..wss.reply import Reply
from .events import Event
from .flights import Lease
from .parties import need_everything, need_valid
from .partner import Partner, Partners
from .way import Way

log = logging.getLogger(__name__)

_CANCEL_TIMEOUT = 5.0
#: How long a renewal waits for calls on their way, in seconds.
_DRAIN = 5.0
#: Faults that answer a Validate: the context is unknown, or over.
_OVER = frozenset({"BadContextToken", "RenewNeeded"})
_NOT_OFFERED = (
    "the service may not know Validate: WebSphere does, CXF, Metro, WCF and Rampart do not; "
    "renew() tells as well whether it knows the context"
)


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
        self._on_event = on_event
        self._renew_before = renew_before
        self._initiator = Initiator(environment)

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
            partner.flight.run(lambda: self._current(partner, way))

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
        return partner.flight.run(lambda: self._current(partner, way))

    def _current(self, partner: Partner, way: Way | None) -> SecurityContext:
        """What is in the store, renewed where it is time, or a new context."""
        with self._store.flight(partner.key):
            context = self._store.get(partner.key)
            if context is None:
                return self._keep(partner, None, self._ask(partner, way))
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
                return self._keep(partner, old, self._ask(partner, None))

        new = partner.flight.run(work)
        if old is not None:
            self._give_back(partner, old)
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

        return partner.flight.run(work)

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

        return partner.flight.run(work)

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
                count += self._give_back(partner, held)
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
        try:
            return self._validated(partner, borrowed.context)
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
        if self._on_event is not None:
            instance = context.instance if context is not None else None
            self._on_event(Event(kind, endpoint, identifier, instance, self._environment.clock.now(), detail))

    # ---------------------------------------------------------------------------------------- inside

    def _partner_of(self, context: SecurityContext) -> Partner:
        for partner in self._partners.known():
            held = self._store.get(partner.key)
            if held is not None and held.identifier == context.identifier:
                return partner
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
        return self._ask(partner, way)

    def _may_renew(self, partner: Partner, context: SecurityContext) -> bool:
        over = context.is_over(self._environment.clock)
        allowed = context.renewable_late if over else context.renewable
        return allowed and not partner.conversation.token.must_not_send_renew

    def _renewed(self, partner: Partner, context: SecurityContext, way: Way | None) -> SecurityContext:
        """Renew a context, when the calls under its key are over.

        No policy says how Renew is secured. What is refused in one form is tried in the next; what was taken comes
        first from then on.
        """
        way = way or self._partners.way_to(partner)
        with self._drained(partner, context):
            forms = _forms_of_renewal(partner, context)
            for form in forms:
                try:
                    renewed = self._renewed_so(partner, context, way, form)
                except TransportError:
                    raise
                except SecureConversationError:
                    # Metro's refusal has less security than an answer
                    if form == forms[-1]:
                        raise
                    continue
                partner.renews = form
                break
        self.tell("renewed", partner.endpoint, renewed, _end(renewed))
        return renewed

    def _renewed_so(
        self, partner: Partner, context: SecurityContext, way: Way, form: RenewalForm
    ) -> SecurityContext:
        keys = {"endorsed": context.key, "endorsed by the first key": context.first, "bootstrap": None}
        return self._exchange(
            partner,
            way,
            "renewing a security context",
            lambda ring: self._initiator.ask_renew(
                context, partner.conversation, ring, partner.dialect, endorsed_by=keys[form]
            ),
            lambda exchange, soap: self._initiator.accept_renew(exchange, soap, partner.dialect),
        )

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

    def _ask(self, partner: Partner, way: Way | None) -> SecurityContext:
        issued = self._exchange(
            partner,
            way or self._partners.way_to(partner),
            "asking for a security context",
            lambda ring: self._initiator.ask_issue(
                partner.endpoint, partner.conversation, ring, partner.dialect
            ),
            lambda exchange, soap: self._initiator.accept_issue(exchange, soap, partner.dialect),
        )
        self.tell("issued", partner.endpoint, issued, _end(issued))
        return issued

    def _exchange(
        self,
        partner: Partner,
        way: Way,
        doing: str,
        ask: Callable[[Keyring], Exchange],
        accept: Callable[[Exchange, Soap], Reply | SecurityContext],
    ) -> SecurityContext:
        """Ask for a context, new or renewed, and check the answer."""
        ring = replace(partner.keyring, over_tls=way.is_verified(partner.endpoint))
        need_everything(partner.needs, ring, partner.endpoint)
        need_valid(partner.needs, ring, partner.endpoint, self._environment.clock.now())
        try:
            exchange = ask(ring)
            answer = accept(exchange, self._post(exchange, way))
        except SecureConversationError as error:
            if isinstance(error, VerificationError):
                self.tell("refused", partner.endpoint, None, error.check)
            raise error.at(doing=doing, endpoint=partner.endpoint) from error.__cause__
        if isinstance(answer, Reply):
            fault = fault_error(answer, doing=doing, endpoint=partner.endpoint, context=None)
            raise fault or TransportError(
                "The trust service answered with a fault", endpoint=partner.endpoint
            )
        return answer

    def _give_back(self, partner: Partner, context: SecurityContext) -> bool:
        """Tell the service that a context is not needed any more; False when it does not confirm.

        No policy says how Cancel is secured. CXF and Metro want it in clear, Rampart and WebSphere encrypted as
        everything else. What is refused in one form is tried in the other: a Cancel more or less changes nothing.
        """
        token = partner.conversation.token
        if token.must_not_send_cancel or context.is_over(self._environment.clock):
            return False
        way = self._partners.way_to(partner).within(_CANCEL_TIMEOUT)
        ring = replace(partner.keyring, context=context.key, over_tls=way.is_verified(partner.endpoint))
        for in_full in _forms_of_cancel(partner):
            exchange = self._initiator.ask_cancel(
                context, partner.conversation, ring, partner.dialect, in_full=in_full
            )
            try:
                done = self._initiator.accept_cancel(exchange, self._post(exchange, way))
            except SecureConversationError as error:
                log.info("The context %s was not cancelled: %r", context.identifier, error.message)
                if isinstance(error, TransportError):
                    return False
                continue
            if done:
                self.tell("cancelled", partner.endpoint, context, "")
                return True
        return False

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

    def _validated(self, partner: Partner, context: SecurityContext) -> bool:
        """Whether a context is valid. What is refused in one form is tried in the other, as Cancel is."""
        refused: list[SecureConversationError] = []
        for in_full in _forms_of_cancel(partner):
            answer = self._validated_so(partner, context, in_full=in_full)
            if isinstance(answer, bool):
                return answer
            refused.append(answer)
        raise refused[-1]

    def _validated_so(
        self, partner: Partner, context: SecurityContext, *, in_full: bool
    ) -> bool | SecureConversationError:
        """Whether a context is valid, or why the service does not say."""
        way = self._partners.way_to(partner)
        ring = replace(partner.keyring, context=context.key, over_tls=way.is_verified(partner.endpoint))
        doing, endpoint, name = "validating a security context", partner.endpoint, context.identifier
        exchange = self._initiator.ask_validate(
            context, partner.conversation, ring, partner.dialect, in_full=in_full
        )
        try:
            answer = self._initiator.accept_validate(exchange, self._post(exchange, way))
        except SecureConversationError as error:
            told = error.at(doing=doing, endpoint=endpoint, context=name)
            if not isinstance(error, VerificationError):
                raise told from error.__cause__
            self.tell("refused", endpoint, context, error.check)
            return told
        if isinstance(answer, bool):
            return answer
        fault = answer.fault
        assert fault is not None
        # signed, and none of security's own: it takes the request for one of the application
        found = fault_error(answer, doing=doing, endpoint=endpoint, context=name) or TokenFault(
            fault.text or "", code=fault.code, verified=True, doing=doing, endpoint=endpoint, context=name
        )
        if isinstance(found, TokenFault) and found.name in _OVER:
            return False
        found.hint = _NOT_OFFERED
        return found

    def _post(self, exchange: Exchange, way: Way) -> Soap:
        return way.post(exchange.endpoint, exchange.soap, exchange.action, self._environment.limits)


def _forms_of_cancel(partner: Partner) -> list[bool]:
    """Whether to secure Cancel, and Validate, in full: the attempts, in their order."""
    policy = partner.conversation
    in_full = partner.dialect.cancel_security == "signed+encrypted"
    return [in_full] if policy.cancel == policy.cancel_in_full else [in_full, not in_full]


def _forms_of_renewal(partner: Partner, context: SecurityContext) -> list[RenewalForm]:
    """How to secure a Renew: the attempts, in their order."""
    first = [partner.renews] if partner.renews is not None else []
    forms = list(dict.fromkeys((*first, *partner.dialect.renew_security)))
    return (
        forms
        if context.first is not None
        else [form for form in forms if form != "endorsed by the first key"]
    )


def _end(context: SecurityContext) -> str:
    return f"expires {context.expires:%Y-%m-%dT%H:%M:%SZ}" if context.expires else "never expires"


def _name(context: SecurityContext) -> tuple[str, str | None]:
    return context.identifier, context.instance
