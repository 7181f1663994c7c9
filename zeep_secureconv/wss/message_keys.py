"""The keys that one outgoing message is signed and encrypted with, and the tokens that tell the other side."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from ..clock import RandomBytes
from ..errors import ConfigurationError, PolicyError
from ..names import WSC_2005, XENC11
from ..policy.model import (
    AsymmetricBinding,
    DerivedKeys,
    Direction,
    KeyToken,
    Policy,
    ReferenceStyle,
    SecureConversationToken,
    SymmetricBinding,
    Token,
    UsernameToken,
    X509Token,
)
from ..policy.suites import RSA_OAEP, AlgorithmSuite
from . import base64, encryption, references, signature
from .certificates import may_encrypt, may_sign
from .credentials import UsernameToken as UsernameCredential
from .kdf import derive_key, password_key
from .keys import ContextKey, EphemeralKey, Keyring
from .tokens import DEFAULT_LENGTH, write_certificate

_NONCE_BYTES = 16
_SALT_BYTES = 15
_ITERATIONS = 1_000
_START_TAG = re.compile(r"<[^\s/>]+")


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Piece:
    """One child of the header, as text. No two are equal, since each has a place of its own.

    Args:
        text: one element.
        id: its id, where a signature may cover it.
        canonical: whether the text is in canonical form already, so that its octets are what is digested.
    """

    text: str
    id: str = ""
    canonical: bool = False


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """Makes a signature.

    Args:
        algorithm: URI of the signature algorithm.
        sign: gives the signature value of octets.
        reference: the SecurityTokenReference in its KeyInfo.
        tokens: what stands in the header before the signature.
        token: the token in the header that the key comes from, where there is one (sp:ProtectTokens).
    """

    algorithm: str
    sign: Callable[[bytes], bytes] = field(repr=False)
    reference: str
    tokens: tuple[Piece, ...] = ()
    token: Piece | None = None


@dataclass(frozen=True, kw_only=True)
class EncryptionKey:
    """Encrypts parts.

    Args:
        key: the key, as long as the suite's cipher wants it.
        reference: the SecurityTokenReference in the KeyInfo of encrypted data.
        tokens: what stands in the header before the list of encrypted data.
        carrier: the EncryptedKey that holds the list of what it encrypts, where one does.
    """

    key: bytes = field(repr=False)
    reference: str
    tokens: tuple[Piece, ...] = ()
    carrier: Piece | None = None


@dataclass(frozen=True, kw_only=True)
class MessageKeys:
    """The keys of one message.

    Args:
        signing: makes the primary signature; None under a TransportBinding.
        encryption: encrypts parts, or None where nothing is encrypted.
        endorsing: makes the signatures of endorsing supporting tokens, in their order.
        shared: tokens that several keys are made from; they stand first.
        context: the security context that keys come from, or None.
        ephemeral: the key that the message brings along for its answer, or None.
    """

    signing: SigningKey | None
    encryption: EncryptionKey | None
    endorsing: tuple[SigningKey, ...] = ()
    shared: tuple[Piece, ...] = ()
    context: ContextKey | None = None
    ephemeral: EphemeralKey | None = None


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

    @property
    def suite(self) -> AlgorithmSuite:
        """The algorithms of the policy."""
        if self.policy.binding is None:
            raise PolicyError("The policy has no security binding, so nothing would be protected")
        return self.policy.binding.algorithm_suite


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


@dataclass(frozen=True, kw_only=True)
class _Base:
    """A secret that keys are made from, and how the message names it.

    Args:
        secret: in bytes.
        reference: the SecurityTokenReference to it.
        wsc: namespace of WS-SecureConversation for what is derived from it.
        token: the token in the header, where it is there.
    """

    secret: bytes = field(repr=False)
    reference: str
    wsc: str
    token: Piece | None = None


_Made = tuple[bytes, str, tuple[Piece, ...]]


class _Keys:
    """Makes the keys of one message; a token that several keys come from is there once."""

    def __init__(self, request: KeyRequest) -> None:
        self._request = request
        self._bases: dict[Token, _Base] = {}
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

    def _base(self, token: KeyToken | None) -> _Base:
        if token is None:
            raise PolicyError("The SymmetricBinding lacks a token for this message")
        if token not in self._bases:
            self._bases[token] = _BASES[type(token)](self, token)
        return self._bases[token]

    def _context_base(self, token: SecureConversationToken) -> _Base:
        request, context = self._request, self._request.keyring.context
        if context is None:
            raise ConfigurationError("There is no security context to protect the message with")
        self.context = context
        included = token.include.in_message(request.direction)
        by_id = context.token_id if included and not token.require_external_uri_reference else None
        return _Base(
            secret=context.secret,
            reference=references.context_reference(context, token_id=by_id),
            wsc=context.wsc,
            token=Piece(text=context.token.decode(), id=context.token_id or "") if included else None,
        )

    def _encrypted_key_base(self, token: X509Token) -> _Base:
        """A fresh key encrypted to the service; its answer uses the same and names it by its hash."""
        request, known = self._request, self._request.keyring.ephemeral
        if request.direction is Direction.RESPONSE:
            if known is None:
                raise ConfigurationError("The request brought no key that its answer could be secured with")
            reference = references.encrypted_key_sha1_reference(known.sha1)
            return _Base(secret=known.secret, reference=reference, wsc=request.policy.wsc)
        made = self._encrypted_key(token)
        self.ephemeral = EphemeralKey(secret=made.secret, sha1=hashlib.sha1(made.wrapped).digest())
        self._before += made.tokens
        return _Base(
            secret=made.secret,
            reference=references.encrypted_key_reference(made.id, typed=True),
            wsc=request.policy.wsc,
            token=Piece(text=made.text(""), id=made.id),
        )

    def _password_base(self, _token: UsernameToken) -> _Base:
        """A key made from the user's password (WSS UsernameToken Profile 1.1, section 4)."""
        request = self._request
        credential = username_of(request.keyring)
        salt = b"\x01" + request.random(_SALT_BYTES)
        name = request.ids.new("UsernameToken")
        return _Base(
            secret=password_key(credential.secret(), salt, _ITERATIONS),
            reference=references.username_reference(name),
            wsc=request.policy.wsc,
            token=Piece(text=credential.write_derived(name, salt, _ITERATIONS), id=name),
        )

    # ------------------------------------------------------------------------------------ derivation

    def _derived(self, token: KeyToken | None, base: _Base, length: int, *, whole: bool = False) -> _Made:
        assert token is not None
        return _DERIVE[token.derived_keys](self._request, base, length, whole)

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


