"""Certificates that their authorities revoked."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.unit.parties import CA, CLIENT, CLIENT2, NOW, Draft, pem, rsa_key
from tests.unit.service.peer import INVALID, Peer
from zeep_secureconv import ConfigurationError, Trust, VerificationError

HOUR = timedelta(hours=1)
SIGNS = frozenset({"key_cert_sign", "crl_sign"})
MIDDLE = Draft(name="middle", issuer=CA, ca=True, usage=SIGNS)
BELOW = CLIENT.but(issuer=MIDDLE)


def revocations(
    issuer: Draft = CA,
    *,
    revoked: Iterable[Draft] = (),
    issued: datetime = NOW - HOUR,
    until: datetime = NOW + HOUR,
    extension: x509.ExtensionType | None = None,
    key: str | None = None,
) -> x509.CertificateRevocationList:
    """A list of an authority, signed with its key or another."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.make().subject)
        .last_update(issued)
        .next_update(until)
        .add_extension(x509.CRLNumber(7), critical=False)
    )
    for one in revoked:
        serial = one.make().serial_number
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW - HOUR).build()
        builder = builder.add_revoked_certificate(entry)
    if extension is not None:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(rsa_key(key or issuer.name), hashes.SHA256())


def check(trust: Trust, certificate: Draft, *path: Draft, now: datetime = NOW) -> None:
    """Check a client's certificate."""
    trust.check(certificate.make(), role="client", now=now, intermediates=[one.make() for one in path])


def refused(trust: Trust, certificate: Draft, *path: Draft, now: datetime = NOW) -> str:
    """Why a certificate is refused."""
    with pytest.raises(VerificationError) as caught:
        check(trust, certificate, *path, now=now)
    assert caught.value.check == "certificate"
    assert caught.value.hint
    return str(caught.value.message)


def trusting(*lists: x509.CertificateRevocationList, also: tuple[Draft, ...] = ()) -> Trust:
    """Trust in the CA with these lists."""
    return Trust.of([one.make() for one in (CA, *also)], crls=lists)


# ------------------------------------------------------------------------------------------------- revoked


def test_a_revoked_certificate_is_refused() -> None:
    """A certificate in the list of its authority is refused, all others of that authority are not."""
    trust = trusting(revocations(revoked=[CLIENT]))
    assert "revoked" in refused(trust, CLIENT)
    check(trust, CLIENT2)
    check(trusting(), CLIENT)


def test_a_revoked_pin_is_refused() -> None:
    """A pin needs no list, but one that its authority revokes is trusted no longer."""
    pins = (CLIENT, CLIENT2, Draft(name="alone", ca=None))
    trust = trusting(revocations(revoked=[CLIENT]), also=pins)
    assert "revoked" in refused(trust, CLIENT)
    check(trust, CLIENT2)
    check(trust, Draft(name="alone", ca=None))


def test_an_authority_in_the_middle_may_be_revoked() -> None:
    """Every certificate of a path is looked up, whether the one in the middle was sent along or is trusted itself."""
    lists = revocations(), revocations(MIDDLE)
    revoked = revocations(revoked=[MIDDLE]), revocations(MIDDLE)
    check(trusting(*lists, also=(MIDDLE,)), BELOW)
    check(trusting(*lists, also=(MIDDLE,)), BELOW, MIDDLE)
    assert "revoked" in refused(trusting(*revoked, also=(MIDDLE,)), BELOW)
    assert "revoked" in refused(trusting(*revoked, also=(MIDDLE,)), BELOW, MIDDLE)


def test_the_newest_list_counts() -> None:
    """Of two lists of an authority the later one says what is revoked, in whichever order they are given."""
    older = revocations(revoked=[CLIENT], issued=NOW - 2 * HOUR)
    newer = revocations(revoked=[CLIENT2])
    for lists in ((older, newer), (newer, older)):
        check(trusting(*lists), CLIENT)
        assert "revoked" in refused(trusting(*lists), CLIENT2)


# ----------------------------------------------------------------------------------------------- certainty


def test_where_there_are_lists_there_must_be_one() -> None:
    """A certificate of an authority without a list is refused: nobody says whether it is revoked."""
    other = Draft(name="other", ca=True, usage=SIGNS)
    theirs = CLIENT.but(issuer=other)
    assert "Test" in refused(trusting(revocations(), also=(other,)), theirs)
    check(trusting(revocations(), revocations(other), also=(other,)), theirs)
    check(trusting(also=(other,)), theirs)


def test_a_list_that_is_over_is_no_list() -> None:
    """After nextUpdate nothing is certain any more, and the message says when that was."""
    trust = trusting(revocations(until=NOW + HOUR))
    check(trust, CLIENT, now=NOW + HOUR)
    assert f"{NOW + HOUR:%Y-%m-%d %H:%M}" in refused(trust, CLIENT, now=NOW + HOUR + timedelta(seconds=1))


def test_a_revoked_certificate_stays_so_after_the_end_of_the_list() -> None:
    """The message says that it is revoked, not that the list is old."""
    trust = trusting(revocations(revoked=[CLIENT]))
    assert "revoked by" in refused(trust, CLIENT, now=NOW + 2 * HOUR)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (revocations(Draft(name="stranger", ca=True, usage=SIGNS)), "no authority in trust"),
        (revocations(key="stranger"), "no authority in trust"),
        (revocations(extension=x509.DeltaCRLIndicator(6)), "2.5.29.27"),
        (
            revocations(extension=x509.IssuingDistributionPoint(None, None, True, False, None, False, False)),
            "2.5.29.28",
        ),
        (
            revocations(extension=x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\x05\x00")),
            "1.2.3",
        ),
    ],
    ids=["another authority", "another key", "delta", "of users alone", "unknown"],
)
def test_a_list_that_proves_nothing_is_told_at_once(bad: x509.CertificateRevocationList, said: str) -> None:
    """A foreign list, a forged one, and one that holds only part of what was revoked, are configuration errors."""
    trusting(revocations())
    with pytest.raises(ConfigurationError, match=said) as caught:
        trusting(revocations(), bad)
    assert caught.value.hint


