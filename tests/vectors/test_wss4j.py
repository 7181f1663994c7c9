"""Messages that WSS4J signed and encrypted with keys derived from a context."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import pytest
from lxml import etree

from tests.unit.messages import SECRET, context, symmetric
from tests.unit.parties import environment
from zeep_secureconv import Limits, VerificationError
from zeep_secureconv.names import DS, WSA_2005, WSC_2005, WSC_200512, XENC
from zeep_secureconv.policy import SUITES, Policy, SymmetricBinding
from zeep_secureconv.soap.envelope import Soap, parse
from zeep_secureconv.wss.keys import Keyring
from zeep_secureconv.wss.unprotect import Verified, unprotect

GENERATIONS = {"200502": WSC_2005, "200512": WSC_200512}
POLICY = symmetric(include_timestamp=False)


def golden(generation: str) -> Soap:
    """A fresh copy of the message."""
    path = Path(__file__).parent / "wss4j" / f"sct_dkt_{generation}.xml"
    return Soap.of(parse(path.read_bytes(), Limits()))


def read(soap: Soap, generation: str, *, policy: Policy = POLICY, secret: bytes = SECRET) -> Verified:
    """The message, read with the key of its context."""
    ring = Keyring(context=context(wsc=GENERATIONS[generation], secret=secret))
    return unprotect(soap, policy, ring, environment())


@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_message_is_verified_and_decrypted(generation: str) -> None:
    """Body and Action are under the signature of the context, and the Body says hello."""
    verified = read(golden(generation), generation)
    assert "".join(verified.soap.body.itertext()) == "hello"
    assert verified.context is not None
    assert verified.context.identifier == "urn:uuid:sct-1"
    assert {etree.QName(part).localname for part in verified.signed} == {"Body", "Action"}
    assert verified.is_signed(verified.soap.body)
    assert verified.decrypted == (verified.soap.body,)
    assert verified.addressing.wsa == WSA_2005
    assert verified.addressing.action == "urn:echo"


@pytest.mark.parametrize("generation", GENERATIONS)
def test_another_secret_is_refused(generation: str) -> None:
    """One bit less in the secret, and the signature does not verify."""
    read(golden(generation), generation)
    with pytest.raises(VerificationError) as caught:
        read(golden(generation), generation, secret=b"\x01" + SECRET[1:])
    assert caught.value.check == "signature"


@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_missing_timestamp_is_refused_where_the_policy_demands_one(generation: str) -> None:
    """With IncludeTimestamp the same message is refused."""
    read(golden(generation), generation)
    with pytest.raises(VerificationError) as caught:
        read(golden(generation), generation, policy=symmetric())
    assert caught.value.check == "timestamp"


@pytest.mark.parametrize("generation", GENERATIONS)
def test_another_suite_is_refused(generation: str) -> None:
    """The message is Basic128; under Basic256 its keys are too short."""
    binding = POLICY.binding
    assert isinstance(binding, SymmetricBinding)
    read(golden(generation), generation)
    other = replace(POLICY, binding=replace(binding, algorithm_suite=SUITES["Basic256"]))
    with pytest.raises(VerificationError) as caught:
        read(golden(generation), generation, policy=other)
    assert caught.value.check == "derived-key"


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize(
    ("what", "check"),
    [
        (f"{{{DS}}}SignatureValue", "signature"),
        (f"{{{DS}}}DigestValue", "signature"),
        (f"{{{XENC}}}CipherValue", "decryption"),
        ("{*}Nonce", "signature"),
    ],
)
def test_a_changed_bit_is_refused(generation: str, what: str, check: str) -> None:
    """No bit of the signature, a digest, the ciphertext or the signing key's nonce may change."""
    read(golden(generation), generation)
    soap = golden(generation)
    element = next(soap.envelope.iter(what))
    octets = bytearray(base64.b64decode(element.text or ""))
    octets[-1] ^= 0x80
    element.text = base64.b64encode(octets).decode()
    with pytest.raises(VerificationError) as caught:
        read(soap, generation)
    assert caught.value.check == check
