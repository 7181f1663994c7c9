"""The keys that one outgoing message is signed and encrypted with, and the tokens that tell the other side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding

from ..clock import RandomBytes
from ..errors import ConfigurationError, PolicyError
from ..names import BASE64_BINARY, X509_V3
from ..policy.model import (
    AsymmetricBinding,
    DerivedKeys,
    Direction,
    Policy,
    SecureConversationToken,
    SymmetricBinding,
    X509Token,
)
from . import base64, encryption, references, signature
from .certificates import may_encrypt, may_sign
from .kdf import derive_key
from .keys import ContextKey, Keyring

_NONCE_BYTES = 16


class Ids:
    """Ids that no other message has.

    Args:
        random: where they come from.
    """

    def __init__(self, random: RandomBytes) -> None:
        self._base = random(12).hex()
        self._count = 0

    def new(self, kind: str) -> str:
        """A new id that begins with *kind*, as the stacks write theirs ("TS", "DK", "SIG" …)."""
        self._count += 1
        return f"{kind}-{self._base}-{self._count}"


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """Makes the signature.

    Args:
        algorithm: URI of the signature algorithm.
        sign: gives the signature value of octets.
        reference: the SecurityTokenReference in its KeyInfo.
        tokens: what stands in the header before the signature.
    """

    algorithm: str
    sign: Callable[[bytes], bytes] = field(repr=False)
    reference: str
    tokens: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EncryptionKey:
    """Encrypts parts.

    Args:
        key: the key, as long as the suite's cipher wants it.
        reference: the SecurityTokenReference in the KeyInfo of encrypted data.
        tokens: what stands in the header before the list of encrypted data.
        carrier: puts the ReferenceList into the key that travels with the message (EncryptedKey), where one does.
    """

    key: bytes = field(repr=False)
    reference: str
    tokens: tuple[str, ...] = ()
    carrier: Callable[[str], str] = str


@dataclass(frozen=True, kw_only=True)
class MessageKeys:
    """The keys of one message.

    Args:
        signing: makes the signature.
        encryption: encrypts parts, or None where nothing is encrypted.
        shared: tokens that both keys are made from; they stand first.
        context: the security context that the keys come from, or None.
    """

    signing: SigningKey
    encryption: EncryptionKey | None
    shared: tuple[str, ...] = ()
    context: ContextKey | None = None


@dataclass(frozen=True, kw_only=True)
class KeyRequest:
    """What the keys of a message depend on.

    Args:
        policy: the message's policy.
        keyring: the keys there are.
        direction: which way the message goes.
        random: where nonces and content keys come from.
        ids: names for tokens.
        encrypts: whether anything is encrypted.
    """

    policy: Policy
    keyring: Keyring
    direction: Direction
    random: RandomBytes
    ids: Ids
    encrypts: bool


def message_keys(request: KeyRequest) -> MessageKeys:
    """The keys for a message under its policy's binding.

    Raises:
        PolicyError: when the binding is not supported.
        ConfigurationError: when a key is missing.
    """
    binding = request.policy.binding
    if isinstance(binding, AsymmetricBinding):
        return _asymmetric(binding, request)
    if isinstance(binding, SymmetricBinding):
        return _symmetric(binding, request)
    raise PolicyError("The policy has no security binding, so nothing would be protected")


# ---------------------------------------------------------------------------------- keys of a context


def _symmetric(binding: SymmetricBinding, request: KeyRequest) -> MessageKeys:
    """Keys from a security context (WS-SecurityPolicy 1.2, section 7.4 with a SecureConversationToken)."""
    token = binding.signature_token
    if not isinstance(token, SecureConversationToken) or binding.encryption_token != token:
        raise PolicyError(
            "A SymmetricBinding is supported with a SecureConversationToken as its ProtectionToken only"
        )
    if token.derived_keys not in _MAKE:
        raise PolicyError("Implied derived keys are not supported", hint="ask the service for explicit ones")
    context = request.keyring.context
    if context is None:
        raise ConfigurationError("There is no security context to protect the message with")
    suite = binding.algorithm_suite
    included = token.include.in_message(request.direction)
    by_id = context.token_id if included and not token.require_external_uri_reference else None
    make = partial(
        _MAKE[token.derived_keys], request, context, references.context_reference(context, token_id=by_id)
    )
    secret, reference, tokens = make(length=suite.signature_key_length, whole=True)
    return MessageKeys(
        signing=SigningKey(
            algorithm=suite.symmetric_signature,
            sign=partial(signature.mac, suite.symmetric_signature, secret),
            reference=reference,
            tokens=tokens,
        ),
        encryption=_context_encryption(*make(length=suite.encryption_key_length))
        if request.encrypts
        else None,
        shared=(context.token.decode(),) if included else (),
        context=context,
    )


_Made = tuple[bytes, str, tuple[str, ...]]


def _context_encryption(key: bytes, reference: str, tokens: tuple[str, ...]) -> EncryptionKey:
    return EncryptionKey(key=key, reference=reference, tokens=tokens)


def _derived_key(
    request: KeyRequest,
    context: ContextKey,
    reference: str,
    *,
    length: int,
    whole: bool = False,  # noqa: ARG001 - what a raw key needs to know
) -> _Made:
    """A key of its own for each use, with a fresh nonce (WS-SecureConversation 1.4, section 7.1)."""
    nonce = request.random(_NONCE_BYTES)
    name = request.ids.new("DK")
    text = (
        f'<wsc:DerivedKeyToken xmlns:wsc="{context.wsc}" wsu:Id="{name}">{reference}<wsc:Offset>0</wsc:Offset>'
        f"<wsc:Length>{length}</wsc:Length><wsc:Nonce>{base64.encode(nonce)}</wsc:Nonce></wsc:DerivedKeyToken>"
    )
    key = derive_key(context.secret, nonce, length=length)
    return key, references.derived_key_reference(name, context.wsc), (text,)


def _raw_key(
    request: KeyRequest,  # noqa: ARG001 - what a derived key needs
    context: ContextKey,
    reference: str,
    *,
    length: int,
    whole: bool = False,
) -> _Made:
    """The context's key itself: whole for signatures, its first bytes for encryption (as WSS4J does)."""
    return (context.secret if whole else context.secret[:length]), reference, ()


