"""A client and a service that talk without a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

from tests.unit.messages import conversation, wire
from tests.unit.parties import Time, environment, identity, trust
from zeep_secureconv import Identity, Limits, MemoryStore, SecurityContext
from zeep_secureconv.conversation.initiator import Exchange, Initiator
from zeep_secureconv.conversation.issuer import Issued, Issuer, Principal
from zeep_secureconv.conversation.policies import ConversationPolicy, dialect_of
from zeep_secureconv.conversation.terms import Terms
from zeep_secureconv.environment import Environment
from zeep_secureconv.policy import Direction, Policy
from zeep_secureconv.soap.addressing import address_reply
from zeep_secureconv.soap.envelope import Soap, new_envelope
from zeep_secureconv.trust import (
    Dialect,
    RequestSecurityToken,
    RequestSecurityTokenResponse,
    request_from_xml,
    response_to_xml,
)
from zeep_secureconv.wss.keys import ContextKey, Keyring
from zeep_secureconv.wss.protect import protect
from zeep_secureconv.wss.reply import Reply
from zeep_secureconv.wss.unprotect import Verified, unprotect

ENDPOINT = "http://localhost:8080/peer"
HOUR = timedelta(hours=1)
PRINCIPAL = "CN=client,O=Test"

Change = Callable[[RequestSecurityTokenResponse], RequestSecurityTokenResponse]


def who(name: str) -> Principal:
    """A principal whose name tells it from others."""
    return Principal(name=name, owner=name)


@dataclass
class Pair:
    """A client and a service under one policy.

    Args:
        policy: the conversation.
        time: what both clocks show.
        limits: bounds of both.
        terms: what the service grants.
    """

    policy: ConversationPolicy = field(default_factory=conversation)
    time: Time = field(default_factory=Time)
    limits: Limits = field(default_factory=Limits)
    terms: Terms = field(default_factory=lambda: Terms(lifetime=HOUR))

    def __post_init__(self) -> None:
        self.environment: Environment = environment(time=self.time, limits=self.limits)
        self.store = MemoryStore(clock=self.time.clock)
        self.issuer = Issuer(ENDPOINT, self.policy, self.store, self.environment, terms=self.terms)
        self.initiator = Initiator(self.environment)
        self.dialect: Dialect = dialect_of(self.policy)
        server = identity("server")
        self.client_ring = Keyring(
            signing=identity("client"),
            decrypting=identity("client"),
            peer=server.certificate,
            signers=(server.certificate,),
            trust=trust(),
            role="server",
        )
        self.service_ring = Keyring(
            signing=server, decrypting=server, trust=trust(), role="client", lookup=self.find
        )

    def find(self, identifier: str, instance: str | None) -> ContextKey | None:
        """The service's lookup of contexts."""
        context = self.issuer.find(identifier, instance)
        return context.key if context is not None else None

    # ------------------------------------------------------------------------------------------ issue

    def ask(self) -> Exchange:
        """The client's request for a context."""
        return self.initiator.ask_issue(ENDPOINT, self.policy, self.client_ring, self.dialect)

    def read(self, exchange: Exchange) -> tuple[Verified, RequestSecurityToken]:
        """What the service makes of a request for a context."""
        verified = unprotect(
            wire(exchange.soap), self.policy.bootstrap.request, self.service_ring, self.environment
        )
        assert verified.soap.payload is not None
        return verified, request_from_xml(verified.soap.payload, self.limits)

    def answer(
        self,
        exchange: Exchange,
        change: Change | None = None,
        *,
        signer: Identity | None = None,
        policy: Policy | None = None,
        relates_to: str | None = None,
    ) -> Soap:
        """The service's answer to a request for a context.

        Args:
            exchange: the request.
            change: what an odd service makes of its answer.
            signer: who signs in its place.
            policy: another policy than the bootstrap's.
            relates_to: another RelatesTo.
        """
        verified, request = self.read(exchange)
        assert verified.signer is not None
        issued = self.issuer.issue(request, who(verified.signer.subject.rfc4514_string()))
        response = change(issued.response) if change is not None else issued.response
        reply = new_envelope(verified.soap.version)
        reply.body.append(response_to_xml(response, self.dialect, exchange.kind))
        ring = replace(self.service_ring, peer=verified.signer, signing=signer or self.service_ring.signing)
        return self.secure(
            reply, policy or self.policy.bootstrap.response, ring, relates_to or exchange.protected.message_id
        )

    def secure(self, reply: Soap, policy: Policy, ring: Keyring, relates_to: str | None) -> Soap:
        """An answer as it arrives."""
        address_reply(
            reply,
            wsa=self.policy.wsa,
            action="urn:answer",
            relates_to=relates_to,
            random=self.environment.random,
        )
        protect(reply, policy, ring, self.environment, direction=Direction.RESPONSE)
        return wire(reply)

    def accept(self, exchange: Exchange, reply: Soap) -> SecurityContext | Reply:
        """What the client makes of an answer."""
        return self.initiator.accept_issue(exchange, reply, self.dialect)

    def issue(self) -> SecurityContext:
        """A context, as the client holds it."""
        exchange = self.ask()
        context = self.accept(exchange, self.answer(exchange))
        assert isinstance(context, SecurityContext)
        return context

    def renew(self, request: RequestSecurityToken, principal: str = PRINCIPAL) -> Issued:
        """A renewal by the service."""
        return self.issuer.renew(request, who(principal))
