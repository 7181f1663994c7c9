"""The TLS of a server, from the files that options name."""

from __future__ import annotations

import secrets
import ssl
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from ..errors import ConfigurationError
from ..wss.certificates import load_certificates, read_source


def tls_context(path: Path, password: str | None) -> ssl.SSLContext:
    """A server's TLS context from a PKCS#12 file, or a PEM file with certificate and key.

    Raises:
        ConfigurationError: when file or password are wrong.
    """
    data = read_source(path, "TLS identity file")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    # ssl reads files only; what lies there for a moment is encrypted with a password that nobody has
    with TemporaryDirectory() as folder:
        file, secret = Path(folder) / "tls.pem", secrets.token_hex(16)
        try:
            if not _is_pem(data):
                data, password = _pem_of_pkcs12(data, password, secret), secret
            file.write_bytes(data)
            context.load_cert_chain(file, password=password or "")
        except (ValueError, ssl.SSLError) as error:
            raise ConfigurationError(
                "The TLS identity cannot be used: the password is wrong, or certificate or key are missing",
                hint="give a PKCS#12 file, or one PEM file with certificate and key, and its password",
            ) from error
    return context


def tls_certificates(path: Path, password: str | None) -> tuple[x509.Certificate, ...]:
    """The certificates in a file that :func:`tls_context` takes."""
    data = read_source(path, "TLS identity file")
    if _is_pem(data):
        return tuple(load_certificates(data, "TLS identity file"))
    _, certificate, chain = pkcs12.load_key_and_certificates(data, password.encode() if password else None)
    return (*([certificate] if certificate is not None else []), *chain)


def _is_pem(data: bytes) -> bool:
    return b"-----BEGIN" in data


def _pem_of_pkcs12(data: bytes, password: str | None, secret: str) -> bytes:
    key, certificate, chain = pkcs12.load_key_and_certificates(data, password.encode() if password else None)
    if key is None or certificate is None:
        raise ValueError("no key or no certificate")
    encryption = serialization.BestAvailableEncryption(secret.encode())
    return b"".join(
        [
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption),
            *(one.public_bytes(serialization.Encoding.PEM) for one in (certificate, *chain)),
        ]
    )
