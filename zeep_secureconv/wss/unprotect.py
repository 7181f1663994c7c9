"""Checks one message against its policy and decrypts it.

The order is that of an attacker's cost: what is cheap and secret-free comes first, then the value of each signature
(so that nobody without a key gets any further, and a message is taken once), then decryption and digests in the
order of the header, then whether what was signed and encrypted is what the policy demands. Nothing is used that
was not reached through a verified reference or stands where the policy says.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from lxml import etree

from ..environment import Environment
from ..errors import LimitExceeded, PolicyError, VerificationError
from ..names import DS, WSSE, WSSE11, XENC, XENC_CONTENT, XENC_ELEMENT
from ..policy.model import AsymmetricBinding, DerivedKeys, Policy, SecureConversationToken, SymmetricBinding
from ..soap.addressing import Addressing, read_addressing
from ..soap.envelope import Soap, refuse_depth, refuse_dtd, refuse_width
from . import base64, encryption, signature
from .c14n import canonicalize
from .certificates import may_sign, same
from .credentials import ReceivedToken, ReceivedUsername
from .encryption import decryption_failed
from .forms import cipher_value, only
from .header import (
    CONFIRMATION,
    ENCRYPTED_DATA,
    ENCRYPTED_KEY,
    REFERENCE_LIST,
    SIGNATURE,
    TIMESTAMP,
    SecurityHeader,
)
from .keys import ContextKey, EphemeralKey, Keyring
from .seen import OLDEST, SeenSignatures
from .signature_form import SignatureForm, SignedReference, read_signature
from .sources import KeyResolver, KeySource
from .splice import element_at, path_of, splice
from .tokens import read_timestamp

_ENCRYPTED_HEADER = f"{{{WSSE11}}}EncryptedHeader"


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What a message proved.

    Args:
        soap: the message in the clear; its tree may be another one than the message's (see ``splice``).
        addressing: its addressing headers.
        signer: certificate of the primary signature (bootstrap), or None.
        context: key of the security context of the primary signature, or None.
        endorsed_by: context keys that endorsed the message: signed its primary signature, or its Timestamp over TLS.
        endorsers: certificates that did.
        usernames: the user names in it, with what proves them; not checked yet.
        tokens: the supporting tokens in it that are not understood here; not checked yet.
        ephemeral: the key that came with it, for the answer.
        signed: elements under the primary signature: Body, header blocks, tokens.
        decrypted: elements whose content was encrypted.
        signature_values: of every signature, in bytes.
    """

    soap: Soap
    addressing: Addressing
    signer: x509.Certificate | None
    context: ContextKey | None
    endorsed_by: tuple[ContextKey, ...]
    endorsers: tuple[x509.Certificate, ...] = ()
    usernames: tuple[ReceivedUsername, ...] = ()
    tokens: tuple[ReceivedToken, ...] = ()
    ephemeral: EphemeralKey | None = field(default=None, repr=False)
    signed: tuple[etree._Element, ...] = field(repr=False)
    decrypted: tuple[etree._Element, ...] = field(repr=False)
    signature_values: tuple[bytes, ...] = field(repr=False)

    def is_signed(self, element: etree._Element | None) -> bool:
        """Whether this very element is under the primary signature."""
        return element is not None and _holds(self.signed, element)


def unprotect(
    soap: Soap,
    policy: Policy,
    keyring: Keyring,
    environment: Environment,
    *,
    seen: SeenSignatures | None = None,
    sent: tuple[bytes, ...] = (),
) -> Verified:
    """Verify and decrypt a message, in place where that is exact.

    Args:
        soap: the message as it was received.
        policy: the effective policy of this message.
        keyring: the keys and contexts that are allowed.
        environment: time, randomness and bounds.
        seen: memory of signature values; a value in it is refused.
        sent: signature values of the request that this message answers; a message with one of them is our own,
            reflected, and they are what the policy may want confirmed.

    Raises:
        VerificationError: ``check`` names the check that refused.
        PolicyError: when the policy cannot be checked.
    """
    reader = _Reader(soap, policy, keyring, environment)
    reader.check_timestamp()
    reader.verify_values(seen, sent)
    reader.walk(seen, sent)
    return reader.judge(sent)


@dataclass
class _Signature:
    """A signature whose value was verified.

    Args:
        form: what it says.
        source: the key that made it.
        hidden: whether it was encrypted.
        elements: what it covers, once the digests were compared.
        body_was_clear: whether Body was decrypted when that was done.
    """

    form: SignatureForm
    source: KeySource
    hidden: bool
    elements: list[etree._Element] = field(default_factory=list)
    body_was_clear: bool = False


