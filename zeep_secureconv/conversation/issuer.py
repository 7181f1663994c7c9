"""The service's side of a context's life, without any input or output: issue, renew, cancel, validate."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from ..environment import Environment
from ..errors import LimitExceeded
from ..names import WSC_OF_WST, sct_type
from ..trust import (
    Lifetime,
    Renewing,
    RequestSecurityToken,
    RequestSecurityTokenResponse,
    RequestType,
    TokenReference,
    new_context_token,
)
from ..wss.keys import ContextKey
from .context import SecurityContext
from .granting import RequestRefused, agree_on_key, check_request, granted_lifetime, target_of
from .policies import ConversationPolicy
from .store import RecordKey, Store
from .terms import Terms

#: How long the old key of a renewed context goes on working, for messages on their way.
_ROLLOVER = timedelta(minutes=5)
#: Under which the first key of a renewed context fades, if it has no Instance. None on the wire can be like it.
_FIRST = "\0first"
#: How often room is made for a context: others may take it at the same moment.
_ATTEMPTS = 3


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
        terms: what is granted.
        path: the path that requests are sent to, for AppliesTo; *endpoint* by default.
    """

    def __init__(
        self,
        endpoint: str,
        policy: ConversationPolicy,
        store: Store,
        environment: Environment,
        *,
        terms: Terms,
        path: str | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._places = tuple(dict.fromkeys((endpoint, endpoint if path is None else path)))
        self._policy = policy
        self._fingerprint = policy.fingerprint
        self._store = store
        self._environment = environment
        self._terms = terms

    def find(self, identifier: str, instance: str | None) -> SecurityContext | None:
        """The living context with that name at this endpoint and policy, or None.

        A reference without an Instance means the current key. No older one outlives the context itself, which may
        be cancelled.
        """
        context = self._living(identifier, None)
        if context is None or instance in (None, context.instance):
            return context
        return self._living(identifier, instance)

    def faded(self, identifier: str) -> SecurityContext | None:
        """The first key of a living context, as long as it goes on working beside the one that renewed it.

        It has no Instance, and a reference without one means the current key to most stacks.
        """
        return None if self._living(identifier, None) is None else self._living(identifier, _FIRST)

    def used(self, context: SecurityContext) -> None:
        """Note, once, that a call was made in a context: what never was used goes first when there are too many."""
        if context.used:
            return
        current = self._record(context.identifier, None)
        if current is not None and not current.used:
            self._store.replace(self._key(context.identifier, None), current, replace(current, used=True))

    def issue(self, request: RequestSecurityToken, principal: Principal, *, named: bool = False) -> Issued:
        """A new context for *principal* (WS-SecureConversation 1.4, section 3).

        Args:
            request: what is asked for.
            principal: who asks.
            named: whether its first key has an Instance, as WebSphere's have.

        Raises:
            RequestRefused: when the request asks for what is not given.
        """
        self._check(request, RequestType.ISSUE)
        issued = self._make(request, principal, None, named=named)
        self._add(issued.context)
        return issued

    def renew(
        self,
        request: RequestSecurityToken,
        principal: Principal,
        endorsed_by: tuple[ContextKey, ...] = (),
    ) -> Issued:
        """A new key for a context (section 5 of WS-SecureConversation 1.3: same Identifier, new Instance).

        Only the principal that holds the context renews it. Possession of its key is not asked for beyond that:
        WebSphere and CXF renew with the bootstrap alone. But where that says nothing of who asks, the key itself
        must; and a key that endorses must be the context's, the current one or the first.

        Args:
            request: what is asked for.
            principal: who asks.
            endorsed_by: the context keys that endorsed the request, found by :class:`RenewalKeys`.

        Raises:
            RequestRefused: when there is no such context of this principal, or it is not renewed.
        """
        self._check(request, RequestType.RENEW)
        if self._policy.token.must_not_send_renew:
            raise RequestRefused("UnableToRenew", "The policy allows no renewal")
        old = self._owned(request, principal, endorsed_by)
        if old is None or not old.renewable:
            # the same answer for all: nobody learns which contexts others hold
            raise RequestRefused("UnableToRenew", "There is no such context")

        issued = self._make(request, principal, old)
        self._fade(old)
        if not self._store.replace(self._key(old.identifier, None), old, issued.context):
            raise RequestRefused("UnableToRenew", "The context was renewed or cancelled at the same time")
        return issued

    def cancel(self, request: RequestSecurityToken, context: SecurityContext) -> RequestSecurityTokenResponse:
        """Forget a context; *context* is the one that secured the request, and no other can be cancelled by it.

        Raises:
            RequestRefused: when the target is another context.
        """
        self._check(request, RequestType.CANCEL)
        identifier, _ = target_of(request)
        if identifier != context.identifier:
            raise RequestRefused("InvalidRequest", "A context can be cancelled by itself only")
        return self._cancelled(request, context)

    def cancel_of(
        self, request: RequestSecurityToken, principal: Principal, endorsed_by: tuple[ContextKey, ...] = ()
    ) -> RequestSecurityTokenResponse:
        """Forget a context of *principal*, whose request the bootstrap secured: CXF's client cancels so.

        Args:
            request: what is asked for.
            principal: who asks.
            endorsed_by: the context keys that endorsed the request.

        Raises:
            RequestRefused: when there is no such context of this principal, or nothing says who asks.
        """
        self._check(request, RequestType.CANCEL)
        context = self._owned(request, principal, endorsed_by)
        if context is None:
            raise RequestRefused("RequestFailed", "There is no such context")
        return self._cancelled(request, context)

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
        identifier, instance = target_of(request)
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
        check_request(request, kind, self._policy, self._terms, self._places)

    def _record(self, identifier: str, instance: str | None) -> SecurityContext | None:
        """What is kept under that name for this policy, however old."""
        context = self._store.get(self._key(identifier, instance))
        return context if context is not None and context.policy == self._fingerprint else None

    def _living(self, identifier: str, instance: str | None) -> SecurityContext | None:
        """What is kept under that name, unless it is over."""
        context = self._record(identifier, instance)
        if context is None or not context.is_over(self._environment.clock):
            return context
        if not self._may_renew_late(context):
            self._store.drop(self._key(identifier, instance), context)
        return None

    def to_renew(self, identifier: str, instance: str | None) -> SecurityContext | None:
        """The context with that name if it may be renewed, which may be possible after its end; None otherwise."""
        context = self._record(identifier, None)
        if context is None or instance not in (None, context.instance):
            return None
        living = not context.is_over(self._environment.clock)
        return context if living or self._may_renew_late(context) else None

    def _may_renew_late(self, context: SecurityContext) -> bool:
        until = context.kept_until if self._terms.renew_after_expiry else None
        return until is not None and self._environment.clock.now() < until

    def _owned(
        self, request: RequestSecurityToken, principal: Principal, endorsed_by: tuple[ContextKey, ...]
    ) -> SecurityContext | None:
        """The context that a request of *principal* is about, if it is its own."""
        context = self.to_renew(*target_of(request))
        if context is None or context.owner != principal.owner:
            return None
        known = principal != ANONYMOUS or bool(endorsed_by)
        return context if known and all(key in (context.key, context.first) for key in endorsed_by) else None

    def _cancelled(
        self, request: RequestSecurityToken, context: SecurityContext
    ) -> RequestSecurityTokenResponse:
        # earlier keys, that faded after a renewal, are nothing without the record of the current one: see find()
        for instance in dict.fromkeys((None, context.instance)):
            key = self._key(context.identifier, instance)
            # it may be renewed at the same moment, and would live on
            while (held := self._store.get(key)) is not None and not self._store.drop(key, held):
                continue
        return RequestSecurityTokenResponse(wst=request.wst, context=request.context, cancelled=True)

    def _make(
        self,
        request: RequestSecurityToken,
        principal: Principal,
        old: SecurityContext | None,
        *,
        named: bool = True,
    ) -> Issued:
        """A new context, or *old* with a new key, and the answer that gives it."""
        identifier = self._new_name() if old is None else old.identifier
        instance = self._new_name() if named else None
        wsc = WSC_OF_WST[request.wst]
        created = self._environment.clock.now()
        expires = created + granted_lifetime(request.lifetime, self._terms, self._environment)
        agreed = agree_on_key(request, self._policy, self._terms, self._environment)
        renewing = self._renewing(request.renewing)
        token_id = f"sct-{self._environment.random(12).hex()}"
        token = new_context_token(identifier, wsc=wsc, element_id=token_id, instance=instance)
        context = SecurityContext(
            endpoint=self._endpoint,
            created=created,
            expires=expires,
            dialect="",
            renewable=renewing.allow,
            renewable_late=renewing.ok,
            principal=principal.name,
            owner=principal.owner,
            policy=self._fingerprint,
            received=self._environment.clock.monotonic(),
            used=old is not None and old.used,
            kept_until=expires + self._terms.keep_after_expiry if renewing.ok else None,
            key=ContextKey(
                identifier=identifier, instance=instance, wsc=wsc, secret=agreed.secret, token=token.xml
            ),
            first=None if old is None else old.first or old.key,
        )
        response = RequestSecurityTokenResponse(
            wst=request.wst,
            token_type=sct_type(wsc),
            context=request.context,
            token=token,
            attached=TokenReference(f"#{token_id}", sct_type(wsc)),
            unattached=TokenReference(identifier, sct_type(wsc), None if old is None else instance),
            computed_key=None if agreed.entropy is None else f"{request.wst}/CK/PSHA1",
            proof_secret=agreed.proof,
            entropy=agreed.entropy,
            lifetime=Lifetime(created, expires),
            key_size=len(agreed.secret),
            renewing=renewing,
            applies_to=request.applies_to,
        )
        return Issued(response=response, context=context)

    def _renewing(self, wanted: Renewing | None) -> Renewing:
        """Whether a context may be renewed.

        The client may forgo it. Whether late is for the service to say: CXF's renews late, and never asks for that.
        """
        allow = not self._policy.token.must_not_send_renew and (wanted is None or wanted.allow)
        return Renewing(allow=allow, ok=allow and self._terms.renew_after_expiry)

    def _add(self, context: SecurityContext) -> None:
        """Keep a context; where there are too many, of its principal or of all, in the place of one never used."""
        full = None
        for _ in range(_ATTEMPTS):
            full = self._put(self._key(context.identifier, None), context)
            if full is None:
                return
            if not self._store.make_room(context.owner if full.check == "contexts-per-principal" else None):
                break
        raise RequestRefused("RequestFailed", "There are too many contexts") from full

    def _put(self, key: RecordKey, context: SecurityContext) -> LimitExceeded | None:
        """Keep a record, or say what it is too many for."""
        try:
            added = self._store.add(key, context, most=self._environment.limits.contexts_per_principal)
        except LimitExceeded as error:
            return error
        if not added:
            raise RequestRefused("RequestFailed", "The context could not be kept")
        return None

    def _fade(self, old: SecurityContext) -> None:
        """Let the old key work a little longer, for messages on their way, where there is room."""
        left = old.remaining(self._environment.clock)
        if left is None or old.expires is None or left <= timedelta(0):
            return
        # by what is left of it: the wall clock may have been set since it was issued
        expires = old.expires - max(left - _ROLLOVER, timedelta(0))
        fading = replace(old, expires=expires, renewable_late=False, kept_until=None)
        with suppress(LimitExceeded):
            most = self._environment.limits.contexts_per_principal
            self._store.add(self._key(old.identifier, old.instance or _FIRST), fading, most=most)


class CallKeys:
    """Finds the keys that calls may be made under, for messages that were not verified yet.

    Args:
        issuer: has the contexts.
    """

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer
        #: Whether a name was looked up that no living context has.
        self.missed = False
        #: Whether one was that may mean a fading first key too.
        self.ambiguous = False

    def current(self, identifier: str, instance: str | None) -> ContextKey | None:
        """The key with that Instance; without one the current key."""
        context = self._issuer.find(identifier, instance)
        if context is None:
            self.missed = True
            return None
        self.ambiguous |= instance is None and context.first is not None
        return context.key

    def faded(self, identifier: str, instance: str | None) -> ContextKey | None:
        """The same, but without an Instance the first key while it fades."""
        context = self._issuer.find(identifier, instance) if instance else self._issuer.faded(identifier)
        return context.key if context is not None else None


class RenewalKeys:
    """Finds the keys that may endorse a renewal of contexts, for messages that were not verified yet.

    Metro's client endorses every renewal with the first key of the context, and shows the current token for it, as
    others do for the current key. Only a renewal may be endorsed by the first key as long as the context lives; calls
    are made under it for a while (:class:`CallKeys`), and nothing else is.

    Args:
        issuer: has the contexts.
    """

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer
        #: Whether a name was looked up that may mean a first key too.
        self.ambiguous = False

    def current(self, identifier: str, instance: str | None) -> ContextKey | None:
        """The key with that Instance, the current or the first; without one the current key."""
        context = self._issuer.to_renew(identifier, None)
        if context is None:
            return None
        if instance in (None, context.instance):
            self.ambiguous |= context.first is not None
            return context.key
        keys = (context.key, *filter(None, [context.first]))
        return next((key for key in keys if key.instance == instance), None)

    def first(self, identifier: str, instance: str | None) -> ContextKey | None:
        """The same, but the first key instead of the current one."""
        context = self._issuer.to_renew(identifier, None)
        if context is not None and context.first is not None and instance in (None, context.instance):
            return context.first
        return self.current(identifier, instance)
