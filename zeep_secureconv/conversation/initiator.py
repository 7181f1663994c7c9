"""The client's side of a context's life, without any input or output.

Each exchange has two halves: one makes a :class:`Exchange` whose message the caller sends, the other takes the
answer. Between them the caller may wait, retry or give up.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from datetime import timedelta

from lxml import etree

from ..environment import Environment
from ..errors import VerificationError
from ..names import WSSE, WSU, sct_type
from ..policy.model import Direction, Policy
from ..soap.addressing import address_request
from ..soap.envelope import Soap, new_envelope
from ..trust import (
    ContextToken,
    Dialect,
    Entropy,
    RequestSecurityToken,
    RequestSecurityTokenResponse,
    RequestType,
    TokenReference,
    context_key,
    request_to_xml,
    response_from_xml,
)
from ..wss.keys import ContextKey, Keyring
from ..wss.protect import Protected, protect
from ..wss.reply import Reply, read_reply
from .context import SecurityContext
from .policies import ConversationPolicy, ExchangePolicy
from .store.forks import in_child

_REMEMBERED_CONTEXTS = 10_000


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One request to the trust service, ready to be sent.

    Args:
        endpoint: URL to send it to.
        soap: the secured message.
        action: wsa:Action.
        kind: what it asks for.
        response: the policy of the answer.
        keyring: the keys that the answer may use.
        protected: what was sent, for the checks of the answer.
        request: what it says.
        context: the context it is about, for all but Issue.
    """

    endpoint: str
    soap: Soap = field(repr=False)
    action: str
    kind: RequestType
    policy: ConversationPolicy = field(repr=False)
    response: Policy = field(repr=False)
    keyring: Keyring = field(repr=False)
    protected: Protected = field(repr=False)
    request: RequestSecurityToken = field(repr=False)
    context: SecurityContext | None = None


