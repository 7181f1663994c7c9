"""Algorithms besides the policy, and how weak they may be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.messages import asymmetric, symmetric
from zeep_secureconv import Algorithms, ConfigurationError, PolicyError, SuiteChanges
from zeep_secureconv.policy import (
    SUITES,
    AlgorithmSuite,
    EndpointPolicy,
    OperationPolicy,
    Policy,
    SymmetricBinding,
    X509Token,
)
from zeep_secureconv.policy.algorithms import used_algorithms, weak_algorithms
from zeep_secureconv.policy.model import HttpsToken, SupportingToken, TransportBinding
from zeep_secureconv.policy.suites import (
    AES128_CBC,
    AES256_GCM,
    HMAC_SHA1,
    HMAC_SHA256,
    HMAC_SHA384,
    MGF1_SHA256,
    RSA_15,
    RSA_OAEP,
    RSA_OAEP_MGF1P,
    RSA_SHA1,
    RSA_SHA256,
    SHA1,
    SHA256,
)


def endpoint(suite: str = "Basic128", bootstrap: str | None = None) -> EndpointPolicy:
    """An endpoint with one operation."""
    policy = symmetric(suite, bootstrap=asymmetric(bootstrap or suite))
    operation = OperationPolicy(
        name="echo",
        actions=frozenset({"urn:echo"}),
        input_element=None,
        has_output=True,
        request=policy,
        response=policy,
        fault=policy,
        faults={"urn:fault": policy},
    )
    return EndpointPolicy(endpoint=policy, operations={"echo": operation})


def suites_of(policy: Policy) -> tuple[AlgorithmSuite, AlgorithmSuite]:
    """(that of the application, that of the bootstrap)."""
    token = policy.conversation_token
    assert policy.binding is not None
    assert token is not None
    assert token.bootstrap is not None
    assert token.bootstrap.binding is not None
    return policy.binding.algorithm_suite, token.bootstrap.binding.algorithm_suite


def test_nothing_agreed_on_changes_nothing() -> None:
    """Without arguments the policy is the same object."""
    policy = endpoint()
    assert Algorithms().apply(policy) is policy


def test_each_leg_is_changed_by_its_own_changes() -> None:
    """Changes of the application hold for every message of it, those of the bootstrap inside its token."""
    changed = Algorithms(
        application=SuiteChanges(symmetric_signature="hmac-sha256", encryption="aes256-gcm"),
        bootstrap=SuiteChanges(
            asymmetric_signature="rsa-sha256",
            digest="sha256",
            key_transport="rsa-oaep",
            oaep_digest="sha256",
            oaep_mgf="mgf1-sha256",
        ),
    ).apply(endpoint())
    operation = changed.operations["echo"]
    for policy in (changed.endpoint, operation.request, operation.response, operation.faults["urn:fault"]):
        application, bootstrap = suites_of(policy)
        assert (application.symmetric_signature, application.encryption) == (HMAC_SHA256, AES256_GCM)
        assert (application.digest, application.asymmetric_signature) == (SHA1, RSA_SHA1)
        assert (bootstrap.asymmetric_signature, bootstrap.digest) == (RSA_SHA256, SHA256)
        assert (bootstrap.asymmetric_key_wrap, bootstrap.oaep_digest) == (RSA_OAEP, SHA256)
        assert bootstrap.oaep_mgf == MGF1_SHA256
        assert (bootstrap.symmetric_signature, bootstrap.encryption) == (HMAC_SHA1, AES128_CBC)


def test_encryption_with_longer_keys_needs_longer_keys() -> None:
    """Another length of encryption keys is taken over; that of signature keys stays the suite's."""
    suite = SUITES["Basic128"]
    longer = SuiteChanges(encryption="aes256-gcm").change(suite)
    assert (longer.encryption_key_length, longer.minimum_key_length) == (32, 32)
    assert longer.signature_key_length == suite.signature_key_length
    same = SuiteChanges(encryption="aes128-gcm", digest="sha512").change(suite)
    assert (same.encryption_key_length, same.minimum_key_length) == (16, 16)
    shorter = SuiteChanges(encryption="aes128-cbc").change(SUITES["Basic256"])
    assert (shorter.encryption_key_length, shorter.minimum_key_length) == (16, 16)
    assert shorter.signature_key_length == SUITES["Basic256"].signature_key_length


def test_sha256_suites_may_be_read_as_wcf_does() -> None:
    """In WCF's reading the Sha256 suites have SHA-256 signatures too; changes go before it, other suites stay."""
    wcf = Algorithms(sha256="wcf").apply(endpoint("Basic256Sha256", "Basic256"))
    application, bootstrap = suites_of(wcf.endpoint)
    assert (application.symmetric_signature, application.asymmetric_signature) == (HMAC_SHA256, RSA_SHA256)
    assert bootstrap == SUITES["Basic256"]
    both = Algorithms(sha256="wcf", application=SuiteChanges(symmetric_signature="hmac-sha384"))
    assert suites_of(both.apply(endpoint("Basic256Sha256")).endpoint)[0].symmetric_signature == HMAC_SHA384


