"""Whose certificates are believed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.unit.parties import CA, CLIENT, CLIENT2, NOW, SERVER, Draft, pem, rsa_key
from zeep_secureconv import ConfigurationError, Trust, VerificationError
from zeep_secureconv.wss.certificates import load_certificates, may_encrypt, may_sign

INTERMEDIATE = Draft(name="intermediate", issuer=CA, ca=True, usage=frozenset({"key_cert_sign"}))
LEAF = CLIENT.but(issuer=INTERMEDIATE)
#: A certificate that nobody was allowed to issue: its issuer is no CA.
FORGED = SERVER.but(issuer=CLIENT)
PINNED = Draft(name="server", key=rsa_key("server"), ca=None)
SIGNING, ENCIPHERMENT = frozenset({"digital_signature"}), frozenset({"key_encipherment"})
SERVER_AUTH, CLIENT_AUTH = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


def check(
    trust: Trust, certificate: Draft, *, role: str = "server", intermediates: tuple[Draft, ...] = ()
) -> None:
    """Check a certificate now."""
    trust.check(certificate.make(), role=role, now=NOW, intermediates=[one.make() for one in intermediates])


def refused(
    trust: Trust, certificate: Draft, *, role: str = "server", intermediates: tuple[Draft, ...] = ()
) -> VerificationError:
    """The error that checking a certificate gives."""
    with pytest.raises(VerificationError) as caught:
        check(trust, certificate, role=role, intermediates=intermediates)
    assert caught.value.check == "certificate"
    assert role in caught.value.message
    return caught.value


BY_CA = Trust.of([CA.make()])


# -------------------------------------------------------------------------------------------- what is what


def test_ca_certificates_are_anchors_and_all_others_pins() -> None:
    """CA:TRUE makes an anchor; CA:FALSE, or no BasicConstraints, a pin."""
    trust = Trust.of([CA.make(), SERVER.make(), PINNED.make(), INTERMEDIATE.make()])
    assert trust.anchors == (CA.make(), INTERMEDIATE.make())
    assert trust.pins == (SERVER.make(), PINNED.make())


def test_trust_is_read_from_files_and_bytes(tmp_path: Path) -> None:
    """One file may hold several certificates; PEM and DER are read, from a path or from bytes."""
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(pem(CA.make(), SERVER.make()))
    trust = Trust.from_pem(bundle, str(bundle), CLIENT.make().public_bytes(Encoding.DER))
    assert trust.anchors == (CA.make(), CA.make())
    assert trust.pins == (SERVER.make(), SERVER.make(), CLIENT.make())


def test_files_that_are_none_are_told(tmp_path: Path) -> None:
    """A missing file and a file that holds no certificate are ConfigurationErrors that say what to give."""
    assert load_certificates(pem(CA.make()))
    empty = tmp_path / "empty.pem"
    empty.write_bytes(b"nothing")
    for source in (tmp_path / "missing.pem", empty, b"", b"-----BEGIN CERTIFICATE-----\nxx\n"):
        with pytest.raises(ConfigurationError) as caught:
            Trust.from_pem(source)
        assert caught.value.hint
        assert "trust file" in caught.value.message


# ------------------------------------------------------------------------------------------------- anchors


def test_a_certificate_of_the_ca_is_trusted() -> None:
    """A certificate that the anchor issued is trusted in both roles."""
    for role in ("server", "client"):
        check(BY_CA, SERVER, role=role)


def test_a_certificate_of_another_ca_is_not_trusted() -> None:
    """A certificate of a CA with another key, even one of the same name, is refused."""
    check(BY_CA, SERVER)
    stranger = CA.but(key=rsa_key("stranger"))
    assert stranger.make().subject == CA.make().subject
    refused(BY_CA, SERVER.but(issuer=stranger))
    refused(BY_CA, Draft(name="self", ca=None))


@pytest.mark.parametrize(
    ("begin", "end"),
    [(timedelta(-2), timedelta(seconds=-1)), (timedelta(seconds=1), timedelta(2))],
    ids=["expired", "not-yet"],
)
def test_a_certificate_outside_its_validity_is_refused(begin: timedelta, end: timedelta) -> None:
    """An expired certificate, and one of tomorrow, is refused, by anchor and by pin alike."""
    wrong = SERVER.but(begin=NOW + begin, end=NOW + end)
    check(BY_CA, SERVER)
    assert "not valid now" in refused(BY_CA, wrong).message
    assert "not valid now" in refused(Trust.of([wrong.make()]), wrong).message
    Trust.of([wrong.make()]).check(wrong.make(), role="server", now=NOW + (begin + end) / 2)


@pytest.mark.parametrize("pinned", [False, True], ids=["issued", "pinned"])
def test_a_short_rsa_key_is_refused(pinned: bool) -> None:
    """A key of 512 bits is refused, under an authority and as a pin; 1024 bits, which the suites allow, are not."""

    def attempt(bits: int) -> None:
        key = rsa.RSAPublicNumbers(65537, (1 << bits) - 1).public_key()
        builder = x509.CertificateBuilder(CA.make().subject, CLIENT.make().subject, key, 5)
        builder = builder.not_valid_before(NOW - timedelta(1)).not_valid_after(NOW + timedelta(1))
        certificate = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(rsa_key("ca").public_key()), False
        ).sign(CA.private_key, hashes.SHA256())
        Trust.of([certificate if pinned else CA.make()]).check(certificate, role="server", now=NOW)

    attempt(1024)
    with pytest.raises(VerificationError) as caught:
        attempt(512)
    assert caught.value.check == "certificate"
    assert "512 bits" in caught.value.message


def test_an_expired_anchor_vouches_for_nobody() -> None:
    """A certificate of a CA whose own certificate is over is refused."""
    expired = CA.but(end=NOW - timedelta(seconds=1))
    check(BY_CA, SERVER)
    refused(Trust.of([expired.make()]), SERVER.but(issuer=expired))


@pytest.mark.parametrize(
    ("extended", "roles"),
    [
        (None, {"server", "client"}),
        ((SERVER_AUTH,), {"server"}),
        ((CLIENT_AUTH,), {"client"}),
        ((SERVER_AUTH, CLIENT_AUTH), {"server", "client"}),
        ((ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,), {"server", "client"}),
        ((ExtendedKeyUsageOID.EMAIL_PROTECTION,), set()),
    ],
)
def test_extended_key_usage_is_obeyed_where_it_is_present(
    extended: tuple[x509.ObjectIdentifier, ...] | None, roles: set[str]
) -> None:
    """A certificate for one role is refused in the other; without the extension both are allowed."""
    certificate = SERVER.but(extended=extended)
    for role in ("server", "client"):
        if role in roles:
            check(BY_CA, certificate, role=role)
        else:
            assert "ExtendedKeyUsage" in refused(BY_CA, certificate, role=role).message


@pytest.mark.parametrize(
    ("usage", "trusted"),
    [
        (None, True),
        (SIGNING, True),
        (frozenset({"content_commitment"}), True),
        (ENCIPHERMENT, True),
        (frozenset({"key_agreement"}), False),
        (frozenset({"key_cert_sign"}), False),
    ],
)
def test_key_usage_is_obeyed_where_it_is_present(usage: frozenset[str] | None, trusted: bool) -> None:
    """KeyUsage must allow signatures or the encryption of keys, where it is present."""
    if trusted:
        check(BY_CA, SERVER.but(usage=usage))
    else:
        assert "KeyUsage" in refused(BY_CA, SERVER.but(usage=usage)).message


@pytest.mark.parametrize(
    ("usage", "signs", "encrypts"),
    [
        (None, True, True),
        (SIGNING, True, False),
        (frozenset({"content_commitment"}), True, False),
        (ENCIPHERMENT, False, True),
        (SIGNING | ENCIPHERMENT, True, True),
        (frozenset({"data_encipherment"}), False, False),
    ],
)
def test_a_certificate_is_used_as_its_key_usage_says(
    usage: frozenset[str] | None, signs: bool, encrypts: bool
) -> None:
    """DigitalSignature or nonRepudiation signs, keyEncipherment encrypts; without KeyUsage both are allowed."""
    certificate = SERVER.but(usage=usage).make()
    assert (may_sign(certificate), may_encrypt(certificate)) == (signs, encrypts)


def test_neither_names_nor_identifiers_are_required() -> None:
    """A certificate without SubjectAlternativeName, KeyUsage and SubjectKeyIdentifier is trusted."""
    check(BY_CA, SERVER.but(usage=None, key_identifier=False))
    check(BY_CA, SERVER.but(usage=None, key_identifier=False, ca=None))


# --------------------------------------------------------------------------------------------------- paths


def test_a_path_through_an_intermediate_is_trusted() -> None:
    """With the intermediate at hand the path is found, and without it not."""
    check(BY_CA, LEAF, role="client", intermediates=(INTERMEDIATE,))
    refused(BY_CA, LEAF, role="client")
    check(Trust.of([INTERMEDIATE.make()]), LEAF, role="client")


def test_copies_of_an_authority_cost_nothing() -> None:
    """A path with many certificates of one authority, any of which may have issued the others, is like one with one.

    cryptography 45 tries all their orders, and counts how often it does so from another version on.
    """
    rogue = Draft(name="rogue", ca=True, usage=None)
    copies = [rogue.but(end=rogue.end + timedelta(minutes=number)) for number in range(9)]
    leaf = CLIENT.but(issuer=rogue)
    told = []
    for intermediates in (copies[:1], copies):
        with pytest.raises(VerificationError) as caught:
            check(BY_CA, leaf, role="client", intermediates=tuple(intermediates))
        told.append(caught.value.message)
    assert told[0] == told[1]
    check(BY_CA, LEAF, role="client", intermediates=(INTERMEDIATE, INTERMEDIATE))


def test_an_issuer_that_is_no_ca_is_refused() -> None:
    """A client's certificate issues no server's: CA:FALSE, or no BasicConstraints, ends the path."""
    check(BY_CA, SERVER, intermediates=(CLIENT,))
    refused(BY_CA, FORGED, intermediates=(CLIENT,))
    unsaid = CLIENT.but(ca=None)
    refused(BY_CA, SERVER.but(issuer=unsaid), intermediates=(unsaid,))


def test_a_pin_vouches_for_nobody_else() -> None:
    """A pinned certificate is no anchor: what its key signed is refused."""
    trust = Trust.of([CLIENT.make()])
    check(trust, CLIENT, role="client")
    refused(trust, FORGED, intermediates=(CLIENT,))


def test_an_issuer_that_may_not_sign_certificates_is_refused() -> None:
    """An intermediate whose KeyUsage lacks keyCertSign ends the path."""
    check(BY_CA, LEAF, role="client", intermediates=(INTERMEDIATE,))
    lesser = INTERMEDIATE.but(usage=SIGNING)
    refused(BY_CA, CLIENT.but(issuer=lesser), role="client", intermediates=(lesser,))


def test_the_length_of_a_path_is_obeyed() -> None:
    """An anchor with pathLenConstraint 0 allows no intermediate."""
    short = CA.but(path_length=0)
    middle = INTERMEDIATE.but(issuer=short)
    trust = Trust.of([short.make()])
    check(trust, SERVER.but(issuer=short))
    refused(trust, CLIENT.but(issuer=middle), role="client", intermediates=(middle,))


# ---------------------------------------------------------------------------------------------------- pins


def test_a_pin_is_trusted_as_it_is() -> None:
    """A pinned certificate needs no path; another one of the same key and name is another one."""
    trust = Trust.of([SERVER.make()])
    check(trust, SERVER)
    assert "pinned" in refused(trust, SERVER.but(end=NOW + timedelta(days=2))).message
    assert "pinned" in refused(trust, CLIENT2).message


def test_a_self_signed_certificate_can_be_pinned() -> None:
    """A self-signed certificate that is no CA is trusted when it is pinned."""
    check(Trust.of([PINNED.make()]), PINNED)
    refused(BY_CA, PINNED)


def test_pins_stand_beside_anchors() -> None:
    """With an anchor and a pin, both what the anchor issued and the pin are trusted."""
    trust = Trust.of([CA.make(), PINNED.make()])
    check(trust, PINNED)
    check(trust, CLIENT, role="client")
    refused(trust, Draft(name="self", ca=None))


def test_nobody_is_trusted_by_no_trust() -> None:
    """Without anchors and pins every certificate is refused."""
    check(BY_CA, SERVER)
    refused(Trust(), SERVER)