class Initiator:
    """Asks for contexts and gives them back.

    Args:
        environment: time, randomness and bounds.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._remake()
        in_child(self._remake)
        self._held: OrderedDict[tuple[str, str | None], None] = OrderedDict()

    def _remake(self) -> None:
        self._lock = threading.Lock()

    def ask_issue(
        self, endpoint: str, policy: ConversationPolicy, keyring: Keyring, dialect: Dialect
    ) -> Exchange:
        """A request for a new context (WS-SecureConversation 1.4, section 3), secured as the bootstrap policy says."""
        request = RequestSecurityToken(
            wst=dialect.wst,
            request_type=RequestType.ISSUE,
            token_type=sct_type(dialect.wsc),
            context=dialect.context_attributes.get(RequestType.ISSUE),
            applies_to=endpoint if dialect.applies_to or policy.requires_applies_to else None,
            computed_key_algorithm=f"{dialect.wst}/CK/PSHA1" if dialect.computation else None,
        )
        return self._exchange(
            endpoint,
            self._with_entropy(request, policy, dialect),
            policy,
            keyring=replace(keyring, leg="bootstrap"),
            dialect=dialect,
            secured=policy.bootstrap,
        )

    def _with_entropy(
        self, request: RequestSecurityToken, policy: ConversationPolicy, dialect: Dialect
    ) -> RequestSecurityToken:
        size = dialect.key_size or policy.key_size
        entropy = Entropy(self._environment.random(size), f"{dialect.wst}/Nonce")
        return replace(request, entropy=entropy, key_size=size)

    def accept_issue(self, exchange: Exchange, reply: Soap, dialect: Dialect) -> Reply | SecurityContext:
        """The context that an answer to :meth:`ask_issue` brings, or the fault it holds.

        Raises:
            VerificationError: when the answer, or what it says, is not acceptable.
        """
        checked = self._read(exchange, reply)
        if checked.fault is not None:
            return checked
        payload = checked.soap.payload
        if payload is None:
            raise VerificationError("trust-message", "The answer of the trust service is empty")
        response = response_from_xml(payload, self._environment.limits)
        return self._context(exchange, response, dialect)

    def ask_renew(
        self,
        context: SecurityContext,
        policy: ConversationPolicy,
        keyring: Keyring,
        dialect: Dialect,
        *,
        endorsed_by: ContextKey | None,
    ) -> Exchange:
        """A request for a new key of *context* (WS-SecureConversation 1.4, section 5).

        Args:
            context: the context.
            policy: the conversation that it is for.
            keyring: our keys.
            dialect: how the request is written.
            endorsed_by: the key of the context that endorses the request, or None where the bootstrap alone secures it.
        """
        request = RequestSecurityToken(
            wst=dialect.wst,
            request_type=RequestType.RENEW,
            token_type=sct_type(dialect.wsc),
            context=dialect.context_attributes.get(RequestType.RENEW),
            applies_to=context.endpoint if dialect.applies_to else None,
            target=_target(context, dialect),
        )
        ring = replace(keyring, leg="bootstrap", context=endorsed_by or context.key)
        exchange = self._exchange(
            context.endpoint,
            self._with_entropy(request, policy, dialect),
            policy,
            keyring=ring,
            dialect=dialect,
            secured=policy.renewal if endorsed_by is not None else policy.bootstrap,
        )
        return replace(exchange, context=context)

    def accept_renew(self, exchange: Exchange, reply: Soap, dialect: Dialect) -> Reply | SecurityContext:
        """The context with the new key that an answer to :meth:`ask_renew` brings, or the fault it holds.

        Raises:
            VerificationError: when the answer, or what it says, is not acceptable: another Identifier than the
                context's, or no new Instance.
        """
        renewed, old = self.accept_issue(exchange, reply, dialect), exchange.context
        if isinstance(renewed, Reply):
            return renewed
        assert old is not None
        if renewed.identifier != old.identifier or renewed.instance in (None, old.instance):
            raise VerificationError(
                "trust-message", "The renewed context is not the one that was to be renewed"
            )
        return replace(renewed, first=old.first or old.key)

    def ask_cancel(
        self,
        context: SecurityContext,
        policy: ConversationPolicy,
        keyring: Keyring,
        dialect: Dialect,
        *,
        in_full: bool = False,
    ) -> Exchange:
        """A request to cancel *context* (WS-SecureConversation 1.4, section 6), secured by the context itself.

        Args:
            context: the context.
            policy: the conversation that it is for.
            keyring: our keys.
            dialect: how the request is written.
            in_full: secure it as any message of the application, instead of signed and in clear.
        """
        return self._ask_by_context(RequestType.CANCEL, context, policy, keyring, dialect, in_full=in_full)

    def accept_cancel(self, exchange: Exchange, reply: Soap) -> bool:
        """Whether the answer to :meth:`ask_cancel` says that the context is cancelled.

        The answer is information only (WS-SecureConversation 1.4, section 6): whatever it says, the context is not
        used any more.

        Raises:
            VerificationError: when the answer is not from the service.
        """
        checked = self._read(exchange, reply)
        if checked.fault is not None or checked.soap.payload is None:
            return False
        return response_from_xml(checked.soap.payload, self._environment.limits).cancelled

    def ask_validate(
        self,
        context: SecurityContext,
        policy: ConversationPolicy,
        keyring: Keyring,
        dialect: Dialect,
        *,
        in_full: bool = False,
    ) -> Exchange:
        """A question whether *context* is valid (WS-Trust 1.4, section 7), secured by the context itself.

        WebSphere's trust service answers it.

        Args:
            context: the context.
            policy: the conversation that it is for.
            keyring: our keys.
            dialect: how the request is written.
            in_full: secure it as any message of the application, instead of signed and in clear.
        """
        return self._ask_by_context(RequestType.VALIDATE, context, policy, keyring, dialect, in_full=in_full)

    def accept_validate(self, exchange: Exchange, reply: Soap) -> Reply | bool:
        """Whether the answer to :meth:`ask_validate` says that the context is valid, or the fault it holds.

        Raises:
            VerificationError: when the answer is not from the service, or says neither.
        """
        checked = self._read(exchange, reply)
        if checked.fault is not None:
            return checked
        status = None
        if checked.soap.payload is not None:
            status = response_from_xml(checked.soap.payload, self._environment.limits).status
        wst = exchange.request.wst
        if status not in (f"{wst}/status/valid", f"{wst}/status/invalid"):
            raise VerificationError("trust-message", "The answer does not say whether the context is valid")
        return status == f"{wst}/status/valid"

    def _ask_by_context(
        self,
        kind: RequestType,
        context: SecurityContext,
        policy: ConversationPolicy,
        keyring: Keyring,
        dialect: Dialect,
        *,
        in_full: bool,
    ) -> Exchange:
        request = RequestSecurityToken(
            wst=dialect.wst,
            request_type=kind,
            # without TokenType CXF takes the token for one of the other generation
            token_type=sct_type(dialect.wsc),
            context=dialect.context_attributes.get(kind),
            applies_to=context.endpoint if dialect.applies_to else None,
            target=_target(context, dialect),
        )
        exchange = self._exchange(
            context.endpoint,
            request,
            policy,
            keyring=replace(keyring, context=context.key),
            dialect=dialect,
            secured=policy.cancel_in_full if in_full else policy.cancel,
        )
        return replace(exchange, context=context)

    def _read(self, exchange: Exchange, reply: Soap) -> Reply:
        """What an answer holds, once it is certain that it is the service's, to this request."""
        return read_reply(
            reply,
            exchange.response,
            exchange.keyring,
            self._environment,
            request=exchange.protected,
            seen=None,
        )

    def _exchange(
        self,
        endpoint: str,
        request: RequestSecurityToken,
        policy: ConversationPolicy,
        *,
        keyring: Keyring,
        dialect: Dialect,
        secured: ExchangePolicy,
    ) -> Exchange:
        action = dialect.action(request.request_type, Direction.REQUEST)
        assert action is not None
        soap = new_envelope(policy.soap)
        soap.body.append(request_to_xml(request, dialect))
        message_id = address_request(
            soap,
            wsa=policy.wsa,
            to=endpoint,
            action=action,
            random=self._environment.random,
            headers=dialect.request_headers,
        )
        protected = protect(
            soap,
            secured.request,
            keyring,
            self._environment,
            direction=Direction.REQUEST,
            message_id=message_id,
        )
        return Exchange(
            endpoint=endpoint,
            soap=soap,
            action=action,
            kind=request.request_type,
            policy=policy,
            response=secured.response,
            keyring=replace(keyring, ephemeral=protected.ephemeral),
            protected=protected,
            request=request,
        )

    def _context(
        self, exchange: Exchange, response: RequestSecurityTokenResponse, dialect: Dialect
    ) -> SecurityContext:
        """The context that a verified response gives, if everything in it is what was asked for."""
        request, policy = exchange.request, exchange.policy
        token = response.token
        if response.wst != request.wst or token is None or token.wsc != dialect.wsc:
            raise VerificationError("trust-message", "The answer does not hold the token that was asked for")
        if response.token_type not in (None, request.token_type):
            raise VerificationError("trust-message", "The answer holds a token of another type")
        self._check_lifetime(response)
        secret = context_key(
            request.entropy.secret if request.entropy else None,
            response,
            request.key_size or 0,
            minimum=policy.key_size,
            require_server_entropy=policy.requires_server_entropy,
        )
        self._hold(token)
        lifetime = response.lifetime
        return SecurityContext(
            endpoint=exchange.endpoint,
            # without Created it begins now: its age is counted from there
            created=(lifetime.created or self._environment.clock.now()) if lifetime else None,
            expires=lifetime.expires if lifetime else None,
            dialect=dialect.name,
            renewable=response.renewing is None or response.renewing.allow,
            renewable_late=response.renewing is not None and response.renewing.ok,
            policy=policy.fingerprint,
            received=self._environment.clock.monotonic(),
            key=ContextKey(
                identifier=token.identifier,
                instance=token.instance,
                wsc=token.wsc,
                secret=secret,
                token=token.xml,
                attached=_usable(response.attached, f"#{token.id}" if token.id else None, token),
                unattached=_usable(response.unattached, token.identifier, token),
            ),
        )

    def _check_lifetime(self, response: RequestSecurityTokenResponse) -> None:
        lifetime = response.lifetime
        if lifetime is None:
            return
        now, skew = self._environment.clock.now(), self._environment.clock_skew
        created, expires = lifetime.created, lifetime.expires
        if created is not None and created > now + skew:
            raise VerificationError("lifetime", "The context is not valid yet", hint="set the clocks")
        if expires is not None and (expires <= now - skew or expires - (created or now) < _SHORTEST):
            raise VerificationError("lifetime", "The context is over before it begins", hint="set the clocks")

    def _hold(self, token: ContextToken) -> None:
        """Refuse a context that was held before: its key would be used under a name that means another one."""
        name = (token.identifier, token.instance)
        with self._lock:
            if name in self._held:
                raise VerificationError(
                    "context-reused", "The service gave a context that it had given before"
                )
            self._held[name] = None
            while len(self._held) > _REMEMBERED_CONTEXTS:
                self._held.popitem(last=False)


