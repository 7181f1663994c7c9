"""Checks one message against its policy and decrypts it.

The order is that of an attacker's cost: what is cheap and secret-free comes first, then the value of each signature
(so that nobody without a key gets any further, and a message is taken once), then decryption and digests in the
order of the header, then whether what was signed and encrypted is what the policy demands. Nothing is used that
was not reached through a verified reference or stands where the policy says.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from lxml import etree

from ..environment import Environment
from ..errors import LimitExceeded, PolicyError, VerificationError
from ..names import DS, EXC_C14N, WSSE, WSSE11, XENC, XENC_CONTENT, XENC_ELEMENT
from ..policy.model import (
    AsymmetricBinding,
    DerivedKeys,
    Direction,
    Policy,
    SecureConversationToken,
    SymmetricBinding,
)
from ..policy.suites import RSA_OAEP_MGF1P, SHA1, AlgorithmSuite
from ..soap.addressing import Addressing, read_addressing
from ..soap.envelope import Soap, refuse_dtd
from . import base64, encryption, signature
from .c14n import canonicalize
from .certificates import may_sign, same
from .header import (
    BINARY_TOKEN,
    CONTEXT_TOKENS,
    DERIVED_KEYS,
    ENCRYPTED_DATA,
    ENCRYPTED_KEY,
    REFERENCE_LIST,
    SIGNATURE,
    TIMESTAMP,
    find_security,
    index_ids,
)
from .kdf import derive_key
from .keys import ContextKey, Keyring
from .references import TokenReference, find_certificate, means, read_reference
from .seen import SeenSignatures
from .splice import element_at, path_of, splice
from .tokens import read_certificate, read_context_token, read_derived_key, read_timestamp

_ENCRYPTED_HEADER = f"{{{WSSE11}}}EncryptedHeader"
_INCLUSIVE = f"{{{EXC_C14N}}}InclusiveNamespaces"


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What a message proved.

    Args:
        soap: the message in the clear; its tree may be another one than the message's (see ``splice``).
        addressing: its addressing headers.
        signer: certificate of the primary signature (bootstrap), or None.
        context: key of the security context of the primary signature, or None.
        endorsed_by: context keys that made a further signature over the primary one.
        signed: elements under the primary signature: Body, header blocks, tokens.
        decrypted: elements whose content was encrypted.
        signature_values: of every signature, in bytes.
    """

    soap: Soap
    addressing: Addressing
    signer: x509.Certificate | None
    context: ContextKey | None
    endorsed_by: tuple[ContextKey, ...]
    signed: tuple[etree._Element, ...] = field(repr=False)
    decrypted: tuple[etree._Element, ...] = field(repr=False)
    signature_values: tuple[bytes, ...] = field(repr=False)

    def is_signed(self, element: etree._Element | None) -> bool:
        """Whether this very element is under the primary signature."""
        return element is not None and any(element is part for part in self.signed)


def unprotect(
    soap: Soap,
    policy: Policy,
    keyring: Keyring,
    environment: Environment,
    *,
    direction: Direction,
    seen: SeenSignatures | None = None,
    sent: tuple[bytes, ...] = (),
) -> Verified:
    """Verify and decrypt a message, in place where that is exact.

    Args:
        soap: the message as it was received.
        policy: the effective policy of this message.
        keyring: the keys and contexts that are allowed.
        direction: which way the message went.
        seen: memory of signature values; a value in it is refused.
        sent: signature values of our own; a message with one of them is our own, reflected.

    Raises:
        VerificationError: ``check`` names the check that refused.
        PolicyError: when the policy cannot be checked.
    """
    reader = _Reader(soap, policy, keyring, environment, direction)
    reader.read_header()
    reader.check_timestamp()
    reader.verify_values(seen, sent)
    reader.walk(seen, sent)
    return reader.judge()


@dataclass(frozen=True)
class _Source:
    """Where a key comes from: a certificate, or a context with the secret made from it."""

    certificate: x509.Certificate | None = None
    context: ContextKey | None = None
    secret: bytes = field(default=b"", repr=False)
    derived: bool = False


@dataclass
class _Signature:
    """A signature whose value was verified. *body_was_clear* and *elements* are known once its digests are."""

    source: _Source
    value: bytes
    references: list[tuple[str, tuple[str, ...], bytes]]
    hidden: bool
    elements: list[etree._Element] = field(default_factory=list)
    body_was_clear: bool = False


