"""One protected endpoint: what is done with a message, whatever brought it here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Generic, TypeVar

from ..conversation.context import SecurityContext
from ..conversation.issuer import Issuer, RequestRefused
from ..conversation.policies import ConversationPolicy, ExchangePolicy, conversation_policy
from ..conversation.store import Store
from ..environment import Environment
from ..errors import ConfigurationError, PolicyError, VerificationError
from ..policy.model import (
    Direction,
    EndpointPolicy,
    Policy,
    TransportBinding,
)
from ..policy.needs import service_needs
from ..policy.support import supported
from ..soap.addressing import ANONYMOUS, FAULT_ACTION, address_reply, read_addressing
from ..soap.envelope import Soap, new_envelope, parse
from ..trust import Dialect, RequestType, action_of, request_from_xml, response_to_xml
from ..wss.keys import ContextKey, Keyring
from ..wss.protect import protect
from ..wss.seen import SeenSignatures
from ..wss.unprotect import Verified, unprotect
from .authentication import Authentication
from .operations import operation_of, operation_of_body, reply_policy

log = logging.getLogger("zeep_secureconv.service")

_REMEMBERED_SIGNATURES = 200_000
#: A message that fits none costs the work of a message under each.
_MOST_ALTERNATIVES = 16

_Meaning = TypeVar("_Meaning")


@dataclass(frozen=True, kw_only=True)
class Request:
    """A message that came in.

    Args:
        body: its octets.
        soap: the same, parsed.
        action: SOAPAction, or None where HTTP says none.
        path: where it was sent to.
        over_tls: whether it came over TLS.
        client_certificate: whether the HTTP server checked a certificate of the client.
        authentication: how the HTTP server knows the user, such as "basic", or None.
    """

    body: bytes = field(repr=False)
    soap: Soap = field(repr=False)
    action: str | None
    path: str
    over_tls: bool
    client_certificate: bool = False
    authentication: str | None = None


@dataclass(frozen=True, kw_only=True)
class Called:
    """A call that was verified, for the application.

    Args:
        verified: the message in the clear, and what it proved.
        action: what is to be done.
        context: the context that it was made in.
        username: the user that the call itself names, where its policy wants one.
    """

    verified: Verified
    action: str
    context: SecurityContext
    username: str | None


#: Runs the application with a call: (HTTP status, its answer, if there is one).
Run = Callable[[Called], "tuple[int, Soap | None]"]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An HTTP answer that is SOAP."""

    status: int
    soap: Soap | None


@dataclass(frozen=True, kw_only=True)
class _Offer:
    """Alternatives of the published policy that contexts are asked for alike: a context is good for all of them.

    Args:
        conversation: that of the first.
        policies: the alternatives.
        issuer: gives the contexts.
    """

    conversation: ConversationPolicy
    policies: tuple[EndpointPolicy, ...]
    issuer: Issuer


@dataclass(frozen=True, kw_only=True)
class _Attempt(Generic[_Meaning]):
    """A policy that a message may have been secured by.

    Args:
        policy: the policy.
        offer: the alternatives that it is of.
        meaning: what follows when it was.
    """

    policy: Policy
    offer: _Offer
    meaning: _Meaning


