from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.policy.documents import binding, policy
from zeep_secureconv.errors import PolicyError
from zeep_secureconv.policy import (
    SUITES,
    AsymmetricBinding,
    Binding,
    DerivedKeys,
    HeaderPart,
    HttpsToken,
    Include,
    Parts,
    Policy,
    SecureConversationToken,
    SuppliedToken,
    SupportingToken,
    SymmetricBinding,
    Token,
    TransportBinding,
    TrustOptions,
    UsernameToken,
    X509Token,
)
from zeep_secureconv.policy.support import is_supported, supported, unsupported

_SUITE = SUITES["Basic128"]
_SAML = SuppliedToken(assertion="{urn:sp}SamlToken")
_TLS = TransportBinding(transport_token=HttpsToken(), algorithm_suite=_SUITE, include_timestamp=True)


def symmetric(sign: Token | None, encrypt: Token | None) -> Policy:
    """A policy with a SymmetricBinding."""
    assert not isinstance(sign, SuppliedToken)
    assert not isinstance(encrypt, SuppliedToken)
    found = SymmetricBinding(signature_token=sign, encryption_token=encrypt, algorithm_suite=_SUITE)
    return Policy(binding=found)


def asymmetric(token: X509Token) -> Policy:
    """A policy with an AsymmetricBinding, and one token."""
    found = AsymmetricBinding(
        initiator_signature_token=X509Token(),
        initiator_encryption_token=X509Token(),
        recipient_signature_token=token,
        recipient_encryption_token=X509Token(),
        algorithm_suite=_SUITE,
    )
    return Policy(binding=found)


def with_token(entry: SupportingToken, to: Binding = _TLS) -> Policy:
    """A policy with a supporting token."""
    return Policy(binding=to, supporting=(entry,))


_HEADER = Parts(headers=(HeaderPart(namespace="urn:h"),))


@pytest.mark.parametrize(
    "found",
    [
        policy(),
        symmetric(X509Token(derived_keys=DerivedKeys.EITHER), X509Token()),
        symmetric(UsernameToken(derived_keys=DerivedKeys.EXPLICIT), X509Token()),
        symmetric(SecureConversationToken(derived_keys=DerivedKeys.IMPLIED), None),
        asymmetric(X509Token(token_type="WssX509PkiPathV1Token11")),
        Policy(binding=replace(binding(), protect_tokens=True, encrypt_signature=True)),
        Policy(binding=_TLS),
        Policy(binding=replace(_TLS, transport_token=HttpsToken(require_client_certificate=True))),
        with_token(SupportingToken(token=X509Token(), endorsing=True, signed_parts=_HEADER)),
        with_token(SupportingToken(token=SecureConversationToken(), endorsing=True)),
        with_token(SupportingToken(token=UsernameToken(), signed=True, encrypted=True)),
        with_token(SupportingToken(token=_SAML, signed=True)),
        with_token(SupportingToken(token=X509Token(), algorithm_suite=_SUITE)),
        Policy(binding=_TLS, trust=TrustOptions(scope_policy_15=True)),
    ],
)
def test_what_is_supported(found: Policy) -> None:
    """Every binding and kind of token can be used."""
    assert supported(found) == found.binding
    assert is_supported(found)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (asymmetric(X509Token(token_type="WssX509Pkcs7Token10")), "WssX509Pkcs7Token10"),
        (symmetric(X509Token(token_type="WssX509V1Token11"), None), "WssX509V1Token11"),
        (
            symmetric(
                SecureConversationToken(), SecureConversationToken(require_external_uri_reference=True)
            ),
            "two different SecureConversationTokens",
        ),
        (
            Policy(binding=replace(_TLS, transport_token=HttpsToken(http_digest_authentication=True))),
            "HTTP Digest",
        ),
        (with_token(SupportingToken(token=_SAML, endorsing=True)), "SamlToken"),
        (with_token(SupportingToken(token=SecureConversationToken(), signed=True)), "endorses nothing"),
        (with_token(SupportingToken(token=UsernameToken(include=Include.ALWAYS_TO_INITIATOR))), "in answers"),
        (with_token(SupportingToken(token=X509Token(), signed_parts=_HEADER)), "does not endorse"),
        (
            with_token(SupportingToken(token=X509Token(), algorithm_suite=SUITES["Basic256"])),
            "suite of its own",
        ),
        (
            Policy(binding=_TLS, trust=TrustOptions(scope_policy_15=True, require_applies_to=True)),
            "ScopePolicy15",
        ),
        (asymmetric(X509Token(derived_keys=DerivedKeys.EITHER)), "derived keys in an AsymmetricBinding"),
        (
            with_token(
                SupportingToken(token=X509Token(), endorsing=True), replace(_TLS, include_timestamp=False)
            ),
            "nothing to sign",
        ),
        (
            with_token(SupportingToken(token=UsernameToken(), encrypted_parts=_HEADER)),
            "encrypted because of a supporting token",
        ),
        (
            with_token(
                SupportingToken(token=X509Token(include=Include.NEVER), endorsing=True, signed=True),
                binding(),
            ),
            "does not stand in the header",
        ),
    ],
)
def test_what_is_not_supported(found: Policy, says: str) -> None:
    """What cannot be done is named, in a policy and in the bootstrap of one."""
    with pytest.raises(PolicyError, match=says) as caught:
        supported(found)
    assert caught.value.hint
    assert not is_supported(found)
    for side in ("bootstrap", "bootstrap_response"):
        usual = SecureConversationToken(bootstrap=policy_of_bootstrap())
        outer = symmetric(usual, usual)
        assert is_supported(outer)
        changed: dict[str, Any] = {side: found}
        token = replace(usual, **changed)
        if found.conversation_token is None:
            assert any(says in reason for reason in unsupported(symmetric(token, token)))


def policy_of_bootstrap() -> Policy:
    """A bootstrap that can be done."""
    return asymmetric(X509Token())


def test_a_conversation_to_get_a_conversation_is_not_supported() -> None:
    """The bootstrap of a conversation is no conversation itself."""
    inner = SecureConversationToken(bootstrap=policy_of_bootstrap())
    outer = SecureConversationToken(bootstrap=symmetric(inner, inner))
    assert is_supported(symmetric(inner, inner))
    assert list(unsupported(symmetric(outer, outer))) == ["a bootstrap that needs a conversation of its own"]


def test_no_binding() -> None:
    """A policy without a binding asks for nothing that cannot be done, and protects nothing."""
    assert is_supported(Policy())
    with pytest.raises(PolicyError, match="nothing would be protected"):
        supported(Policy())
