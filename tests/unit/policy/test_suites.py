from __future__ import annotations

import pytest

from zeep_secureconv.policy.suites import CXF_SUITES, SUITES

DS = "http://www.w3.org/2000/09/xmldsig#"
XENC = "http://www.w3.org/2001/04/xmlenc#"
XENC11 = "http://www.w3.org/2009/xmlenc11#"
SP = "http://docs.oasis-open.org/ws-sx/ws-securitypolicy/200702"

# WS-SecurityPolicy 1.2, 6.1: data encryption; bytes of encryption keys, signature keys and the shortest key
BASES = {
    "Basic256": (f"{XENC}aes256-cbc", 32, 24, 32),
    "Basic192": (f"{XENC}aes192-cbc", 24, 24, 24),
    "Basic128": (f"{XENC}aes128-cbc", 16, 16, 16),
    "TripleDes": (f"{XENC}tripledes-cbc", 24, 24, 24),
    "Basic256GCM": (f"{XENC11}aes256-gcm", 32, 24, 32),
    "Basic192GCM": (f"{XENC11}aes192-gcm", 24, 24, 24),
    "Basic128GCM": (f"{XENC11}aes128-gcm", 16, 16, 16),
}
FLAVOURS = {
    "": (f"{DS}sha1", f"{XENC}rsa-oaep-mgf1p"),
    "Rsa15": (f"{DS}sha1", f"{XENC}rsa-1_5"),
    "Sha256": (f"{XENC}sha256", f"{XENC}rsa-oaep-mgf1p"),
    "Sha256Rsa15": (f"{XENC}sha256", f"{XENC}rsa-1_5"),
}


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("base", BASES)
def test_a_suite_is_that_of_the_standard(base: str, flavour: str) -> None:
    """Every suite has the algorithms and key lengths that the standard's table, or CXF's, gives it."""
    suite = SUITES[base + flavour]
    encryption, encryption_bytes, signature_bytes, minimum = BASES[base]
    assert (suite.digest, suite.asymmetric_key_wrap) == FLAVOURS[flavour]
    assert suite.encryption == encryption
    assert suite.encryption_key_length == encryption_bytes
    assert suite.signature_key_length == signature_bytes
    assert suite.minimum_key_length == minimum
    assert suite.name == base + flavour
    assert suite.namespace == (CXF_SUITES if "GCM" in base else SP)


def test_no_suite_is_missing_or_made_up() -> None:
    """The suites are the sixteen of the standard and CXF's twelve with GCM."""
    assert set(SUITES) == {base + flavour for base in BASES for flavour in FLAVOURS}


@pytest.mark.parametrize("name", sorted(SUITES))
def test_what_all_suites_share(name: str) -> None:
    """Signatures, canonicalization and the bounds of keys are alike in all suites, whatever their digest."""
    suite = SUITES[name]
    assert suite.symmetric_signature == f"{DS}hmac-sha1"
    assert suite.asymmetric_signature == f"{DS}rsa-sha1"
    assert suite.canonicalization == "http://www.w3.org/2001/10/xml-exc-c14n#"
    assert suite.maximum_key_length == 32


@pytest.mark.parametrize(
    ("name", "weak"),
    [
        ("Basic256Sha256", {f"{DS}rsa-sha1"}),
        ("Basic128", {f"{DS}sha1", f"{DS}rsa-sha1"}),
        ("TripleDesRsa15", {f"{DS}sha1", f"{DS}rsa-sha1", f"{XENC}rsa-1_5", f"{XENC}tripledes-cbc"}),
        ("Basic256GCMSha256Rsa15", {f"{DS}rsa-sha1", f"{XENC}rsa-1_5"}),
    ],
)
def test_weak_algorithms_are_named(name: str, weak: set[str]) -> None:
    """A suite names those of its algorithms that are known to be weak."""
    assert set(SUITES[name].weak) == weak
