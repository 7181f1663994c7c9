"""The keys that one outgoing message is signed and encrypted with, and the tokens that tell the other side."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from ..errors import ConfigurationError, PolicyError
from ..names import XENC11
from ..policy.model import (
    AsymmetricBinding,
    Direction,
    KeyToken,
    ReferenceStyle,
    SecureConversationToken,
    SymmetricBinding,
    Token,
    UsernameToken,
    X509Token,
)
from ..policy.suites import RSA_OAEP
from . import base64, encryption, references, signature
from .certificates import may_encrypt, may_sign
from .credentials import UsernameToken as UsernameCredential
from .derivation import DerivedKey, KeyBase, derive
from .kdf import password_key
from .keys import ContextKey, EphemeralKey, Keyring
from .pieces import EncryptionKey, KeyRequest, MessageKeys, Piece, SigningKey
from .tokens import write_certificate

_SALT_BYTES = 15
_ITERATIONS = 1_000


def message_keys(request: KeyRequest) -> MessageKeys:
    """The keys for a message under its policy's binding and supporting tokens.

    Raises:
        PolicyError: when the policy is not supported.
        ConfigurationError: when a key is missing.
    """
    binding, maker = request.policy.binding, _Keys(request)
    signing: SigningKey | None = None
    encryption_key: EncryptionKey | None = None
    if isinstance(binding, SymmetricBinding):
        signing = maker.symmetric_signature(binding.signature_token)
        if request.encrypts:
            encryption_key = maker.symmetric_encryption(binding.encryption_token)
    elif isinstance(binding, AsymmetricBinding):
        signing = maker.certificate_signature(binding.signature_token(request.direction))
        if request.encrypts:
            encryption_key = maker.certificate_encryption(binding)
    endorsing: list[SigningKey] = []
    if request.direction is Direction.REQUEST:
        endorsing = [maker.endorsing(entry.token) for entry in request.policy.supporting if entry.endorsing]
    return MessageKeys(
        signing=signing,
        encryption=encryption_key,
        endorsing=tuple(endorsing),
        shared=maker.shared,
        context=maker.context,
        ephemeral=maker.ephemeral,
    )


class _Keys:
    """Makes the keys of one message; a token that several keys come from is there once."""

    def __init__(self, request: KeyRequest) -> None:
        self._request = request
        self._bases: dict[Token, KeyBase] = {}
        self._before: tuple[Piece, ...] = ()
        self.context: ContextKey | None = None
        self.ephemeral: EphemeralKey | None = None

    @property
    def shared(self) -> tuple[Piece, ...]:
        """The tokens that keys are made from."""
        return self._before + tuple(base.token for base in self._bases.values() if base.token is not None)

    # ------------------------------------------------------------------------------- symmetric keys

    def symmetric_signature(self, token: KeyToken | None) -> SigningKey:
        """A signature key out of what *token* stands for (WS-SecurityPolicy 1.2, section 7.4)."""
        base, suite = self._base(token), self._request.suite
        secret, reference, tokens = self._derived(token, base, suite.signature_key_length, whole=True)
        return SigningKey(
            algorithm=suite.symmetric_signature,
            sign=partial(signature.mac, suite.symmetric_signature, secret),
            reference=reference,
            tokens=tokens,
            token=base.token,
        )

    def symmetric_encryption(self, token: KeyToken | None) -> EncryptionKey:
        """An encryption key out of what *token* stands for."""
        suite = self._request.suite
        secret, reference, tokens = self._derived(token, self._base(token), suite.encryption_key_length)
        if len(secret) != encryption.key_length(suite.encryption):
            raise PolicyError(
                f"The keys of this policy are too short for the cipher of {suite.name}",
                hint="ask the service for a smaller algorithm suite",
            )
        return EncryptionKey(key=secret, reference=reference, tokens=tokens)

    def _base(self, token: KeyToken | None) -> KeyBase:
        if token is None:
            raise PolicyError("The SymmetricBinding lacks a token for this message")
        base = self._bases.get(token)
        if base is None:
            base = self._bases[token] = _BASES[type(token)](self, token)
        return base

    def _context_base(self, token: SecureConversationToken) -> KeyBase:
        request, context = self._request, self._request.keyring.context
        if context is None:
            raise ConfigurationError("There is no security context to protect the message with")
        self.context = context
        included = token.include.in_message(request.direction)
        by_id = context.token_id if included and not token.require_external_uri_reference else None
        return KeyBase(
            secret=context.secret,
            reference=references.context_reference(context, token_id=by_id),
            wsc=context.wsc,
            token=Piece(text=context.token.decode(), id=context.token_id or "") if included else None,
        )

    def _encrypted_key_base(self, token: X509Token) -> KeyBase:
        """A fresh key encrypted to the service; its answer uses the same and names it by its hash."""
        request, known = self._request, self._request.keyring.ephemeral
        if request.direction is Direction.RESPONSE:
            if known is None:
                raise ConfigurationError("The request brought no key that its answer could be secured with")
            reference = references.encrypted_key_sha1_reference(known.sha1)
            return KeyBase(secret=known.secret, reference=reference, wsc=request.policy.wsc)
        made = self._encrypted_key(token)
        self.ephemeral = EphemeralKey(secret=made.secret, sha1=hashlib.sha1(made.wrapped).digest())
        self._before += made.tokens
        return KeyBase(
            secret=made.secret,
            reference=references.encrypted_key_reference(made.id, typed=True),
            wsc=request.policy.wsc,
            token=Piece(text=made.text(""), id=made.id),
        )

    def _password_base(self, _token: UsernameToken) -> KeyBase:
        """A key made from the user's password (WSS UsernameToken Profile 1.1, section 4)."""
        request = self._request
        credential = username_of(request.keyring)
        salt = b"\x01" + request.random(_SALT_BYTES)
        name = request.ids.new("UsernameToken")
        return KeyBase(
            secret=password_key(credential.secret(), salt, _ITERATIONS),
            reference=references.username_reference(name),
            wsc=request.policy.wsc,
            token=Piece(text=credential.write_derived(name, salt, _ITERATIONS), id=name),
        )

    # ------------------------------------------------------------------------------------ derivation

    def _derived(
        self, token: KeyToken | None, base: KeyBase, length: int, *, whole: bool = False
    ) -> DerivedKey:
        assert token is not None
        return derive(token.derived_keys, self._request, base, length, whole=whole)

    # ------------------------------------------------------------------------------- certificates

    def endorsing(self, token: Token) -> SigningKey:
        """The key of an endorsing supporting token (WS-SecurityPolicy 1.2, section 8.3)."""
        if isinstance(token, X509Token):
            return self.certificate_signature(token)
        if isinstance(token, (SecureConversationToken, UsernameToken)):
            return self.symmetric_signature(token)
        raise PolicyError("A token without a key cannot endorse a message")

    def certificate_signature(self, token: X509Token | None) -> SigningKey:
        """A signature with our certificate (WS-SecurityPolicy 1.2, section 7.5)."""
        if token is None:
            raise PolicyError("The AsymmetricBinding lacks a token for this message")
        identity = self._request.keyring.signing
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
        algorithm = self._request.suite.asymmetric_signature
        reference, tokens = self._certificate_reference(token, identity.certificate, identity.chain)
        return SigningKey(
            algorithm=algorithm,
            sign=lambda data: identity.sign(data, algorithm),
            reference=reference,
            tokens=tokens,
            token=next(iter(tokens), None),
        )

    def certificate_encryption(self, binding: AsymmetricBinding) -> EncryptionKey:
        """A fresh key, encrypted to the other side's certificate."""
        token = binding.encryption_token(self._request.direction)
        if token is None:
            raise PolicyError("The AsymmetricBinding lacks a token for this message")
        made = self._encrypted_key(token)
        return EncryptionKey(
            key=made.secret,
            reference=references.encrypted_key_reference(made.id),
            tokens=made.tokens,
            carrier=Piece(text=made.text("<xenc:ReferenceList/>"), id=made.id),
        )

    def _encrypted_key(self, token: X509Token) -> _EncryptedKey:
        request, certificate = self._request, self._request.keyring.peer
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
        secret = request.random(encryption.key_length(request.suite.encryption))
        reference, tokens = self._certificate_reference(token, certificate, ())
        transport = encryption.key_transport(request.suite)
        return _EncryptedKey(
            id=request.ids.new("EK"),
            secret=secret,
            wrapped=encryption.wrap_key(transport, public_key, secret),
            method=_encryption_method(transport),
            reference=reference,
            tokens=tokens,
        )

    def _certificate_reference(
        self, token: X509Token, certificate: x509.Certificate, chain: tuple[x509.Certificate, ...]
    ) -> tuple[str, tuple[Piece, ...]]:
        """(a SecurityTokenReference to a certificate, the tokens that it needs in the header)."""
        request = self._request
        if not token.include.in_message(request.direction):
            style = references.choose_style(token, request.policy.wss, certificate)
            return references.x509_reference(style, certificate), ()
        name = request.ids.new("X509")
        text, value_type = write_certificate(token.token_type, certificate, chain, name)
        if ReferenceStyle.EMBEDDED_TOKEN in token.references:
            return references.embedded_reference(text), ()
        return references.token_reference(name, value_type), (Piece(text=text, id=name),)


