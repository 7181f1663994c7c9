"""P_SHA-1 and the keys derived with it, as plain functions of bytes."""

from __future__ import annotations

import hashlib
from hmac import digest as _hmac

#: Client and service label in one (WS-SecureConversation 1.3, 7.1), for a Label that is missing or empty.
DEFAULT_LABEL = b"WS-SecureConversation" * 2


def p_sha1(secret: bytes, seed: bytes, length: int) -> bytes:
    """The first *length* bytes of P_SHA-1(secret, seed).

    WS-Trust 1.3 (CK/PSHA1) and WS-SecureConversation 1.3 (7) take the function from TLS 1.0 (RFC 2246, 5)::

        A(0) = seed                A(i) = HMAC-SHA1(secret, A(i-1))
        P_SHA-1 = HMAC-SHA1(secret, A(1) + seed) + HMAC-SHA1(secret, A(2) + seed) + ...

    Args:
        secret: the key of every HMAC.
        seed: what the output depends on besides the secret.
        length: bytes wanted.
    """
    a = _hmac(secret, seed, "sha1")
    out = _hmac(secret, a + seed, "sha1")
    while len(out) < length:
        a = _hmac(secret, a, "sha1")
        out += _hmac(secret, a + seed, "sha1")
    return out[:length]


def derive_key(
    secret: bytes, nonce: bytes, *, length: int, offset: int = 0, label: str | None = None
) -> bytes:
    """The key of a wsc:DerivedKeyToken (WS-SecureConversation 1.3, 7).

    It is ``P_SHA1(secret, label + nonce)[offset : offset + length]``, the label in UTF-8.

    Args:
        secret: the key of the token that the derived key comes from.
        nonce: wsc:Nonce, after base64.
        length: length of the derived key, in bytes.
        offset: where it starts in the output of P_SHA-1, in bytes. A Generation g is the offset g * length.
        label: wsc:Label; None or an empty one stands for the default.

    Raises:
        ValueError: *length* is not positive, or *offset* is negative.
    """
    if length <= 0 or offset < 0:
        raise ValueError("a derived key has a positive length and no negative offset")
    seed = (label.encode() if label else DEFAULT_LABEL) + nonce
    return p_sha1(secret, seed, offset + length)[offset:]


def password_key(password: str, salt: bytes, iterations: int) -> bytes:
    """The key of 20 bytes that a password gives (WSS UsernameToken Profile 1.1, section 4).

    SHA-1 of password and salt, hashed again until there were *iterations* hashes.
    """
    key = hashlib.sha1(password.encode() + salt).digest()
    for _ in range(iterations - 1):
        key = hashlib.sha1(key).digest()
    return key
