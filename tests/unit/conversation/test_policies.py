"""The policies of trust messages, worked out from an endpoint's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.messages import SIGNED, asymmetric, conversation, symmetric
from zeep_secureconv import Policy, PolicyError
from zeep_secureconv.conversation.policies import ConversationPolicy, conversation_policy, dialect_of
from zeep_secureconv.names import SOAP11, SOAP12, WSA_2004, WSA_2005, WSC_2005, WST_2005, WST_200512
from zeep_secureconv.policy import (
    AsymmetricBinding,
    DerivedKeys,
    EndpointPolicy,
    HeaderPart,
    OperationPolicy,
    Parts,
    SecureConversationToken,
    SymmetricBinding,
    TrustOptions,
    Wss,
    X509Token,
)


def operation(policy: Policy) -> OperationPolicy:
    """An operation with that policy for everything."""
    return OperationPolicy(
        name="echo",
        actions=frozenset(),
        input_element=None,
        has_output=True,
        request=policy,
        response=policy,
        fault=policy,
    )


def binding_of(policy: Policy) -> SymmetricBinding:
    """The SymmetricBinding of a policy."""
    assert isinstance(policy.binding, SymmetricBinding)
    return policy.binding


def token_of(policy: Policy) -> SecureConversationToken:
    """The token that both signs and encrypts."""
    binding = binding_of(policy)
    assert binding.encryption_token == binding.signature_token
    assert isinstance(binding.signature_token, SecureConversationToken)
    return binding.signature_token


def test_the_application_policy_is_the_endpoints() -> None:
    """The endpoint's own policy counts, or that of the first operation that asks for secure conversation."""
    secured = symmetric(bootstrap=asymmetric())
    of_endpoint = conversation_policy(EndpointPolicy(endpoint=secured, soap=SOAP12))
    assert of_endpoint.application is secured
    assert of_endpoint.token == token_of(secured)
    of_operation = EndpointPolicy(
        endpoint=Policy(), operations={"a": operation(Policy()), "b": operation(secured)}, soap=SOAP12
    )
    assert conversation_policy(of_operation) == of_endpoint
    assert of_endpoint.soap == SOAP12
    assert conversation_policy(EndpointPolicy(endpoint=secured)).soap == SOAP11


def test_a_policy_without_secure_conversation_is_refused() -> None:
    """No binding, another binding, and a symmetric one over certificates: nothing to converse with."""
    binding = symmetric().binding
    assert isinstance(binding, SymmetricBinding)
    x509 = X509Token()
    with_certificates = replace(
        symmetric(), binding=replace(binding, signature_token=x509, encryption_token=x509)
    )
    conversation(suite="Basic128")
    for policy in (Policy(), asymmetric(), with_certificates):
        with pytest.raises(PolicyError, match="does not ask for secure conversation") as caught:
            conversation_policy(EndpointPolicy(endpoint=policy))
        assert caught.value.hint


def test_a_policy_without_bootstrap_is_refused() -> None:
    """Without a BootstrapPolicy, or with one that secures nothing, there is no way to ask."""
    for bootstrap in (None, Policy(signed=SIGNED)):
        with pytest.raises(PolicyError, match="no BootstrapPolicy") as caught:
            conversation(bootstrap=bootstrap)
        assert caught.value.hint


def test_the_bootstrap_is_signed_and_encrypted_in_any_case() -> None:
    """A bootstrap that asks for neither is strengthened: Body signed, Body encrypted."""
    weak = asymmetric(signed=Parts(headers=SIGNED.headers), encrypted=Parts())
    made = conversation(bootstrap=weak).bootstrap.response
    assert made.signed == Parts(body=True, headers=SIGNED.headers)
    assert made.encrypted == Parts(body=True)
    assert made.binding == weak.binding
    assert isinstance(made.binding, AsymmetricBinding)


