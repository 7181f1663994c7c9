"""What the library can do of what a policy can ask for. Nothing that a policy asks for is left out without a word."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import PolicyError
from .model import (
    Binding,
    DerivedKeys,
    Direction,
    Policy,
    ReferenceStyle,
    SecureConversationToken,
    SymmetricBinding,
    Token,
    X509Token,
)


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
    for kind in _unsupported(binding):
        raise PolicyError(
            f"The policy asks for {kind}, which is not supported",
            hint="ask the service for a policy without it, or give policy= with what it accepts",
        )
    return binding


def is_supported(policy: Policy) -> bool:
    """Whether everything that a policy and the bootstrap in it ask for can be done; True where there is no binding."""
    binding = policy.binding
    if binding is None:
        return True
    if next(_unsupported(binding), None) is not None:
        return False
    token = policy.conversation_token
    return token is None or token.bootstrap is None or is_supported(token.bootstrap)


def _unsupported(binding: Binding) -> Iterator[str]:
    if binding.protect_tokens:
        yield "signed tokens (ProtectTokens)"
    if isinstance(binding, SymmetricBinding):
        tokens: tuple[Token | None, ...] = (binding.signature_token, binding.encryption_token)
        if any(not isinstance(token, SecureConversationToken) for token in tokens) or tokens[0] != tokens[1]:
            yield "a SymmetricBinding without a SecureConversationToken as its ProtectionToken"
    else:
        tokens = (
            *(binding.signature_token(direction) for direction in Direction),
            *(binding.encryption_token(direction) for direction in Direction),
        )
    for token in tokens:
        if isinstance(token, SecureConversationToken) and token.derived_keys is DerivedKeys.IMPLIED:
            yield "implied derived keys"
        if isinstance(token, X509Token):
            if not token.token_type.startswith("WssX509V3Token"):
                yield f"certificates of the form {token.token_type}"
            if ReferenceStyle.EMBEDDED_TOKEN in token.references:
                yield "embedded tokens (RequireEmbeddedTokenReference)"
