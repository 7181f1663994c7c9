"""SecureConversation: plugin and wsse object of zeep in one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import requests
import zeep
from lxml import etree

from ..clock import SYSTEM_CLOCK, SYSTEM_RANDOM, Clock, RandomBytes
from ..conversation.context import SecurityContext
from ..conversation.faults import fault_error
from ..conversation.initiator import Exchange, Initiator
from ..conversation.policies import ConversationPolicy, conversation_policy, dialect_of
from ..conversation.store import RecordKey, Store
from ..conversation.store.memory import MemoryStore
from ..environment import Environment
from ..errors import (
    ConfigurationError,
    PolicyError,
    SecureConversationError,
    TokenFault,
    TransportError,
    VerificationError,
)
from ..limits import Limits
from ..policy.model import Direction, EndpointPolicy, OperationPolicy, Policy
from ..soap.addressing import address_request, read_addressing
from ..soap.envelope import Soap
from ..trust import DIALECTS, Dialect
from ..wss.certificates import Trust
from ..wss.keys import Identity, Keyring
from ..wss.protect import Protected, protect
from ..wss.reply import Reply, read_reply
from ..wss.seen import SeenSignatures
from .events import Event
from .exchange import Timeout, post
from .parties import Parties, Peer
from .policies import Policies, PolicySource

log = logging.getLogger("zeep_secureconv.client")

_CANCEL_TIMEOUT = 5.0
_LONG_FORM = "write Client(wsdl, wsse=sc, plugins=[sc]) or sc.client(wsdl)"


@dataclass
class _Call:
    """One call of an operation, from egress to its reply."""

    owner: SecureConversation
    endpoint: str
    policy: EndpointPolicy
    conversation: ConversationPolicy
    operation: OperationPolicy
    action: str
    marks: tuple[int, int]
    context: SecurityContext | None = None
    keyring: Keyring | None = None
    protected: Protected | None = None
    clear: etree._Element | None = None


@dataclass
class _Peer:
    """What is remembered of an endpoint: how it was reached, and the messages received under its contexts."""

    session: requests.Session
    timeout: Timeout
    policy: ConversationPolicy
    seen: SeenSignatures = field(default_factory=SeenSignatures)


_CALL: ContextVar[_Call | None] = ContextVar("zeep_secureconv_call", default=None)


class SecureConversation(zeep.Plugin):
    """Secure conversation for zeep clients.

    Give it as ``wsse=`` and in ``plugins=``, or let :meth:`client` make the client. One object serves any number of
    clients, endpoints and threads.

    Args:
        identity: our certificate and key, or a pair (for signing, for encryption).
        trust: whose certificates to believe.
        peer: the service's certificate (path, bytes or object), or a pair (it signs with, we encrypt to), or a
            mapping from endpoint to one of these. May be left out when *trust* pins exactly one certificate.
        policy: path of a WSDL or wsp:Policy file, or a Policy, or a mapping from endpoint to one of these; by
            default the WSDL that the client was made from.
        endpoint: URL of the service, needed only for ``wsse=`` without ``plugins=`` and without wsa:To.
        dialect: "auto", or the name of a dialect of WS-Trust ("oasis13", "draft200502", "websphere13", "wcf").
        store: where contexts are kept; in memory by default.
        clock_skew: how far the service's clock may be off.
        cancel_on_close: cancel the contexts that this object issued when it is closed.
        limits: bounds on what the service may send.
        on_event: called with an :class:`Event` for each thing that happens to a context.
        clock, random: time and randomness, for tests.

    Raises:
        ConfigurationError: when an argument is of no use.
    """

    def __init__(
        self,
        *,
        identity: Identity | tuple[Identity, Identity] | None = None,
        trust: Trust | None = None,
        peer: Peer | Mapping[str, Peer] | None = None,
        policy: PolicySource | Mapping[str, PolicySource] | None = None,
        endpoint: str | None = None,
        dialect: str = "auto",
        store: Store | None = None,
        clock_skew: timedelta = timedelta(minutes=3),
        cancel_on_close: bool = True,
        limits: Limits = Limits(),
        on_event: Callable[[Event], object] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        random: RandomBytes = SYSTEM_RANDOM,
    ) -> None:
        if dialect != "auto" and dialect not in DIALECTS:
            raise ConfigurationError(
                f"There is no dialect {dialect!r}", hint=f"give one of auto, {', '.join(DIALECTS)}"
            )
        self._environment = Environment(clock=clock, random=random, limits=limits, clock_skew=clock_skew)
        self._parties = Parties.of(identity, trust, peer)
        self._policies = Policies(policy)
        self._endpoint = endpoint
        self._dialect = dialect
        self._store: Store = store if store is not None else MemoryStore(limits.contexts, clock=clock)
        self._shared = store is not None
        self._cancel_on_close = cancel_on_close
        self._on_event = on_event
        self._initiator = Initiator(self._environment)
        self._lock = threading.Lock()
        self._flights: dict[RecordKey, threading.Lock] = {}
        self._peers: dict[RecordKey, _Peer] = {}
        self._closed = False

    def __repr__(self) -> str:
        return f"<SecureConversation with {len(self.contexts())} contexts>"

    # --------------------------------------------------------------------------------- zeep: going out

    def egress(
        self, envelope: etree._Element, http_headers: dict[str, str], operation: Any, binding_options: dict[str, Any]
    ) -> tuple[etree._Element, dict[str, str]]:
        """zeep's plugin hook: learns the endpoint, the operation, its policy and the HTTP session of a call.

        Raises:
            ConfigurationError: when the client is set up so that replies could not be checked.
            PolicyError: when the policy secures nothing, or cannot be satisfied.
        """
        endpoint, binding = binding_options["address"], operation.binding
        _refuse_settings(binding.wsdl.settings)
        policy = self._policies.of_call(endpoint, binding)
        action = operation.abstract.wsa_action or http_headers.get("SOAPAction", "").strip('"')
        found = _operation_policy(policy, operation.name, None)
        if not self._policies.is_given(endpoint):
            _refuse_weak(found)
        conversation = conversation_policy(replace(policy, soap=_soap_of(envelope)))
        transport = binding.wsdl.transport
        self._remember(endpoint, conversation, transport.session, transport.operation_timeout)
        self._guard(transport.session)
        _CALL.set(
            _Call(
                owner=self,
                endpoint=endpoint,
                policy=policy,
                conversation=conversation,
                operation=replace(found, has_output=operation.output is not None),
                action=action or next(iter(sorted(found.actions)), ""),
                marks=(id(envelope), id(http_headers)),
            )
        )
        return envelope, http_headers

    def apply(
        self, envelope: etree._Element, headers: dict[str, str]
    ) -> tuple[etree._Element, dict[str, str]]:
        """zeep's wsse hook: gets a context when there is none, and secures the request in place.

        Raises:
            ConfigurationError: when something is missing, before any traffic.
            PolicyError: when the policy cannot be satisfied.
            VerificationError, TokenFault, TransportError: when no context could be got.
        """
        call = _CALL.get()
        known = call is not None and call.owner is self and call.protected is None
        if call is None or not known or not {id(envelope), id(headers)} & set(call.marks):
            call = self._call_without_plugin(envelope, headers)
            _CALL.set(call)
        soap = Soap.of(envelope)
        call.context = self._context_for(call.endpoint, call.conversation)
        message_id = address_request(
            soap,
            wsa=call.conversation.wsa,
            to=call.endpoint,
            action=call.action,
            random=self._environment.random,
        )
        call.keyring = replace(self._parties.keyring(call.endpoint), context=call.context.key)
        call.protected = protect(
            soap,
            call.operation.request,
            call.keyring,
            self._environment,
            direction=Direction.REQUEST,
            message_id=message_id,
        )
        return envelope, headers

    # --------------------------------------------------------------------------------- zeep: coming in

    def verify(self, envelope: etree._Element) -> etree._Element:
        """zeep's wsse hook: verifies a reply and decrypts it in place.

        Raises:
            VerificationError: when the reply is not what the policy and the request demand.
            TokenFault, UnsecuredFault: for a fault that is not the application's own and proven.
        """
        call = _CALL.get()
        if call is None or call.owner is not self or call.protected is None or call.keyring is None:
            raise VerificationError("no-request", "There is no request that this reply could answer")
        try:
            reply = self._read(call, Soap.of(envelope))
        except VerificationError as error:
            self._tell("refused", call.endpoint, call.context, error.check)
            raise error.at(
                doing="checking a reply", endpoint=call.endpoint, context=_name(call.context)
            ) from None
        call.clear = reply.soap.envelope
        if call.clear is not envelope:
            # the reply had to be parsed again (see wss.splice); without plugins= zeep goes on with this element
            envelope[:] = list(call.clear)
            call.clear = envelope
        self._tell("verified", call.endpoint, call.context, "reply")
        return envelope

    def _read(self, call: _Call, soap: Soap) -> Reply:
        assert call.protected is not None and call.keyring is not None and call.context is not None
        peer = self._peers[self._key(call.endpoint, call.conversation)]
        reply = read_reply(
            soap,
            call.operation.response,
            call.keyring,
            self._environment,
            call.protected,
            peer.seen,
        )
        if reply.fault is not None:
            error = fault_error(
                reply, doing="calling the service", endpoint=call.endpoint, context=call.context.identifier
            )
            if isinstance(error, TokenFault):
                self._lose(call, error)
            if error is not None:
                raise error
        return reply

    def ingress(
        self, envelope: etree._Element, http_headers: Any, operation: Any
    ) -> tuple[etree._Element, Any]:
        """zeep's plugin hook: refuses a reply that did not go through :meth:`verify`.

        Raises:
            ConfigurationError: when this object is in ``plugins=`` but not ``wsse=``.
        """
        call = _CALL.get()
        if call is None or call.owner is not self or call.clear is not envelope:
            raise ConfigurationError(
                "SecureConversation is in plugins= but not wsse=, so the reply was not verified",
                hint=_LONG_FORM,
            )
        return envelope, http_headers

    # ------------------------------------------------------------------------------------- life of contexts

    def contexts(self) -> list[SecurityContext]:
        """The living contexts of this client."""
        return [
            context
            for _, context in self._store.items("client")
            if not context.is_over(self._environment.clock)
        ]

    def context(self, endpoint: str) -> SecurityContext:
        """The context for an endpoint that was called before or has a ``policy=``; issued when there is none.

        Raises:
            ConfigurationError: when the endpoint is not known.
        """
        return self._context_for(endpoint, self._known(endpoint))

    def issue(self, endpoint: str) -> SecurityContext:
        """A new context for an endpoint, whether or not there is one; it takes the place of the old one.

        Raises:
            ConfigurationError: when the endpoint is not known.
        """
        policy = self._known(endpoint)
        key = self._key(endpoint, policy)
        with self._flight(key):
            old = self._store.get(key)
            new = self._issue(endpoint, policy, key)
            if old is None or not self._store.replace(key, old, new):
                self._store.add(key, new)
            return new

    def cancel(self, context: SecurityContext | None = None) -> int:
        """Cancel one context, or all of this client's.

        The service's answer is information only: the context is forgotten here whatever it says.

        Returns:
            How many the service said are cancelled.
        """
        count = 0
        for key, held in list(self._store.items("client")):
            if context is None or (held.identifier, held.instance) == (context.identifier, context.instance):
                if self._store.drop(key, held):
                    count += self._cancel(key, held)
        return count

    def close(self) -> None:
        """Cancel the contexts that this object issued, unless they are shared through a store. May be called again."""
        if self._closed:
            return
        self._closed = True
        if self._cancel_on_close and not self._shared:
            self.cancel()

    def __enter__(self) -> SecureConversation:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # --------------------------------------------------------------------------------------- zeep clients

    def client(self, wsdl: str, **kwargs: Any) -> zeep.Client:
        """A zeep client that is secured by this object.

        Args:
            wsdl: path or URL of the WSDL.
            kwargs: as for :class:`zeep.Client`.
        """
        plugins = [*kwargs.pop("plugins", ()), self]
        transport = kwargs.pop("transport", None) or self.transport()
        return zeep.Client(wsdl, wsse=self, plugins=plugins, transport=transport, **kwargs)

    def transport(self, **kwargs: Any) -> zeep.Transport:
        """A zeep transport for clients of this object.

        Args:
            kwargs: as for :class:`zeep.Transport`.
        """
        transport = zeep.Transport(**kwargs)
        self._guard(transport.session)
        return transport

    # --------------------------------------------------------------------------------------------- inside

    def _call_without_plugin(self, envelope: etree._Element, headers: Mapping[str, str]) -> _Call:
        """What :meth:`egress` would have told, from the message and the constructor."""
        soap = Soap.of(envelope)
        addressing = read_addressing(soap)
        endpoint = addressing.to or self._endpoint
        if endpoint is None:
            raise ConfigurationError(
                "The endpoint is not known, since SecureConversation is wsse= but not in plugins=",
                hint=f"{_LONG_FORM}, or give SecureConversation(endpoint='https://…')",
            )
        policy = self._policies.given(endpoint)
        if policy is None:
            raise ConfigurationError(
                "The policy is not known, since SecureConversation is wsse= but not in plugins=",
                hint=f"{_LONG_FORM}, or give SecureConversation(policy='service.wsdl')",
                endpoint=endpoint,
            )
        action = addressing.action or headers.get("SOAPAction", "").strip('"')
        found = _operation_policy(policy, None, action)
        conversation = conversation_policy(replace(policy, soap=soap.version))
        with self._lock:
            known = self._peers.get(self._key(endpoint, conversation))
        session = known.session if known is not None else requests.Session()
        self._remember(endpoint, conversation, session, known.timeout if known is not None else None)
        return _Call(
            owner=self,
            endpoint=endpoint,
            policy=policy,
            conversation=conversation,
            operation=found,
            action=action,
            marks=(id(envelope), id(headers)),
        )

    def _remember(
        self, endpoint: str, policy: ConversationPolicy, session: requests.Session, timeout: Timeout
    ) -> None:
        key = self._key(endpoint, policy)
        with self._lock:
            known = self._peers.get(key)
            if known is None:
                self._peers[key] = _Peer(session, timeout, policy)
            else:
                known.session, known.timeout = session, timeout

    def _known(self, endpoint: str) -> ConversationPolicy:
        with self._lock:
            for key, peer in self._peers.items():
                if key[1] == endpoint:
                    return peer.policy
        given = self._policies.given(endpoint)
        if given is None:
            raise ConfigurationError(
                "Nothing is known of this endpoint yet",
                hint="call one of its operations first, or give SecureConversation(policy='service.wsdl')",
                endpoint=endpoint,
            )
        policy = conversation_policy(given)
        self._remember(endpoint, policy, requests.Session(), None)
        return policy

    def _key(self, endpoint: str, policy: ConversationPolicy) -> RecordKey:
        return ("client", endpoint, policy.fingerprint(), self._parties.fingerprint(endpoint))

    def _flight(self, key: RecordKey) -> threading.Lock:
        with self._lock:
            return self._flights.setdefault(key, threading.Lock())

    def _context_for(self, endpoint: str, policy: ConversationPolicy) -> SecurityContext:
        """The living context for an endpoint; one is asked for, once however many threads wait for it."""
        key = self._key(endpoint, policy)
        context = self._living(key)
        if context is not None:
            return context
        with self._flight(key):
            context = self._living(key)
            if context is None:
                context = self._issue(endpoint, policy, key)
                self._store.add(key, context)
            return context

    def _living(self, key: RecordKey) -> SecurityContext | None:
        context = self._store.get(key)
        if context is not None and context.is_over(self._environment.clock):
            self._store.drop(key, context)
            return None
        return context

    def _issue(self, endpoint: str, policy: ConversationPolicy, key: RecordKey) -> SecurityContext:
        self._parties.need_peer(endpoint)
        dialect = self._dialect_for(policy)
        exchange = self._initiator.ask_issue(endpoint, policy, self._parties.keyring(endpoint), dialect)
        doing = "asking for a security context"
        try:
            answer = self._initiator.accept_issue(exchange, self._post(exchange, self._peers[key]), dialect)
        except SecureConversationError as error:
            if isinstance(error, VerificationError):
                self._tell("refused", endpoint, None, error.check)
            raise error.at(doing=doing, endpoint=endpoint) from error.__cause__
        if isinstance(answer, Reply):
            fault = fault_error(answer, doing=doing, endpoint=endpoint, context=None)
            raise fault or TransportError("The trust service answered with a fault", endpoint=endpoint)
        self._tell("issued", endpoint, answer, f"expires {answer.expires:%H:%M:%S} UTC" if answer.expires else "")
        return answer

    def _cancel(self, key: RecordKey, context: SecurityContext) -> bool:
        """Tell the service that a context is not needed any more; False when it does not confirm."""
        peer = self._peers.get(key)
        if peer is None or peer.policy.token.must_not_send_cancel or context.is_over(self._environment.clock):
            return False
        dialect = self._dialect_for(peer.policy)
        keyring = self._parties.keyring(context.endpoint)
        try:
            exchange = self._initiator.ask_cancel(context, peer.policy, keyring, dialect)
            reply = self._post(exchange, replace(peer, timeout=_CANCEL_TIMEOUT))
            done = self._initiator.accept_cancel(exchange, reply)
        except SecureConversationError as error:
            log.info("The context %s was not cancelled: %s", context.identifier, error.message)
            return False
        if done:
            self._tell("cancelled", context.endpoint, context, "")
        return done

    def _post(self, exchange: Exchange, peer: _Peer) -> Soap:
        return post(
            peer.session, exchange.endpoint, exchange.soap, exchange.action, peer.timeout, self._environment.limits
        )

    def _lose(self, call: _Call, error: TokenFault) -> None:
        """A fault of the security layer: the context may be lost, so the next call asks for a new one."""
        assert call.context is not None
        if self._store.drop(self._key(call.endpoint, call.conversation), call.context):
            self._tell("lost", call.endpoint, call.context, error.name)

    def _dialect_for(self, policy: ConversationPolicy) -> Dialect:
        if self._dialect == "auto":
            return dialect_of(policy)
        return DIALECTS[self._dialect].in_generation(policy.wst)

    def _tell(self, kind: str, endpoint: str, context: SecurityContext | None, detail: str) -> None:
        log.debug("%s %s %s %s", kind, endpoint, _name(context), detail)
        if self._on_event is not None:
            self._on_event(
                Event(
                    kind,
                    endpoint,
                    _name(context),
                    context.instance if context else None,
                    self._environment.clock.now(),
                    detail,
                )
            )

    def _guard(self, session: requests.Session) -> None:
        """Watch the answers on a session: zeep takes an empty 202 for success and follows redirects by itself."""
        hooks = session.hooks["response"]
        if _check_response not in hooks:
            hooks.append(_check_response)


def _check_response(response: requests.Response, *args: object, **kwargs: object) -> None:
    """Refuse what zeep would take without asking :meth:`SecureConversation.verify`.

    Raises:
        TransportError: for a redirect of a secured request.
        VerificationError: check "empty-answer", for an empty answer where there must be one.
    """
    redirected = 300 <= response.status_code < 400
    if not redirected and not (response.status_code in (200, 201, 202) and not response.content):
        return
    call = _CALL.get()
    if call is None or call.protected is None or not _is_request_of(call, response.request):
        return
    if redirected:
        raise TransportError(
            "The service redirects, and a secured message is for nobody else",
            status_code=response.status_code,
            hint="give the address that it redirects to as the endpoint, if you trust it",
            doing="calling the service",
            endpoint=call.endpoint,
        )
    if call.operation.has_output:
        raise VerificationError(
            "empty-answer",
            "The answer is empty, and the operation has an output",
            hint="something between here and the service dropped or forged the answer",
            doing="calling the service",
            endpoint=call.endpoint,
        )


def _is_request_of(call: _Call, request: requests.PreparedRequest) -> bool:
    assert call.protected is not None
    body = request.body if isinstance(request.body, bytes) else (request.body or "").encode()
    return (call.protected.message_id or "\0").encode() in body


def _refuse_settings(settings: Any) -> None:
    if settings.raw_response:
        raise ConfigurationError(
            "Settings(raw_response=True) would hand out replies that nobody verified or decrypted",
            hint="call without raw_response; plugins see the decrypted reply in ingress()",
        )
    if not settings.strict:
        raise ConfigurationError(
            "Settings(strict=False) lets the parser repair messages, and signatures then fail or mean something else",
            hint="use strict=True",
        )


def _refuse_weak(operation: OperationPolicy) -> None:
    """A policy that came with the WSDL must secure the call; a weaker one is for the user himself to choose."""
    for what, policy in (("request", operation.request), ("response", operation.response)):
        if policy.binding is None:
            raise PolicyError(
                f"The policy of the {what} of {operation.name} secures nothing, and it is not sent in the clear",
                hint="check that this is the WSDL with the policy, or give policy= yourself",
            )
        if not policy.signed.body:
            raise PolicyError(
                f"The policy of the {what} of {operation.name} leaves the Body unsigned",
                hint="give policy= yourself if that is what you want",
            )


def _operation_policy(policy: EndpointPolicy, name: str | None, action: str | None) -> OperationPolicy:
    """The policies of an operation, by its name or the action of its request; of a bare policy, the same for all."""
    for operation in policy.operations.values():
        if operation.name == name or (name is None and action in operation.actions):
            return operation
    if policy.operations:
        raise PolicyError(
            f"The policy has no operation {name or action!r}", hint="give the WSDL that belongs to the service"
        )
    everywhere: Policy = policy.endpoint
    return OperationPolicy(
        name=name or action or "the operation",
        actions=frozenset(),
        input_element=None,
        has_output=True,
        request=everywhere,
        response=everywhere,
        fault=everywhere,
    )


def _soap_of(envelope: etree._Element) -> str:
    return str(etree.QName(envelope).namespace)


def _name(context: SecurityContext | None) -> str | None:
    return context.identifier if context is not None else None
