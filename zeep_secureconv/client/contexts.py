"""The contexts of a client: asked for when they are needed, once, and given back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from ..conversation.context import SecurityContext
from ..conversation.faults import fault_error
from ..conversation.initiator import Exchange, Initiator
from ..conversation.store import Store
from ..environment import Environment
from ..errors import SecureConversationError, TransportError, VerificationError
from ..soap.envelope import Soap
from ..wss.reply import Reply
from .events import Event
from .exchange import post
from .parties import need_everything, need_valid
from .partner import Partner, Partners, Way

log = logging.getLogger(__name__)

_CANCEL_TIMEOUT = 5.0


class Contexts:
    """Keeps one context for each partner.

    Args:
        partners: whom they are for.
        store: where they are kept.
        environment: time, randomness and bounds.
        on_event: told of everything that happens, or None.
    """

    def __init__(
        self,
        partners: Partners,
        store: Store,
        environment: Environment,
        on_event: Callable[[Event], object] | None,
    ) -> None:
        self._partners = partners
        self._store = store
        self._environment = environment
        self._on_event = on_event
        self._initiator = Initiator(environment)

    def all(self) -> list[SecurityContext]:
        """The living contexts."""
        clock = self._environment.clock
        return [context for _, context in self._store.items("client") if not context.is_over(clock)]

    def get(self, partner: Partner, way: Way | None = None) -> SecurityContext:
        """The living context for a partner; one is asked for, once however many threads wait for it.

        Args:
            partner: whom it is for.
            way: the way to ask; by default the partner's latest.
        """
        context = self._living(partner)
        if context is not None:
            return context
        with partner.flight:
            context = self._living(partner)
            if context is None:
                context = self._ask(partner, way)
                self._store.add(partner.key, context)
            return context

    def issue(self, partner: Partner) -> SecurityContext:
        """A new context in any case; it takes the place of the old one, which is cancelled."""
        with partner.flight:
            old = self._store.get(partner.key)
            new = self._ask(partner, None)
            if old is None or not self._store.replace(partner.key, old, new):
                self._store.add(partner.key, new)
        if old is not None:
            self._give_back(partner, old)
        return new

    def cancel(self, context: SecurityContext | None) -> int:
        """Cancel one context, or all; how many the service confirmed."""
        count = 0
        for key, held in self._store.items("client"):
            meant = context is None or (held.identifier, held.instance) == (
                context.identifier,
                context.instance,
            )
            partner = self._partners.of_record(key)
            if meant and partner is not None and self._store.drop(key, held):
                count += self._give_back(partner, held)
        return count

    def lose(self, partner: Partner, context: SecurityContext, why: str) -> None:
        """Forget a context that the service seems to have lost, so that the next call asks for a new one."""
        if self._store.drop(partner.key, context):
            self.tell("lost", partner.endpoint, context, why)

    def tell(self, kind: str, endpoint: str, context: SecurityContext | None, detail: str) -> None:
        """Report something that happened."""
        identifier = context.identifier if context is not None else None
        log.debug("%s %s %s %s", kind, endpoint, identifier, detail)
        if self._on_event is not None:
            instance = context.instance if context is not None else None
            self._on_event(Event(kind, endpoint, identifier, instance, self._environment.clock.now(), detail))

    def _living(self, partner: Partner) -> SecurityContext | None:
        context = self._store.get(partner.key)
        if context is not None and context.is_over(self._environment.clock):
            self._store.drop(partner.key, context)
            return None
        return context

    def _ask(self, partner: Partner, way: Way | None) -> SecurityContext:
        way = way or self._partners.way_to(partner)
        ring = replace(partner.keyring, over_tls=way.is_verified(partner.endpoint))
        need_everything(partner.needs, ring, partner.endpoint)
        need_valid(partner.needs, ring, partner.endpoint, self._environment.clock.now())
        doing = "asking for a security context"
        exchange = self._initiator.ask_issue(partner.endpoint, partner.conversation, ring, partner.dialect)
        try:
            answer = self._initiator.accept_issue(exchange, self._post(exchange, way), partner.dialect)
        except SecureConversationError as error:
            if isinstance(error, VerificationError):
                self.tell("refused", partner.endpoint, None, error.check)
            raise error.at(doing=doing, endpoint=partner.endpoint) from error.__cause__
        if isinstance(answer, Reply):
            fault = fault_error(answer, doing=doing, endpoint=partner.endpoint, context=None)
            raise fault or TransportError(
                "The trust service answered with a fault", endpoint=partner.endpoint
            )
        expires = f"expires {answer.expires:%Y-%m-%dT%H:%M:%SZ}" if answer.expires else "never expires"
        self.tell("issued", partner.endpoint, answer, expires)
        return answer

    def _give_back(self, partner: Partner, context: SecurityContext) -> bool:
        """Tell the service that a context is not needed any more; False when it does not confirm.

        No policy says how Cancel is secured. CXF and Metro want it in clear, Rampart and WebSphere encrypted as
        everything else. What is refused in one form is tried in the other: a Cancel more or less changes nothing.
        """
        token = partner.conversation.token
        if token.must_not_send_cancel or context.is_over(self._environment.clock):
            return False
        way = replace(self._partners.way_to(partner), timeout=_CANCEL_TIMEOUT)
        ring = replace(partner.keyring, context=context.key, over_tls=way.is_verified(partner.endpoint))
        for in_full in _forms_of_cancel(partner):
            exchange = self._initiator.ask_cancel(
                context, partner.conversation, ring, partner.dialect, in_full=in_full
            )
            try:
                done = self._initiator.accept_cancel(exchange, self._post(exchange, way))
            except SecureConversationError as error:
                log.info("The context %s was not cancelled: %s", context.identifier, error.message)
                if isinstance(error, TransportError):
                    return False
                continue
            if done:
                self.tell("cancelled", partner.endpoint, context, "")
                return True
        return False

    def _post(self, exchange: Exchange, way: Way) -> Soap:
        return post(
            way.session,
            exchange.endpoint,
            exchange.soap,
            exchange.action,
            timeout=way.timeout,
            limits=self._environment.limits,
        )


def _forms_of_cancel(partner: Partner) -> list[bool]:
    """Whether to secure Cancel in full: the attempts, in their order."""
    policy = partner.conversation
    in_full = partner.dialect.cancel_security == "signed+encrypted"
    return [in_full] if policy.cancel == policy.cancel_in_full else [in_full, not in_full]
