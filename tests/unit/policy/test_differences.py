"""Where two policies differ, in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.messages import SIGNED, asymmetric, symmetric
from zeep_secureconv import Policy
from zeep_secureconv.names import SP_2005, WSA_2004, WSA_2005
from zeep_secureconv.policy import SUITES, AsymmetricBinding, DerivedKeys, Include, Parts
from zeep_secureconv.policy.differences import Difference, differences
from zeep_secureconv.policy.model import (
    ElementPath,
    HeaderPart,
    HttpsToken,
    Layout,
    PasswordForm,
    ReferenceStyle,
    SupportingToken,
    TransportBinding,
    TrustOptions,
    UsernameToken,
    Wss,
    X509Token,
)

ONE = asymmetric()
assert isinstance(ONE.binding, AsymmetricBinding)
SIGNER = ONE.binding.initiator_signature_token or X509Token()


def binding(**changes: Any) -> Policy:
    """The policy with a changed binding."""
    assert ONE.binding is not None
    return replace(ONE, binding=replace(ONE.binding, **changes))


_USER = SupportingToken(token=UsernameToken(), signed=True, encrypted=True)

CASES: dict[str, tuple[Policy, str]] = {
    "suite": (binding(algorithm_suite=SUITES["Basic256"]), "sp:AlgorithmSuite"),
    "algorithm of a suite": (
        binding(algorithm_suite=replace(SUITES["Basic128"], digest="urn:digest")),
        "digest in sp:AlgorithmSuite",
    ),
    "layout": (binding(layout=Layout.LAX_TIMESTAMP_FIRST), "sp:Layout in sp:AsymmetricBinding"),
    "timestamp": (binding(include_timestamp=False), "sp:IncludeTimestamp"),
    "order": (binding(encrypt_before_signing=True), "sp:EncryptBeforeSigning"),
    "signature": (binding(encrypt_signature=True), "sp:EncryptSignature"),
    "tokens": (binding(protect_tokens=True), "sp:ProtectTokens"),
    "a token less": (binding(initiator_encryption_token=None), "sp:InitiatorEncryptionToken"),
    "inclusion": (
        binding(initiator_signature_token=replace(SIGNER, include=Include.ONCE)),
        "sp:IncludeToken in sp:InitiatorSignatureToken",
    ),
    "reference": (
        binding(initiator_signature_token=replace(SIGNER, references=frozenset({ReferenceStyle.THUMBPRINT}))),
        "in sp:InitiatorSignatureToken",
    ),
    "derived": (
        binding(initiator_signature_token=replace(SIGNER, derived_keys=DerivedKeys.EXPLICIT)),
        "sp:RequireDerivedKeys in sp:InitiatorSignatureToken",
    ),
    "binding": (
        replace(
            ONE, binding=TransportBinding(transport_token=HttpsToken(), algorithm_suite=SUITES["Basic128"])
        ),
        "the binding",
    ),
    "body": (replace(ONE, encrypted=Parts()), "sp:Body in sp:EncryptedParts"),
    "header": (
        replace(ONE, signed=SIGNED | Parts(headers=(HeaderPart(namespace=WSA_2004),))),
        "sp:SignedParts",
    ),
    "element": (
        replace(ONE, encrypted=ONE.encrypted | Parts(elements=(ElementPath(xpath="/a"),))),
        "sp:EncryptedElements",
    ),
    "content": (
        replace(ONE, encrypted=ONE.encrypted | Parts(contents=(ElementPath(xpath="/a"),))),
        "sp:ContentEncryptedElements",
    ),
    "required": (replace(ONE, required=Parts(body=True)), "sp:RequiredParts"),
    "supporting": (replace(ONE, supporting=(_USER,)), "the supporting tokens"),
    "confirmation": (
        replace(ONE, wss=Wss(version="1.1", require_signature_confirmation=True)),
        "sp:Wss",
    ),
    "trust": (replace(ONE, trust=TrustOptions(require_client_entropy=True)), "sp:Trust"),
    "addressing": (replace(ONE, addressing=WSA_2005), "WS-Addressing"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_difference_has_the_name_of_its_assertion(case: str) -> None:
    """Each thing that a policy can say differently is named, with what either says; there is no other difference."""
    other, where = CASES[case]
    assert differences(ONE, ONE) == ()
    found = differences(ONE, other)
    assert found
    assert all(where in one.where for one in found), found
    assert all(one.one != one.other for one in found)
    assert [(one.other, one.one) for one in found] == [
        (one.one, one.other) for one in differences(other, ONE)
    ]


def test_values_are_told_as_policies_have_them() -> None:
    """Names of suites and layouts as in a policy, and "nothing" where one is silent."""
    assert differences(ONE, CASES["suite"][0])[0] == Difference(
        "sp:AlgorithmSuite in sp:AsymmetricBinding", "sp:Basic128", "sp:Basic256"
    )
    assert differences(ONE, CASES["timestamp"][0])[0].other == "nothing"
    assert differences(ONE, CASES["header"][0])[0].other == f"sp:Header {WSA_2004}"
    told = differences(ONE, CASES["supporting"][0])[0].other
    assert told.startswith("signed encrypted sp:UsernameToken (AlwaysToRecipient")


def test_tokens_of_one_kind_are_told_apart() -> None:
    """A UsernameToken with a digest is another one than with a password, and both are named."""
    digest = SupportingToken(token=UsernameToken(password=PasswordForm.DIGEST), signed=True, encrypted=True)
    found = differences(replace(ONE, supporting=(_USER,)), replace(ONE, supporting=(digest,)))
    assert len(found) == 2
    assert "PasswordText" in found[0].one
    assert "PasswordDigest" in found[1].other


def test_order_and_origin_make_no_difference() -> None:
    """Parts and tokens in another order, another file, another generation of WS-SecurityPolicy are the same policy."""
    parts = replace(SIGNED, headers=(*SIGNED.headers, HeaderPart(namespace=WSA_2004)))
    one = replace(ONE, signed=parts, supporting=(_USER, replace(_USER, signed=False)))
    other = replace(
        one,
        signed=replace(parts, headers=parts.headers[::-1]),
        supporting=one.supporting[::-1],
        source="elsewhere",
        spec=SP_2005,
    )
    assert differences(one, other) == ()
    assert differences(symmetric(bootstrap=ONE), symmetric(bootstrap=CASES["layout"][0]))
