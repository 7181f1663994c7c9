"""Identities from files, and the keys one message may use."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    KeySerializationEncryption,
    NoEncryption,
    pkcs12,
)

from tests.unit.messages import SECRET, asymmetric, context, message, read, rings, secured, wire
from tests.unit.parties import CA, CLIENT, SERVER, Draft, ec_key, key_pem, pem, rsa_key
from zeep_secureconv import ConfigurationError, Identity
from zeep_secureconv.policy import suites
from zeep_secureconv.wss import encryption, signature
from zeep_secureconv.wss.keys import Keyring

DATA = b"signed octets"
PASSWORD = "p\u00e4ssword"


def p12(draft: Draft = CLIENT, password: str | None = PASSWORD, *, chain: bool = False) -> bytes:
    """A PKCS#12 file."""
    encryption_of: KeySerializationEncryption = NoEncryption()
    if password is not None:
        encryption_of = BestAvailableEncryption(password.encode())
    more = [CA.make()] if chain else None
    return pkcs12.serialize_key_and_certificates(
        b"name", draft.private_key, draft.make(), more, encryption_of
    )


def works(identity: Identity) -> None:
    """Check that an identity signs and decrypts as the client."""
    assert identity.certificate == CLIENT.make()
    value = identity.sign(DATA, suites.RSA_SHA256)
    assert signature.rsa_verify(suites.RSA_SHA256, CLIENT.make(), DATA, value)
    wrapped = encryption.wrap_key(suites.RSA_OAEP_MGF1P, rsa_key("client").public_key(), SECRET)
    assert identity.decrypt(wrapped, suites.RSA_OAEP_MGF1P) == SECRET


# -------------------------------------------------------------------------------------------------- files


def test_pkcs12_is_read_from_path_and_bytes(tmp_path: Path) -> None:
    """A PKCS#12 file is read from a path or from bytes, with the password as text or octets, or without one."""
    path = tmp_path / "client.p12"
    path.write_bytes(p12())
    works(Identity.from_pkcs12(path, PASSWORD))
    works(Identity.from_pkcs12(str(path), PASSWORD.encode()))
    works(Identity.from_pkcs12(p12(), PASSWORD))
    works(Identity.from_pkcs12(p12(password=None)))
    assert Identity.from_pkcs12(p12(chain=True), PASSWORD).chain == (CA.make(),)
    assert Identity.from_pkcs12(p12(), PASSWORD).chain == ()


def test_pem_is_read_from_one_file_or_two(tmp_path: Path) -> None:
    """Certificate and key stand in one PEM file or in two, the key in the clear or encrypted."""
    certificate, key = pem(CLIENT.make()), key_pem(CLIENT.private_key)
    (tmp_path / "client.pem").write_bytes(certificate)
    (tmp_path / "client.key").write_bytes(key_pem(CLIENT.private_key, PASSWORD))
    works(Identity.from_pem(certificate, key))
    works(Identity.from_pem(certificate + key))
    works(Identity.from_pem(key + certificate))
    works(Identity.from_pem(tmp_path / "client.pem", str(tmp_path / "client.key"), PASSWORD))
    works(Identity.from_pem(certificate, key_pem(CLIENT.private_key, PASSWORD), PASSWORD.encode()))
    assert Identity.from_pem(pem(CLIENT.make(), CA.make()), key).chain == (CA.make(),)


def refused(
    message_part: str, *arguments: bytes | str | Path | None, pkcs: bool = False
) -> ConfigurationError:
    """The error that reading an identity gives."""
    with pytest.raises(ConfigurationError, match=message_part) as caught:
        (Identity.from_pkcs12 if pkcs else Identity.from_pem)(*arguments)  # type: ignore[arg-type]
    assert caught.value.hint
    return caught.value


def test_a_wrong_password_is_told() -> None:
    """A wrong, missing or needless password is a ConfigurationError that does not repeat it."""
    certificate, key = pem(CLIENT.make()), key_pem(CLIENT.private_key, PASSWORD)
    works(Identity.from_pem(certificate, key, PASSWORD))
    errors = [
        refused("password is wrong", certificate, key, "guess-me"),
        refused("encrypted and there is no password", certificate, key),
        refused("or the reverse", certificate, key_pem(CLIENT.private_key), "guess-me"),
        refused("password is wrong", p12(), "guess-me", pkcs=True),
        refused("password is wrong", p12(), None, pkcs=True),
    ]
    assert not any("guess-me" in str(error) + repr(error) for error in errors)