def test_an_authority_that_may_not_sign_lists_signs_none() -> None:
    """KeyUsage of the authority is obeyed where it is present; without it any authority may."""
    careful = Draft(name="careful", ca=True, usage=frozenset({"key_cert_sign"}))
    with pytest.raises(ConfigurationError, match="no authority in trust"):
        Trust.of([careful.make()], crls=[revocations(careful)])
    plain = careful.but(usage=None)
    check(Trust.of([plain.make()], crls=[revocations(plain)]), CLIENT.but(issuer=plain))


# --------------------------------------------------------------------------------------------------- files


def test_lists_are_read_from_files(tmp_path: Path) -> None:
    """A PEM file with several lists, a DER file, paths or octets, one or many."""
    one, two = revocations(revoked=[CLIENT]), revocations(MIDDLE)
    both = tmp_path / "both.pem"
    both.write_bytes(b"# lists\n" + one.public_bytes(Encoding.PEM) + b"\n" + two.public_bytes(Encoding.PEM))
    der = tmp_path / "one.crl"
    der.write_bytes(one.public_bytes(Encoding.DER))
    anchors = pem(CA.make(), MIDDLE.make())
    for crl, count in ((both, 2), (str(der), 1), (one.public_bytes(Encoding.PEM), 1), ([der, both], 3)):
        trust = Trust.from_pem(anchors, crl=crl)
        assert len(trust.crls) == count
        assert "revoked" in refused(trust, CLIENT)
    assert Trust.from_pem(anchors).crls == ()


@pytest.mark.parametrize("content", [b"", b"nothing", b"-----BEGIN X509 CRL-----\nxx\n", pem(CA.make())])
def test_files_that_are_no_lists_are_told(tmp_path: Path, content: bytes) -> None:
    """A file that is missing or holds no list is a ConfigurationError that says what to give."""
    path = tmp_path / "ca.crl"
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="revocation list") as caught:
            Trust.from_pem(pem(CA.make()), crl=path)
        assert caught.value.hint
        path.write_bytes(content)
    path.write_bytes(revocations().public_bytes(Encoding.DER))
    Trust.from_pem(pem(CA.make()), crl=path)


# ---------------------------------------------------------------------------------------- the last word


def test_a_function_has_the_last_word() -> None:
    """It sees what is trusted otherwise, pins too, and anything but True refuses."""
    seen: list[x509.Certificate] = []

    def accept(certificate: x509.Certificate) -> bool:
        seen.append(certificate)
        return certificate == CLIENT.make()

    trust = Trust.from_pem(pem(CA.make(), CLIENT2.make()), accept=accept)
    check(trust, CLIENT)
    assert "accept=" in refused(trust, CLIENT2)
    assert seen == [CLIENT.make(), CLIENT2.make()]
    refused(trust, CLIENT.but(issuer=None))
    assert len(seen) == 2


@pytest.mark.parametrize("answer", [None, 1, "yes", False])
def test_nothing_but_true_accepts(answer: object) -> None:
    """A function that forgets to answer, or answers something else, accepts nobody."""
    refused(Trust.of([CA.make()], accept=lambda _: answer), CLIENT)  # type: ignore[arg-type, return-value]
    check(Trust.of([CA.make()], accept=lambda _: True), CLIENT)


def test_what_a_function_raises_goes_through() -> None:
    """So that it is seen; nothing is accepted then."""

    def accept(_: x509.Certificate) -> bool:
        raise RuntimeError("the responder is down")

    with pytest.raises(RuntimeError, match="responder"):
        check(Trust.of([CA.make()], accept=accept), CLIENT)


# ----------------------------------------------------------------------------------------------- a service


def test_a_service_gives_no_context_to_whom_is_revoked() -> None:
    """The answer is that to any other message that is not believed."""
    revoking = trusting(revocations(revoked=[CLIENT]))
    peer = Peer(trust=revoking)
    assert peer.refused(peer.ask(), peer.exchange.action) == INVALID
    assert list(peer.middleware._store.items("service")) == []
    other = Peer(trust=revoking, name="client2")
    assert other.call(other.issue())[0] == 200


def test_a_service_learns_of_newer_lists() -> None:
    """Without a restart, and without losing its contexts: they live on, and no new one is given."""
    peer = Peer(trust=trusting(revocations()))
    context = peer.issue()
    peer.middleware.change_trust(trusting(revocations(revoked=[CLIENT])))
    assert peer.refused(peer.ask(), peer.exchange.action) == INVALID
    assert peer.call(context)[0] == 200
    peer.middleware.change_trust(trusting(revocations()))
    assert peer.call(peer.issue())[0] == 200


def test_names_do_not_make_an_authority() -> None:
    """A list signed by another authority of the same name is foreign."""
    twin = CA.but(key=rsa_key("stranger"))
    assert twin.make().subject == CA.make().subject
    forged = revocations(
        twin.but(subject=((NameOID.ORGANIZATION_NAME, "Test"), (NameOID.COMMON_NAME, "ca"))), key="stranger"
    )
    with pytest.raises(ConfigurationError, match="no authority in trust"):
        trusting(forged)
    both = Trust.of([CA.make(), twin.make()], crls=[forged, revocations()])
    check(both, CLIENT)