class Endpoint:
    """Checks messages, answers those for the trust service, and hands calls on.

    Args:
        policies: the alternatives that are published; any is accepted.
        keyring: the service's keys.
        authentication: tells who sent a message.
        store: where contexts are kept.
        environment: time, randomness and bounds.
        name: what contexts are bound to; None for the path of each request.
        lifetime: how long a context lives at most.

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
        lifetime: timedelta,
    ) -> None:
        if len(policies) > _MOST_ALTERNATIVES:
            raise ConfigurationError(
                f"The policy has {len(policies)} alternatives, and a message would be tried under each",
                hint=f"publish a policy with at most {_MOST_ALTERNATIVES}",
            )
        self._keyring = replace(keyring, role="client", password_of=authentication.password_of)
        self._authentication = authentication
        self._store = store
        self._environment = environment
        self._name = name
        self._lifetime = lifetime
        self._groups = _grouped(policies)
        self._first = policies[0]
        # one for each attempt at a message: what one policy was seen to refuse another may take
        self._seen = [SeenSignatures(_REMEMBERED_SIGNATURES)]
        self._taken = SeenSignatures(_REMEMBERED_SIGNATURES)
        for policy in policies:
            self._check(policy)

    @property
    def conversation(self) -> ConversationPolicy:
        """The secure conversation of the first alternative."""
        return self._groups[0][0]

    @property
    def soap(self) -> str | None:
        """SOAP namespace of the policy, or None when it does not say."""
        return self._first.soap

    def answer(self, request: Request, run: Run) -> Answer:
        """What is answered to a message.

        Args:
            request: the message.
            run: runs the application, where the message is a call.

        Raises:
            VerificationError: when it is refused.
            RequestRefused: when the trust service refuses what it asks for.
        """
        soap = request.soap
        if self.soap is not None and soap.version != self.soap:
            raise VerificationError("soap-version", "The message has another SOAP version than the policy")
        addressing = read_addressing(soap)
        action = addressing.action or request.action or ""
        if request.action not in (None, "", action):
            raise VerificationError("action", "SOAPAction and wsa:Action differ")
        for address in (addressing.reply_to, addressing.fault_to):
            if address is not None and address not in ANONYMOUS.values():
                raise VerificationError("reply-to", "Answers are sent to the anonymous address only")
        offers = self._offers(request)
        asked = action_of(action)
        if asked is None:
            return self._call(request, action, offers, run)
        kind, dialect = asked
        by_context = kind in (RequestType.CANCEL, RequestType.VALIDATE)
        return (self._by_context if by_context else self._issue)(request, offers, kind, dialect)

    # ------------------------------------------------------------------------------------------ start

    def _check(self, policy: EndpointPolicy) -> None:
        """Refuse what would secure nothing, cannot be done, or lacks something."""
        conversation = conversation_policy(policy)
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

    def _offers(self, request: Request) -> list[_Offer]:
        name = self._name or request.path
        return [
            _Offer(
                conversation=conversation,
                policies=policies,
                issuer=Issuer(name, conversation, self._store, self._environment, lifetime=self._lifetime),
            )
            for conversation, policies in self._groups
        ]

    # ---------------------------------------------------------------------------------- trust service

    def _issue(self, request: Request, offers: list[_Offer], kind: RequestType, dialect: Dialect) -> Answer:
        """Issue and renew: secured both ways as the bootstrap policy says."""
        attempts = [
            _Attempt(policy=offer.conversation.bootstrap.request, offer=offer, meaning=None)
            for offer in offers
        ]
        attempt, verified = self._verify(request, attempts)
        principal = self._authentication.principal(verified)
        if verified.soap.payload is None:
            raise VerificationError("trust-message", "The request is empty")
        message = request_from_xml(verified.soap.payload, self._environment.limits)
        _same_generation(message.wst, dialect)
        issuer = attempt.offer.issuer
        if kind is RequestType.ISSUE:
            issued = issuer.issue(message, principal)
        else:
            issued = issuer.renew(message, principal, verified.endorsed_by)
        log.info("%s %s for %s", kind.value, issued.context.identifier, principal.name)
        reply = new_envelope(verified.soap.version)
        reply.body.append(response_to_xml(issued.response, dialect, kind))
        return self._secure(
            reply,
            attempt.offer.conversation.bootstrap.response,
            self._answering(request, verified, None),
            verified,
            dialect.action(kind, Direction.RESPONSE),
        )

    def _by_context(
        self, request: Request, offers: list[_Offer], kind: RequestType, dialect: Dialect
    ) -> Answer:
        """Cancel and validate: secured by the context itself, both ways."""
        attempts = [
            _Attempt(policy=exchange.request, offer=offer, meaning=exchange)
            for offer in offers
            for exchange in _cancels(offer.conversation)
        ]
        attempt, verified = self._verify(request, attempts)
        context = _context_of(verified, attempt.offer.issuer)
        if verified.soap.payload is None:
            raise VerificationError("trust-message", "The request is empty")
        message = request_from_xml(verified.soap.payload, self._environment.limits)
        _same_generation(message.wst, dialect)
        issuer = attempt.offer.issuer
        response = (issuer.cancel if kind is RequestType.CANCEL else issuer.validate)(message, context)
        log.info("%s %s for %s", kind.value, context.identifier, context.principal)
        reply = new_envelope(verified.soap.version)
        reply.body.append(response_to_xml(response, dialect, kind))
        return self._secure(
            reply,
            _answer_by_context(attempt.meaning, attempt.offer.conversation),
            self._answering(request, verified, context),
            verified,
            dialect.action(kind, Direction.RESPONSE),
        )

    # ------------------------------------------------------------------------------------ application

    def _call(self, request: Request, action: str, offers: list[_Offer], run: Run) -> Answer:
        attempts = [
            _Attempt(policy=operation.request, offer=offer, meaning=(policy, operation))
            for offer in offers
            for policy in offer.policies
            for operation in [operation_of(policy, action)]
        ]
        attempt, verified = self._verify(request, attempts)
        context = _context_of(verified, attempt.offer.issuer)
        policy, operation = attempt.meaning
        if action and verified.addressing.action not in (None, action):
            # it was encrypted, and SOAPAction chose the policy
            raise VerificationError("action", "SOAPAction and wsa:Action differ")
        if not action:
            action = verified.addressing.action or ""
            operation = operation_of_body(policy, verified.soap, action)
            action = action or min(operation.actions, default="")
        payload = verified.soap.payload
        tag = None if payload is None else payload.tag
        if policy.operations and tag != operation.input_element:
            # otherwise a message could be judged by the policy of one operation and run as another
            raise VerificationError("operation", "The Body is not that of the operation that Action names")
        username = self._authentication.username(verified)
        status, reply = run(Called(verified=verified, action=action, context=context, username=username))
        if reply is None:
            return Answer(status=status, soap=None)
        secured, reply_action = reply_policy(policy, operation, reply, attempt.offer.conversation.wsa)
        ring = self._answering(request, verified, context)
        return replace(self._secure(reply, secured, ring, verified, reply_action), status=status)

    # --------------------------------------------------------------------------------------- security

    def _verify(
        self, request: Request, attempts: Iterable[_Attempt[_Meaning]]
    ) -> tuple[_Attempt[_Meaning], Verified]:
        """The first policy that a message satisfies, and what it proves under that.

        Raises:
            VerificationError: when it satisfies none; that of the first policy that knew its context.
        """
        refused: list[VerificationError | PolicyError] = []
        soap = request.soap
        for number, attempt in enumerate(attempts):
            if number:
                # the one before may have left it half decrypted
                soap = Soap.of(parse(request.body, self._environment.limits))
            if number == len(self._seen):
                self._seen.append(SeenSignatures(_REMEMBERED_SIGNATURES))
            ring = replace(self._keyring, lookup=_lookup(attempt.offer.issuer), over_tls=request.over_tls)
            try:
                _check_transport(attempt.policy, request)
                verified = unprotect(soap, attempt.policy, ring, self._environment, seen=self._seen[number])
                self._take_users(verified)
                return attempt, verified
            except (VerificationError, PolicyError) as error:
                refused.append(error)
                if getattr(error, "check", None) == "replay":
                    # an earlier policy may have refused it for other reasons, the first time as now
                    raise
        raise next((error for error in refused if getattr(error, "check", None) != "context"), refused[0])

    def _take_users(self, verified: Verified) -> None:
        """Remember the nonces of user names for all alternatives: what one took, another refuses."""
        now, environment = self._environment.clock.now(), self._environment
        until = now + environment.message_lifetime + 2 * environment.clock_skew
        for user in verified.usernames:
            mark = user.username.encode() + b" " + user.nonce
            if user.nonce and not self._taken.add(mark, until=until, now=now):
                raise VerificationError("replay", "A UsernameToken was received before")

    def _answering(self, request: Request, verified: Verified, context: SecurityContext | None) -> Keyring:
        """The keys for the answer to a message."""
        certificates = (*filter(None, [verified.signer]), *verified.endorsers)
        return replace(
            self._keyring,
            peer=next(iter(certificates), None),
            context=context.key if context is not None else None,
            ephemeral=verified.ephemeral,
            tokens=self._authentication.credentials(verified),
            over_tls=request.over_tls,
        )

    def _secure(
        self, reply: Soap, policy: Policy, ring: Keyring, verified: Verified, action: str | None
    ) -> Answer:
        request = verified.addressing
        wsa = request.wsa or self.conversation.wsa
        address_reply(
            reply,
            wsa=wsa,
            action=action or (FAULT_ACTION[wsa] if reply.is_fault() else (request.action or "") + "Response"),
            relates_to=request.message_id,
            random=self._environment.random,
        )
        protect(
            reply,
            policy,
            ring,
            self._environment,
            direction=Direction.RESPONSE,
            confirm=verified.signature_values,
            seen=self._seen[0],
        )
        return Answer(status=200, soap=reply)


def _grouped(
    policies: tuple[EndpointPolicy, ...],
) -> list[tuple[ConversationPolicy, tuple[EndpointPolicy, ...]]]:
    """The alternatives by how contexts are asked for: nobody can tell from a bootstrap which of them is meant."""
    groups: dict[ExchangePolicy, list[tuple[ConversationPolicy, EndpointPolicy]]] = {}
    for policy in policies:
        conversation = conversation_policy(policy)
        groups.setdefault(conversation.bootstrap, []).append((conversation, policy))
    return [(members[0][0], tuple(policy for _, policy in members)) for members in groups.values()]


def _cancels(conversation: ConversationPolicy) -> tuple[ExchangePolicy, ...]:
    """The ways that clients secure a Cancel, and a Validate.

    What is encrypted first: it would satisfy the other too, and be answered in clear.
    """
    in_clear, in_full = conversation.cancel, conversation.cancel_in_full
    return tuple(dict.fromkeys((in_full, in_clear) if in_full.request.encrypted else (in_clear, in_full)))


def _answer_by_context(form: ExchangePolicy, conversation: ConversationPolicy) -> Policy:
    """The policy of our answer to a Cancel, and to a Validate.

    In clear it is that of the request: Metro's client wants the derived keys of the policy, where the policy of
    answers that are read allows others' raw keys.
    """
    return form.request if form == conversation.cancel else form.response


def _check_transport(policy: Policy, request: Request) -> None:
    """What a sp:HttpsToken demands of the client, the HTTP server must have seen to (WS-SecurityPolicy 1.3, 5.4.11)."""
    if not isinstance(policy.binding, TransportBinding):
        return
    token = policy.binding.transport_token
    for demanded, met, what in (
        (token.require_client_certificate, request.client_certificate, "a TLS certificate of the client"),
        (token.http_basic_authentication, request.authentication == "basic", "HTTP Basic authentication"),
    ):
        if demanded and not met:
            raise VerificationError(
                "transport", f"The policy demands {what}, and the HTTP server tells of none"
            )


def _lookup(issuer: Issuer) -> Callable[[str, str | None], ContextKey | None]:
    def find(identifier: str, instance: str | None) -> ContextKey | None:
        context = issuer.find(identifier, instance)
        return context.key if context is not None else None

    return find


def _context_of(verified: Verified, issuer: Issuer) -> SecurityContext:
    """The context that secured a message: by the primary signature, or by endorsing it."""
    keys = (*filter(None, [verified.context]), *verified.endorsed_by)
    if len({key.identifier for key in keys}) > 1:
        raise VerificationError("context", "The message is secured by two contexts")
    context = issuer.find(keys[0].identifier, keys[0].instance) if keys else None
    if context is None:
        raise VerificationError("context", "The context ended while its message was read")
    return context


def _same_generation(wst: str, dialect: Dialect) -> None:
    if wst != dialect.wst:
        raise RequestRefused("InvalidRequest", "Action and Body are of two generations of WS-Trust")
