"""An endpoint as a client talks with it: its policy, the keys, and the way to it, worked out once."""

from __future__ import annotations

import logging
import threading
import weakref
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import requests
from cryptography import x509

from ..clock import SYSTEM_CLOCK, Clock
from ..conversation.policies import ConversationPolicy, conversation_policy, dialect_of
from ..conversation.store import RecordKey
from ..conversation.store.forks import in_child
from ..errors import ConfigurationError, PolicyError
from ..names import SOAP11, SOAP12
from ..policy.algorithms import weak_algorithms
from ..policy.model import EndpointPolicy, OperationPolicy, TransportBinding
from ..policy.needs import Need, needs
from ..policy.support import supported
from ..trust import DIALECTS, Dialect, RenewalForm
from ..wss.keys import Keyring
from ..wss.seen import SeenSignatures
from .flights import Allowance, Leases, SingleFlight
from .parties import Parties, need_everything
from .policies import Policies
from .way import NoWay, RequestsWay, Way

log = logging.getLogger(__name__)

#: Faults that prove nothing may make us ask for so many contexts of one endpoint in so many seconds.
_PATIENCE = (10, 60.0)


@dataclass(eq=False, kw_only=True)
class Partner:
    """One endpoint under one policy, with one set of credentials.

    Args:
        endpoint: its URL.
        policy: the policy of its messages.
        conversation: what secure conversation with it looks like.
        keyring: the keys for it, without a context.
        key: what its context is stored under.
        dialect: the dialect of WS-Trust to speak.
        chosen: whether the user himself gave the policy; a weak one is his choice then.
        way: the way to it, as of the latest call through a zeep client; None before one.
        seen: signature values received from it.
        flight: asks for a context, or renews it, once for all who wait.
        leases: the calls on their way.
        patience: how often a fault that proves nothing may make us ask for a context.
        renews: the form of Renew that the service took last, or None.
    """

    endpoint: str
    policy: EndpointPolicy
    conversation: ConversationPolicy
    keyring: Keyring = field(repr=False)
    key: RecordKey
    dialect: Dialect
    chosen: bool
    way: Way | None = None
    seen: SeenSignatures = field(default_factory=SeenSignatures, repr=False)
    flight: SingleFlight = field(default_factory=SingleFlight, repr=False)
    leases: Leases = field(default_factory=Leases, repr=False)
    patience: Allowance = field(repr=False)
    renews: RenewalForm | None = None
    _operations: dict[tuple[str | None, str | None], OperationPolicy] = field(
        default_factory=dict, repr=False
    )
    _checked: set[tuple[str, bool]] = field(default_factory=set, repr=False)

    @cached_property
    def needs(self) -> tuple[Need, ...]:
        """What a conversation needs, whatever is called in it."""
        return needs(self.conversation.application, self.conversation.bootstrap.request)

    def has_everything(self, operation: OperationPolicy, way: Way) -> bool:
        """Whether :meth:`need_everything` found nothing missing before."""
        return (operation.name, way.is_verified(self.endpoint)) in self._checked

    def need_everything(self, operation: OperationPolicy, way: Way) -> None:
        """Check, before any traffic, that everything that a call of an operation needs is there.

        Raises:
            ConfigurationError: naming what is missing.
            PolicyError: when that is TLS.
        """
        over_tls = way.is_verified(self.endpoint)
        if (operation.name, over_tls) not in self._checked:
            ring = replace(self.keyring, over_tls=over_tls)
            need_everything((*self.needs, *needs(operation.request, None)), ring, self.endpoint)
            self._checked.add((operation.name, over_tls))

    def operation(self, name: str | None, action: str | None) -> OperationPolicy:
        """The policies of an operation, by its name, or by the action of its request where that is not known.

        A policy that came with the WSDL must secure the call; only one that the user gave may be weaker.

        Raises:
            PolicyError: when there is no such operation, or it would travel in the clear.
        """
        known = self._operations.get((name, action))
        if known is None:
            known = _find_operation(self.policy, name, action)
            _refuse_open(known, chosen=self.chosen)
            self._operations[name, action] = known
        return known


