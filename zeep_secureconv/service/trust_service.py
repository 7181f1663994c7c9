"""The trust service: requests about contexts, verified and answered."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from lxml import etree

from ..conversation.context import SecurityContext
from ..conversation.granting import read_request, target_of
from ..conversation.issuer import Principal, RenewalKeys
from ..conversation.policies import ConversationPolicy, ExchangePolicy
from ..environment import Environment
from ..errors import SecureConversationError
from ..policy.model import Direction, Policy
from ..soap.envelope import new_envelope
from ..trust import Dialect, RequestType, dialect_of_answer, response_to_xml
from .answers import Answers, Back
from .authentication import Authentication
from .authorization import Access, Authorize, access_of, kind_of, permit
from .messages import Answer, Request
from .reception import Attempt, Offer, Reception
from .turns import Turns
from .verified import context_of, key_of, settle

log = logging.getLogger("zeep_secureconv.service")

#: Does what a verified request asks for: (content of the answer, the dialect that it is in).
_Work = Callable[[], "tuple[etree._Element, Dialect]"]  # noqa: SLF001 - the only name lxml has for it


class TrustService:
    """Answers requests to issue, renew, cancel and validate contexts.

    Args:
        reception: verifies them.
        answers: secures the answers.
        authentication: tells who sent them.
        authorize: says who may do what; None lets everybody whom the policy lets.
        environment: time and bounds.
        tolerate: the stacks whose clients are met halfway.
    """

    def __init__(
        self,
        reception: Reception,
        answers: Answers,
        authentication: Authentication,
        authorize: Authorize | None,
        environment: Environment,
        *,
        tolerate: frozenset[str],
    ) -> None:
        self._reception = reception
        self._answers = answers
        self._authentication = authentication
        self._authorize = authorize
        self._environment = environment
        self._tolerate = tolerate
        self._turns = Turns(environment.limits.bootstraps, environment.limits.waiting_bootstraps)

    def answer(
        self, request: Request, action: str, offers: list[Offer], kind: RequestType, dialect: Dialect
    ) -> Answer:
        """The answer to a request.

        Args:
            request: the message; nothing of it is believed yet.
            action: what it claims to ask for.
            offers: the alternatives that it may be secured by.
            kind: what the action means.
            dialect: the dialect that it is of.

        Raises:
            VerificationError: when it is refused, before anything proved who sent it. What is refused later is an
                answer: a secured fault.
            Busy: when there are too many like it.
        """
        with self._turn(kind):
            if kind in (RequestType.ISSUE, RequestType.RENEW):
                return self._by_bootstrap(request, action, offers, kind, dialect)
            return self._by_context(request, action, offers, kind, dialect)

    def _turn(self, kind: RequestType) -> AbstractContextManager[None]:
        """Held by what works with RSA: requests that the bootstrap secures."""
        cheap = kind is RequestType.VALIDATE or (kind is RequestType.CANCEL and "cxf" not in self._tolerate)
        return nullcontext() if cheap else self._turns.turn()

    def _by_bootstrap(
        self, request: Request, action: str, offers: list[Offer], kind: RequestType, dialect: Dialect
    ) -> Answer:
        """Issue and renew: secured both ways as the bootstrap policy says."""
        attempt, verified = self._reception.verify(request, _bootstraps(offers, kind))
        offer = attempt.offer

        def work() -> tuple[etree._Element, Dialect]:
            settle(verified, action)
            principal = self._authentication.principal(verified)
            message = read_request(verified.soap.payload, dialect, self._environment.limits)
            answered = dialect_of_answer(dialect, message)
            target = None
            if kind is RequestType.RENEW:
                target = _own(offer.issuer.to_renew(*target_of(message)), principal)
            permit(self._authorize, _access(kind, principal, action, request, target))
            if kind is RequestType.ISSUE:
                issued = offer.issuer.issue(message, principal, named=answered.names_first_key)
            else:
                issued = offer.issuer.renew(message, principal, verified.endorsed_by)
            _tell(kind, request, action, issued.context.identifier, principal.name)
            return response_to_xml(issued.response, answered, kind), answered

        ring = self._answers.ring(request, verified, None)
        known = self._answers.known(verified.soap.version, request, action, dialect)
        policy = offer.conversation.bootstrap.response
        return self._served(Back(policy=policy, ring=ring, verified=verified, known=known), kind, work)

    def _by_context(
        self, request: Request, action: str, offers: list[Offer], kind: RequestType, dialect: Dialect
    ) -> Answer:
        """Cancel and validate: secured by the context itself, both ways; a Cancel of CXF's by the bootstrap."""
        attempts = [
            Attempt(policy=exchange.request, offer=offer, meaning=exchange)
            for offer in offers
            for exchange in offer.exchanges[kind]
        ]
        if kind is RequestType.CANCEL and "cxf" in self._tolerate:
            attempts += [
                Attempt(policy=exchange.request, offer=offer, meaning=exchange)
                for offer in offers
                for exchange in [offer.conversation.bootstrap]
            ]
        attempt, verified = self._reception.verify(request, attempts)
        issuer, conversation = attempt.offer.issuer, attempt.offer.conversation
        without = attempt.meaning == conversation.bootstrap

        def work() -> tuple[etree._Element, Dialect]:
            settle(verified, action)
            message = read_request(verified.soap.payload, dialect, self._environment.limits)
            answered = dialect_of_answer(dialect, message)
            if without:
                principal = self._authentication.principal(verified)
                target = _own(issuer.to_renew(*target_of(message)), principal)
                permit(self._authorize, _access(kind, principal, action, request, target))
                response = issuer.cancel_of(message, principal, verified.endorsed_by)
                name = principal.name
            else:
                context = context_of(verified, issuer)
                # a system policy may want tokens besides
                username = self._authentication.username(verified)
                permit(
                    self._authorize,
                    replace(access_of(kind_of(kind), context, action, request), username=username),
                )
                response = (issuer.cancel if kind is RequestType.CANCEL else issuer.validate)(
                    message, context
                )
                name = context.principal
            identifier, _ = target_of(message)
            _tell(kind, request, action, identifier, name)
            return response_to_xml(response, answered, kind), answered

        if without:
            policy, ring = conversation.bootstrap.response, self._answers.ring(request, verified, None)
        else:
            policy = _answer_by_context(attempt.meaning, conversation)
            ring = self._answers.ring(request, verified, key_of(verified))
        known = self._answers.known(verified.soap.version, request, action, dialect, ring.context)
        return self._served(Back(policy=policy, ring=ring, verified=verified, known=known), kind, work)

    def _served(self, back: Back, kind: RequestType, work: _Work) -> Answer:
        """The secured answer to a request, or the secured fault that refuses it."""
        try:
            payload, dialect = work()
        except SecureConversationError as error:
            return self._answers.refused(error, back)
        reply = new_envelope(back.verified.soap.version)
        reply.body.append(payload)
        action = dialect.action(kind, Direction.RESPONSE)
        return self._answers.secure(reply, back, action, dialect.answer_headers)


