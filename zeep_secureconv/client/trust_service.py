"""What a client asks of the service that gives contexts: Issue, Renew, Cancel and Validate, as stacks take them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from ..conversation.context import SecurityContext
from ..conversation.faults import fault_error
from ..conversation.initiator import Exchange, Initiator
from ..environment import Environment
from ..errors import SecureConversationError, TokenFault, TransportError, VerificationError
from ..soap.envelope import Soap
from ..trust import RenewalForm
from ..wss.keys import Keyring
from ..wss.reply import Reply
from .parties import need_everything, need_valid
from .partner import Partner, Partners
from .way import Way

log = logging.getLogger(__name__)

#: Tells that something happened: kind, endpoint, context, detail (see ``events.Event``).
Tell = Callable[[str, str, SecurityContext | None, str], None]

_CANCEL_TIMEOUT = 5.0
#: Faults that answer a Validate: the context is unknown, or over.
_OVER = frozenset({"BadContextToken", "RenewNeeded"})
_NOT_OFFERED = (
    "the service may not know Validate: WebSphere does, CXF, Metro, WCF and Rampart do not; "
    "renew() tells as well whether it knows the context"
)


class TrustService:
    """Asks services for contexts, and about them.

    Args:
        partners: tells the ways to them.
        environment: time, randomness and bounds.
        tell: told of what happens.
    """

    def __init__(self, partners: Partners, environment: Environment, tell: Tell) -> None:
        self._partners = partners
        self._environment = environment
        self._tell = tell
        self._initiator = Initiator(environment)

    def issue(self, partner: Partner, way: Way | None) -> SecurityContext:
        """A new context.

        Args:
            partner: whom it is for.
            way: the way to ask; by default the partner's latest.

        Raises:
            ConfigurationError: when something is missing, before any traffic.
            TokenFault, UnsecuredFault, TransportError, VerificationError: when the service gives none.
        """
        issued = self._exchange(
            partner,
            way or self._partners.way_to(partner),
            "asking for a security context",
            lambda ring: self._initiator.ask_issue(
                partner.endpoint, partner.conversation, ring, partner.dialect
            ),
            lambda exchange, soap: self._initiator.accept_issue(exchange, soap, partner.dialect),
        )
        self._tell("issued", partner.endpoint, issued, _end(issued))
        return issued

    def renew(self, partner: Partner, context: SecurityContext, way: Way) -> SecurityContext:
        """A context with a new key.

        No policy says how Renew is secured. What is refused in one form is tried in the next; what was taken comes
        first from then on.

        Raises:
            As :meth:`issue`.
        """
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
        self._tell("renewed", partner.endpoint, renewed, _end(renewed))
        return renewed

    def cancel(self, partner: Partner, context: SecurityContext) -> bool:
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
                self._tell("cancelled", partner.endpoint, context, "")
                return True
        return False

    def validate(self, partner: Partner, context: SecurityContext) -> bool:
        """Whether a context is valid. What is refused in one form is tried in the other, as Cancel is.

        Raises:
            TokenFault, UnsecuredFault, TransportError, VerificationError: when the service does not say.
        """
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
            self._tell("refused", endpoint, context, error.check)
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
                self._tell("refused", partner.endpoint, None, error.check)
            raise error.at(doing=doing, endpoint=partner.endpoint) from error.__cause__
        if isinstance(answer, Reply):
            fault = fault_error(answer, doing=doing, endpoint=partner.endpoint, context=None)
            raise fault or TransportError(
                "The trust service answered with a fault", endpoint=partner.endpoint
            )
        return answer

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
