"""The key of a security context, out of what both sides said."""

from __future__ import annotations

from typing import NoReturn

from ..errors import VerificationError
from ..wss.kdf import p_sha1
from .model import RequestSecurityTokenResponse

#: HMAC-SHA1 hashes a longer key down to 20 bytes (RFC 2104, 2).
MAXIMUM_KEY_SIZE = 64
#: The shortest contribution of the issuer that counts as one.
MINIMUM_SERVER_ENTROPY = 16


def context_key(
    rst_entropy: bytes | None,
    response: RequestSecurityTokenResponse,
    requested_size: int,
    *,
    minimum: int,
    require_server_entropy: bool,
) -> bytes:
    """The key that a response gives to a security context (WS-Trust 1.3, 4.4.3 and 4.4.4).

    A BinarySecret in RequestedProofToken is the key, even beside an Entropy: Rampart answers so where the
    policy asks for two entropies. A ComputedKey, or an Entropy without any proof (WebSphere's renewals),
    means ``P_SHA1(secret=requester's entropy, seed=issuer's entropy)``. It is as long as KeySize of the
    response says; otherwise as the issuer's entropy, which Metro, WCF, CXF and Rampart make as long as the
    key, and which tells more than the request, since Rampart ignores what was requested; otherwise as was
    requested. Neither proof nor entropy means that the requester's entropy is the key.

    Args:
        rst_entropy: the entropy that the request held, or None.
        response: the answer, read and verified. An EncryptedKey in it must have been replaced by its secret.
        requested_size: KeySize of the request, in bytes. It counts where the response has no KeySize and its
            entropy does not have the length of a possible key.
        minimum: the shortest key that the algorithm suite allows, in bytes.
        require_server_entropy: whether the issuer must contribute at least 16 bytes of its own.

    Raises:
        VerificationError: check "context-key", when the response gives no key, or one that will not do.
    """
    if require_server_entropy and len(_contribution(rst_entropy, response)) < MINIMUM_SERVER_ENTROPY:
        _refuse("The issuer contributed too little to the key of the context")
    key = _key(rst_entropy, response, requested_size, minimum)
    if not minimum <= len(key) <= MAXIMUM_KEY_SIZE:
        _refuse(f"The key of the context is not {minimum} to {MAXIMUM_KEY_SIZE} bytes long")
    return key


def _refuse(message: str) -> NoReturn:
    raise VerificationError("context-key", message)


def _contribution(rst_entropy: bytes | None, response: RequestSecurityTokenResponse) -> bytes:
    """What the issuer added. Metro and Rampart can be set up to send our own entropy back as the proof."""
    if response.proof_secret is not None:
        return b"" if response.proof_secret == rst_entropy else response.proof_secret
    return response.entropy.secret if response.entropy is not None else b""


def _key(
    rst_entropy: bytes | None, response: RequestSecurityTokenResponse, requested_size: int, minimum: int
) -> bytes:
    if response.proof_encrypted_key is not None or response.entropy_encrypted_key is not None:
        _refuse("The response holds an EncryptedKey where a secret is needed")
    if response.proof_secret is not None:
        return response.proof_secret
    if response.computed_key is None and response.entropy is None:
        return rst_entropy or _refuse("Neither the request nor the response holds a key")
    if response.computed_key not in (None, f"{response.wst}/CK/PSHA1"):
        _refuse("The key is to be computed in a way that is not supported")
    if rst_entropy is None or response.entropy is None:
        _refuse("The key is to be computed, but one of the two entropies is missing")
    told = len(response.entropy.secret)
    if not minimum <= told <= MAXIMUM_KEY_SIZE:
        told = requested_size
    return p_sha1(rst_entropy, response.entropy.secret, response.key_size or told)