_BASES: dict[type, Callable[..., _Base]] = {
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


def _explicit(request: KeyRequest, base: _Base, length: int, _whole: bool) -> _Made:
    """A DerivedKeyToken for each use, with a fresh nonce (WS-SecureConversation 1.4, section 7.1)."""
    nonce = request.random(_NONCE_BYTES)
    name = request.ids.new("DK")
    text = (
        f'<wsc:DerivedKeyToken xmlns:wsc="{base.wsc}" wsu:Id="{name}">{base.reference}<wsc:Offset>0</wsc:Offset>'
        f"<wsc:Length>{length}</wsc:Length><wsc:Nonce>{base64.encode(nonce)}</wsc:Nonce></wsc:DerivedKeyToken>"
    )
    key = derive_key(base.secret, nonce, length=length)
    return key, references.derived_key_reference(name, base.wsc), (Piece(text=text, id=name),)


def _implied(request: KeyRequest, base: _Base, length: int, whole: bool) -> _Made:
    """Nonce and Length on the reference itself (WS-SecureConversation 1.4, section 7.3).

    2005/02 has no Length: the key has the default length then.
    """
    nonce = request.random(_NONCE_BYTES)
    attributes = f' xmlns:implied="{base.wsc}" implied:Nonce="{base64.encode(nonce)}"'
    if base.wsc == WSC_2005:
        length = DEFAULT_LENGTH if whole else length
    else:
        attributes += f' implied:Length="{length}"'
    start = _START_TAG.match(base.reference)
    assert start is not None
    reference = f"{start.group()}{attributes}{base.reference[start.end() :]}"
    return derive_key(base.secret, nonce, length=length), reference, ()


def _raw(_request: KeyRequest, base: _Base, length: int, whole: bool) -> _Made:
    """The secret itself: whole for signatures, its first bytes for encryption (as WSS4J does)."""
    return (base.secret if whole else base.secret[:length]), base.reference, ()


_DERIVE: dict[DerivedKeys, Callable[[KeyRequest, _Base, int, bool], _Made]] = {
    DerivedKeys.EXPLICIT: _explicit,
    DerivedKeys.EITHER: _explicit,
    DerivedKeys.IMPLIED: _implied,
    DerivedKeys.NONE: _raw,
    DerivedKeys.ANY: _raw,
}