class Partners:
    """Finds the partner of a call.

    Args:
        parties: who we are, and whom to trust.
        policies: where policies come from.
        dialect: name of the dialect to speak, or "auto".
        clock: says when certificates are judged.
    """

    def __init__(
        self, parties: Parties, policies: Policies, dialect: str, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._parties = parties
        self._policies = policies
        self._dialect = dialect
        self._clock = clock
        self._by_key: dict[RecordKey, Partner] = {}
        #: By endpoint: what contexts are stored under by the policies that the user gave.
        self._places: dict[str, dict[RecordKey, EndpointPolicy]] = {}
        self._remake()
        in_child(self._remake)
        self._by_binding: weakref.WeakKeyDictionary[Any, dict[tuple[str, str, bool], Partner]] = (
            weakref.WeakKeyDictionary()
        )

    def _remake(self) -> None:
        """Locks, and connections: those of a parent process are its own."""
        self._lock = threading.Lock()
        self._own_session: requests.Session | None = None
        for partner in self._by_key.values():
            partner.seen = SeenSignatures()

    def is_known(self, endpoint: str, binding: Any, soap: str, way: Way) -> bool:
        """Whether :meth:`of_call` reads nothing and takes no time."""
        return (endpoint, soap, way.is_verified(endpoint)) in self._by_binding.get(binding, {})

    def of_call(self, endpoint: str, binding: Any, soap: str, way: Way) -> Partner:
        """The partner of a call through a zeep binding.

        Args:
            endpoint: the address of the call.
            binding: zeep's binding object.
            soap: SOAP namespace of the request.
            way: the way of the call.

        Raises:
            ConfigurationError: when something is missing.
            PolicyError: when the policy cannot be satisfied.
        """
        over_tls = way.is_verified(endpoint)
        known = self._by_binding.get(binding, {}).get((endpoint, soap, over_tls))
        if known is None:
            policy = self._policies.of_call(endpoint, binding, over_tls=over_tls)
            known = self._partner(endpoint, policy, soap)
            with self._lock:
                self._by_binding.setdefault(binding, {})[endpoint, soap, over_tls] = known
        if not isinstance(way, NoWay):
            known.way = way
        return known

    def of_endpoint(self, endpoint: str, soap: str | None = None) -> Partner:
        """The partner at an endpoint that was called before, or whose policy the user gave.

        Raises:
            ConfigurationError: when nothing is known of it.
        """
        with self._lock:
            for partner in self._by_key.values():
                if partner.endpoint == endpoint and soap in (None, partner.conversation.soap):
                    return partner
        policy = self._policies.given(endpoint)
        if policy is None:
            raise ConfigurationError(
                "The policy of this endpoint is not known",
                hint="call it through Client(wsdl, wsse=sc, plugins=[sc]) or sc.client(wsdl), "
                "or give SecureConversation(policy='service.wsdl')",
                endpoint=endpoint,
            )
        return self._partner(endpoint, policy, soap)

    def way_to(self, partner: Partner) -> Way:
        """The client's own way; a session of ours where no zeep client told us (``wsse=`` without ``plugins=``)."""
        if partner.way is not None:
            return partner.way
        with self._lock:
            if self._own_session is None:
                self._own_session = requests.Session()
            return RequestsWay(self._own_session)

    def close(self) -> None:
        """Close the HTTP session that is ours."""
        with self._lock:
            if self._own_session is not None:
                self._own_session.close()
                self._own_session = None

    def known(self) -> list[Partner]:
        """Every partner of this client."""
        with self._lock:
            return list(self._by_key.values())

    def of_record(self, key: RecordKey) -> Partner | None:
        """The partner whose context is stored under *key*: one that was called, or whose policy the user gave.

        Another process may have asked for the context, and this one has called nobody yet.
        """
        known, endpoint = self._by_key.get(key), key[1]
        if known is not None or not self._policies.is_given(endpoint):
            return known
        places = self._places.get(endpoint)
        if places is None:
            policy = self._policies.given(endpoint)
            assert policy is not None
            versions = {soap: replace(policy, soap=soap) for soap in (SOAP11, SOAP12)}
            places = {self._place(endpoint, one)[2]: one for one in versions.values()}
            self._places[endpoint] = places
        return self._partner(endpoint, places[key], None) if key in places else None

    def _place(
        self, endpoint: str, policy: EndpointPolicy
    ) -> tuple[ConversationPolicy, x509.Certificate | None, RecordKey]:
        """(the conversation under a policy, the certificate that its WSDL names, what its context is stored under)."""
        conversation = conversation_policy(policy)
        named = self._named(endpoint, policy, conversation)
        parties = self._parties.fingerprint(endpoint, named)
        return conversation, named, ("client", endpoint, conversation.fingerprint, parties)

    def _partner(self, endpoint: str, policy: EndpointPolicy, soap: str | None) -> Partner:
        conversation, named, key = self._place(
            endpoint, policy if soap is None else replace(policy, soap=soap)
        )
        with self._lock:
            known = self._by_key.get(key)
            if known is None:
                known = self._by_key[key] = Partner(
                    endpoint=endpoint,
                    policy=policy,
                    conversation=conversation,
                    keyring=self._parties.keyring(endpoint, named),
                    key=key,
                    dialect=self._dialect_for(endpoint, conversation),
                    chosen=self._policies.is_given(endpoint),
                    patience=Allowance(*_PATIENCE, self._clock),
                )
                _report_weak(known)
            return known

    def _named(
        self, endpoint: str, policy: EndpointPolicy, conversation: ConversationPolicy
    ) -> x509.Certificate | None:
        """The certificate that the WSDL names for the service, where the policy needs one and the user gave none."""
        wanted = {need.kind for need in needs(conversation.application, conversation.bootstrap.request)}
        if policy.identity is None or "peer" not in wanted or self._parties.knows_peer(endpoint):
            return None
        return self._parties.believe(policy.identity, self._clock.now())

    def _dialect_for(self, endpoint: str, policy: ConversationPolicy) -> Dialect:
        chosen = self._policies.dialect(endpoint) if self._dialect == "auto" else self._dialect
        return dialect_of(policy) if chosen is None else DIALECTS[chosen].in_generation(policy.wst)


def _report_weak(partner: Partner) -> None:
    """Say once what is weak in a policy; it works where the policy demands it."""
    bootstrap = partner.conversation.bootstrap
    policies = (partner.conversation.application, bootstrap.request, bootstrap.response)
    relates_to = f"{{{partner.conversation.wsa}}}RelatesTo"
    for operation in (partner.policy.everywhere(), *partner.policy.operations.values()):
        answer = operation.response
        related = answer.signed.header(relates_to) or answer.confirms_signatures
        if answer.signed.body and not related:
            log.warning(
                "The policy of %s signs neither RelatesTo nor SignatureConfirmation in answers: whoever can change "
                "messages can exchange the answers of one conversation",
                partner.endpoint,
            )
            break
    weak = {uri for policy in policies for uri in weak_algorithms(policy)}
    if weak:
        log.info("The policy of %s uses weak algorithms: %s", partner.endpoint, ", ".join(sorted(weak)))


def _find_operation(policy: EndpointPolicy, name: str | None, action: str | None) -> OperationPolicy:
    for operation in policy.operations.values():
        if operation.name == name or (name is None and action in operation.actions):
            return operation
    if policy.operations:
        raise PolicyError(
            f"The policy has no operation {name or action!r}",
            hint="give the WSDL that belongs to the service",
        )
    return policy.everywhere()


def _refuse_open(operation: OperationPolicy, *, chosen: bool) -> None:
    for what, policy in (("request", operation.request), ("response", operation.response)):
        if policy.binding is None:
            raise PolicyError(
                f"The policy of the {what} of {operation.name} secures nothing, and it is not sent in the clear",
                hint="check that this is the WSDL with the policy, or give policy= yourself",
            )
        supported(policy)
        if not (policy.signed.body or chosen or isinstance(policy.binding, TransportBinding)):
            raise PolicyError(
                f"The policy of the {what} of {operation.name} leaves the Body unsigned",
                hint="give policy= yourself if that is what you want",
            )