def _bootstraps(offers: list[Offer], kind: RequestType) -> Iterator[Attempt[None]]:
    """The ways that clients secure what the bootstrap secures; a renewal may be endorsed by a context besides.

    Where it names a context in a way that may mean the current or the first key, both are tried.
    """
    for offer in offers:
        usual = Attempt(policy=offer.conversation.bootstrap.request, offer=offer, meaning=None)
        keys = RenewalKeys(offer.issuer)
        yield replace(usual, lookup=keys.current) if kind is RequestType.RENEW else usual
        if keys.ambiguous:
            yield replace(usual, lookup=keys.first)


def _answer_by_context(form: ExchangePolicy, conversation: ConversationPolicy) -> Policy:
    """The policy of our answer to a Cancel, and to a Validate.

    In clear it is that of the request: Metro's client wants the derived keys of the policy, where the policy of
    answers that are read allows others' raw keys.
    """
    in_clear = (conversation.cancel, conversation.cancel_with_tokens[0])
    return conversation.cancel.request if form in in_clear else form.response


def _own(context: SecurityContext | None, principal: Principal) -> SecurityContext | None:
    """A context, if it is that principal's: nobody learns of others."""
    return context if context is not None and context.owner == principal.owner else None


def _access(
    kind: RequestType, principal: Principal, action: str, request: Request, target: SecurityContext | None
) -> Access:
    return Access(
        kind=kind_of(kind),
        principal=principal.name,
        owner=principal.owner,
        action=action,
        context=target,
        environ=request.environ,
    )


def _tell(kind: RequestType, request: Request, action: str, context: str, principal: str | None) -> None:
    log.info(
        "%s %s for %s",
        kind.value,
        context,
        principal,
        extra={"endpoint": request.path, "action": action, "context": context, "principal": principal},
    )
