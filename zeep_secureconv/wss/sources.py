"""Where the keys of a received message come from: what its SecurityTokenReferences mean."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import chain

from cryptography import x509
from lxml import etree

from ..clock import RandomBytes
from ..errors import LimitExceeded, VerificationError
from ..limits import Limits
from ..names import DS, ENCRYPTED_KEY_SHA1, WSSE, XENC, XENC11
from ..policy.model import DerivedKeys
from ..policy.suites import MGF1_SHA1, RSA_15, RSA_OAEP, SHA1, AlgorithmSuite
from . import encryption
from .certificates import same
from .credentials import ReceivedUsername
from .forms import cipher_value, only
from .header import (
    BINARY_TOKEN,
    CERTIFICATES,
    CONTEXT_TOKENS,
    DERIVED_KEYS,
    ENCRYPTED_KEY,
    USERNAME,
    SecurityHeader,
)
from .kdf import derive_key, password_key
from .keys import ContextKey, EphemeralKey, Keyring
from .references import TokenReference, find_certificate, means, read_reference
from .tokens import (
    DEFAULT_LENGTH,
    read_certificates,
    read_context_token,
    read_derived_key,
    read_number,
    read_salted_username,
)


@dataclass(frozen=True)
class KeySource:
    """A key, and what it proves: the holder of a certificate, a party of a context, one who knows a password.

    Args:
        certificate: whose public key it is.
        path: what came with the certificate, to build a path to an anchor.
        context: the context that it comes from.
        ephemeral: the key of an EncryptedKey that it comes from; one that came with the message proves nothing.
        username: the user whose password it is made from.
        secret: the symmetric key.
        derived: how it was made from what it comes from.
        unsized: whether the length of a derived key was left open; *secret* then has the default length.
        place: which child of the header the token is that it comes from; None where it is not there.
    """

    certificate: x509.Certificate | None = None
    path: tuple[x509.Certificate, ...] = ()
    context: ContextKey | None = None
    ephemeral: EphemeralKey | None = None
    username: ReceivedUsername | None = None
    secret: bytes = field(default=b"", repr=False)
    derived: DerivedKeys = DerivedKeys.NONE
    unsized: bool = False
    place: int | None = None
    embedded: bool = False

    def made(self, secret: bytes, derived: DerivedKeys, *, unsized: bool) -> KeySource:
        """A key that was derived from this one."""
        return KeySource(
            context=self.context,
            ephemeral=self.ephemeral,
            username=self.username,
            secret=secret,
            derived=derived,
            unsized=unsized,
            place=self.place,
            embedded=self.embedded,
        )


class KeyResolver:
    """Finds the keys that one message names.

    Args:
        keyring: the keys and contexts that are allowed.
        suite: the algorithms that are allowed.
        limits: bounds on tokens.
        random: gives the key that stands in for one that could not be opened.
        derives: whether the key of an EncryptedKey is only derived from; it may be shorter than the cipher's then
            (Rampart sends 16 bytes under Basic256).
    """

    def __init__(
        self,
        keyring: Keyring,
        suite: AlgorithmSuite,
        limits: Limits,
        random: RandomBytes,
        *,
        derives: bool = False,
    ) -> None:
        self._lengths = {encryption.key_length(suite.encryption), *((16, 24, 32) if derives else ())}
        self._keyring = keyring
        self._suite = suite
        self._limits = limits
        self._random = random
        self._opened: dict[bytes, EphemeralKey] = {}
        self._passwords: dict[str, KeySource] = {}
        self._readers: dict[str, Callable[[etree._Element, SecurityHeader, int | None], KeySource]] = {
            **dict.fromkeys(CONTEXT_TOKENS, self._context_of),
            BINARY_TOKEN: self._certificate_of,
            ENCRYPTED_KEY: self._brought,
            USERNAME: self._password_of,
        }

    def resolve(self, element: etree._Element, header: SecurityHeader) -> KeySource:
        """The key that a SecurityTokenReference means.

        Raises:
            VerificationError: checks "token-reference", "token", "context", "signer", "derived-key", "encrypted-key".
        """
        reference = read_reference(element)
        token = header.token(reference.id) if reference.id is not None else None
        if token is not None and token.tag in DERIVED_KEYS:
            return self._derive(token, header)
        source = self._base(reference, token, header)
        return source if reference.nonce is None else self._imply(source, reference)

    def waits(self, element: etree._Element, header: SecurityHeader) -> bool:
        """Whether a SecurityTokenReference names something that is not in the clear yet, if it is there at all."""
        name = read_reference(element).id
        found = header.find(name) if name is not None else None
        if found is not None and found.tag in DERIVED_KEYS:
            name = read_derived_key(found, self._limits).source.id
        return name is not None and header.find(name) is None

    def open_key(self, element: etree._Element, header: SecurityHeader) -> EphemeralKey:
        """The content key in an EncryptedKey, opened once however often it is used.

        Raises:
            VerificationError: checks "encrypted-key", "algorithm", "encryption-form"; never because of what is in it.
        """
        wrapped = cipher_value(element)
        if wrapped not in self._opened:
            self._opened[wrapped] = self._unwrap(element, header, wrapped)
        return self._opened[wrapped]

    # ------------------------------------------------------------------------------------------ bases

    def _base(
        self, reference: TokenReference, token: etree._Element | None, header: SecurityHeader
    ) -> KeySource:
        """What a reference means that is not to a derived key."""
        if reference.embedded is not None:
            token = reference.embedded
        if token is not None:
            read = self._readers.get(str(token.tag))
            if read is None:
                raise VerificationError("token", "A reference names something that is no token of the policy")
            source = read(token, header, header.place(token))
            return replace(source, place=None, embedded=True) if reference.embedded is not None else source
        if reference.uri is not None:
            return self._context(reference.uri, reference.instance)
        if reference.value_type == ENCRYPTED_KEY_SHA1:
            return self._answered(reference.key_identifier or b"")
        return self._known_certificate(reference, header)

    def _context(self, identifier: str, instance: str | None, place: int | None = None) -> KeySource:
        if len(identifier) > self._limits.identifier_chars:
            raise LimitExceeded("context", "A context's identifier is too long")
        key = self._keyring.find(identifier.strip(), instance)
        if key is None:
            raise VerificationError("context", "The message names a security context that is not known here")
        return KeySource(context=key, secret=key.secret, place=place)

    def _context_of(self, token: etree._Element, _header: SecurityHeader, place: int | None) -> KeySource:
        name = read_context_token(token, self._limits)
        return self._context(name.identifier, name.instance, place)

    def _certificate_of(self, token: etree._Element, _header: SecurityHeader, place: int | None) -> KeySource:
        *path, certificate = read_certificates(token)
        return KeySource(certificate=certificate, path=tuple(path), place=place)

    def _brought(self, token: etree._Element, header: SecurityHeader, place: int | None) -> KeySource:
        """A key that came with the message: a service takes it from a request, nobody else from anything."""
        key = self.open_key(token, header)
        return KeySource(ephemeral=key, secret=key.secret, place=place)

    def _answered(self, sha1: bytes) -> KeySource:
        """The key that the request brought along, by which its answer is secured (WSS 1.1, section 7.7)."""
        known = [*self._opened.values(), *filter(None, [self._keyring.ephemeral])]
        for key in known:
            if hmac.compare_digest(key.sha1, sha1):
                return KeySource(ephemeral=key, secret=key.secret)
        raise VerificationError("encrypted-key", "The message names a key that was not agreed on")

    def _password_of(self, token: etree._Element, _header: SecurityHeader, place: int | None) -> KeySource:
        """A key made from a password (WSS UsernameToken Profile 1.1, section 4), computed once for each token."""
        user = read_salted_username(token, self._limits)
        name = f"{user.username} {user.salt.hex()} {user.iterations}"
        if name not in self._passwords:
            lookup = self._keyring.password_of
            password = lookup(user.username) if lookup is not None else None
            # an unknown user, or one without a password, costs the same work as a known one, and fails where a wrong
            # password does
            known = password or self._random(16).hex()
            self._passwords[name] = KeySource(
                username=ReceivedUsername(username=user.username, proven=True),
                secret=password_key(known, user.salt, user.iterations),
            )
        # the same token may stand there twice, and only one of them under the signature
        return replace(self._passwords[name], place=place)

    # ------------------------------------------------------------------------------------ derived keys

    def _derive(self, element: etree._Element, header: SecurityHeader) -> KeySource:
        token = read_derived_key(element, self._limits)
        named = header.token(token.source.id) if token.source.id is not None else None
        described = token.source.uri is None and token.source.value_type != ENCRYPTED_KEY_SHA1
        if described or (named is not None and str(named.tag) not in self._readers):
            raise VerificationError("derived-key", "A DerivedKeyToken is derived from something unsupported")
        source = self._base(token.source, named, header)
        if source.certificate is not None or token.source.nonce is not None:
            raise VerificationError("derived-key", "A DerivedKeyToken is derived from something unsupported")
        key = derive_key(
            source.secret,
            token.nonce,
            length=token.length or DEFAULT_LENGTH,
            offset=token.offset,
            label=token.label,
        )
        return source.made(key, DerivedKeys.EXPLICIT, unsized=token.length is None)

    def _imply(self, source: KeySource, reference: TokenReference) -> KeySource:
        """A key by the Nonce on the reference itself (WS-SecureConversation 1.4, section 7.3)."""
        nonce = reference.nonce or b""
        if source.certificate is not None or not 0 < len(nonce) <= self._limits.nonce_bytes:
            raise VerificationError("derived-key", "A reference has a Nonce where it may have none")
        length = read_number(reference.length, self._limits.derived_length) if reference.length else None
        if length == 0:
            raise VerificationError("derived-key", "A key has no length")
        key = derive_key(source.secret, nonce, length=length or DEFAULT_LENGTH)
        return source.made(key, DerivedKeys.IMPLIED, unsized=length is None)

    # ----------------------------------------------------------------------------------- certificates

    def _known_certificate(self, reference: TokenReference, header: SecurityHeader) -> KeySource:
        """The certificate that a reference describes: one of ours, or one in the header.

        CXF sends the token and yet refers to it by its description where the policy demands that style.
        """
        keyring = self._keyring
        known = [*keyring.signers, *((keyring.peer,) if keyring.peer else ())]
        if keyring.trust is not None:
            known.extend(keyring.trust.pins)
        included = [
            (read_certificates(token)[-1], header.place(token))
            for token in header.element.iterchildren(BINARY_TOKEN)
            if token.get("ValueType") in CERTIFICATES
        ]
        certificate = find_certificate(reference, chain(known, (one for one, _ in included)))
        if certificate is None:
            raise VerificationError(
                "signer",
                "The message refers to a certificate that is not known here",
                hint=f"give the {keyring.role}'s certificate (peer=, or as a pin in trust=)",
            )
        place = next((place for one, place in included if same(one, certificate)), None)
        return KeySource(certificate=certificate, place=place)

    def _unwrap(self, element: etree._Element, header: SecurityHeader, wrapped: bytes) -> EphemeralKey:
        """The key that RSA opens; a random one when it cannot be opened, so that failures look alike."""
        identity = self._keyring.decrypting
        if identity is None:
            raise VerificationError(
                "encrypted-key", "The message is encrypted to a certificate, and we have none"
            )
        self._check_key_transport(element)
        key_info = only(element, f"{{{DS}}}KeyInfo", "token-reference")
        reference = read_reference(key_info.find(f"{{{WSSE}}}SecurityTokenReference"))
        token = header.token(reference.id) if reference.id is not None else reference.embedded
        if token is not None:
            meant = same(read_certificates(token)[-1], identity.certificate)
        else:
            meant = means(reference, identity.certificate)
        if not meant:
            raise VerificationError(
                "encrypted-key", "The message is encrypted to another certificate than ours"
            )
        length = encryption.key_length(self._suite.encryption)
        try:
            key = identity.decrypt(wrapped, encryption.key_transport(self._suite))
        except ValueError:
            key = b""
        # RSA 1.5 never fails in OpenSSL: garbage gives random octets of a random length
        secret = key if len(key) in self._lengths else self._random(length)
        return EphemeralKey(secret=secret, sha1=hashlib.sha1(wrapped).digest())

    def _check_key_transport(self, element: etree._Element) -> None:
        method = only(element, f"{{{XENC}}}EncryptionMethod", "encryption-form")
        wrap = self._suite.asymmetric_key_wrap
        if method.get("Algorithm") != wrap:
            raise VerificationError("algorithm", "A key transport algorithm is not that of the policy")
        # what is left out has its default, which must be what the policy says
        wanted, defaults = {}, {}
        if wrap != RSA_15:
            wanted[f"{{{DS}}}DigestMethod"] = self._suite.oaep_digest
            defaults[f"{{{DS}}}DigestMethod"] = SHA1
        if wrap == RSA_OAEP:
            wanted[f"{{{XENC11}}}MGF"] = self._suite.oaep_mgf
            defaults[f"{{{XENC11}}}MGF"] = MGF1_SHA1
        given = {str(child.tag): child.get("Algorithm") for child in method}
        if {**defaults, **given} != wanted or len(given) != len(method):
            raise VerificationError(
                "algorithm", "A key transport algorithm has parameters that are not those of the policy"
            )
