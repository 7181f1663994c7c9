"""The service's side of a context's life, without any input or output: issue, renew, cancel, validate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from ..environment import Environment
from ..errors import LimitExceeded, SecureConversationError
from ..names import WSC_OF_WST, sct_type
from ..policy.model import DerivedKeys
from ..trust import (
    ContextToken,
    Entropy,
    Lifetime,
    Renewing,
    RequestSecurityToken,
    RequestSecurityTokenResponse,
    RequestType,
    TokenReference,
    new_context_token,
)
from ..wss.kdf import p_sha1
from ..wss.keys import ContextKey
from .context import SecurityContext
from .policies import ConversationPolicy
from .store import RecordKey, Store

#: How long the old key of a renewed context goes on working, for messages on their way.
_ROLLOVER = timedelta(minutes=5)


_Keep = Callable[[SecurityContext], None]


class RequestRefused(SecureConversationError):
    """The trust service refuses a request.

    Args:
        code: local name of the WS-Trust fault (WS-Trust 1.3, section 11).
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Who asked for a context.

    Args:
        name: for people, such as the subject of a certificate; None where nobody says who it is.
        owner: what tells principals apart: two authorities may issue certificates for one name.
    """

    name: str | None
    owner: str


#: Who asked for a context where the policy does not want to know.
ANONYMOUS = Principal(name=None, owner="anonymous")


@dataclass(frozen=True, kw_only=True)
class Issued:
    """An answer, and the context it is about."""

    response: RequestSecurityTokenResponse
    context: SecurityContext


class Issuer:
    """Issues security contexts for one endpoint and keeps them.

    Args:
        endpoint: what contexts are bound to.
        policy: the conversation that they are for.
        store: where they are kept.
        environment: time, randomness and bounds.
        lifetime: how long a context lives at most.
    """

    def __init__(
        self,
        endpoint: str,
        policy: ConversationPolicy,
        store: Store,
        environment: Environment,
        *,
        lifetime: timedelta,
    ) -> None:
        self._endpoint = endpoint
        self._policy = policy
        self._fingerprint = policy.fingerprint
        self._store = store
        self._environment = environment
        self._lifetime = lifetime

    def find(self, identifier: str, instance: str | None) -> SecurityContext | None:
        """The living context with that name at this endpoint and policy, or None.

        A reference without an Instance means the current key. No older one outlives the context itself, which may
        be cancelled.
        """
        context = self._store.get(self._key(identifier, instance))
        if context is None or context.policy != self._fingerprint:
            return None
        cancelled = instance is not None and self.find(identifier, None) is None
        if cancelled or context.is_over(self._environment.clock):
            self._store.drop(self._key(identifier, instance), context)
            return None
        return context

    def issue(self, request: RequestSecurityToken, principal: Principal) -> Issued:
        """A new context for *principal* (WS-SecureConversation 1.4, section 3).

        Raises:
            RequestRefused: when the request asks for what is not given.
        """
        self._check(request, RequestType.ISSUE)
        identifier = self._new_name()
        return self._give(request, identifier, None, principal, self._keep_new)

    def renew(
        self,
        request: RequestSecurityToken,
        principal: Principal,
        endorsed_by: tuple[ContextKey, ...] = (),
    ) -> Issued:
        """A new key for a context (section 5 of WS-SecureConversation 1.3: same Identifier, new Instance).

        Only the principal that holds the context renews it. Possession of its key is not asked for beyond that:
        WebSphere and CXF renew with the bootstrap alone. But where that says nothing of who asks, the key itself
        must.

        Args:
            request: what is asked for.
            principal: who asks.
            endorsed_by: the context keys that endorsed the request.

        Raises:
            RequestRefused: when there is no such context of this principal.
        """
        self._check(request, RequestType.RENEW)
        if self._policy.token.must_not_send_renew:
            raise RequestRefused("RequestFailed", "The policy allows no renewal")
        old = self._target(request, principal, endorsed_by)

        def keep(new: SecurityContext) -> None:
            # under its own name first: should that fail, the client still has the key that it knows
            self._add(self._key(new.identifier, new.instance), new)
            if not self._store.replace(self._key(old.identifier, None), old, new):
                self._store.drop(self._key(new.identifier, new.instance), new)
                raise RequestRefused("RequestFailed", "The context was renewed or cancelled at the same time")
            self._fade(old)

        return self._give(request, old.identifier, self._new_name(), principal, keep)

    def cancel(self, request: RequestSecurityToken, context: SecurityContext) -> RequestSecurityTokenResponse:
        """Forget a context; *context* is the one that secured the request, and no other can be cancelled by it.

        Raises:
            RequestRefused: when the target is another context.
        """
        self._check(request, RequestType.CANCEL)
        identifier, _ = _name(request.target)
        if identifier != context.identifier:
            raise RequestRefused("InvalidRequest", "A context can be cancelled by itself only")
        # earlier keys, that faded after a renewal, are nothing without the record of the current one: see find()
        for instance in (None, context.instance):
            held = self._store.get(self._key(identifier, instance))
            if held is not None:
                self._store.drop(self._key(identifier, instance), held)
        return RequestSecurityTokenResponse(wst=request.wst, context=request.context, cancelled=True)

    def validate(
        self, request: RequestSecurityToken, context: SecurityContext
    ) -> RequestSecurityTokenResponse:
        """Say whether a context is valid (WS-Trust 1.4, section 7).

        Args:
            request: what is asked.
            context: the one that secured the request. Its principal is told of its own contexts, and of others
                what it is told of those that do not exist; where nobody says who asks, of this one alone.

        Raises:
            RequestRefused: when the request names no context.
        """
        self._check(request, RequestType.VALIDATE)
        identifier, instance = _name(request.target)
        held = self.find(identifier, instance)
        own = context.owner != ANONYMOUS.owner or identifier == context.identifier
        valid = held is not None and held.owner == context.owner and own
        status = f"{request.wst}/status/{'valid' if valid else 'invalid'}"
        return RequestSecurityTokenResponse(wst=request.wst, context=request.context, status=status)

    # ---------------------------------------------------------------------------------------- inside

    def _key(self, identifier: str, instance: str | None) -> RecordKey:
        return ("service", self._endpoint, identifier, instance or "")

    def _new_name(self) -> str:
        return UUID(bytes=self._environment.random(16), version=4).urn

    def _check(self, request: RequestSecurityToken, kind: RequestType) -> None:
        if request.request_type is not kind:
            raise RequestRefused("InvalidRequest", "RequestType and Action do not agree")
        if request.unsupported or request.entropy_encrypted_key is not None:
            raise RequestRefused("InvalidRequest", "The request asks for what is not supported")
        # WS-Trust's own TokenType for a validation asks for nothing but the status
        status = f"{request.wst}/RSTR/Status" if kind is RequestType.VALIDATE else None
        if request.token_type not in (None, status, sct_type(WSC_OF_WST[request.wst])):
            raise RequestRefused("InvalidRequest", "Only SecurityContextTokens are issued here")

    def _target(
        self, request: RequestSecurityToken, principal: Principal, endorsed_by: tuple[ContextKey, ...]
    ) -> SecurityContext:
        identifier, instance = _name(request.target)
        context = self.find(identifier, instance)
        proven = principal != ANONYMOUS or any(key.identifier == identifier for key in endorsed_by)
        if context is None or context.owner != principal.owner or not proven:
            # the same answer for both: nobody learns which contexts others hold
            raise RequestRefused("RequestFailed", "There is no such context")
        return context

    def _give(
        self,
        request: RequestSecurityToken,
        identifier: str,
        instance: str | None,
        principal: Principal,
        keep: _Keep,
    ) -> Issued:
        wsc = WSC_OF_WST[request.wst]
        secret, entropy, proof = self._make_key(request)
        token_id = f"sct-{self._environment.random(12).hex()}"
        token = new_context_token(identifier, wsc=wsc, element_id=token_id, instance=instance)
        created = self._environment.clock.now()
        expires = created + self._granted(request.lifetime, created)
        unattached = TokenReference(identifier, sct_type(wsc), instance)
        context = SecurityContext(
            endpoint=self._endpoint,
            created=created,
            expires=expires,
            dialect="",
            principal=principal.name,
            owner=principal.owner,
            policy=self._fingerprint,
            key=ContextKey(identifier=identifier, instance=instance, wsc=wsc, secret=secret, token=token.xml),
        )
        try:
            keep(context)
        except LimitExceeded as error:
            raise RequestRefused("RequestFailed", "There are too many contexts") from error
        response = RequestSecurityTokenResponse(
            wst=request.wst,
            token_type=sct_type(wsc),
            context=request.context,
            token=token,
            attached=TokenReference(f"#{token_id}", sct_type(wsc)),
            unattached=unattached,
            computed_key=f"{request.wst}/CK/PSHA1" if proof is None else None,
            proof_secret=proof,
            entropy=entropy,
            lifetime=Lifetime(created, expires),
            key_size=len(secret),
            renewing=Renewing(allow=not self._policy.token.must_not_send_renew, ok=False),
            applies_to=request.applies_to,
        )
        return Issued(response=response, context=context)

    def _make_key(self, request: RequestSecurityToken) -> tuple[bytes, Entropy | None, bytes | None]:
        """(key, our entropy, the key as a proof): computed from both entropies, or ours alone (WS-Trust 1.3, 4.4)."""
        assert self._policy.application.binding is not None
        suite = self._policy.application.binding.algorithm_suite
        size = min(max(request.key_size or 0, suite.minimum_key_length), suite.maximum_key_length)
        if self._policy.token.derived_keys is DerivedKeys.NONE:
            # Metro and CXF ask for 256 bits under every suite, and would take all of them for the key of a cipher
            size = suite.encryption_key_length
        own = self._environment.random(size)
        if request.entropy is None:
            trust = self._policy.application.trust
            if (
                trust is not None
                and trust.require_client_entropy
                and request.request_type is RequestType.ISSUE
            ):
                raise RequestRefused("InvalidRequest", "The policy demands entropy of the client")
            return own, None, own
        if request.computed_key_algorithm not in (None, f"{request.wst}/CK/PSHA1"):
            raise RequestRefused("InvalidRequest", "Keys are computed with P_SHA1 only")
        return p_sha1(request.entropy.secret, own, size), Entropy(own, f"{request.wst}/Nonce"), None

    def _granted(self, wanted: Lifetime | None, now: datetime) -> timedelta:
        """The lifetime that was asked for, up to ours."""
        if wanted is None or wanted.expires is None:
            return self._lifetime
        asked = wanted.expires - (wanted.created or now)
        return min(self._lifetime, asked) if asked > timedelta(0) else self._lifetime

    def _keep_new(self, context: SecurityContext) -> None:
        self._add(self._key(context.identifier, None), context)

    def _add(self, key: RecordKey, context: SecurityContext) -> None:
        """Keep a record, if its principal does not hold too many."""
        limit = self._environment.limits.contexts_per_principal
        if self._store.held_by(context.owner or "") >= limit:
            raise RequestRefused("RequestFailed", "This principal holds too many contexts")
        if not self._store.add(key, context):
            raise RequestRefused("RequestFailed", "The context could not be kept")

    def _fade(self, old: SecurityContext) -> None:
        """Let the old key work a little longer, where its Instance tells it from the new one."""
        if old.instance is None:
            return
        until = self._environment.clock.now() + _ROLLOVER
        if old.expires is None or old.expires > until:
            self._store.replace(self._key(old.identifier, old.instance), old, replace(old, expires=until))


def _name(target: ContextToken | TokenReference | None) -> tuple[str, str | None]:
    """(Identifier, Instance) of the context that a request is about."""
    if isinstance(target, ContextToken):
        return target.identifier, target.instance
    if target is None or target.uri.startswith("#"):
        raise RequestRefused("InvalidRequest", "The request does not name a context by its Identifier")
    return target.uri, target.instance
