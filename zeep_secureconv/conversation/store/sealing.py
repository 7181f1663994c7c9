"""How stores encrypt: keys and passphrases, what is derived from them, and older ones that still open."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from ...errors import ConfigurationError, StoreError

NONCE_BYTES = 12
ID_BYTES = 4
SALT_BYTES = 16
_KEY_LENGTHS = (16, 24, 32)
_WANTED = (
    "give key= with 16, 24 or 32 random bytes, such as secrets.token_bytes(32), or passphrase= with a text"
)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The parameters of scrypt (RFC 7914).

    Args:
        log2n: the binary logarithm of N, the cost of CPU and memory.
        r: the size of a block.
        p: the parallelization.
    """

    log2n: int = 15
    r: int = 8
    p: int = 3

    def check(self) -> None:
        """Refuse what no store of ours was written with: it would cost more memory than there is, or protect nothing.

        Raises:
            StoreError: when a parameter is out of bounds.
        """
        if not (14 <= self.log2n <= 17 and 8 <= self.r <= 16 and 1 <= self.p <= 8):
            raise StoreError(
                "The store of contexts was written with parameters of scrypt that are not accepted",
                hint="check that it is the right file; remove it, and contexts are asked for anew",
            )


@dataclass(frozen=True)
class Sealer:
    """Encrypts, authenticates and names, with keys derived from one secret.

    Args:
        id: tells the secret from others, and nothing about it.
    """

    id: bytes
    _cipher: AESGCM = field(repr=False)
    _names: bytes = field(repr=False)

    def seal(self, plain: bytes, associated: bytes) -> bytes:
        """A nonce, and *plain* encrypted and authenticated together with *associated*."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, associated)

    def open(self, data: bytes, associated: bytes) -> bytes:
        """What was sealed with the same *associated*.

        Raises:
            StoreError: when it was changed, or belongs elsewhere.
        """
        try:
            return self._cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], associated)
        except (InvalidTag, ValueError):
            raise StoreError(
                "What the store of contexts holds was changed or damaged",
                hint="remove it, and contexts are asked for anew; look for who writes there",
            ) from None

    def name(self, text: bytes) -> str:
        """A name for *text* that tells nothing about it to who lacks the key."""
        return hmac.digest(self._names, text, "sha256").hex()


class Secret:
    """A key or a passphrase of a store.

    Args:
        value: 16, 24 or 32 random bytes, or a passphrase.

    Raises:
        ConfigurationError: when it is neither.
    """

    def __init__(self, value: bytes | str) -> None:
        if not value or (not isinstance(value, str) and len(value) not in _KEY_LENGTHS):
            raise ConfigurationError("The key of the store of contexts has the wrong length", hint=_WANTED)
        self.is_passphrase = isinstance(value, str)
        self._value = value.encode() if isinstance(value, str) else bytes(value)
        self._latest: tuple[object, Sealer] | None = None

    def sealer(self, salt: bytes, cost: Cost) -> Sealer:
        """What encrypts with this secret.

        Args:
            salt: 16 bytes.
            cost: of scrypt, for a passphrase.
        """
        latest = self._latest
        if latest is not None and latest[0] == (salt, cost):
            return latest[1]
        master = self._value
        if self.is_passphrase:
            scrypt = Scrypt(salt=salt, length=32, n=1 << cost.log2n, r=cost.r, p=cost.p)
            master = scrypt.derive(master)
        derived = HKDF(
            algorithm=hashes.SHA256(), length=64 + ID_BYTES, salt=salt, info=b"zeep_secureconv store"
        ).derive(master)
        sealer = Sealer(derived[64:], AESGCM(derived[:32]), derived[32:64])
        self._latest = (salt, cost), sealer
        return sealer


def secrets_of(
    key: bytes | None, passphrase: str | None, previous_keys: Sequence[bytes | str]
) -> tuple[Secret, ...]:
    """The secret that a store writes with, and those that it reads with besides.

    Raises:
        ConfigurationError: when there is not exactly one to write with, or one is malformed.
    """
    current = key if key is not None else passphrase
    if current is None or None not in (key, passphrase):
        raise ConfigurationError(
            "The store of contexts needs a key or a passphrase, one of both", hint=_WANTED
        )
    return tuple(Secret(value) for value in (current, *previous_keys))


def other_key() -> StoreError:
    """The error of a store that was written with a key that is not known."""
    return StoreError(
        "The store of contexts was written with another key",
        hint="give the key or passphrase that it was written with, in previous_keys= if it was replaced",
    )