def _made(arguments: dict[str, Any]) -> Algorithms:
    changed = {name: SuiteChanges(**value) for name, value in arguments.items() if isinstance(value, dict)}
    return Algorithms(**(arguments | changed))


@pytest.mark.parametrize(
    "arguments",
    [
        {"minimum": "weak"},
        {"sha256": "ibm"},
        {"application": {"digest": "md5"}},
        {"application": {"encryption": "aes128"}},
        {"bootstrap": {"oaep_mgf": "sha1"}},
    ],
)
def test_what_there_is_not_is_told(arguments: dict[str, Any]) -> None:
    """A name that means nothing is a ConfigurationError whose hint lists those that do."""
    with pytest.raises(ConfigurationError) as caught:
        _made(arguments)
    assert "give" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("minimum", "suite", "changes", "refused"),
    [
        (None, "TripleDesRsa15", {}, None),
        ("sha256", "Basic256Sha256", {}, RSA_SHA1),
        ("sha256", "Basic256Sha256", {"sha256": "wcf"}, None),
        ("sha256", "Basic256", {}, SHA1),
        ("sha256", "Basic256Sha256Rsa15", {"sha256": "wcf"}, RSA_15),
        ("sha256", "TripleDesSha256", {"sha256": "wcf"}, "tripledes"),
        ("strong", "Basic256Sha256", {"sha256": "wcf"}, "aes256-cbc"),
        ("strong", "Basic256Sha256", {}, HMAC_SHA1),
        ("strong", "Basic256GCMSha256", {"sha256": "wcf"}, None),
        ("strong", "Basic256GCMSha256", {}, HMAC_SHA1),
    ],
)
def test_what_is_below_the_minimum_is_refused(
    minimum: Any, suite: str, changes: dict[str, Any], refused: str | None
) -> None:
    """A suite with an algorithm below the minimum is refused by name, one without is not."""
    algorithms = Algorithms(minimum=minimum, **changes)
    policy = endpoint(suite)
    if refused is None:
        algorithms.apply(policy)
        assert algorithms.against(policy.endpoint) is None
        return
    with pytest.raises(PolicyError) as caught:
        algorithms.apply(policy)
    assert suite in caught.value.message
    assert refused in caught.value.message
    assert suite in str(algorithms.against(policy.endpoint))


def test_a_weak_bootstrap_counts() -> None:
    """A strong application does not make up for a weak bootstrap."""
    algorithms = Algorithms(minimum="sha256", application=SuiteChanges(digest="sha256"))
    with pytest.raises(PolicyError, match="Basic128Rsa15"):
        algorithms.apply(endpoint("Basic256Sha256", "Basic128Rsa15"))
    strong = replace(algorithms, bootstrap=SuiteChanges(digest="sha256", asymmetric_signature="rsa-sha256"))
    strong.apply(endpoint("Basic256Sha256", "Basic128"))


def test_only_what_is_used_counts() -> None:
    """A conversation uses no RSA, and over TLS a certificate's signature is all."""
    application = symmetric("Basic256Sha256Rsa15")
    assert [uri for _, uri in used_algorithms(application)] == [
        SHA256,
        HMAC_SHA1,
        SUITES["Basic256"].encryption,
    ]
    assert weak_algorithms(application) == ()
    assert weak_algorithms(asymmetric("Basic128Sha256Rsa15")) == (RSA_SHA1, RSA_15)
    over_tls = TransportBinding(transport_token=HttpsToken(), algorithm_suite=SUITES["TripleDesSha256"])
    assert list(used_algorithms(Policy(binding=over_tls))) == []
    endorsed = Policy(binding=over_tls, supporting=(SupportingToken(token=X509Token(), endorsing=True),))
    assert [uri for _, uri in used_algorithms(endorsed)] == [SHA256, RSA_SHA1]
    assert list(used_algorithms(Policy())) == []


def test_key_transport_of_a_symmetric_binding_counts() -> None:
    """A SymmetricBinding over a certificate encrypts a key to it."""
    application = symmetric("Basic128")
    assert isinstance(application.binding, SymmetricBinding)
    binding = replace(application.binding, signature_token=X509Token(), encryption_token=X509Token())
    assert RSA_OAEP_MGF1P in [uri for _, uri in used_algorithms(replace(application, binding=binding))]
    assert RSA_OAEP_MGF1P not in [uri for _, uri in used_algorithms(application)]
