"""What a policy demands of a client, and of a service."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.messages import asymmetric, symmetric
from zeep_secureconv.policy import SUITES, Policy, SecureConversationToken, SymmetricBinding, Token, X509Token
from zeep_secureconv.policy.model import (
    DerivedKeys,
    HttpsToken,
    KeyToken,
    PasswordForm,
    SuppliedToken,
    SupportingToken,
    TransportBinding,
    UsernameToken,
)
from zeep_secureconv.policy.needs import needs, service_needs

_LTPA = SuppliedToken(assertion="{urn:sp}CustomToken", accepts=frozenset({"{urn:ltpa}LTPAv2"}))


def over(token: KeyToken) -> Policy:
    """A policy with a SymmetricBinding whose protection token is *token*."""
    binding = SymmetricBinding(
        signature_token=token, encryption_token=token, algorithm_suite=SUITES["Basic128"]
    )
    return Policy(binding=binding, source="line 4 of peer.wsdl")


def tls(*tokens: Token, endorsing: bool = False) -> Policy:
    """A policy with a TransportBinding and supporting tokens."""
    binding = TransportBinding(transport_token=HttpsToken(), algorithm_suite=SUITES["Basic128"])
    entries = (SupportingToken(token=token, endorsing=endorsing, source="line 9") for token in tokens)
    return Policy(binding=binding, supporting=tuple(entries))


@pytest.mark.parametrize(
    ("policy", "client", "service"),
    [
        (Policy(), [], []),
        (
            asymmetric(),
            ["signing identity", "decrypting identity", "trust", "peer"],
            ["signing identity", "decrypting identity", "trust"],
        ),
        (symmetric(), [], []),
        (over(X509Token()), ["peer"], ["decrypting identity"]),
        (over(UsernameToken()), ["user name", "password"], ["user passwords"]),
        (tls(), ["https"], ["https"]),
        (tls(SecureConversationToken(), endorsing=True), ["https"], ["https"]),
        (tls(X509Token(), endorsing=True), ["https", "signing identity"], ["https", "trust"]),
        (tls(UsernameToken()), ["https", "user name", "password"], ["https", "user check"]),
        (
            tls(UsernameToken(password=PasswordForm.DIGEST)),
            ["https", "user name", "password"],
            ["https", "user passwords"],
        ),
        (tls(UsernameToken(password=PasswordForm.NONE)), ["https", "user name"], ["https"]),
        (
            tls(UsernameToken(password=PasswordForm.NONE, derived_keys=DerivedKeys.EXPLICIT), endorsing=True),
            ["https", "user name", "password"],
            ["https", "user passwords"],
        ),
        (tls(_LTPA), ["https", "token"], ["https", "token check"]),
    ],
)
def test_each_part_of_a_policy_has_its_needs(policy: Policy, client: list[str], service: list[str]) -> None:
    """A binding and its supporting tokens say what both sides must have, no more."""
    assert [need.kind for need in needs(policy, None)] == client
    assert [need.kind for need in service_needs(policy)] == service
    assert all(need.hint for need in (*needs(policy, None), *service_needs(policy)))


def test_a_need_says_which_assertion_wants_it_and_where_it_stands() -> None:
    """The assertion and its place are in the need, of a binding as of a supporting token."""
    assert needs(over(X509Token()), None)[0].why == "sp:X509Token in sp:SymmetricBinding, line 4 of peer.wsdl"
    (_, name, _) = needs(tls(UsernameToken()), None)
    assert name.why == "sp:UsernameToken in sp:SupportingTokens, line 9"
    signed = replace(tls(), supporting=(SupportingToken(token=_LTPA, signed=True, encrypted=True),))
    (_, token) = needs(signed, None)
    assert token.why == "sp:CustomToken in sp:SignedEncryptedSupportingTokens"
    assert token.token is _LTPA


def test_both_legs_have_needs_of_their_own() -> None:
    """What the bootstrap needs comes first, and a user name may be another one on each leg."""
    found = needs(tls(UsernameToken()), asymmetric())
    assert [need.leg for need in found] == ["bootstrap"] * 4 + ["application"] * 3
    twice = needs(tls(UsernameToken()), tls(UsernameToken()))
    assert [(need.kind, need.leg) for need in twice if need.kind == "user name"] == [
        ("user name", "bootstrap"),
        ("user name", "application"),
    ]