_Place = Callable[["etree._Element", int], None]  # noqa: SLF001 - the only name lxml has for it


class _Reader:
    """One message on its way through the checks."""

    def __init__(self, soap: Soap, policy: Policy, keyring: Keyring, environment: Environment) -> None:
        if policy.binding is None:
            raise PolicyError("The policy has no security binding, so nothing could be verified")
        refuse_dtd(soap.envelope)
        refuse_depth(soap.envelope, environment.limits)
        self._soap = soap
        self._policy = policy
        self._binding = policy.binding
        self._suite = policy.binding.algorithm_suite
        self._keyring = keyring
        self._environment = environment
        self._header = SecurityHeader(soap, environment.limits)
        self._keys = KeyResolver(keyring, self._suite, environment.limits, environment.random)
        self._timestamp: etree._Element | None = None
        self._created: datetime | None = None
        self._expires: datetime | None = None
        self._signatures: dict[int, _Signature] = {}
        self._decrypted: list[etree._Element] = []
        self._decrypted_under: set[str] = set()
        self._undone: set[str] = set()

    # ------------------------------------------------------------------------------------------- time

    def check_timestamp(self) -> None:
        stamps = [child for child in self._header.element if child.tag == TIMESTAMP]
        if len(stamps) > 1:
            raise VerificationError("timestamp", "The message has two Timestamps")
        if not stamps:
            if self._binding.include_timestamp:
                raise VerificationError(
                    "timestamp", "The policy demands a Timestamp and the message has none"
                )
            return
        self._timestamp = stamps[0]
        stamp = read_timestamp(self._timestamp)
        now, skew = self._environment.clock.now(), self._environment.clock_skew
        if stamp.created > now + skew:
            raise VerificationError(
                "timestamp", "The message comes from the future", hint="set the clocks, or widen clock_skew="
            )
        expires = stamp.expires or stamp.created + self._environment.message_lifetime
        expires = min(expires, stamp.created + OLDEST)
        if expires <= stamp.created or expires <= now - skew:
            raise VerificationError(
                "timestamp", "The message is too old", hint="set the clocks, or widen clock_skew="
            )
        self._created, self._expires = stamp.created, expires + skew

    # ------------------------------------------------------------------------------- signature values

    def verify_values(self, seen: SeenSignatures | None, sent: tuple[bytes, ...]) -> None:
        """Verify the value of every signature that is in the clear.

        Where the policy hides none, the binding's own must be among them before anything is decrypted.
        """
        for index, child in enumerate(self._header.element):
            if child.tag == SIGNATURE:
                self._verify_value(index, child, seen, sent, hidden=False)
        if not self._binding.encrypt_signature:
            self._primary()

    def _verify_value(
        self,
        index: int,
        element: etree._Element,
        seen: SeenSignatures | None,
        sent: tuple[bytes, ...],
        *,
        hidden: bool,
    ) -> None:
        form = read_signature(element, self._suite, self._environment.limits)
        source = self._keys.resolve(form.key, self._header)
        if source.wrapped:
            raise VerificationError("token", "A signature is made with a key that came with the message")
        if any(hmac.compare_digest(form.value, own) for own in sent):
            raise VerificationError("reflection", "The answer carries our own signature")
        if not self._value_is_good(form, source):
            raise VerificationError("signature", "A signature does not verify")
        # remembered before anything is decrypted: a changed ciphertext under a good signature is tried once
        now, created, until = self._environment.clock.now(), *self._worth_remembering(form)
        if seen is not None and not seen.add(form.value, until=until, now=now, created=created):
            raise VerificationError("replay", "The message was received before")
        self._signatures[index] = _Signature(form, source, hidden)

    def _worth_remembering(self, form: SignatureForm) -> tuple[datetime | None, datetime]:
        """(Created, until when a value could come back): its Timestamp tells, if the signature really covers that.

        Otherwise somebody could put a Timestamp of his own beside it, to have the value forgotten at once.
        """
        for reference in form.references:
            if self._timestamp is not None and self._header.find(reference.id) is self._timestamp:
                assert self._expires is not None
                self._check_digest(self._timestamp, reference)
                return self._created, self._expires
        return None, self._environment.clock.now() + OLDEST

    def _value_is_good(self, form: SignatureForm, source: KeySource) -> bool:
        certificate, suite = source.certificate, self._suite
        wanted = suite.symmetric_signature if certificate is None else suite.asymmetric_signature
        if form.algorithm != wanted:
            raise VerificationError("algorithm", "A signature algorithm is not that of the policy")
        data = canonicalize(form.info, form.prefixes)
        if certificate is None:
            # WebSphere leaves out Length where the suite fixes it; otherwise the default of 32 bytes holds
            lengths = (
                {len(source.secret), suite.signature_key_length} if source.unsized else {len(source.secret)}
            )
            return any(
                hmac.compare_digest(signature.mac(wanted, source.secret[:length], data), form.value)
                for length in lengths
            )
        self._check_signer(certificate)
        return signature.rsa_verify(wanted, certificate, data, form.value)

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

    # ----------------------------------------------------------------------------- decrypt and digest

    def walk(self, seen: SeenSignatures | None, sent: tuple[bytes, ...]) -> None:
        """Undo the header's children from the top: what stands first was applied last."""
        if self._binding.encrypt_signature:
            self._reveal(seen, sent)
        index = 0
        while index < len(self._header.element):
            child = self._header.element[index]
            if child.tag in (REFERENCE_LIST, ENCRYPTED_KEY):
                self._decrypt_list(child)
            elif child.tag == SIGNATURE:
                self._check_digests(self._signatures[index])
            index += 1

    def _reveal(self, seen: SeenSignatures | None, sent: tuple[bytes, ...]) -> None:
        """Decrypt the hidden signatures, and nothing else before their values are verified and remembered.

        Otherwise somebody without a key could try changed ciphertexts of the Body one after the other.
        """
        for index in range(len(self._header.element)):
            child = self._header.element[index]
            if child.tag in (REFERENCE_LIST, ENCRYPTED_KEY):
                self._decrypt_list(child, within=self._header.element)
        for index, child in enumerate(self._header.element):
            if child.tag == SIGNATURE and index not in self._signatures:
                self._verify_value(index, child, seen, sent, hidden=True)
        self._primary()

    def _check_digests(self, found: _Signature) -> None:
        for reference in found.form.references:
            element = self._header.find(reference.id)
            if element is None:
                raise VerificationError(
                    "reference", "A signature refers to something that is not in the message"
                )
            self._check_digest(element, reference)
            found.elements.append(element)
        found.body_was_clear = _holds(self._decrypted, self._soap.body)

    def _check_digest(self, element: etree._Element, reference: SignedReference) -> None:
        digest = signature.digest(self._suite.digest, canonicalize(element, reference.prefixes))
        if not hmac.compare_digest(digest, reference.digest):
            raise VerificationError("digest", "A signed part was changed")

    def _decrypt_list(self, child: etree._Element, *, within: etree._Element | None = None) -> None:
        """Decrypt what a ReferenceList lists, or an EncryptedKey that holds one.

        Args:
            child: of the header.
            within: decrypt only what stands directly in this element.
        """
        carried = child.tag == ENCRYPTED_KEY
        if carried and not isinstance(self._binding, AsymmetricBinding):
            raise VerificationError(
                "encrypted-key", "The policy has no use for a key that comes with the message"
            )
        listed = child.find(REFERENCE_LIST) if carried else child
        if listed is None:
            return
        names = [ref.get("URI") or "" for ref in listed.iterchildren(f"{{{XENC}}}DataReference")]
        if len(names) > self._environment.limits.references:
            raise LimitExceeded("reference", "A ReferenceList is too long")
        for uri in names:
            if uri in self._undone:
                continue
            data = self._header.find(uri[1:]) if uri.startswith("#") else None
            if data is None or data.tag != ENCRYPTED_DATA:
                raise VerificationError(
                    "reference", "A ReferenceList names something that is not encrypted data"
                )
            if within is None or data.getparent() is within:
                self._decrypt(data, self._keys.open_key(child, self._header) if carried else None)
                self._undone.add(uri)

    def _decrypt(self, data: etree._Element, key: bytes | None) -> None:
        """Put the plaintext of an EncryptedData in its place, if it stands where one may stand.

        A ReferenceList is not signed. Whoever can encrypt to us could otherwise put a second Body, or headers,
        anywhere into the tree.
        """
        place = self._place_of(data)
        method = only(data, f"{{{XENC}}}EncryptionMethod", "encryption-form")
        if method.get("Algorithm") != self._suite.encryption or len(method):
            raise VerificationError("algorithm", "An encryption algorithm is not that of the policy")
        if key is None:
            key = self._data_key(data)
        parent, parent_path = data.getparent(), path_of(data)[:-1]
        position = path_of(data)[-1]
        assert parent is not None
        plaintext = encryption.decrypt(self._suite.encryption, key, cipher_value(data))
        refuse_width(plaintext, self._environment.limits)
        self._header.forget(data)
        parent = self._put(data, parent_path, plaintext)
        place(parent, position)

    def _place_of(self, data: etree._Element) -> _Place:
        """What to do when the plaintext stands in the place of *data*.

        Raises:
            VerificationError: check "encryption-form", when nothing encrypted may stand there.
        """
        parent, kind = data.getparent(), data.get("Type")
        if parent is not None:
            alone = len(parent) == 1 and not (parent.text or "").strip() and not (data.tail or "").strip()
            if kind == XENC_CONTENT and parent is self._soap.body and alone:
                return self._take_body
            if kind == XENC_ELEMENT and parent is self._header.element and self._binding.encrypt_signature:
                return self._take_header_child
            wraps = parent.tag == _ENCRYPTED_HEADER and parent.getparent() is self._soap.header
            if kind == XENC_ELEMENT and wraps and alone:
                return self._take_header
        raise VerificationError(
            "encryption-form", "Something is encrypted where the policy has nothing encrypted"
        )

    def _take_body(self, body: etree._Element, _position: int) -> None:
        self._decrypted.append(body)

    def _take_header_child(self, security: etree._Element, position: int) -> None:
        """EncryptSignature hides signatures and what confirms them (WS-SecurityPolicy 1.2, section 6.4)."""
        if security[position].tag not in (SIGNATURE, CONFIRMATION):
            raise decryption_failed()

    def _take_header(self, wrapper: etree._Element, _position: int) -> None:
        """The header block takes the place of its wsse11:EncryptedHeader (WSS 1.1, section 9.3)."""
        header, block = wrapper.getparent(), wrapper[0]
        assert header is not None
        if not isinstance(block.tag, str):
            raise decryption_failed()
        header.replace(wrapper, block)
        self._header.forget(wrapper)
        self._decrypted.append(block)
        for found in self._signatures.values():
            found.elements = [block if element is wrapper else element for element in found.elements]

    def _data_key(self, data: etree._Element) -> bytes:
        """The key that encrypted data names: of the binding's context made as the policy says, or one sent along."""
        key_info = only(data, f"{{{DS}}}KeyInfo", "token-reference")
        reference = only(key_info, f"{{{WSSE}}}SecurityTokenReference", "token-reference")
        source = self._keys.resolve(reference, self._header)
        if source.wrapped and isinstance(self._binding, AsymmetricBinding):
            # CXF's EncryptedKey stands apart from the list of what it encrypts when encryption came first
            return source.secret
        if source.context is None or isinstance(self._binding, AsymmetricBinding):
            raise VerificationError("token", "Encrypted data does not use a key of the policy's binding")
        self._check_derivation(source)
        self._decrypted_under.add(source.context.identifier)
        length = encryption.key_length(self._suite.encryption)
        return source.secret if source.derived and not source.unsized else source.secret[:length]

    def _put(self, data: etree._Element, path: tuple[int, ...], plaintext: bytes) -> etree._Element:
        """Put plaintext in the place of *data*; find everything again where that made a new tree.

        Returns:
            The element at *path*: the parent of what was put.

        Raises:
            VerificationError: check "decryption", when an encrypted element is not one node; whatever stands
                behind it would then be another child of its parent than before.
        """
        for found in self._signatures.values():
            found.elements = [element for element in found.elements if not _is_within(element, data)]
        decrypted = [path_of(element) for element in self._decrypted]
        signed = [[path_of(element) for element in found.elements] for found in self._signatures.values()]
        one, siblings = data.get("Type") == XENC_ELEMENT, len(element_at(self._soap.envelope, path))
        root = splice(data, plaintext)
        parent = element_at(self._soap.envelope if root is None else root, path)
        if one and len(parent) != siblings:
            raise decryption_failed()
        if root is None:
            self._header.index(parent)
            return parent
        self._soap = Soap.of(root)
        self._header = SecurityHeader(self._soap, self._environment.limits)
        if self._timestamp is not None:
            self._timestamp = self._header.element.find(TIMESTAMP)
        self._decrypted = [element_at(root, place) for place in decrypted]
        for found, places in zip(self._signatures.values(), signed, strict=True):
            found.elements = [element_at(root, place) for place in places]
        return parent

    # -------------------------------------------------------------------------------------- judgement

    def judge(self, sent: tuple[bytes, ...]) -> Verified:
        """Whether what was signed and encrypted is what the policy demands."""
        self._soap = Soap.of(self._soap.envelope)
        refuse_depth(self._soap.envelope, self._environment.limits)
        primary = self._primary()
        self._check_signed(primary)
        self._check_encrypted(primary)
        self._check_required()
        if sent and self._policy.confirms_signatures:
            self._check_confirmed(primary, sent)
        return Verified(
            soap=self._soap,
            addressing=read_addressing(self._soap),
            signer=primary.source.certificate,
            context=primary.source.context,
            endorsed_by=self._endorsements(primary),
            signed=tuple(primary.elements),
            decrypted=tuple(self._decrypted),
            signature_values=tuple(found.form.value for found in self._signatures.values()),
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
            context = primary.source.context
            if context is not None and len(context.secret) < self._suite.minimum_key_length:
                raise VerificationError("context", "The key of the context is too short for the policy")
        if self._binding.encrypt_signature and not primary.hidden:
            raise VerificationError("encrypted-parts", "The policy demands an encrypted signature")
        return primary

    def _check_derivation(self, source: KeySource) -> None:
        token = getattr(self._binding, "signature_token", None)
        if not isinstance(token, SecureConversationToken):
            return
        allowed = {DerivedKeys.EXPLICIT: (True,), DerivedKeys.NONE: (False,), DerivedKeys.ANY: (True, False)}
        if source.derived not in allowed.get(token.derived_keys, ()):
            raise VerificationError("derived-key", "Keys are not derived as the policy demands")

    def _check_signed(self, primary: _Signature) -> None:
        required = [self._soap.body] if self._policy.signed.body else []
        required += [block for block in self._soap.blocks() if self._policy.signed.header(str(block.tag))]
        if self._timestamp is not None and self._binding.include_timestamp:
            required.append(self._timestamp)
        for part in required:
            if not _holds(primary.elements, part):
                name = etree.QName(part).localname
                raise VerificationError(
                    "signed-parts", f"The policy demands that {name} is signed, and it is not"
                )

    def _check_required(self) -> None:
        tags = [str(block.tag) for block in self._soap.blocks()]
        for part in self._policy.required.headers:
            if not any(part.matches(tag) for tag in tags):
                raise VerificationError(
                    "required-parts", f"The policy demands a header {part.name or part.namespace}"
                )

    def _check_encrypted(self, primary: _Signature) -> None:
        policy, body = self._policy, self._soap.body
        required = [block for block in self._soap.blocks() if policy.encrypted.header(str(block.tag))]
        if policy.encrypted.body and (len(body) or (body.text or "").strip()):
            required.append(body)
            if primary.body_was_clear == self._binding.encrypt_before_signing and _holds(
                self._decrypted, body
            ):
                raise VerificationError(
                    "protection-order", "Signing and encryption are not in the policy's order"
                )
        for part in required:
            if not _holds(self._decrypted, part):
                name = etree.QName(part).localname
                raise VerificationError(
                    "encrypted-parts", f"The policy demands that {name} is encrypted, and it is not"
                )
        context = primary.source.context
        if context is not None and self._decrypted_under - {context.identifier}:
            raise VerificationError("context", "The message is signed and encrypted under two contexts")

    def _check_confirmed(self, primary: _Signature, sent: tuple[bytes, ...]) -> None:
        """Every signature of the request is confirmed, under the answer's signature (WSS 1.1, section 8.5)."""
        confirmed = []
        for element in self._header.element.iterchildren(CONFIRMATION):
            if not _holds(primary.elements, element):
                raise VerificationError("signature-confirmation", "A SignatureConfirmation is not signed")
            try:
                confirmed.append(base64.decode(element.get("Value") or ""))
            except ValueError:
                raise VerificationError(
                    "signature-confirmation", "A SignatureConfirmation is not base64"
                ) from None
        if sorted(confirmed) != sorted(sent):
            raise VerificationError("signature-confirmation", "The answer does not confirm our signatures")

    def _endorsements(self, primary: _Signature) -> tuple[ContextKey, ...]:
        """Contexts that signed the primary signature (WS-SecurityPolicy 1.2, section 8.3)."""
        element = next(self._header.element[i] for i, found in self._signatures.items() if found is primary)
        return tuple(
            found.source.context
            for found in self._signatures.values()
            if found is not primary and found.source.context is not None and _holds(found.elements, element)
        )


def _is_within(element: etree._Element, other: etree._Element) -> bool:
    return element is other or any(node is other for node in element.iterancestors())


def _holds(elements: list[etree._Element] | tuple[etree._Element, ...], element: etree._Element) -> bool:
    """Whether this very element is among *elements*; equality would be the same, but says less."""
    return any(element is other for other in elements)
