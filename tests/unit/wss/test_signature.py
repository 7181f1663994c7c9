"""Digests and signature values: known answers, and what another library makes of them."""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from tests.unit.parties import CLIENT, CLIENT2, ec_key, key_pem, rsa_key
from zeep_secureconv.policy import suites
from zeep_secureconv.wss import signature

_x = bytes.fromhex

#: FIPS 180-4, "abc".
DIGESTS = {
    suites.SHA1: "a9993e364706816aba3e25717850c26c9cd0d89d",
    suites.SHA256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    suites.SHA384: "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
    "8086072ba1e7cc2358baeca134c825a7",
    suites.SHA512: "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
}
#: RFC 2202 and RFC 4231, test case 2: key "Jefe".
MACS = {
    suites.HMAC_SHA1: "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
    suites.HMAC_SHA256: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    suites.HMAC_SHA384: "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
    "8e2240ca5e69e2c78b3239ecfab21649",
    suites.HMAC_SHA512: "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
    "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
}
RSA = {
    suites.RSA_SHA1: hashes.SHA1(),
    suites.RSA_SHA256: hashes.SHA256(),
    suites.RSA_SHA384: hashes.SHA384(),
    suites.RSA_SHA512: hashes.SHA512(),
}


@pytest.mark.parametrize("algorithm", DIGESTS)
def test_digests_are_the_known_answers(algorithm: str) -> None:
    """Each digest of "abc" is that of the standard."""
    assert signature.digest(algorithm, b"abc") == _x(DIGESTS[algorithm])


@pytest.mark.parametrize("algorithm", MACS)
def test_macs_are_the_known_answers(algorithm: str) -> None:
    """Each HMAC is that of the RFC."""
    assert signature.mac(algorithm, b"Jefe", b"what do ya want for nothing?") == _x(MACS[algorithm])


@pytest.mark.parametrize("algorithm", RSA)
def test_an_rsa_signature_is_what_another_library_makes(algorithm: str) -> None:
    """PKCS#1 v1.5 has one signature for each message: both libraries make the same, and verify the other's."""
    key, data = rsa_key("client"), b"signed octets"
    value = signature.rsa_sign(algorithm, key_pem(key), data)
    assert value == key.sign(data, padding.PKCS1v15(), RSA[algorithm])
    key.public_key().verify(value, data, padding.PKCS1v15(), RSA[algorithm])
    assert signature.rsa_verify(algorithm, CLIENT.make(), data, value)
    with pytest.raises(InvalidSignature):
        key.public_key().verify(value, b"other octets", padding.PKCS1v15(), RSA[algorithm])


@pytest.mark.parametrize("algorithm", RSA)
def test_another_value_does_not_verify(algorithm: str) -> None:
    """A changed, cut, empty or overlong value, other octets, another key or another algorithm: no signature."""
    data = b"signed octets"
    value = signature.rsa_sign(algorithm, key_pem(rsa_key("client")), data)
    other = suites.RSA_SHA512 if algorithm != suites.RSA_SHA512 else suites.RSA_SHA1
    assert signature.rsa_verify(algorithm, CLIENT.make(), data, value)
    for wrong in (
        value[:-1],
        b"",
        bytes(256),
        value + b"\0",
        b"\0" + value,
        value[:-1] + bytes([value[-1] ^ 1]),
    ):
        assert not signature.rsa_verify(algorithm, CLIENT.make(), data, wrong)
    assert not signature.rsa_verify(algorithm, CLIENT.make(), data + b" ", value)
    assert not signature.rsa_verify(algorithm, CLIENT2.make(), data, value)
    assert not signature.rsa_verify(other, CLIENT.make(), data, value)


def test_unknown_algorithms_and_keys_do_not_verify() -> None:
    """Neither RSA-MD5, an HMAC nor a certificate with an EC key verifies anything."""
    data = b"signed octets"
    value = signature.rsa_sign(suites.RSA_SHA1, key_pem(rsa_key("client")), data)
    assert signature.rsa_verify(suites.RSA_SHA1, CLIENT.make(), data, value)
    md5 = "http://www.w3.org/2001/04/xmldsig-more#rsa-md5"
    for algorithm in (md5, suites.HMAC_SHA1, ""):
        assert not signature.rsa_verify(algorithm, CLIENT.make(), data, value)
    assert not signature.rsa_verify(suites.RSA_SHA1, CLIENT.but(key=ec_key()).make(), data, value)