_BASES: dict[type, Callable[..., KeyBase]] = {
    SecureConversationToken: _Keys._context_base,  # noqa: SLF001 - its own table
    X509Token: _Keys._encrypted_key_base,  # noqa: SLF001
    UsernameToken: _Keys._password_base,  # noqa: SLF001
}


@dataclass(frozen=True, kw_only=True)
class _EncryptedKey:
    """An xenc:EncryptedKey that is made."""

    id: str
    secret: bytes = field(repr=False)
    wrapped: bytes
    method: str
    reference: str
    tokens: tuple[Piece, ...]

    def text(self, reference_list: str) -> str:
        return (
            f'<xenc:EncryptedKey Id="{self.id}">{self.method}<ds:KeyInfo>{self.reference}</ds:KeyInfo>'
            f"<xenc:CipherData><xenc:CipherValue>{base64.encode(self.wrapped)}</xenc:CipherValue>"
            f"</xenc:CipherData>{reference_list}</xenc:EncryptedKey>"
        )


def _encryption_method(transport: str) -> str:
    """The xenc:EncryptionMethod of a key transport (XML Encryption 1.1, section 5.5.2)."""
    algorithm, *parameters = transport.split(" ")
    inside = ""
    if parameters:
        inside = f'<ds:DigestMethod Algorithm="{parameters[0]}"/>'
        if algorithm == RSA_OAEP:
            inside += f'<xenc11:MGF xmlns:xenc11="{XENC11}" Algorithm="{parameters[1]}"/>'
    return f'<xenc:EncryptionMethod Algorithm="{algorithm}">{inside}</xenc:EncryptionMethod>'


def username_of(keyring: Keyring) -> UsernameCredential:
    """The user name for a message.

    Raises:
        ConfigurationError: when there is none.
    """
    for token in keyring.tokens:
        if isinstance(token, UsernameCredential) and token.leg in (None, keyring.leg):
            return token
    raise ConfigurationError(
        "The policy wants a user name, and there is none",
        hint="give username=UsernameToken('alice', 'password')",
    )
