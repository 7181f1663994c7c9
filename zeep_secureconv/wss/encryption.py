"""XML Encryption: ciphers and key transport by their URIs. No XML here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher as _Cipher
from cryptography.hazmat.primitives.ciphers import algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ..clock import RandomBytes
from ..errors import VerificationError
from ..policy import suites


def decryption_failed() -> VerificationError:
    """The one error for whatever goes wrong in decryption, so that nobody can tell the reasons apart."""
    return VerificationError("decryption", "The message could not be decrypted")


@dataclass(frozen=True)
class _BlockCipher:
    """A cipher of XML Encryption 1.1, section 5.2 in CBC mode: IV first, last octet tells the padding."""

    algorithm: Callable[[bytes], Any]
    key_length: int
    block: int

    def encrypt(self, key: bytes, plaintext: bytes, random: RandomBytes) -> bytes:
        iv = random(self.block)
        count = self.block - len(plaintext) % self.block
        encryptor = _Cipher(self.algorithm(key), modes.CBC(iv)).encryptor()
        # three updates and one join: large bodies are copied once
        return b"".join((iv, encryptor.update(plaintext), encryptor.update(bytes([count]) * count)))

    def decrypt(self, key: bytes, data: bytes) -> bytes:
        if len(data) < 2 * self.block or len(data) % self.block:
            raise decryption_failed()
        decryptor = _Cipher(self.algorithm(key), modes.CBC(data[: self.block])).decryptor()
        padded = decryptor.update(memoryview(data)[self.block :]) + decryptor.finalize()
        # only the last octet means anything: WSS4J and WCF fill the others at random
        count = padded[-1]
        if not 1 <= count <= self.block:
            raise decryption_failed()
        return padded[:-count]


@dataclass(frozen=True)
class _Gcm:
    """AES-GCM of XML Encryption 1.1, section 5.2.4: a 96-bit IV first, a 128-bit tag last."""

    key_length: int

    def encrypt(self, key: bytes, plaintext: bytes, random: RandomBytes) -> bytes:
        iv = random(12)
        return iv + AESGCM(key).encrypt(iv, plaintext, None)

    def decrypt(self, key: bytes, data: bytes) -> bytes:
        if len(data) < 28:
            raise decryption_failed()
        try:
            return AESGCM(key).decrypt(data[:12], data[12:], None)
        except InvalidTag:
            raise decryption_failed() from None


_CIPHERS: dict[str, _BlockCipher | _Gcm] = {
    suites.TRIPLEDES_CBC: _BlockCipher(TripleDES, 24, 8),
    suites.AES128_CBC: _BlockCipher(algorithms.AES, 16, 16),
    suites.AES192_CBC: _BlockCipher(algorithms.AES, 24, 16),
    suites.AES256_CBC: _BlockCipher(algorithms.AES, 32, 16),
    suites.AES128_GCM: _Gcm(16),
    suites.AES192_GCM: _Gcm(24),
    suites.AES256_GCM: _Gcm(32),
}

_HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    suites.SHA1: hashes.SHA1,
    suites.SHA256: hashes.SHA256,
    suites.SHA384: hashes.SHA384,
    suites.SHA512: hashes.SHA512,
    suites.MGF1_SHA1: hashes.SHA1,
    suites.MGF1_SHA224: hashes.SHA224,
    suites.MGF1_SHA256: hashes.SHA256,
    suites.MGF1_SHA384: hashes.SHA384,
    suites.MGF1_SHA512: hashes.SHA512,
}


def key_transport(suite: suites.AlgorithmSuite) -> str:
    """How a suite encrypts content keys to RSA keys (XML Encryption 1.1, section 5.5).

    Returns:
        The URI of the algorithm; where OAEP has other parameters than SHA-1, then a space, the URI of its digest, a
        space, and the URI of its mask. The mask of rsa-oaep-mgf1p is SHA-1 always.
    """
    wrap = suite.asymmetric_key_wrap
    mask = suite.oaep_mgf if wrap == suites.RSA_OAEP else suites.MGF1_SHA1
    if wrap == suites.RSA_15 or (suite.oaep_digest, mask) == (suites.SHA1, suites.MGF1_SHA1):
        return wrap
    return f"{wrap} {suite.oaep_digest} {mask}"


def key_length(algorithm: str) -> int:
    """The key length in bytes of a data encryption algorithm."""
    return _CIPHERS[algorithm].key_length


def encrypt(algorithm: str, key: bytes, plaintext: bytes, random: RandomBytes) -> bytes:
    """Encrypt octets: the content of a CipherValue before base64."""
    return _CIPHERS[algorithm].encrypt(key, plaintext, random)


def decrypt(algorithm: str, key: bytes, data: bytes) -> bytes:
    """Decrypt the octets of a CipherValue.

    Raises:
        VerificationError: check "decryption", whatever the reason.
    """
    cipher = _CIPHERS[algorithm]
    if len(key) != cipher.key_length:
        raise decryption_failed()
    return cipher.decrypt(key, data)


def wrap_key(transport: str, public_key: RSAPublicKey, key: bytes) -> bytes:
    """Encrypt a content key to an RSA key: the CipherValue of an EncryptedKey.

    Args:
        transport: what :func:`key_transport` gives.
        public_key: of the recipient.
        key: the content key.
    """
    return public_key.encrypt(key, padding_of(transport))


def padding_of(transport: str) -> padding.AsymmetricPadding:
    """The RSA padding of a key transport, as :func:`key_transport` names it."""
    algorithm, *parameters = transport.split(" ")
    if algorithm == suites.RSA_15:
        return padding.PKCS1v15()
    digest, mask = parameters or (suites.SHA1, suites.MGF1_SHA1)
    return padding.OAEP(mgf=padding.MGF1(_HASHES[mask]()), algorithm=_HASHES[digest](), label=None)
