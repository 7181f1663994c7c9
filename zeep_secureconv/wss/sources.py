"""Where the keys of a received message come from: what its SecurityTokenReferences mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain

from cryptography import x509
from lxml import etree

from ..clock import RandomBytes
from ..errors import LimitExceeded, VerificationError
from ..limits import Limits
from ..names import DS, WSSE, XENC
from ..policy.suites import RSA_OAEP_MGF1P, SHA1, AlgorithmSuite
from . import encryption
from .certificates import same
from .forms import cipher_value, only
from .header import BINARY_TOKEN, CONTEXT_TOKENS, DERIVED_KEYS, ENCRYPTED_KEY, SecurityHeader
from .kdf import derive_key
from .keys import ContextKey, Keyring
from .references import TokenReference, find_certificate, means, read_reference
from .tokens import DEFAULT_LENGTH, read_certificate, read_context_token, read_derived_key


@dataclass(frozen=True)
class KeySource:
    """A key, and what it proves: the holder of a certificate, or a party of a context.

    Args:
        certificate: whose public key it is.
        context: the context that it comes from.
        secret: the symmetric key.
        derived: whether it was derived from the context's key, or is that key itself.
        unsized: whether its DerivedKeyToken left the length open; *secret* then has the default length.
        wrapped: whether it came with the message, encrypted to us; it proves nothing then.
    """

    certificate: x509.Certificate | None = None
    context: ContextKey | None = None
    secret: bytes = field(default=b"", repr=False)
    derived: bool = False
    unsized: bool = False
    wrapped: bool = False


class KeyResolver:
    """Finds the keys that one message names.

    Args:
        keyring: the keys and contexts that are allowed.
        suite: the algorithms that are allowed.
        limits: bounds on tokens.
        random: gives the key that stands in for one that could not be opened.
    """

    def __init__(self, keyring: Keyring, suite: AlgorithmSuite, limits: Limits, random: RandomBytes) -> None:
        self._keyring = keyring
        self._suite = suite
        self._limits = limits
        self._random = random
        self._opened: dict[str | None, bytes] = {}

    def resolve(self, element: etree._Element, header: SecurityHeader) -> KeySource:
        """The key that a SecurityTokenReference means.

        Raises:
            VerificationError: checks "token-reference", "token", "context", "signer", "derived-key", "encrypted-key".
        """
        reference = read_reference(element)
        if reference.uri is None:
            return KeySource(certificate=self._known_certificate(reference, header))
        if reference.id is None:
            return self._context(reference.uri, reference.instance)
        token = header.token(reference.id)
        if token.tag in DERIVED_KEYS:
            return self._derive(token, header)
        if token.tag in CONTEXT_TOKENS:
            return self._context_of(token)
        if token.tag == BINARY_TOKEN:
            return KeySource(certificate=read_certificate(token))
        if token.tag == ENCRYPTED_KEY:
            return KeySource(secret=self.open_key(token, header), wrapped=True)
        raise VerificationError("token", "A reference names something that is no token of the policy")

    def open_key(self, element: etree._Element, header: SecurityHeader) -> bytes:
        """The content key in an EncryptedKey, opened once however often it is used.

        Raises:
            VerificationError: checks "encrypted-key", "algorithm", "encryption-form"; never because of what is in it.
        """
        name = element.get("Id")
        if name not in self._opened:
            self._opened[name] = self._unwrap(element, header)
        return self._opened[name]

    # --------------------------------------------------------------------------------------- contexts

    def _context(self, identifier: str, instance: str | None) -> KeySource:
        if len(identifier) > self._limits.identifier_chars:
            raise LimitExceeded("context", "A context's identifier is too long")
        key = self._keyring.find(identifier.strip(), instance)
        if key is None:
            raise VerificationError("context", "The message names a security context that is not known here")
        return KeySource(context=key, secret=key.secret)

    def _context_of(self, token: etree._Element) -> KeySource:
        name = read_context_token(token, self._limits)
        return self._context(name.identifier, name.instance)

    def _derive(self, element: etree._Element, header: SecurityHeader) -> KeySource:
        token = read_derived_key(element, self._limits)
        if token.source.uri is None:
            raise VerificationError("derived-key", "A DerivedKeyToken does not refer to a security context")
        if token.source.id is None:
            source = self._context(token.source.uri, token.source.instance)
        else:
            base = header.token(token.source.id)
            if base.tag not in CONTEXT_TOKENS:
                raise VerificationError(
                    "derived-key", "A DerivedKeyToken is derived from something unsupported"
                )
            source = self._context_of(base)
        key = derive_key(
            source.secret,
            token.nonce,
            length=token.length or DEFAULT_LENGTH,
            offset=token.offset,
            label=token.label,
        )
        return KeySource(context=source.context, secret=key, derived=True, unsized=token.length is None)

    # ----------------------------------------------------------------------------------- certificates

    def _known_certificate(self, reference: TokenReference, header: SecurityHeader) -> x509.Certificate:
        """The certificate that a reference describes: one of ours, or one in the header.

        CXF sends the token and yet refers to it by its description where the policy demands that style.
        """
        keyring = self._keyring
        known = [*keyring.signers, *((keyring.peer,) if keyring.peer else ())]
        if keyring.trust is not None:
            known.extend(keyring.trust.pins)
        included = (read_certificate(token) for token in header.element.iterchildren(BINARY_TOKEN))
        certificate = find_certificate(reference, chain(known, included))
        if certificate is None:
            raise VerificationError(
                "signer",
                "The message refers to a certificate that is not known here",
                hint=f"give the {keyring.role}'s certificate (peer=, or as a pin in trust=)",
            )
        return certificate

    def _unwrap(self, element: etree._Element, header: SecurityHeader) -> bytes:
        """The key that RSA opens; a random one when it cannot be opened, so that failures look alike."""
        identity = self._keyring.decrypting
        if identity is None:
            raise VerificationError(
                "encrypted-key", "The message is encrypted to a certificate, and we have none"
            )
        self._check_key_transport(element)
        key_info = only(element, f"{{{DS}}}KeyInfo", "token-reference")
        reference = read_reference(key_info.find(f"{{{WSSE}}}SecurityTokenReference"))
        if reference.id is not None:
            meant = same(read_certificate(header.token(reference.id)), identity.certificate)
        else:
            meant = means(reference, identity.certificate)
        if not meant:
            raise VerificationError(
                "encrypted-key", "The message is encrypted to another certificate than ours"
            )
        length = encryption.key_length(self._suite.encryption)
        try:
            key = identity.decrypt(cipher_value(element), self._suite.asymmetric_key_wrap)
        except ValueError:
            key = b""
        # RSA 1.5 never fails in OpenSSL: garbage gives random octets of a random length
        return key if len(key) == length else self._random(length)

    def _check_key_transport(self, element: etree._Element) -> None:
        method = only(element, f"{{{XENC}}}EncryptionMethod", "encryption-form")
        wrap = self._suite.asymmetric_key_wrap
        if method.get("Algorithm") != wrap:
            raise VerificationError("algorithm", "A key transport algorithm is not that of the policy")
        for child in method:
            is_sha1 = child.tag == f"{{{DS}}}DigestMethod" and child.get("Algorithm") == SHA1
            if wrap != RSA_OAEP_MGF1P or not is_sha1:
                raise VerificationError(
                    "algorithm", "A key transport algorithm has parameters that are not known"
                )