class _Reader:
    """One message on its way through the checks."""

    def __init__(
        self, soap: Soap, policy: Policy, keyring: Keyring, environment: Environment, direction: Direction
    ) -> None:
        if policy.binding is None:
            raise PolicyError("The policy has no security binding, so nothing could be verified")
        self._soap = soap
        self._policy = policy
        self._binding = policy.binding
        self._suite: AlgorithmSuite = policy.binding.algorithm_suite
        self._keyring = keyring
        self._environment = environment
        self._limits = environment.limits
        self._direction = direction
        self._ids: dict[str, etree._Element] = {}
        self._signatures: dict[int, _Signature] = {}
        self._decrypted: list[etree._Element] = []
        self._opened: dict[str | None, bytes] = {}
        self._until: datetime = environment.clock.now() + timedelta(hours=1)

    # ------------------------------------------------------------------------------------ cheap checks

    def read_header(self) -> None:
        refuse_dtd(self._soap.envelope)
        security = find_security(self._soap, self._limits)
        if security is None:
            raise VerificationError("security-header", "The message has no wsse:Security header")
        self._security = security
        index_ids(self._ids, self._soap.envelope)

    def check_timestamp(self) -> None:
        stamps = [child for child in self._security if child.tag == TIMESTAMP]
        if len(stamps) > 1:
            raise VerificationError("timestamp", "The message has two Timestamps")
        self._timestamp = stamps[0] if stamps else None
        if self._timestamp is None:
            if self._binding.include_timestamp:
                raise VerificationError(
                    "timestamp", "The policy demands a Timestamp and the message has none"
                )
            return
        stamp = read_timestamp(self._timestamp)
        now, skew = self._environment.clock.now(), self._environment.clock_skew
        expires = stamp.expires or stamp.created + self._environment.message_lifetime
        if stamp.created > now + skew:
            raise VerificationError(
                "timestamp", "The message comes from the future", hint="set the clocks, or widen clock_skew="
            )
        if expires <= stamp.created or expires <= now - skew:
            raise VerificationError(
                "timestamp", "The message is too old", hint="set the clocks, or widen clock_skew="
            )
        self._until = expires + skew

    # ---------------------------------------------------------------------------------- signature values

    def verify_values(self, seen: SeenSignatures | None, sent: tuple[bytes, ...]) -> None:
        for index, child in enumerate(self._security):
            if child.tag == SIGNATURE:
                self._verify_value(index, child, seen, sent, hidden=False)
        if not self._signatures and not self._binding.encrypt_signature:
            raise VerificationError("signature-missing", "The message is not signed")

    def _verify_value(
        self,
        index: int,
        element: etree._Element,
        seen: SeenSignatures | None,
        sent: tuple[bytes, ...],
        *,
        hidden: bool,
    ) -> None:
        info = _only(element, f"{{{DS}}}SignedInfo", "signature-form")
        value_element = _only(element, f"{{{DS}}}SignatureValue", "signature-form")
        key_info = _only(element, f"{{{DS}}}KeyInfo", "signature-form")
        method = _only(info, f"{{{DS}}}CanonicalizationMethod", "signature-form")
        prefixes = self._canonical_prefixes(method)
        algorithm = _only(info, f"{{{DS}}}SignatureMethod", "signature-form")
        if len(algorithm):
            # ds:HMACOutputLength above all: it shortens what has to be guessed
            raise VerificationError("algorithm", "The SignatureMethod has parameters")
        references = self._read_references(info)
        source = self._resolve(_only(key_info, f"{{{WSSE}}}SecurityTokenReference", "token-reference"))
        self._check_algorithm(algorithm.get("Algorithm"), source)
        value = _octets(value_element, "signature-form")
        if any(hmac.compare_digest(value, own) for own in sent):
            raise VerificationError("reflection", "The answer carries our own signature")
        data = canonicalize(info, prefixes)
        if source.certificate is not None:
            self._check_signer(source.certificate)
            good = signature.rsa_verify(self._suite.asymmetric_signature, source.certificate, data, value)
        else:
            own = signature.mac(self._suite.symmetric_signature, source.secret, data)
            good = hmac.compare_digest(own, value)
        if not good:
            raise VerificationError("signature", "A signature does not verify")
        # remembered before anything is decrypted: a changed ciphertext under a good signature is tried once
        now = self._environment.clock.now()
        if seen is not None and not seen.add(value, until=self._until, now=now):
            raise VerificationError("replay", "The message was received before")
        self._signatures[index] = _Signature(source, value, references, hidden)

    def _canonical_prefixes(self, method: etree._Element) -> tuple[str, ...]:
        if method.get("Algorithm") != self._suite.canonicalization:
            raise VerificationError("canonicalization", "Only exclusive canonicalization is accepted")
        children = [child for child in method if isinstance(child.tag, str)]
        if not children:
            return ()
        if len(children) > 1 or children[0].tag != _INCLUSIVE:
            raise VerificationError(
                "canonicalization", "A canonicalization has parameters that are not known"
            )
        prefixes = tuple((children[0].get("PrefixList") or "").split())
        if len(prefixes) > self._limits.references:
            raise LimitExceeded("canonicalization", "A PrefixList is too long")
        return prefixes

    def _read_references(self, info: etree._Element) -> list[tuple[str, tuple[str, ...], bytes]]:
        """(id, prefixes, digest) of each ds:Reference, each of the one form that is accepted."""
        found = []
        for reference in info.findall(f"{{{DS}}}Reference"):
            uri = reference.get("URI") or ""
            if not uri.startswith("#") or len(uri) < 2 or uri.startswith("#xpointer("):
                raise VerificationError("reference", "A signature refers to something outside the message")
            transforms = _only(reference, f"{{{DS}}}Transforms", "transform")
            transform = _only(transforms, f"{{{DS}}}Transform", "transform")
            if len(transforms) != 1 or transform.get("Algorithm") != self._suite.canonicalization:
                raise VerificationError(
                    "transform", "Only exclusive canonicalization is accepted as a transform"
                )
            digest = _only(reference, f"{{{DS}}}DigestMethod", "signature-form")
            if digest.get("Algorithm") != self._suite.digest or len(digest):
                raise VerificationError("algorithm", "A digest algorithm is not that of the policy")
            value = _octets(_only(reference, f"{{{DS}}}DigestValue", "signature-form"), "signature-form")
            found.append((uri[1:], self._canonical_prefixes(transform), value))
            if len(found) > self._limits.references:
                raise LimitExceeded("reference", "A signature has too many references")
        if not found:
            raise VerificationError("signature-form", "A signature covers nothing")
        return found

    def _check_algorithm(self, algorithm: str | None, source: _Source) -> None:
        suite = self._suite
        wanted = suite.symmetric_signature if source.certificate is None else suite.asymmetric_signature
        if algorithm != wanted:
            raise VerificationError("algorithm", "A signature algorithm is not that of the policy")

    def _check_signer(self, certificate: x509.Certificate) -> None:
        keyring = self._keyring
        if keyring.signers and not any(same(certificate, signer) for signer in keyring.signers):
            raise VerificationError(
                "signer",
                f"The message is signed by a certificate that is not the {keyring.role}'s",
                hint="name every certificate the service may sign with in peer=",
            )
        if not may_sign(certificate):
            raise VerificationError("signer", "The signer's certificate may not sign")
        if keyring.trust is not None:
            keyring.trust.check(certificate, role=keyring.role, now=self._environment.clock.now())

    # ------------------------------------------------------------------------------------------ key lookup

    def _resolve(self, element: etree._Element) -> _Source:
        """The key that a SecurityTokenReference means."""
        reference = read_reference(element)
        if reference.uri is None:
            return _Source(certificate=self._known_certificate(reference))
        if reference.id is None:
            return self._context(reference.uri, reference.instance)
        token = self._token(reference.id)
        if token.tag in DERIVED_KEYS:
            return self._derive(token)
        if token.tag in CONTEXT_TOKENS:
            name = read_context_token(token, self._limits)
            return self._context(name.identifier, name.instance)
        if token.tag == BINARY_TOKEN:
            return _Source(certificate=read_certificate(token))
        raise VerificationError("token", "A reference names something that is no token of the policy")

    def _token(self, name: str) -> etree._Element:
        """The token in the wsse:Security header with that id."""
        token = self._ids.get(name)
        if token is None or token.getparent() is not self._security:
            raise VerificationError("token", "A reference names a token that is not in the header")
        return token

    def _derive(self, element: etree._Element) -> _Source:
        token = read_derived_key(element, self._limits)
        if token.source.uri is None:
            raise VerificationError("derived-key", "A DerivedKeyToken does not refer to a security context")
        if token.source.id is None:
            source = self._context(token.source.uri, token.source.instance)
        else:
            base = self._token(token.source.id)
            if base.tag not in CONTEXT_TOKENS:
                raise VerificationError(
                    "derived-key", "A DerivedKeyToken is derived from something unsupported"
                )
            name = read_context_token(base, self._limits)
            source = self._context(name.identifier, name.instance)
        key = derive_key(
            source.secret, token.nonce, length=token.length, offset=token.offset, label=token.label
        )
        return _Source(context=source.context, secret=key, derived=True)

    def _context(self, identifier: str, instance: str | None) -> _Source:
        if len(identifier) > self._limits.identifier_chars:
            raise LimitExceeded("context", "A context's identifier is too long")
        key = self._keyring.find(identifier.strip(), instance)
        if key is None:
            raise VerificationError("context", "The message names a security context that is not known here")
        return _Source(context=key, secret=key.secret)

    def _known_certificate(self, reference: TokenReference) -> x509.Certificate:
        keyring = self._keyring
        known = [*keyring.signers, *((keyring.peer,) if keyring.peer else ())]
        if keyring.trust is not None:
            known.extend(keyring.trust.pins)
        certificate = find_certificate(reference, known)
        if certificate is None:
            raise VerificationError(
                "signer",
                "The message refers to a certificate that is not known here",
                hint=f"give the {keyring.role}'s certificate (peer=, or as a pin in trust=)",
            )
        return certificate

    # -------------------------------------------------------------------------------- decrypt and digest

    def walk(self, seen: SeenSignatures | None, sent: tuple[bytes, ...]) -> None:
        """Undo the header's children from the top: what stands first was applied last."""
        index = 0
        while index < len(self._security):
            child = self._security[index]
            if child.tag == REFERENCE_LIST:
                self._decrypt_listed(child, None)
            elif child.tag == ENCRYPTED_KEY:
                listed = child.find(REFERENCE_LIST)
                if listed is not None:
                    self._decrypt_listed(listed, self._open_key(child))
            elif child.tag == SIGNATURE:
                if index not in self._signatures:
                    self._verify_value(index, child, seen, sent, hidden=True)
                self._check_digests(self._signatures[index])
            index += 1

    def _check_digests(self, found: _Signature) -> None:
        for name, prefixes, value in found.references:
            element = self._ids.get(name)
            if element is None:
                raise VerificationError(
                    "reference", "A signature refers to something that is not in the message"
                )
            data = canonicalize(element, prefixes)
            if not hmac.compare_digest(signature.digest(self._suite.digest, data), value):
                raise VerificationError("digest", "A signed part was changed")
            found.elements.append(element)
        found.body_was_clear = any(part is self._soap.body for part in self._decrypted)

    def _open_key(self, element: etree._Element) -> bytes:
        """The content key in an EncryptedKey, opened once however often it is used."""
        name = element.get("Id")
        if name not in self._opened:
            self._opened[name] = self._unwrap_key(element)
        return self._opened[name]

    def _unwrap_key(self, element: etree._Element) -> bytes:
        """The key that RSA opens; a random one when it cannot be opened, so that failures look alike."""
        identity = self._keyring.decrypting
        if identity is None:
            raise VerificationError(
                "encrypted-key", "The message is encrypted to a certificate, and we have none"
            )
        self._check_key_transport(element)
        key_info = _only(element, f"{{{DS}}}KeyInfo", "token-reference")
        reference = read_reference(key_info.find(f"{{{WSSE}}}SecurityTokenReference"))
        if reference.id is not None:
            meant = same(read_certificate(self._token(reference.id)), identity.certificate)
        else:
            meant = means(reference, identity.certificate)
        if not meant:
            raise VerificationError(
                "encrypted-key", "The message is encrypted to another certificate than ours"
            )
        length = encryption.key_length(self._suite.encryption)
        try:
            key = identity.decrypt(_cipher_value(element), self._suite.asymmetric_key_wrap)
        except ValueError:
            key = b""
        # RSA 1.5 never fails in OpenSSL: garbage gives random octets of a random length
        return key if len(key) == length else self._environment.random(length)

    def _check_key_transport(self, element: etree._Element) -> None:
        method = _only(element, f"{{{XENC}}}EncryptionMethod", "encryption-form")
        suite = self._suite
        if method.get("Algorithm") != suite.asymmetric_key_wrap:
            raise VerificationError("algorithm", "A key transport algorithm is not that of the policy")
        for child in method:
            sha1 = child.tag == f"{{{DS}}}DigestMethod" and child.get("Algorithm") == SHA1
            if suite.asymmetric_key_wrap != RSA_OAEP_MGF1P or not sha1:
                raise VerificationError(
                    "algorithm", "A key transport algorithm has parameters that are not known"
                )

    def _decrypt_listed(self, listed: etree._Element, key: bytes | None) -> None:
        names = [ref.get("URI") or "" for ref in listed.findall(f"{{{XENC}}}DataReference")]
        if len(names) > self._limits.references:
            raise LimitExceeded("reference", "A ReferenceList is too long")
        for uri in names:
            data = self._ids.get(uri[1:]) if uri.startswith("#") else None
            if data is None or data.tag != ENCRYPTED_DATA:
                raise VerificationError(
                    "reference", "A ReferenceList names something that is not encrypted data"
                )
            self._decrypt(data, key)

    def _decrypt(self, data: etree._Element, key: bytes | None) -> None:
        method = _only(data, f"{{{XENC}}}EncryptionMethod", "encryption-form")
        if method.get("Algorithm") != self._suite.encryption or len(method):
            raise VerificationError("algorithm", "An encryption algorithm is not that of the policy")
        kind = data.get("Type")
        if kind not in (XENC_CONTENT, XENC_ELEMENT):
            raise VerificationError("encryption-form", "Encrypted data says neither Content nor Element")
        if key is None:
            key = self._data_key(data)
        plaintext = encryption.decrypt(self._suite.encryption, key, _cipher_value(data))
        parent = data.getparent()
        if parent is None or data is self._soap.body:
            raise VerificationError("encryption-form", "The message itself is encrypted data")
        whole = len(parent) == 1 and not (parent.text or "").strip() and not (data.tail or "").strip()
        self._put(data, parent, plaintext)
        if kind == XENC_CONTENT and whole:
            self._decrypted.append(self._at_parent)
        elif kind == XENC_ELEMENT and self._at_parent.tag == _ENCRYPTED_HEADER:
            self._unwrap_header(self._at_parent)

    def _data_key(self, data: etree._Element) -> bytes:
        """The key that encrypted data names: of the binding's context, made as the policy says, or a key sent along."""
        key_info = _only(data, f"{{{DS}}}KeyInfo", "token-reference")
        reference = _only(key_info, f"{{{WSSE}}}SecurityTokenReference", "token-reference")
        if isinstance(self._binding, AsymmetricBinding):
            # CXF's EncryptedKey stands apart from the list of what it encrypts when encryption came first
            name = read_reference(reference).id
            token = self._token(name) if name is not None else None
            if token is not None and token.tag == ENCRYPTED_KEY:
                return self._open_key(token)
        source = self._resolve(reference)
        if source.context is None:
            raise VerificationError("token", "Encrypted data does not use the key of a security context")
        self._check_derivation(source)
        return (
            source.secret
            if source.derived
            else source.secret[: encryption.key_length(self._suite.encryption)]
        )

    def _put(self, data: etree._Element, parent: etree._Element, plaintext: bytes) -> None:
        """Put plaintext in the place of *data*, and find everything again where that made a new tree."""
        self._ids = {name: element for name, element in self._ids.items() if element is not data}
        paths = [path_of(element) for element in self._decrypted]
        signed = [[path_of(element) for element in found.elements] for found in self._signatures.values()]
        parent_path = path_of(parent)
        root = splice(data, plaintext)
        if root is None:
            self._at_parent = parent
            for child in parent:
                index_ids(self._ids, child)
            return
        self._soap = Soap.of(root)
        security = find_security(self._soap, self._limits)
        assert security is not None
        self._security = security
        self._timestamp = security.find(TIMESTAMP) if self._timestamp is not None else None
        self._ids = {}
        index_ids(self._ids, root)
        self._at_parent = element_at(root, parent_path)
        self._decrypted = [element_at(root, path) for path in paths]
        for found, places in zip(self._signatures.values(), signed, strict=True):
            found.elements = [element_at(root, place) for place in places]

    def _unwrap_header(self, wrapper: etree._Element) -> None:
        """The header block takes the place of its wsse11:EncryptedHeader (WSS 1.1, section 9.3)."""
        header = wrapper.getparent()
        blocks = [child for child in wrapper if isinstance(child.tag, str)]
        if header is not self._soap.header or header is None or len(blocks) != 1:
            raise VerificationError("encryption-form", "An EncryptedHeader does not hold one header block")
        header.replace(wrapper, blocks[0])
        self._ids = {name: element for name, element in self._ids.items() if element is not wrapper}
        self._decrypted.append(blocks[0])
        for found in self._signatures.values():
            found.elements = [blocks[0] if element is wrapper else element for element in found.elements]

    # ----------------------------------------------------------------------------------------- judgement

    def judge(self) -> Verified:
        """Whether what was signed and encrypted is what the policy demands."""
        primary = self._primary()
        self._check_signed(primary)
        self._check_encrypted(primary)
        return Verified(
            soap=self._soap,
            addressing=read_addressing(self._soap),
            signer=primary.source.certificate,
            context=primary.source.context,
            endorsed_by=self._endorsements(primary),
            signed=tuple(primary.elements),
            decrypted=tuple(self._decrypted),
            signature_values=tuple(found.value for found in self._signatures.values()),
        )

    def _primary(self) -> _Signature:
        """The one signature by the binding's token."""
        symmetric = isinstance(self._binding, SymmetricBinding)
        candidates = [
            found for found in self._signatures.values() if (found.source.context is not None) == symmetric
        ]
        if len(candidates) != 1:
            raise VerificationError(
                "signature-missing", "The message is not signed once as the policy demands"
            )
        primary = candidates[0]
        if symmetric:
            self._check_derivation(primary.source)
            if len(primary.source.secret) < self._suite.signature_key_length:
                raise VerificationError("derived-key", "The key of a signature is too short")
        if self._binding.encrypt_signature and not primary.hidden:
            raise VerificationError("encrypted-parts", "The policy demands an encrypted signature")
        return primary

    def _check_derivation(self, source: _Source) -> None:
        token = getattr(self._binding, "signature_token", None)
        if not isinstance(token, SecureConversationToken):
            return
        allowed = {DerivedKeys.EXPLICIT: (True,), DerivedKeys.NONE: (False,), DerivedKeys.ANY: (True, False)}
        if source.derived not in allowed.get(token.derived_keys, ()):
            raise VerificationError("derived-key", "Keys are not derived as the policy demands")

    def _check_signed(self, primary: _Signature) -> None:
        covered = primary.elements
        required = [self._soap.body] if self._policy.signed.body else []
        required += [block for block in self._soap.blocks() if self._policy.signed.header(str(block.tag))]
        if self._timestamp is not None and self._binding.include_timestamp:
            required.append(self._timestamp)
        for part in required:
            if not any(part is element for element in covered):
                name = etree.QName(part).localname
                raise VerificationError(
                    "signed-parts", f"The policy demands that {name} is signed, and it is not"
                )

    def _check_encrypted(self, primary: _Signature) -> None:
        policy, body = self._policy, self._soap.body
        required = [block for block in self._soap.blocks() if policy.encrypted.header(str(block.tag))]
        if policy.encrypted.body and (len(body) or (body.text or "").strip()):
            required.append(body)
            if primary.body_was_clear == self._binding.encrypt_before_signing and self._is_decrypted(body):
                raise VerificationError(
                    "protection-order", "Signing and encryption are not in the policy's order"
                )
        for part in required:
            if not self._is_decrypted(part):
                name = etree.QName(part).localname
                raise VerificationError(
                    "encrypted-parts", f"The policy demands that {name} is encrypted, and it is not"
                )

    def _is_decrypted(self, element: etree._Element) -> bool:
        return any(element is part for part in self._decrypted)

    def _endorsements(self, primary: _Signature) -> tuple[ContextKey, ...]:
        """Contexts that signed the primary signature (WS-SecurityPolicy 1.2, section 8.3)."""
        element = next(self._security[i] for i, found in self._signatures.items() if found is primary)
        return tuple(
            found.source.context
            for found in self._signatures.values()
            if found is not primary
            and found.source.context is not None
            and any(part is element for part in found.elements)
        )


def _only(parent: etree._Element, tag: str, check: str) -> etree._Element:
    """The one child with that tag."""
    children = parent.iterchildren(tag)
    found = next(children, None)
    if found is None or next(children, None) is not None:
        name = etree.QName(tag).localname
        raise VerificationError(check, f"The message does not have one {name} where one belongs")
    return found


def _octets(element: etree._Element, check: str) -> bytes:
    if len(element):
        raise VerificationError(check, "A value has elements in it")
    try:
        return base64.decode(element.text or "")
    except ValueError:
        raise VerificationError(check, "A value is not base64") from None


def _cipher_value(element: etree._Element) -> bytes:
    data = _only(element, f"{{{XENC}}}CipherData", "encryption-form")
    value = _only(data, f"{{{XENC}}}CipherValue", "encryption-form")
    return _octets(value, "encryption-form")
