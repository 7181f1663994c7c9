"""X.509 certificates: names by which messages refer to them, and which ones are trusted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from ..errors import ConfigurationError, VerificationError
from .distinguished import normal_name
from .revocation import RevocationList, is_issued_by, read_lists, refuse_revoked, verified_list

Source = str | Path | bytes

#: In bits; every suite of WS-SecurityPolicy 1.2 (section 6.1) has it.
_SHORTEST_RSA_KEY = 1024

_ROLE_USAGES = {
    "server": frozenset({ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}),
    "client": frozenset({ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}),
}


def read_source(source: Source, what: str) -> bytes:
    """The bytes of a file, or the bytes given.

    Raises:
        ConfigurationError: when the file cannot be read.
    """
    if isinstance(source, bytes):
        return source
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"The {what} cannot be read: {error.strerror}: {source}", hint="give the path of an existing file"
        ) from error


#: What ``cryptography`` raises for certificates that cannot be read; it reads extensions when they are asked for.
UNREADABLE = (
    ValueError,
    TypeError,
    KeyError,  # cryptography 45, for unknown parts of names
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


def read_through(certificate: x509.Certificate) -> None:
    """Look at everything in a certificate that is used later, so that what cannot be read fails here.

    Raises:
        ValueError and the others of :data:`UNREADABLE`.
    """
    _ = certificate.version, certificate.extensions, certificate.public_key(), str(certificate.serial_number)
    _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    for name in (certificate.issuer, certificate.subject):
        name.rfc4514_string()


def load_certificates(source: Source, what: str = "certificate") -> list[x509.Certificate]:
    """The certificates of a PEM file (one or more) or a DER file (one).

    Raises:
        ConfigurationError: when there is none.
    """
    data = read_source(source, what)
    try:
        if b"-----BEGIN" in data:
            found = x509.load_pem_x509_certificates(data)
        else:
            found = [x509.load_der_x509_certificate(data)]
        for certificate in found:
            _ = certificate.extensions
        return found
    except UNREADABLE as error:
        raise ConfigurationError(
            f"The {what} is not an X.509 certificate in PEM or DER form",
            hint="give a file that begins with -----BEGIN CERTIFICATE-----",
        ) from error


def same(one: x509.Certificate, other: x509.Certificate) -> bool:
    """Whether two certificates are the same octets."""
    return one.public_bytes(Encoding.DER) == other.public_bytes(Encoding.DER)


def subject_key_identifier(certificate: x509.Certificate) -> bytes | None:
    """The SubjectKeyIdentifier extension, or None."""
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except (x509.ExtensionNotFound, *UNREADABLE):
        return None


def thumbprint(certificate: x509.Certificate) -> bytes:
    """SHA-1 of the DER form (WSS 1.1, X.509 token profile)."""
    return hashlib.sha1(certificate.public_bytes(Encoding.DER)).digest()


def issuer_name(certificate: x509.Certificate) -> str:
    """The issuer as ds:X509IssuerName writes it (RFC 4514); "" where it cannot be read."""
    try:
        return certificate.issuer.rfc4514_string()
    except UNREADABLE:
        return ""


def is_issued_as(certificate: x509.Certificate, issuer: str, serial: str) -> bool:
    """Whether ds:X509IssuerSerial means this certificate."""
    name = issuer_name(certificate)
    return (
        bool(name)
        and serial.strip() == str(certificate.serial_number)
        and normal_name(issuer) == normal_name(name)
    )


@dataclass(frozen=True)
class Trust:
    """Whom to believe: anchors of certification paths, and single certificates ("pins").

    Lists of revoked certificates come from files, and no other way: nothing is fetched. Where there is one, there must
    be one of every authority in a path, with its end (nextUpdate) still to come, or the path is refused. A list is read
    when the trust is made; for a newer one make another.

    Args:
        anchors: certificates that may sign others; a path must end at one of them.
        pins: certificates trusted as they are, while they are valid and no list revokes them.
        crls: lists of revoked certificates, each of one of *anchors*.
        accept: has the last word about each certificate that is trusted otherwise, and refuses it with anything but
            True; the place for OCSP, or a list of one's own. What it raises goes through to whoever asked.

    Raises:
        ConfigurationError: when a list is of no authority in *anchors*, or does not hold all that it revoked.
    """

    anchors: tuple[x509.Certificate, ...] = ()
    pins: tuple[x509.Certificate, ...] = ()
    crls: tuple[x509.CertificateRevocationList, ...] = field(default=(), repr=False)
    accept: Callable[[x509.Certificate], bool] | None = None
    _lists: tuple[RevocationList, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        verified = tuple(verified_list(one, self.anchors) for one in self.crls)
        object.__setattr__(self, "_lists", verified)

    @classmethod
    def from_pem(
        cls,
        *sources: Source,
        crl: Source | Iterable[Source] = (),
        accept: Callable[[x509.Certificate], bool] | None = None,
    ) -> Trust:
        """Trust the certificates in PEM or DER files: CA:TRUE ones are anchors, any other is a pin.

        Args:
            sources: paths, or what is in the files.
            crl: one or more files with lists of revoked certificates, PEM (several in a file) or DER.
            accept: see :class:`Trust`.

        Raises:
            ConfigurationError: when a file cannot be read or holds no certificate or list, or nobody in the files made
                a list.
        """
        files = [crl] if isinstance(crl, (str, Path, bytes)) else crl
        return cls.of(
            (cert for source in sources for cert in load_certificates(source, "trust file")),
            crls=(one for file in files for one in read_lists(read_source(file, "revocation list"))),
            accept=accept,
        )

    @classmethod
    def of(
        cls,
        certificates: Iterable[x509.Certificate],
        *,
        crls: Iterable[x509.CertificateRevocationList] = (),
        accept: Callable[[x509.Certificate], bool] | None = None,
    ) -> Trust:
        """Trust these certificates: CA:TRUE ones are anchors, any other is a pin."""
        everything = tuple(certificates)
        return cls(
            anchors=tuple(c for c in everything if _is_ca(c)),
            pins=tuple(c for c in everything if not _is_ca(c)),
            crls=tuple(crls),
            accept=accept,
        )

    def check(
        self,
        certificate: x509.Certificate,
        *,
        role: str,
        now: datetime,
        intermediates: Iterable[x509.Certificate] = (),
    ) -> None:
        """Check that *certificate* is trusted now.

        A pin needs to be within its validity only. Any other certificate needs a path to an anchor (RFC 5280, by
        ``cryptography``). Neither a SubjectAlternativeName nor an ExtendedKeyUsage is required, since WS-Security
        certificates often have none; KeyUsage and ExtendedKeyUsage are obeyed where they are present.

        Args:
            certificate: the certificate to judge.
            role: "server" or "client": what the holder acts as.
            now: aware UTC.
            intermediates: further certificates that may stand in the path.

        Raises:
            VerificationError: check "certificate".
        """
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise VerificationError(
                "certificate",
                f"The {role}'s certificate is not valid now: it is for {certificate.not_valid_before_utc:%Y-%m-%d} "
                f"to {certificate.not_valid_after_utc:%Y-%m-%d}",
                hint="renew the certificate, or set the clock",
            )
        key = certificate.public_key()
        if isinstance(key, rsa.RSAPublicKey) and key.key_size < _SHORTEST_RSA_KEY:
            raise VerificationError(
                "certificate",
                f"The {role}'s RSA key has {key.key_size} bits, and anybody can break it",
                hint=f"have a certificate issued for a key of 2048 bits; {_SHORTEST_RSA_KEY} are the least",
            )
        pinned = any(same(certificate, pin) for pin in self.pins)
        path = [certificate] if pinned else self._path(certificate, role, now, intermediates)
        if self._lists:
            refuse_revoked(self._beyond(path), self._lists, role=role, now=now, pinned=pinned)
        if self.accept is not None and self.accept(certificate) is not True:
            raise VerificationError(
                "certificate",
                f"The {role}'s certificate is refused by accept= of trust",
                hint="ask whoever wrote that function",
            )

    def _path(
        self,
        certificate: x509.Certificate,
        role: str,
        now: datetime,
        intermediates: Iterable[x509.Certificate],
    ) -> list[x509.Certificate]:
        """A path from a certificate to an anchor."""
        if not self.anchors:
            raise VerificationError(
                "certificate",
                f"The {role}'s certificate is none of those pinned in trust",
                hint="add its CA, or the certificate itself, to trust=",
            )
        builder = (
            verification.PolicyBuilder()
            .store(verification.Store(list(self.anchors)))
            .time(now)
            .extension_policies(ca_policy=_CA_POLICY, ee_policy=_end_entity_policy(role))
        )
        try:
            return builder.build_client_verifier().verify(certificate, _one_of_each(intermediates)).chain
        except (verification.VerificationError, *UNREADABLE) as error:
            raise VerificationError(
                "certificate",
                f"The {role}'s certificate is not trusted: {error}",
                hint="add its CA, or the certificate itself as a pin, to trust=",
            ) from error

    def _beyond(self, path: list[x509.Certificate]) -> list[x509.Certificate]:
        """A path, and what vouches for the anchor that it ends at: an authority in the middle may be revoked too."""
        while True:
            last = path[-1]
            above = (one for one in self.anchors if one.subject == last.issuer and not same(one, last))
            issuer = next((one for one in above if is_issued_by(last, one)), None)
            if issuer is None or any(same(issuer, one) for one in path):
                return path
            path = [*path, issuer]


def _one_of_each(intermediates: Iterable[x509.Certificate]) -> list[x509.Certificate]:
    """The certificates of a path that came along, one of each holder and key: no path needs two.

    Where every one may have been issued by every other, cryptography 45 tries all orders of them, which takes it days.
    """
    found = {(one.subject.public_bytes(), _key_octets(one)): one for one in intermediates}
    return list(found.values())


def _key_octets(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, *UNREADABLE):
        return False


def _check_ca(
    _policy: verification.Policy, _certificate: x509.Certificate, constraints: x509.BasicConstraints
) -> None:
    if not constraints.ca:
        raise ValueError("an issuer in the path is no CA")


def _check_ca_usage(
    _policy: verification.Policy, _certificate: x509.Certificate, usage: x509.KeyUsage | None
) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("an issuer in the path may not sign certificates")


_CA_POLICY = (
    verification.ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, verification.Criticality.AGNOSTIC, _check_ca)
    .may_be_present(x509.KeyUsage, verification.Criticality.AGNOSTIC, _check_ca_usage)
)


def _end_entity_policy(role: str) -> verification.ExtensionPolicy:
    def check_usage(
        _policy: verification.Policy, _certificate: x509.Certificate, usage: x509.KeyUsage | None
    ) -> None:
        if usage is not None and not (
            usage.digital_signature or usage.content_commitment or usage.key_encipherment
        ):
            raise ValueError("its KeyUsage allows neither signatures nor encryption of keys")

    def check_extended(
        _policy: verification.Policy, _certificate: x509.Certificate, usage: x509.ExtendedKeyUsage | None
    ) -> None:
        if usage is not None and not _ROLE_USAGES[role] & set(usage):
            raise ValueError(f"its ExtendedKeyUsage does not allow the role of a {role}")

    return (
        verification.ExtensionPolicy.permit_all()
        .may_be_present(x509.KeyUsage, verification.Criticality.AGNOSTIC, check_usage)
        .may_be_present(x509.ExtendedKeyUsage, verification.Criticality.AGNOSTIC, check_extended)
    )


def may_sign(certificate: x509.Certificate) -> bool:
    """Whether KeyUsage, where present, allows signatures over messages."""
    usage = _key_usage(certificate)
    return usage is None or usage.digital_signature or usage.content_commitment


def may_encrypt(certificate: x509.Certificate) -> bool:
    """Whether KeyUsage, where present, allows the encryption of keys."""
    usage = _key_usage(certificate)
    return usage is None or usage.key_encipherment


def _key_usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        return None


def holder(certificate: x509.Certificate) -> str:
    """The same for all certificates of one holder: of one subject, from one issuer by its name and key.

    A renewed certificate has the same holder. A certificate without a subject has a holder of its own.
    """
    if not list(certificate.subject):
        return f"thumbprint={thumbprint(certificate).hex()}"
    try:
        identifier = certificate.extensions.get_extension_for_class(
            x509.AuthorityKeyIdentifier
        ).value.key_identifier
    except (x509.ExtensionNotFound, *UNREADABLE):
        identifier = None
    key = (identifier or b"").hex()
    return f"subject={certificate.subject.rfc4514_string()} issuer={issuer_name(certificate)} key={key}"