def test_a_key_of_another_certificate_is_told() -> None:
    """A key that does not belong to the certificate is refused, in PEM and in PKCS#12."""
    works(Identity.from_pem(pem(CLIENT.make()), key_pem(CLIENT.private_key)))
    refused("does not belong", pem(CLIENT.make()), key_pem(SERVER.private_key))


def test_a_key_that_is_not_rsa_is_told() -> None:
    """An elliptic curve key is refused, alone or with a certificate that fits it."""
    odd = CLIENT.but(key=ec_key())
    assert isinstance(odd.private_key, ec.EllipticCurvePrivateKey)
    refused("not an RSA key", pem(odd.make()), key_pem(odd.private_key))
    refused("not an RSA key", p12(odd), PASSWORD, pkcs=True)


def test_files_that_are_none_are_told(tmp_path: Path) -> None:
    """Missing files, empty ones, and ones that lack the key or the certificate are told apart."""
    certificate, key = pem(CLIENT.make()), key_pem(CLIENT.private_key)
    refused("cannot be read", tmp_path / "missing.p12", PASSWORD, pkcs=True)
    refused("cannot be opened", b"garbage", PASSWORD, pkcs=True)
    refused("cannot be read", tmp_path / "missing.pem")
    refused("cannot be read", certificate, tmp_path / "missing.key")
    refused("not an X.509 certificate", b"garbage", key)
    refused("cannot be read", certificate, b"garbage")
    refused("cannot be read", certificate)
    only_chain = pkcs12.serialize_key_and_certificates(None, None, None, [CA.make()], NoEncryption())
    refused("lacks a private key", only_chain, None, pkcs=True)


# --------------------------------------------------------------------------------------------- callables


def test_the_private_key_may_stay_in_a_device() -> None:
    """An identity of two callables signs and decrypts whole messages; it is asked for octets and algorithm."""
    real = {"client": CLIENT.identity(), "server": SERVER.identity()}
    asked: list[tuple[str, str]] = []

    def device(name: str) -> Identity:
        def sign(data: bytes, algorithm: str) -> bytes:
            asked.append((f"{name} signs", algorithm))
            return real[name].sign(data, algorithm)

        def decrypt(data: bytes, algorithm: str) -> bytes:
            asked.append((f"{name} decrypts", algorithm))
            return real[name].decrypt(data, algorithm)

        return Identity(real[name].certificate, sign, decrypt)

    policy = asymmetric("Basic256")
    soap = message()
    sender, receiver = rings()
    secured(soap, policy, ring=Keyring(signing=device("client"), peer=SERVER.make()))
    read(wire(soap), policy, ring=Keyring(decrypting=device("server"), trust=receiver.trust, role="client"))
    assert asked == [("client signs", suites.RSA_SHA1), ("server decrypts", suites.RSA_OAEP_MGF1P)]
    assert sender.signing is not None


def test_nothing_secret_shows() -> None:
    """Neither an identity nor a keyring nor a context key shows keys in its repr."""
    identity = Identity.from_pkcs12(p12(), PASSWORD)
    key = context()
    ring = Keyring(signing=identity, decrypting=identity, context=key)
    for shown in (repr(identity), repr(key), repr(ring), str(ring)):
        assert "PRIVATE" not in shown
        assert "lambda" not in shown
        assert SECRET.hex() not in shown
        assert repr(SECRET)[2:-1] not in shown
        assert "SecurityContextToken" not in shown
    assert "urn:uuid:sct-1" in repr(key)


# ----------------------------------------------------------------------------------------------- keyring


def test_a_keyring_without_lookup_knows_its_own_context_only() -> None:
    """The context in use is found by its Identifier, without an Instance or with its own."""
    first, renewed = context(), context(instance="2")
    assert Keyring(context=first).find("urn:uuid:sct-1", None) is first
    assert Keyring(context=first).find("urn:uuid:sct-1", "2") is None
    assert Keyring(context=first).find("urn:uuid:sct-2", None) is None
    assert Keyring(context=renewed).find("urn:uuid:sct-1", None) is renewed
    assert Keyring(context=renewed).find("urn:uuid:sct-1", "2") is renewed
    assert Keyring(context=renewed).find("urn:uuid:sct-1", "1") is None
    assert Keyring().find("urn:uuid:sct-1", None) is None


def test_a_lookup_decides_alone() -> None:
    """With a lookup the context in use does not count."""
    first, other = context(), context(identifier="urn:uuid:other")
    ring = Keyring(context=first, lookup=lambda identifier, _: other if identifier == "x" else None)
    assert ring.find("x", None) is other
    assert ring.find("urn:uuid:sct-1", None) is None
