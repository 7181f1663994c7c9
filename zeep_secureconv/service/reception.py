"""Checks a message against the policies that it may be secured by, until it satisfies one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from ..conversation.issuer import CallKeys, Issuer
from ..conversation.policies import ConversationPolicy, ExchangePolicy
from ..conversation.store import Store
from ..conversation.store.forks import in_child
from ..environment import Environment
from ..errors import PolicyError, VerificationError
from ..policy.model import (
    AsymmetricBinding,
    EndpointPolicy,
    Policy,
    SymmetricBinding,
    TransportBinding,
    X509Token,
)
from ..soap.envelope import Soap, parse
from ..trust import RequestType
from ..wss.certificates import Trust
from ..wss.keys import ContextLookup, Keyring
from ..wss.seen import OneMessage, Seen, memory_of
from ..wss.unprotect import Verified, unprotect
from .messages import Request

_REMEMBERED_SIGNATURES = 200_000

Meaning = TypeVar("Meaning")


@dataclass(frozen=True, kw_only=True)
class Offer:
    """Alternatives of the published policy that contexts are asked for alike: a context is good for all of them.

    Args:
        conversation: that of the first.
        policies: the alternatives.
        exchanges: the ways that requests which the context secures may be secured, by type.
        issuer: gives the contexts.
    """

    conversation: ConversationPolicy
    policies: tuple[EndpointPolicy, ...]
    exchanges: Mapping[RequestType, tuple[ExchangePolicy, ...]]
    issuer: Issuer


@dataclass(frozen=True, kw_only=True)
class Attempt(Generic[Meaning]):
    """A policy that a message may have been secured by.

    Args:
        policy: the policy.
        offer: the alternatives that it is of.
        meaning: what follows when it was.
        lookup: finds the contexts that it may be secured by; None for all that live.
    """

    policy: Policy
    offer: Offer
    meaning: Meaning
    lookup: ContextLookup | None = None


class Reception:
    """Verifies messages, each under one of several policies, and each once.

    Args:
        keyring: the service's keys.
        environment: time, randomness and bounds.
        store: where contexts are kept; what was received is remembered there too, if it can.
    """

    def __init__(self, keyring: Keyring, environment: Environment, store: Store) -> None:
        self._keyring = keyring
        self._environment = environment
        self._seen = memory_of(store, "messages", _REMEMBERED_SIGNATURES)
        in_child(self._seen.remake)

    @property
    def sent(self) -> Seen:
        """Where the signature values of our own answers are remembered: none of them comes back as a request."""
        return self._seen

    def change_trust(self, trust: Trust) -> None:
        """Believe others from the next message on."""
        self._keyring = replace(self._keyring, trust=trust)

    def verify(
        self, request: Request, attempts: Iterable[Attempt[Meaning]]
    ) -> tuple[Attempt[Meaning], Verified]:
        """The first policy that a message satisfies, and what it proves under that.

        Raises:
            VerificationError: when it satisfies none; that of the first policy that knew its context.
        """
        refused: list[VerificationError | PolicyError] = []
        soap, seen = request.soap, OneMessage(self._seen)
        for attempt in attempts:
            if refused:
                # the one before may have left it half decrypted
                soap = Soap.of(parse(request.body, self._environment.limits))
                seen.begin()
            ring = self._ring(request, attempt)
            try:
                _check_transport(attempt.policy, request)
                return attempt, unprotect(soap, attempt.policy, ring, self._environment, seen=seen)
            except (VerificationError, PolicyError) as error:
                refused.append(error)
                if getattr(error, "check", None) == "replay":
                    raise
        raise next((error for error in refused if getattr(error, "check", None) != "context"), refused[0])

    def _ring(self, request: Request, attempt: Attempt[Meaning]) -> Keyring:
        lookup = attempt.lookup or CallKeys(attempt.offer.issuer).current
        # without a key to decrypt with, nobody makes us work with RSA where the policy has no use for it
        decrypting = self._keyring.decrypting if _brings_keys(attempt.policy) else None
        return replace(self._keyring, lookup=lookup, decrypting=decrypting, over_tls=request.over_tls)


def _brings_keys(policy: Policy) -> bool:
    """Whether messages under a policy bring keys that are encrypted to the service's certificate."""
    binding = policy.binding
    if isinstance(binding, SymmetricBinding):
        tokens = binding.signature_token, binding.encryption_token
        return any(isinstance(token, X509Token) for token in tokens)
    return isinstance(binding, AsymmetricBinding)


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
