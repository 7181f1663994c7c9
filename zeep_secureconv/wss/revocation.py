"""Lists of revoked certificates (RFC 5280, section 5), from files: no network is used."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from ..errors import ConfigurationError, VerificationError

_HINT = "give crl= the complete list that the authority publishes, in PEM or DER form"
_PEM = b"-----BEGIN X509 CRL-----"
_PEM_END = b"-----END X509 CRL-----"
#: What ``cryptography`` raises for lists that cannot be read.
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension)
#: Extensions of a list by which it does not hold all revoked certificates of its authority (5.2.4, 5.2.5).
_PARTIAL = (x509.DeltaCRLIndicator, x509.IssuingDistributionPoint)


@dataclass(frozen=True)
class RevocationList:
    """A list whose signature was verified.

    Args:
        issuer: certificate of the authority that made it.
        issued, until: when it was made, and until when the next one comes.
        serials: what it revokes.
    """

    issuer: x509.Certificate
    issued: datetime
    until: datetime
    serials: frozenset[int] = field(repr=False)

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return (
            f"The revocation list of {self.issuer.subject.rfc4514_string() or 'an authority without a name'}"
        )

    def covers(self, certificate: x509.Certificate) -> bool:
        """Whether its authority issued a certificate."""
        return certificate.issuer == self.issuer.subject and is_issued_by(certificate, self.issuer)


def read_lists(data: bytes) -> list[x509.CertificateRevocationList]:
    """The lists in a PEM file (one or more) or a DER file (one).

    Raises:
        ConfigurationError: when there is none.
    """
    pieces = [data]
    if b"-----BEGIN" in data:
        pieces = [_PEM + piece.partition(_PEM_END)[0] + _PEM_END for piece in data.split(_PEM)[1:]]
    try:
        load = x509.load_pem_x509_crl if b"-----BEGIN" in data else x509.load_der_x509_crl
        found = [load(piece) for piece in pieces]
        for one in found:
            _ = one.extensions, one.issuer, one.last_update_utc
    except _UNREADABLE as error:
        raise ConfigurationError("The revocation list cannot be read", hint=_HINT) from error
    if not found:
        raise ConfigurationError("The file of revocation lists holds none", hint=_HINT)
    return found


def verified_list(
    found: x509.CertificateRevocationList, authorities: Iterable[x509.Certificate]
) -> RevocationList:
    """A list, once the authority that made it is known by its signature.

    Raises:
        ConfigurationError: when none of *authorities* made it, or it does not hold all that its authority revoked.
    """
    named = found.issuer.rfc4514_string()
    issuer = next(
        (one for one in authorities if one.subject == found.issuer and _has_signed(one, found)), None
    )
    if issuer is None:
        raise ConfigurationError(
            f"The revocation list of {named} is signed by no authority in trust",
            hint="give the certificate of that authority to trust too, or leave its list out",
        )
    for extension in found.extensions:
        known = isinstance(extension.value, (x509.CRLNumber, x509.AuthorityKeyIdentifier))
        if isinstance(extension.value, _PARTIAL) or (extension.critical and not known):
            raise ConfigurationError(
                f"The revocation list of {named} does not hold all that its authority revoked "
                f"(extension {extension.oid.dotted_string})",
                hint=_HINT,
            )
    if found.next_update_utc is None:
        raise ConfigurationError(
            f"The revocation list of {named} does not say until when it holds (nextUpdate)", hint=_HINT
        )
    return RevocationList(
        issuer,
        found.last_update_utc,
        found.next_update_utc,
        frozenset(entry.serial_number for entry in found),
    )


def refuse_revoked(
    path: Sequence[x509.Certificate],
    lists: Sequence[RevocationList],
    *,
    role: str,
    now: datetime,
    pinned: bool,
) -> None:
    """Refuse a path of certificates of which one is revoked, or may be.

    Of the lists of one authority the newest counts.

    Args:
        path: certificates of which each was issued by the next; the last one is trusted without a list.
        lists: the lists that there are.
        role: "server" or "client", for messages.
        now: aware UTC.
        pinned: whether the first is trusted as it is: then a list of its authority need not be there.

    Raises:
        VerificationError: check "certificate".
    """
    for certificate in path if pinned else path[:-1]:
        covering = [one for one in lists if one.covers(certificate)]
        if not covering:
            if pinned:
                continue
            raise VerificationError(
                "certificate",
                f"Nothing says whether a certificate of the {role} is revoked: there is no list of "
                f"{certificate.issuer.rfc4514_string()}",
                hint="give crl= the lists of all authorities in trust",
            )
        newest = max(covering, key=lambda one: one.issued)
        if certificate.serial_number in newest.serials:
            raise VerificationError(
                "certificate",
                f"A certificate of the {role} is revoked by {newest.issuer.subject.rfc4514_string()}",
                hint="have a new certificate issued",
            )
        if now > newest.until:
            raise VerificationError(
                "certificate",
                f"{newest.name} was to be followed by another one at {newest.until:%Y-%m-%d %H:%M}",
                hint="give crl= the current list of the authority, or set the clock",
            )


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the key of *issuer* signed a certificate."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *_UNREADABLE):
        return False
    return True


def _has_signed(authority: x509.Certificate, found: x509.CertificateRevocationList) -> bool:
    try:
        usage = authority.extensions.get_extension_for_class(x509.KeyUsage).value
        if not usage.crl_sign:
            return False
    except x509.ExtensionNotFound:
        pass
    except _UNREADABLE:
        return False
    try:
        return found.is_signature_valid(authority.public_key())  # type: ignore[arg-type]
    except _UNREADABLE:
        return False
