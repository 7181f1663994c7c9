"""A small PKI for trying things out: a CA, and a certificate each for a server and a client."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ..clock import SYSTEM_CLOCK, Clock
from ..errors import ConfigurationError

#: The password of the PKCS#12 files. It protects nothing: the keys lie beside them in the clear.
PASSWORD = "changeit"

_AUTHORITY = "zeep_secureconv trial CA"
_RSA_BITS = 2048
_VALID_FOR = timedelta(days=365)
# clocks of the machines that try things out need not agree
_VALID_SINCE = timedelta(days=1)
_LOOPBACK = ("127.0.0.1", "::1")


@dataclass(frozen=True)
class _Issued:
    """A certificate with its key."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate


def make_pki(folder: Path, *, force: bool = False, clock: Clock = SYSTEM_CLOCK) -> list[Path]:
    """Write ca.pem and ca.key, and .pem, .key and .p12 of "server" and "client".

    The keys are RSA with 2048 bits. All certificates are valid for a year and have a SubjectKeyIdentifier and
    an AuthorityKeyIdentifier, by which messages refer to them; the server's is for localhost, 127.0.0.1 and
    ::1. The keys are not encrypted, so that this is for trying things out only.

    Args:
        folder: where to write; it is made where it is missing.
        force: write over files that are there.
        clock: gives the beginning of the validity.

    Returns:
        The files written.

    Raises:
        ConfigurationError: when a file is there already and *force* is not given, or the folder cannot be
            written.
    """
    paths = {
        folder / f"{name}{suffix}" for name in ("server", "client") for suffix in (".pem", ".key", ".p12")
    }
    paths |= {folder / "ca.pem", folder / "ca.key"}
    present = sorted(path.name for path in paths if path.exists())
    if present and not force:
        raise ConfigurationError(
            f"{folder} has {', '.join(present)} already",
            hint="choose another folder, or give --force to make everything anew",
        )
    contents = _contents(clock)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in contents.items():
            _write(folder / name, data)
    except OSError as error:
        raise ConfigurationError(
            f"{folder} cannot be written: {error.strerror}", hint="choose a folder that you may write to"
        ) from error
    return [folder / name for name in contents]


def is_for_trial(certificate: x509.Certificate) -> bool:
    """Whether a certificate is of a CA that :func:`make_pki` made, or is that CA: its keys lie open beside it."""
    names = certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    return any(name.value == _AUTHORITY for name in names)


def _contents(clock: Clock) -> dict[str, bytes]:
    """The content of each file by its name."""
    names = [x509.DNSName("localhost"), *(x509.IPAddress(ipaddress.ip_address(ip)) for ip in _LOOPBACK)]
    for_server = [
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
        x509.SubjectAlternativeName(names),
    ]
    for_client = [x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])]
    authority = _issue(_AUTHORITY, None, clock)
    issued = {
        "ca": authority,
        "server": _issue("localhost", authority, clock, for_server),
        "client": _issue("client", authority, clock, for_client),
    }
    contents = {}
    for name, one in issued.items():
        contents[f"{name}.pem"] = one.certificate.public_bytes(serialization.Encoding.PEM)
        contents[f"{name}.key"] = _pem_key(one.key)
        if one is not authority:
            contents[f"{name}.p12"] = _pkcs12(name, one, authority)
    return contents


def _issue(
    common_name: str, issuer: _Issued | None, clock: Clock, extensions: Sequence[x509.ExtensionType] = ()
) -> _Issued:
    """A certificate by *issuer*, or the CA itself, with the extensions that messages and TLS refer to."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    signer = issuer.key if issuer else key
    now = clock.now().replace(microsecond=0)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _VALID_SINCE)
        .not_valid_after(now + _VALID_FOR)
        .add_extension(x509.BasicConstraints(ca=not issuer, path_length=None if issuer else 0), critical=True)
        .add_extension(_key_usage(ca=not issuer), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return _Issued(key, builder.sign(signer, hashes.SHA256()))


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not ca,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _pem_key(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _pkcs12(name: str, issued: _Issued, authority: _Issued) -> bytes:
    chain = [pkcs12.PKCS12Certificate(authority.certificate, b"ca")]
    encryption = serialization.BestAvailableEncryption(PASSWORD.encode())
    return pkcs12.serialize_key_and_certificates(
        name.encode(), issued.key, issued.certificate, chain, encryption
    )


def _write(path: Path, data: bytes) -> None:
    """Write a file, one with a key readable by its owner alone from the first moment."""
    mode = 0o644 if path.suffix == ".pem" else 0o600
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
