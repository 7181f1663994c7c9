"""XML Signature: digests and signature values by their URIs. No XML here."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from ..errors import ConfigurationError
from ..policy import suites

try:
    import xmlsec
except Exception as error:  # xmlsec.InternalError of a mismatched pair is not an ImportError
    raise ConfigurationError(
        f"xmlsec cannot be loaded beside lxml: {error}",
        hint="install a pair built on the same libxml2: pip install --upgrade 'lxml>=6,<7' 'xmlsec>=1.3.16'",
    ) from error

_DIGESTS: dict[str, Callable[[bytes], Any]] = {
    suites.SHA1: hashlib.sha1,
    suites.SHA256: hashlib.sha256,
    suites.SHA384: hashlib.sha384,
    suites.SHA512: hashlib.sha512,
}
_HMACS = {
    suites.HMAC_SHA1: "sha1",
    suites.HMAC_SHA256: "sha256",
    suites.HMAC_SHA384: "sha384",
    suites.HMAC_SHA512: "sha512",
}
_RSA = {
    suites.RSA_SHA1: xmlsec.constants.TransformRsaSha1,
    suites.RSA_SHA256: xmlsec.constants.TransformRsaSha256,
    suites.RSA_SHA384: xmlsec.constants.TransformRsaSha384,
    suites.RSA_SHA512: xmlsec.constants.TransformRsaSha512,
}


def digest(algorithm: str, data: bytes) -> bytes:
    """The digest of octets."""
    result: bytes = _DIGESTS[algorithm](data).digest()
    return result


def mac(algorithm: str, key: bytes, data: bytes) -> bytes:
    """The HMAC signature value of octets."""
    return hmac.digest(key, data, _HMACS[algorithm])


def rsa_sign(algorithm: str, private_key_pem: bytes, data: bytes) -> bytes:
    """The RSA signature value of octets.

    Args:
        algorithm: URI of the signature method.
        data: the octets to sign.
        private_key_pem: unencrypted PKCS#8 PEM.
    """
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(private_key_pem, xmlsec.constants.KeyDataFormatPem)
    value: bytes = context.sign_binary(data, _RSA[algorithm])
    return value


def rsa_verify(algorithm: str, certificate: x509.Certificate, data: bytes, value: bytes) -> bool:
    """Whether *value* is the RSA signature value of octets under the certificate's key."""
    public_key = certificate.public_key()
    if not isinstance(public_key, RSAPublicKey) or algorithm not in _RSA:
        return False
    pem = public_key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(pem, xmlsec.constants.KeyDataFormatPem)
    try:
        context.verify_binary(data, _RSA[algorithm], value)
    except xmlsec.Error:
        return False
    return True