def test_the_bootstrap_refers_as_the_outer_policy_says() -> None:
    """Wss of the bootstrap counts, and without one that of the application."""
    inner, outer = Wss(version="1.1"), Wss(version="1.0")
    assert conversation(bootstrap=asymmetric(wss=inner), wss=outer).bootstrap.request.wss == inner
    assert conversation(wss=outer).bootstrap.request.wss == outer


def test_cancel_is_signed_and_in_clear() -> None:
    """Whatever the binding, a Cancel is signed with Body and addressing, and nothing of it is encrypted."""
    policy = conversation(encrypt_before_signing=True, encrypt_signature=True)
    for cancel in (policy.cancel.request, policy.cancel.response):
        binding = binding_of(cancel)
        assert not binding.encrypt_before_signing
        assert not binding.encrypt_signature
        assert cancel.encrypted == Parts()
        assert cancel.signed.body
    assert policy.cancel.request.signed.headers == (HeaderPart(namespace=WSA_2005),)
    assert binding_of(policy.cancel.request).include_timestamp


def test_cancel_uses_the_keys_of_the_application() -> None:
    """The request's keys are derived as the application's are; the answer may come under the raw key too."""
    for derived in (DerivedKeys.EXPLICIT, DerivedKeys.NONE):
        policy = conversation(derived_keys=derived)
        assert token_of(policy.cancel.request).derived_keys is derived
        assert token_of(policy.cancel.response).derived_keys is DerivedKeys.ANY


def test_cancel_signs_the_generation_of_addressing_in_use() -> None:
    """Under 2004/08 the addressing headers of that generation are signed."""
    policy = conversation(addressing=WSA_2004)
    assert policy.wsa == WSA_2004
    assert policy.cancel.request.signed.headers == (HeaderPart(namespace=WSA_2004),)
    assert conversation(bootstrap=asymmetric(addressing=WSA_2004)).wsa == WSA_2004
    assert conversation().wsa == WSA_2005


@pytest.mark.parametrize(
    ("suite", "size"), [("Basic128", 16), ("Basic192", 24), ("Basic256", 32), ("TripleDes", 24)]
)
def test_the_size_of_the_key_is_the_suites(suite: str, size: int) -> None:
    """A key is asked for with the suite's length."""
    assert conversation(suite).key_size == size


def test_server_entropy_is_required_where_trust_says_so() -> None:
    """RequireServerEntropy of the outer Trust assertion counts."""
    assert not conversation().requires_server_entropy
    assert not conversation(trust=TrustOptions()).requires_server_entropy
    assert conversation(trust=TrustOptions(require_server_entropy=True)).requires_server_entropy


@pytest.mark.parametrize(
    ("policy", "wst", "dialect"),
    [
        (conversation(), WST_200512, "oasis13"),
        (conversation(trust=TrustOptions(wst=WST_2005)), WST_2005, "draft200502"),
        (conversation(wsc=WSC_2005), WST_2005, "draft200502"),
    ],
)
def test_the_dialect_follows_the_generation(policy: ConversationPolicy, wst: str, dialect: str) -> None:
    """Trust10, or an SC10 token without a Trust assertion, means the draft; anything else the standard."""
    assert policy.wst == wst
    assert dialect_of(policy).name == dialect
    assert dialect_of(policy).wst == wst


def test_different_policies_have_different_fingerprints() -> None:
    """The fingerprint tells policies apart, and is the same for the same policy."""
    policies = [
        conversation(),
        conversation("Basic256"),
        conversation(soap=SOAP12),
        conversation(derived_keys=DerivedKeys.NONE),
        conversation(encrypted=Parts()),
        conversation(bootstrap=asymmetric("Basic256")),
        conversation(addressing=WSA_2004),
        conversation(include_timestamp=False),
    ]
    prints = {policy.fingerprint for policy in policies}
    assert len(prints) == len(policies)
    assert conversation().fingerprint in prints
    assert conversation(source="line 3").fingerprint in prints