_SHORTEST = timedelta(milliseconds=1)


def _target(context: SecurityContext, dialect: Dialect) -> ContextToken | TokenReference:
    """How a request names the context it is about."""
    key = context.key
    if dialect.target == "token":
        return ContextToken(key.identifier, key.instance, None, key.wsc, _without_id(key.token))
    return TokenReference(key.identifier, sct_type(key.wsc), key.instance, xml=key.unattached)


def _without_id(token: bytes) -> bytes:
    """The token without its wsu:Id: it stands in the header too, and an id stands once in a message."""
    element = etree.fromstring(token)
    element.attrib.pop(f"{{{WSU}}}Id", None)
    return etree.tostring(element)


def _usable(reference: TokenReference | None, uri: str | None, token: ContextToken) -> bytes | None:
    """The reference as it was received, if it names the token that came with it.

    Metro's lacks the Instance of a renewed token; a message that refers to it so is taken for one under the first key.
    """
    if reference is None or reference.uri != uri or reference.xml is None:
        return None
    if token.instance is None or reference.instance is not None:
        return reference.xml
    element = etree.fromstring(reference.xml)
    for child in element.iterfind(f"{{{WSSE}}}Reference"):
        child.set(f"{{{token.wsc}}}Instance", token.instance)
    return etree.tostring(element)
