"""A CA, a server and clients with fixed names and dates, made once per process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from zeep_secureconv import Identity, Trust
from zeep_secureconv.clock import SYSTEM_RANDOM, Clock, RandomBytes
from zeep_secureconv.environment import Environment
from zeep_secureconv.limits import Limits

#: The time in these tests.
NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=timezone.utc)

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """A key of its own for each name."""
    assert name
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    """A key that is not RSA."""
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A certificate to be made.

    Args:
        name: common name of the subject, and name of its key.
        issuer: what signs it; None for a self-signed one.
        ca: cA of BasicConstraints; None leaves the extension out.
        path_length: pathLenConstraint.
        usage: true members of KeyUsage; None leaves the extension out.
        extended: ExtendedKeyUsage; None leaves the extension out.
        key_identifier: whether it has a SubjectKeyIdentifier.
        begin, end: its validity.
        key: another key than that of its name.
        subject: another subject than ``O=Test,CN=name``.
    """

    name: str
    issuer: Draft | None = None
    ca: bool | None = False
    path_length: int | None = None
    usage: frozenset[str] | None = frozenset({"digital_signature", "key_encipherment"})
    extended: tuple[x509.ObjectIdentifier, ...] | None = None
    key_identifier: bool = True
    begin: datetime = NOW - timedelta(days=1)
    end: datetime = NOW + timedelta(days=1)
    key: PrivateKey | None = None
    subject: tuple[tuple[x509.ObjectIdentifier, str], ...] | None = None

    @property
    def private_key(self) -> PrivateKey:
        """Its private key."""
        return self.key or rsa_key(self.name)

    def but(self, **changes: object) -> Draft:
        """The same with changes."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def _names(self) -> x509.Name:
        pairs = self.subject or ((NameOID.ORGANIZATION_NAME, "Test"), (NameOID.COMMON_NAME, self.name))
        return x509.Name([x509.NameAttribute(oid, value) for oid, value in pairs])

    def make(self) -> x509.Certificate:
        """The certificate."""
        return _make(self)

    def identity(self) -> Identity:
        """The certificate with the use of its key."""
        return Identity.from_pem(pem(self.make()), key_pem(self.private_key))


_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


@cache
def _make(draft: Draft) -> x509.Certificate:
    issuer = draft.issuer or draft
    public_key = draft.private_key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(draft._names())
        .issuer_name(issuer._names())
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(draft.begin)
        .not_valid_after(draft.end)
    )
    for extension in _extensions(draft, public_key, issuer):
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    return builder.sign(issuer.private_key, hashes.SHA256())


def _extensions(
    draft: Draft, public_key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey, issuer: Draft
) -> Sequence[x509.ExtensionType]:
    found: list[x509.ExtensionType] = [
        x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.private_key.public_key())
    ]
    if draft.ca is not None:
        found.append(x509.BasicConstraints(ca=draft.ca, path_length=draft.path_length))
    if draft.usage is not None:
        found.append(x509.KeyUsage(**{usage: usage in draft.usage for usage in _USAGES}))
    if draft.extended is not None:
        found.append(x509.ExtendedKeyUsage(list(draft.extended)))
    if draft.key_identifier:
        found.append(x509.SubjectKeyIdentifier.from_public_key(public_key))
    return found


CA = Draft(name="ca", ca=True, usage=frozenset({"key_cert_sign", "crl_sign"}))
SERVER = Draft(name="server", issuer=CA)
CLIENT = Draft(name="client", issuer=CA)
CLIENT2 = Draft(name="client2", issuer=CA)


def pem(*certificates: x509.Certificate) -> bytes:
    """Certificates in PEM form."""
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


def key_pem(key: PrivateKey, password: str | None = None) -> bytes:
    """A private key in PEM form, encrypted when there is a password."""
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        encryption = serialization.BestAvailableEncryption(password.encode())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


@cache
def identity(name: str) -> Identity:
    """The identity of "server", "client" or "client2"."""
    return {"server": SERVER, "client": CLIENT, "client2": CLIENT2}[name].identity()


@cache
def trust() -> Trust:
    """Trust in the CA."""
    return Trust.of([CA.make()])


class Time:
    """A clock that is set by hand.

    Args:
        now: where the wall clock starts.
    """

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now
        self.seconds = 1000.0

    def forward(self, by: timedelta, *, monotonic: bool = True) -> None:
        """Let time pass; without *monotonic* only the wall clock jumps."""
        self.now += by
        if monotonic:
            self.seconds += by.total_seconds()

    @property
    def clock(self) -> Clock:
        """What the library reads."""
        return Clock(now=lambda: self.now, monotonic=lambda: self.seconds)


def environment(
    *,
    time: Time | None = None,
    now: datetime = NOW,
    limits: Limits | None = None,
    random: RandomBytes = SYSTEM_RANDOM,
) -> Environment:
    """An environment whose clock stands still, or is set by hand."""
    clock = (time or Time(now)).clock
    return Environment(clock=clock, random=random, limits=limits or Limits())