_MAKE: dict[DerivedKeys, Callable[..., _Made]] = {
    DerivedKeys.EXPLICIT: _derived_key,
    DerivedKeys.NONE: _raw_key,
    DerivedKeys.ANY: _raw_key,
}


# ------------------------------------------------------------------------------- keys of certificates


def _asymmetric(binding: AsymmetricBinding, request: KeyRequest) -> MessageKeys:
    """RSA keys of both sides (WS-SecurityPolicy 1.2, section 7.5)."""
    signer = binding.signature_token(request.direction)
    recipient = binding.encryption_token(request.direction)
    if signer is None or (recipient is None and request.encrypts):
        raise PolicyError("The AsymmetricBinding lacks a token for this message")
    return MessageKeys(
        signing=_certificate_signature(binding, signer, request),
        encryption=_encrypted_key(binding, recipient, request) if recipient and request.encrypts else None,
    )


def _certificate_signature(binding: AsymmetricBinding, token: X509Token, request: KeyRequest) -> SigningKey:
    identity = request.keyring.signing
    if identity is None:
        raise ConfigurationError(
            "The policy wants messages signed with a certificate, and there is none",
            hint="give identity=Identity.from_pkcs12(…) or Identity.from_pem(…)",
        )
    if not may_sign(identity.certificate):
        raise ConfigurationError(
            "Our certificate's KeyUsage does not allow signatures",
            hint="give a pair identity=(for signing, for encryption), or a certificate with digitalSignature",
        )
    algorithm = binding.algorithm_suite.asymmetric_signature
    reference, tokens = _certificate_reference(token, identity.certificate, request)
    return SigningKey(
        algorithm=algorithm,
        sign=lambda data: identity.sign(data, algorithm),
        reference=reference,
        tokens=tokens,
    )


def _certificate_reference(
    token: X509Token, certificate: x509.Certificate, request: KeyRequest
) -> tuple[str, tuple[str, ...]]:
    """(a SecurityTokenReference to a certificate, the tokens that it needs in the header)."""
    if not token.include.in_message(request.direction):
        style = references.choose_style(token, request.policy.wss, certificate)
        return references.x509_reference(style, certificate), ()
    name = request.ids.new("X509")
    der = base64.encode(certificate.public_bytes(Encoding.DER))
    attributes = f'EncodingType="{BASE64_BINARY}" ValueType="{X509_V3}" wsu:Id="{name}"'
    text = f"<wsse:BinarySecurityToken {attributes}>{der}</wsse:BinarySecurityToken>"
    return references.binary_token_reference(name), (text,)


def _encrypted_key(binding: AsymmetricBinding, token: X509Token, request: KeyRequest) -> EncryptionKey:
    certificate = request.keyring.peer
    if certificate is None:
        raise ConfigurationError(
            "The policy wants messages encrypted to the other side, and its certificate is not known",
            hint="give peer='server.pem'",
        )
    public_key = certificate.public_key()
    if not isinstance(public_key, RSAPublicKey) or not may_encrypt(certificate):
        raise ConfigurationError(
            "The other side's certificate cannot be used for the encryption of keys",
            hint="give a certificate with an RSA key and KeyUsage keyEncipherment",
        )
    suite = binding.algorithm_suite
    key = request.random(encryption.key_length(suite.encryption))
    wrapped = base64.encode(encryption.wrap_key(suite.asymmetric_key_wrap, public_key, key))
    reference, tokens = _certificate_reference(token, certificate, request)
    name = request.ids.new("EK")

    def carrier(reference_list: str) -> str:
        return (
            f'<xenc:EncryptedKey Id="{name}"><xenc:EncryptionMethod Algorithm="{suite.asymmetric_key_wrap}"/>'
            f"<ds:KeyInfo>{reference}</ds:KeyInfo>"
            f"<xenc:CipherData><xenc:CipherValue>{wrapped}</xenc:CipherValue></xenc:CipherData>{reference_list}"
            "</xenc:EncryptedKey>"
        )

    return EncryptionKey(
        key=key, reference=references.encrypted_key_reference(name), tokens=tokens, carrier=carrier
    )
