"""One protected endpoint: what is done with a message, whatever brought it here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from ..conversation.granting import RequestRefused
from ..conversation.issuer import CallKeys, Issuer, RenewalKeys
from ..conversation.policies import ConversationPolicy, ExchangePolicy, conversation_policy
from ..conversation.store import Store
from ..conversation.terms import Terms
from ..environment import Environment
from ..errors import ConfigurationError, PolicyError, SecureConversationError, VerificationError
from ..policy.algorithms import Algorithms
from ..policy.model import EndpointPolicy, OperationPolicy, TransportBinding
from ..policy.needs import service_needs
from ..policy.support import supported
from ..soap.addressing import read_addressing
from ..soap.envelope import Soap
from ..trust import action_of, is_trust_action
from ..wss.certificates import Trust
from ..wss.keys import Keyring
from .answers import Answers, Back
from .authentication import Authentication
from .authorization import Authorize, access_of, permit
from .messages import Answer, Called, Request
from .operations import operation_of, operation_of_call, reply_policy
from .reception import Attempt, Offer, Reception
from .refusals import refusal
from .system import Exchanges, SystemPolicies, exchanges
from .trust_service import TrustService
from .verified import context_of, drop_unproven_headers, key_of, refuse_other_addresses

#: A message that fits none costs the work of a message under each.
_MOST_ALTERNATIVES = 16


@dataclass(frozen=True, kw_only=True)
class _Group:
    """Alternatives that ask alike for contexts; see :class:`Offer`."""

    conversation: ConversationPolicy
    policies: tuple[EndpointPolicy, ...]
    exchanges: Exchanges


class Endpoint:
    """Checks messages, answers those for the trust service, and hands calls on.

    Args:
        policies: the alternatives that are published; any is accepted.
        keyring: the service's keys.
        authentication: tells who sent a message.
        store: where contexts are kept.
        environment: time, randomness and bounds.
        name: what contexts are bound to; None for the path of each request.
        terms: what is granted to those who ask for contexts.
        tolerate: the stacks whose clients are met halfway.
        authorize: says who may do what; None lets everybody whom the policy lets.
        system_policies: how requests to the trust service are secured, where WebSphere's defaults do not hold.
        algorithms: what was agreed on besides those.

    Raises:
        ConfigurationError: when something is missing, or there are too many alternatives.
        PolicyError: when a policy asks for no secure conversation, or for what is not supported.
    """

    def __init__(
        self,
        policies: tuple[EndpointPolicy, ...],
        keyring: Keyring,
        authentication: Authentication,
        store: Store,
        environment: Environment,
        *,
        name: str | None,
        terms: Terms,
        tolerate: frozenset[str] = frozenset(),
        authorize: Authorize | None = None,
        system_policies: SystemPolicies | None = None,
        algorithms: Algorithms | None = None,
    ) -> None:
        if len(policies) > _MOST_ALTERNATIVES:
            raise ConfigurationError(
                f"The policy has {len(policies)} alternatives, and a message would be tried under each",
                hint=f"publish a policy with at most {_MOST_ALTERNATIVES}",
            )
        self._keyring = replace(keyring, role="client", password_of=authentication.password_of)
        self._authentication = authentication
        self._authorize = authorize
        self._store = store
        self._environment = environment
        self._name = name
        self._terms = terms
        self._groups = _grouped(policies, system_policies, algorithms or Algorithms())
        self._first = policies[0]
        self._reception = Reception(self._keyring, environment, store)
        conversation = self._groups[0].conversation
        self._answers = Answers(self._keyring, authentication, self._reception, conversation, environment)
        self._trust_service = TrustService(
            self._reception, self._answers, authentication, authorize, environment, tolerate=tolerate
        )
        for policy in policies:
            self._check(policy)
        for group in self._groups:
            self._check_exchanges(group.exchanges)

    @property
    def soap(self) -> str | None:
        """SOAP namespace of the policy, or None when it does not say."""
        return self._first.soap

    def take(self, request: Request) -> Answer | Called:
        """What is answered to a message, or the call that it is.

        Args:
            request: the message.

        Raises:
            VerificationError: when it is refused, before anything proved who sent it. What is refused later is an
                answer: a secured fault.
            RequestRefused: when the trust service refuses it, likewise.
        """
        soap = request.soap
        if self.soap is not None and soap.version != self.soap:
            raise VerificationError("soap-version", "The message has another SOAP version than the policy")
        addressing = read_addressing(soap)
        action = addressing.action or request.action or ""
        if request.action not in (None, "", action):
            raise VerificationError("action", "SOAPAction and wsa:Action differ")
        refuse_other_addresses(addressing)
        offers = self._offers(request)
        asked = action_of(action)
        if asked is None:
            if is_trust_action(action) and not self._is_of_application(action):
                raise RequestRefused("InvalidRequest", "The trust service does not know this action")
            return self._call(request, action, offers)
        kind, dialect = asked
        return self._trust_service.answer(request, action, offers, kind, dialect)

    def change_trust(self, trust: Trust) -> None:
        """Believe others from the next message on."""
        self._reception.change_trust(trust)

    def refuse(self, error: SecureConversationError, version: str, request: Request | None) -> Answer:
        """The answer to a message of which nothing is proven.

        Args:
            error: why it is refused.
            version: namespace of SOAP.
            request: the message, if it could be read.
        """
        return refusal(error, self._answers.known(version, request))

    # ------------------------------------------------------------------------------------------ start

    def _check(self, policy: EndpointPolicy) -> None:
        """Refuse what would secure nothing, cannot be done, or lacks something."""
        conversation = conversation_policy(policy)
        self._terms.check(conversation)
        wanted = [*service_needs(conversation.bootstrap.request)]
        for operation in policy.operations.values():
            if operation.request.binding is None or operation.response.binding is None:
                raise PolicyError(
                    f"The policy of operation {operation.name} secures nothing",
                    hint="attach the policy to the binding, or serve that operation elsewhere",
                )
            supported(operation.request)
            supported(operation.response)
        for operation in policy.operations.values() or [policy.everywhere()]:
            wanted += service_needs(operation.request)
        self._authentication.need_everything(wanted, self._keyring)

    def _check_exchanges(self, ways: Exchanges) -> None:
        wanted = [
            need for forms in ways.values() for exchange in forms for need in service_needs(exchange.request)
        ]
        self._authentication.need_everything(wanted, self._keyring)

    def _is_of_application(self, action: str) -> bool:
        """Whether a policy names the action itself: the application may be a trust service of another kind."""
        policies = [policy for group in self._groups for policy in group.policies]
        return any(action in one.actions for policy in policies for one in policy.operations.values())

    def _offers(self, request: Request) -> list[Offer]:
        name = self._name or request.path
        return [
            Offer(
                conversation=group.conversation,
                policies=group.policies,
                exchanges=group.exchanges,
                issuer=Issuer(
                    name,
                    group.conversation,
                    self._store,
                    self._environment,
                    terms=self._terms,
                    path=request.path,
                ),
            )
            for group in self._groups
        ]

    # ------------------------------------------------------------------------------------ application

    def _call(self, request: Request, action: str, offers: list[Offer]) -> Answer | Called:
        attempt, verified = self._reception.verify(request, self._attempts(offers, action))
        key = key_of(verified)
        back = Back(
            policy=attempt.meaning[1].fault,
            ring=self._answers.ring(request, verified, key),
            verified=verified,
            known=self._answers.known(verified.soap.version, request, action, context=key),
        )
        try:
            return self._called(request, attempt, back, action)
        except SecureConversationError as error:
            return self._answers.refused(error, back)

    def _attempts(
        self, offers: list[Offer], action: str
    ) -> Iterator[Attempt[tuple[EndpointPolicy, OperationPolicy]]]:
        """The ways that a call may be secured; each after the one before was found not to be.

        After a renewal a name may mean the first key, for a while. In a context that is over and may be renewed a call
        is read, so that the client can be told.
        """
        for offer in offers:
            for policy in offer.policies:
                operation, keys = operation_of(policy, action), CallKeys(offer.issuer)
                usual = Attempt(policy=operation.request, offer=offer, meaning=(policy, operation))
                yield replace(usual, lookup=keys.current)
                if keys.ambiguous:
                    yield replace(usual, lookup=keys.faded)
                if keys.missed and self._terms.renew_after_expiry:
                    yield replace(usual, lookup=RenewalKeys(offer.issuer).current)

    def _called(
        self,
        request: Request,
        attempt: Attempt[tuple[EndpointPolicy, OperationPolicy]],
        back: Back,
        action: str,
    ) -> Called:
        """A call that may go to the application."""
        verified, issuer = back.verified, attempt.offer.issuer
        context = context_of(verified, issuer)
        refuse_other_addresses(verified.addressing)
        policy, operation = attempt.meaning
        action, operation = operation_of_call(policy, operation, verified, action)
        username = self._authentication.username(verified)
        access = access_of("call", context, action, request)
        name = operation.name if policy.operations else None
        permit(self._authorize, replace(access, operation=name, username=username))
        if not isinstance(operation.request.binding, TransportBinding):
            drop_unproven_headers(verified)
        issuer.used(context)
        return Called(
            verified=verified,
            action=action,
            context=context,
            username=username,
            respond=partial(self._respond, back, policy, operation),
        )

    def _respond(
        self, back: Back, policy: EndpointPolicy, operation: OperationPolicy, status: int, reply: Soap | None
    ) -> Answer:
        """What the application answered, secured."""
        if reply is None:
            return Answer(status=status, soap=None)
        secured, action = reply_policy(policy, operation, reply, self._answers.wsa(back.verified))
        return replace(self._answers.secure(reply, replace(back, policy=secured), action), status=status)


def _grouped(
    policies: tuple[EndpointPolicy, ...], system: SystemPolicies | None, agreed: Algorithms
) -> list[_Group]:
    """The alternatives by how contexts are asked for: nobody can tell from a bootstrap which of them is meant."""
    groups: dict[ExchangePolicy, list[tuple[ConversationPolicy, EndpointPolicy]]] = {}
    for policy in policies:
        conversation = conversation_policy(policy)
        groups.setdefault(conversation.bootstrap, []).append((conversation, policy))
    conversations = [members[0][0] for members in groups.values()]
    return [
        _Group(conversation=conversation, policies=tuple(policy for _, policy in members), exchanges=ways)
        for conversation, members, ways in zip(
            conversations, groups.values(), exchanges(system, conversations, agreed), strict=True
        )
    ]
