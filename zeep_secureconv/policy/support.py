"""What the library can do of what a policy can ask for. Nothing that a policy asks for is left out without a word."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from ..errors import PolicyError
from .model import (
    AsymmetricBinding,
    Binding,
    DerivedKeys,
    Direction,
    Include,
    Policy,
    ReferenceStyle,
    SecureConversationToken,
    SuppliedToken,
    SupportingToken,
    SymmetricBinding,
    Token,
    TransportBinding,
    UsernameToken,
    X509Token,
)

#: The forms of certificates that can be sent and read.
_CERTIFICATES = ("WssX509V3Token", "WssX509PkiPathV1Token")


@lru_cache(maxsize=1024)
def supported(policy: Policy) -> Binding:
    """The binding of a policy, if everything it asks for can be done.

    Raises:
        PolicyError: naming what cannot be done.
    """
    binding = policy.binding
    if binding is None:
        raise PolicyError(
            "The policy has no security binding, so nothing would be protected",
            hint="check that this is the WSDL with the policy, or give policy= yourself",
        )
    for kind in _demands(policy):
        raise PolicyError(
            f"The policy asks for {kind}, which is not supported",
            position=policy.source or None,
            hint="ask the service for a policy without it, or give policy= with what it accepts",
        )
    return binding


def unsupported(policy: Policy) -> Iterator[str]:
    """What a policy, or the bootstrap in it, asks for and cannot be done; nothing where there is no binding."""
    if policy.binding is None:
        return
    yield from _demands(policy)
    token = policy.conversation_token
    for bootstrap in (token.bootstrap, token.bootstrap_response) if token is not None else ():
        if bootstrap is None:
            continue
        if bootstrap.conversation_token is not None:
            yield "a bootstrap that needs a conversation of its own"
        else:
            yield from unsupported(bootstrap)


def is_supported(policy: Policy) -> bool:
    """Whether everything that a policy and the bootstrap in it ask for can be done; True where there is no binding."""
    return next(unsupported(policy), None) is None


def _demands(policy: Policy) -> Iterator[str]:
    binding = policy.binding
    assert binding is not None
    yield from _binding_demands(binding)
    for token in _tokens(binding):
        yield from _token_demands(token)
    for entry in policy.supporting:
        yield from _supporting_demands(entry, binding)
        yield from _token_demands(entry.token)
    if policy.trust is not None and policy.trust.scope_policy_15 and policy.trust.require_applies_to:
        yield "wsp:AppliesTo of WS-Policy 1.5 (ScopePolicy15)"


def _binding_demands(binding: Binding) -> Iterator[str]:
    if isinstance(binding, TransportBinding):
        if binding.transport_token.http_digest_authentication:
            yield "HTTP Digest authentication (HttpDigestAuthentication)"
    elif isinstance(binding, SymmetricBinding):
        tokens = binding.signature_token, binding.encryption_token
        if tokens[0] != tokens[1] and all(isinstance(token, SecureConversationToken) for token in tokens):
            yield "two different SecureConversationTokens, one to sign and one to encrypt"
        elif isinstance(tokens[1], SecureConversationToken) and tokens[0] != tokens[1]:
            # whoever signs would have us try ciphertexts of contexts that are not his
            yield "a SecureConversationToken that encrypts and does not sign"
    elif any(isinstance(t, X509Token) and t.derived_keys is not DerivedKeys.NONE for t in _tokens(binding)):
        yield "derived keys in an AsymmetricBinding"
    if binding.protect_tokens and any(isinstance(t, X509Token) and _is_embedded(t) for t in _tokens(binding)):
        yield "ProtectTokens for an embedded token"


def _is_embedded(token: X509Token) -> bool:
    return ReferenceStyle.EMBEDDED_TOKEN in token.references


def _stands_outside(token: X509Token) -> bool:
    """Whether a certificate never stands in the header: it is named, or inside the reference to it."""
    return token.include is Include.NEVER or _is_embedded(token)


def _supporting_demands(entry: SupportingToken, binding: Binding) -> Iterator[str]:
    if entry.endorsing and isinstance(entry.token, SuppliedToken):
        yield f"an endorsing signature by a {_local(entry.token)}, whose key is not known here"
    if entry.encrypted_parts:
        yield "parts encrypted because of a supporting token"
    token, over_tls = entry.token, isinstance(binding, TransportBinding)
    if (
        isinstance(token, X509Token)
        and not over_tls
        and (entry.signed or entry.encrypted)
        and _stands_outside(token)
    ):
        yield "a signed or encrypted supporting token that does not stand in the header"
    bare = isinstance(binding, TransportBinding) and not binding.include_timestamp and not entry.signed_parts
    if entry.endorsing and bare:
        yield "an endorsing token under a TransportBinding without a Timestamp, so that there is nothing to sign"
    if not entry.endorsing and isinstance(entry.token, SecureConversationToken):
        yield "a SecureConversationToken that endorses nothing (use an EndorsingSupportingTokens)"
    if not entry.endorsing and entry.signed_parts:
        yield "parts signed by a supporting token that does not endorse"
    if entry.token.include is Include.ALWAYS_TO_INITIATOR:
        yield "a supporting token in answers (AlwaysToInitiator)"
    if entry.algorithm_suite not in (None, binding.algorithm_suite):
        yield "an algorithm suite of its own for a supporting token"


def _token_demands(token: Token | None) -> Iterator[str]:
    if isinstance(token, X509Token) and not token.token_type.startswith(_CERTIFICATES):
        yield f"certificates of the form {token.token_type}"
    if isinstance(token, UsernameToken) and token.derived_keys is DerivedKeys.IMPLIED:
        yield "implied derived keys of a UsernameToken"


def _tokens(binding: Binding) -> tuple[Token | None, ...]:
    if isinstance(binding, SymmetricBinding):
        return binding.signature_token, binding.encryption_token
    if isinstance(binding, AsymmetricBinding):
        return (
            *(binding.signature_token(direction) for direction in Direction),
            *(binding.encryption_token(direction) for direction in Direction),
        )
    return ()


def _local(token: SuppliedToken) -> str:
    return token.assertion.rpartition("}")[2]
