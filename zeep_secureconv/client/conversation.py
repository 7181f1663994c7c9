"""SecureConversation: plugin and wsse object of zeep in one."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import zeep
from lxml import etree
from zeep.transports import AsyncTransport

from ..clock import SYSTEM_CLOCK, SYSTEM_RANDOM, Clock, RandomBytes
from ..conversation.context import SecurityContext
from ..conversation.store import Store
from ..conversation.store.memory import MemoryStore
from ..environment import Environment
from ..errors import ConfigurationError, VerificationError
from ..limits import Limits
from ..policy.algorithms import Algorithms
from ..policy.files import PolicySource
from ..soap.addressing import target_of
from ..soap.envelope import Soap
from ..trust import DIALECTS
from ..wss.certificates import Trust
from ..wss.credentials import Credential, UsernameToken
from ..wss.keys import Identity
from .async_calls import AsyncCalls
from .call import CURRENT, PENDING, Call, Held, Pending, hold_back, refuse_settings, watch
from .calls import Calls, Idempotent, Recover, Recovery
from .contexts import Contexts
from .events import Event
from .parties import Parties, Peer
from .partner import Partners
from .policies import Policies
from .transport import SecureTransport
from .way import NoWay, RequestsWay, Way

if TYPE_CHECKING:
    from .async_transport import AsyncSecureTransport

_LONG_FORM = "write Client(wsdl, wsse=sc, plugins=[sc]) or sc.client(wsdl)"


class SecureConversation(zeep.Plugin):
    """Secure conversation for zeep clients.

    Give it as ``wsse=`` and in ``plugins=``, or let :meth:`client` make the client. One object serves any number of
    clients, endpoints and threads.

    Args:
        identity: our certificate and key, or a pair (for signing, for encryption).
        trust: whose certificates to believe.
        peer: the service's certificate (path, bytes or object), or a pair (it signs with, we encrypt to), or a
            mapping from endpoint to one of these. May be left out when *trust* pins exactly one certificate.
        username: our name and password, where the policy wants them.
        tokens: whatever else the policy wants of us: LtpaToken, XmlToken, and further UsernameTokens where requests
            for contexts and calls have different ones (``leg=``).
        policy: path of a WSDL or wsp:Policy file, the name of a preset, or a Policy, or a mapping from endpoint to
            one of these; by default the WSDL that the client was made from.
        endpoint: URL of the service, needed only for ``wsse=`` without ``plugins=`` and without wsa:To.
        dialect: "auto", or the name of a dialect of WS-Trust ("oasis13", "draft200502", "websphere13", "wcf").
        algorithms: what was agreed on besides the policy, and how weak algorithms may be.
        store: where contexts are kept; in memory by default.
        renew_before: how long before its end a context is renewed; never more than half of its lifetime.
        recover: whether a call is sent again, once, after a fault that says that the service lost the context:
            "auto" where the fault proves that the call was not executed, or the operation is *idempotent*; "always"
            also where nothing is proven, for networks that forge and double nothing; "never". Needs the transport
            of :meth:`client` or :meth:`async_client`.
        idempotent: names of operations that may be executed twice, or a function from name to bool.
        clock_skew: how far the service's clock may be off.
        cancel_on_close: cancel the contexts that this object issued when it is closed.
        limits: bounds on what the service may send.
        on_event: called with an :class:`Event` for each thing that happens to a context. It may call this object and
            its clients; what it raises is logged.
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
        username: UsernameToken | None = None,
        tokens: Iterable[Credential] = (),
        policy: PolicySource | Mapping[str, PolicySource] | None = None,
        endpoint: str | None = None,
        dialect: str = "auto",
        algorithms: Algorithms | None = None,
        store: Store | None = None,
        renew_before: timedelta = timedelta(minutes=10),
        recover: Recover = "auto",
        idempotent: Idempotent = (),
        clock_skew: timedelta = timedelta(minutes=3),
        cancel_on_close: bool = True,
        limits: Limits | None = None,
        on_event: Callable[[Event], object] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        random: RandomBytes = SYSTEM_RANDOM,
    ) -> None:
        if dialect != "auto" and dialect not in DIALECTS:
            raise ConfigurationError(
                f"There is no dialect {dialect!r}", hint=f"give one of auto, {', '.join(DIALECTS)}"
            )
        if recover not in get_args(Recover):
            raise ConfigurationError(
                f"There is no recover={recover!r}", hint=f"give one of {', '.join(get_args(Recover))}"
            )
        if renew_before < timedelta(0):
            raise ConfigurationError("renew_before= is negative", hint="give timedelta(minutes=10)")
        limits = limits or Limits()
        self._environment = Environment(clock=clock, random=random, limits=limits, clock_skew=clock_skew)
        parties = Parties.of(identity, trust, peer, username, tokens)
        policies = Policies(policy, algorithms=algorithms, against=parties.against)
        self._partners = Partners(parties, policies, dialect, clock)
        self._contexts = Contexts(
            self._partners,
            store if store is not None else MemoryStore(limits.contexts, clock=clock),
            self._environment,
            on_event,
            renew_before=renew_before,
        )
        self._calls = Calls(
            self._partners, self._contexts, self._environment, Recovery(mode=recover, idempotent=idempotent)
        )
        self._asynchronous = AsyncCalls(self._calls, self._contexts)
        self._transports: weakref.WeakSet[AsyncSecureTransport] = weakref.WeakSet()
        self._endpoint = endpoint
        self._cancels = cancel_on_close and store is None

    def __repr__(self) -> str:
        return f"<SecureConversation with {len(self.contexts())} contexts>"

    # --------------------------------------------------------------------------------- zeep: going out

    def egress(
        self,
        envelope: etree._Element,
        http_headers: dict[str, str],
        operation: Any,
        binding_options: dict[str, Any],
    ) -> tuple[etree._Element, dict[str, str]]:
        """Plugin hook of zeep: learns the endpoint, the operation, its policy and the HTTP session of a call.

        Raises:
            ConfigurationError: when the client is set up so that replies could not be checked.
            PolicyError: when the policy secures nothing, or cannot be satisfied.
        """
        binding = operation.binding
        refuse_settings(binding.wsdl.settings)
        way, held = _way_of(binding.wsdl.transport), hold_back(envelope)
        version, address = str(envelope.tag)[1:].partition("}")[0], binding_options["address"]
        make = partial(
            self._call,
            envelope,
            http_headers,
            operation,
            address=address,
            version=version,
            way=way,
            held=held,
        )
        if isinstance(way, (RequestsWay, NoWay)):
            CURRENT.set(make())
        else:
            PENDING.set(
                Pending(
                    owner=self,
                    envelope=envelope,
                    headers=http_headers,
                    held=held,
                    make=make,
                    is_quick=self._partners.is_known(address, binding, version, way),
                    calls=self._asynchronous,
                )
            )
        return envelope, http_headers

    def _call(
        self,
        envelope: etree._Element,
        headers: dict[str, str],
        operation: Any,
        *,
        address: str,
        version: str,
        way: Way,
        held: Held,
    ) -> Call:
        partner = self._partners.of_call(address, operation.binding, version, way)
        policy = partner.operation(operation.name, None)
        action = operation.abstract.wsa_action or headers.get("SOAPAction", "").strip('"')
        return Call(
            owner=self,
            held=held,
            way=way,
            partner=partner,
            operation=policy,
            has_output=operation.output is not None,
            action=action or min(policy.actions, default=""),
            envelope=envelope,
            headers=headers,
            from_plugin=True,
        )

    def apply(
        self, envelope: etree._Element, headers: dict[str, str]
    ) -> tuple[etree._Element, dict[str, str]]:
        """The wsse hook of zeep: gets a context when there is none, and secures the request in place.

        Raises:
            ConfigurationError: when something is missing, before any traffic.
            PolicyError: when the policy cannot be satisfied.
            VerificationError, TokenFault, TransportError: when no context could be got.
        """
        pending = PENDING.get()
        if pending is not None and pending.owner is self and pending.is_for(envelope, headers):
            # its transport secures it, where it can wait without blocking the event loop
            pending.applied = True
            return envelope, headers
        call = CURRENT.get()
        if call is None or not call.is_for(self, envelope, headers):
            call = self._call_without_plugin(envelope, headers)
            CURRENT.set(call)
        if isinstance(call.way, NoWay):
            self._calls.secure_at_once(call, envelope)
        else:
            call.recover = partial(self._calls.recover, call)
            self._calls.secure(call, envelope)
        return envelope, headers

    def _call_without_plugin(self, envelope: etree._Element, headers: dict[str, str]) -> Call:
        """What :meth:`egress` would have told, from the message and the constructor."""
        soap = Soap.of(envelope)
        to, named = target_of(soap)
        endpoint = to or self._endpoint
        if endpoint is None:
            raise ConfigurationError(
                "The endpoint is not known, since SecureConversation is wsse= but not in plugins=",
                hint=f"{_LONG_FORM}, or give SecureConversation(endpoint='https://…', policy='service.wsdl')",
            )
        partner = self._partners.of_endpoint(endpoint, soap.version)
        action = named or headers.get("SOAPAction", "").strip('"')
        operation = partner.operation(None, action)
        return Call(
            owner=self,
            partner=partner,
            operation=operation,
            has_output=operation.has_output,
            action=action,
            envelope=envelope,
            headers=headers,
        )

    # --------------------------------------------------------------------------------- zeep: coming in

    def verify(self, envelope: etree._Element) -> etree._Element:
        """The wsse hook of zeep: verifies a reply and decrypts it in place.

        Raises:
            VerificationError: when the reply is not what the policy and the request demand.
            TokenFault, UnsecuredFault: for a fault that is not the application's own and proven.
        """
        call = CURRENT.get()
        if call is None or call.owner is not self or call.sent is None or call.verified is not None:
            raise VerificationError("no-request", "There is no request that this reply could answer")
        clear = self._calls.read(call, Soap.of(envelope)).soap.envelope
        if clear is not envelope:
            # it had to be parsed again to be exact (see wss.splice), and zeep goes on with the element it has
            envelope[:] = list(clear)
        if call.from_plugin:
            call.finish(envelope)
        else:
            CURRENT.set(None)
        return envelope

    def ingress(
        self,
        envelope: etree._Element,
        http_headers: Any,
        operation: Any,  # noqa: ARG002 - zeep's signature
    ) -> tuple[etree._Element, Any]:
        """Plugin hook of zeep: refuses a reply that did not go through :meth:`verify`.

        Raises:
            ConfigurationError: when this object is in ``plugins=`` but not ``wsse=``.
        """
        call = CURRENT.get()
        if call is None or call.owner is not self or call.verified is not envelope:
            raise ConfigurationError(
                "SecureConversation is in plugins= but not wsse=, so the reply was not verified",
                hint=_LONG_FORM,
            )
        CURRENT.set(None)
        return envelope, http_headers

    # ------------------------------------------------------------------------------- life of contexts

    def contexts(self) -> list[SecurityContext]:
        """The living contexts of this client."""
        return self._contexts.all()

    def context(self, endpoint: str) -> SecurityContext:
        """The context for an endpoint that was called before or has a ``policy=``; asked for when there is none.

        Raises:
            ConfigurationError: when nothing is known of the endpoint.
        """
        return self._contexts.get(self._partners.of_endpoint(endpoint))

    def issue(self, endpoint: str) -> SecurityContext:
        """A new context for an endpoint, whether or not there is one; it takes the place of the old one.

        Raises:
            ConfigurationError: when nothing is known of the endpoint.
        """
        return self._contexts.issue(self._partners.of_endpoint(endpoint))

    def renew(self, context: SecurityContext | None = None) -> SecurityContext:
        """A new key for a context, now.

        Args:
            context: the context; it may be left out where there is one only.

        Raises:
            ConfigurationError: when it is none of this client, or has to be named.
            ContextExpired: when it was given up meanwhile.
            TokenFault, UnsecuredFault, TransportError, VerificationError: when the service does not renew it.
        """
        return self._contexts.renew(context or self._only())

    def _only(self) -> SecurityContext:
        held = self.contexts()
        if len(held) != 1:
            raise ConfigurationError(
                f"There are {len(held)} contexts, and none was named",
                hint="give the context: context(endpoint) or one of contexts()",
            )
        return held[0]

    def cancel(self, context: SecurityContext | None = None) -> int:
        """Cancel one context, or all of this client's.

        The service's answer is information only: the context is forgotten here whatever it says.

        Returns:
            How many the service said are cancelled.
        """
        return self._contexts.cancel(context)

    def validate(self, context: SecurityContext) -> bool:
        """Ask the service whether a context is valid, with its current key; WebSphere and this library answer.

        Nothing follows from the answer here: a context that is lost is replaced by the next call. Where the service
        says that it does not know the context, nothing proves that but TLS.

        Returns:
            Whether it is valid; False without asking when it is over, or was given up meanwhile.

        Raises:
            ConfigurationError: when it is none of this client.
            TokenFault, UnsecuredFault: when the service does not know the question, or refuses it.
            TransportError, VerificationError: when its answer cannot be used.
        """
        return self._contexts.validate(context)

    def close(self) -> None:
        """Cancel the contexts that this object issued, unless they are shared through a store. May be called again."""
        if self._cancels:
            self.cancel()
        self._partners.close()
        self._asynchronous.close()

    def __enter__(self) -> SecureConversation:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # ------------------------------------------------------------------- the same, for use in event loops

    async def acontext(self, endpoint: str) -> SecurityContext:
        """As :meth:`context`, without blocking the event loop.

        A thread does the work. Where the awaiting task is cancelled it goes on to the end, so that nothing is lost.
        """
        return await self._asynchronous.run(partial(self.context, endpoint))

    async def aissue(self, endpoint: str) -> SecurityContext:
        """As :meth:`issue`, without blocking the event loop."""
        return await self._asynchronous.run(partial(self.issue, endpoint))

    async def arenew(self, context: SecurityContext | None = None) -> SecurityContext:
        """As :meth:`renew`, without blocking the event loop."""
        return await self._asynchronous.run(partial(self.renew, context))

    async def avalidate(self, context: SecurityContext) -> bool:
        """As :meth:`validate`, without blocking the event loop."""
        return await self._asynchronous.run(partial(self.validate, context))

    async def acancel(self, context: SecurityContext | None = None) -> int:
        """As :meth:`cancel`, without blocking the event loop."""
        return await self._asynchronous.run(partial(self.cancel, context))

    async def aclose(self) -> None:
        """As :meth:`close`, without blocking the event loop; closes the httpx clients made by this object, too."""
        try:
            await self._asynchronous.run(self.close)
        finally:
            for transport in list(self._transports):
                await transport.aclose_here()

    async def __aenter__(self) -> SecureConversation:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    # ----------------------------------------------------------------------------------- zeep clients

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
        """A zeep transport for clients of this object; calls are faster through it, and redirects are not followed.

        Args:
            kwargs: as for :class:`zeep.Transport`.
        """
        transport = SecureTransport(**kwargs)
        watch(transport.session)
        return transport

    def async_client(self, wsdl: str, **kwargs: Any) -> zeep.AsyncClient:
        """An asynchronous zeep client that is secured by this object: ``await client.service.echo("hello")``.

        This reads the WSDL and returns when that is done; in an event loop, use
        ``await asyncio.to_thread(sc.async_client, wsdl)``. Each event loop needs a client of its own.

        Args:
            wsdl: path or URL of the WSDL.
            kwargs: as for :class:`zeep.AsyncClient`.

        Raises:
            ConfigurationError: when httpx is not installed.
        """
        plugins = [*kwargs.pop("plugins", ()), self]
        transport = kwargs.pop("transport", None) or self.async_transport()
        return zeep.AsyncClient(wsdl, wsse=self, plugins=plugins, transport=transport, **kwargs)

    def async_transport(self, **kwargs: Any) -> AsyncSecureTransport:
        """A zeep transport for asynchronous clients of this object, for one event loop.

        Args:
            kwargs: as for :class:`zeep.transports.AsyncTransport`. A ``client=`` counts as one that verifies
                certificates; give ``verify_ssl=False`` with one that does not.

        Raises:
            ConfigurationError: when httpx is not installed.
        """
        try:
            from .async_transport import AsyncSecureTransport
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                "Asynchronous clients need httpx and packaging, which are not both installed",
                hint="pip install 'zeep_secureconv[async]'",
            ) from error
        transport = AsyncSecureTransport(**kwargs)
        self._transports.add(transport)
        return transport


def _way_of(transport: Any) -> Way:
    """How the messages of a zeep transport travel; what is wrong with answers there is noticed from now on."""
    if isinstance(transport, AsyncTransport):
        from .async_transport import async_way_of

        return async_way_of(transport)
    watch(transport.session)
    return RequestsWay(transport.session, transport.operation_timeout)
