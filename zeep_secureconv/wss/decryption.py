"""Undoes the encryption of a received message (XML Encryption 1.1; WSS 1.1, section 9).

Lists of ciphertexts are not signed, and ciphertexts are anybody's to add: who wrote them has no say in where one may
stand, what comes out of it, and which key opens it. The policy has.
"""

from __future__ import annotations

from collections.abc import Callable

from lxml import etree

from ..errors import LimitExceeded, VerificationError
from ..names import DS, WSSE, XENC, XENC_CONTENT, XENC_ELEMENT
from ..policy.model import AsymmetricBinding, DerivedKeys, SymmetricBinding
from ..soap.envelope import refuse_attributes, refuse_width
from . import encryption
from .elements import holds
from .encryption import decryption_failed
from .forms import cipher_value, only
from .header import (
    CONFIRMATION,
    CONTEXT_TOKENS,
    DERIVED_KEYS,
    ENCRYPTED_DATA,
    ENCRYPTED_HEADER,
    ENCRYPTED_KEY,
    REFERENCE_LIST,
    SIGNATURE,
    TIMESTAMP,
)
from .incoming import Incoming
from .key_judgement import check_derivation, fits_binding
from .keys import EphemeralKey
from .opened import VerifiedSignature
from .sources import KeySource

#: Children of the header that list ciphertexts.
LISTS = frozenset({REFERENCE_LIST, ENCRYPTED_KEY})
#: Children of the header that are encrypted with the signature.
OF_SIGNING = frozenset({SIGNATURE, CONFIRMATION})
#: What is needed to undo the rest of the header, so that it cannot be hidden itself.
_NEVER_HIDDEN = (
    frozenset({TIMESTAMP, REFERENCE_LIST, ENCRYPTED_KEY, ENCRYPTED_DATA}) | CONTEXT_TOKENS | DERIVED_KEYS
)

_Place = Callable[["etree._Element", int], None]  # noqa: SLF001 - the only name lxml has for it


class Decryption:
    """Decrypts the parts of one message, each once.

    Args:
        message: the message; what is decrypted is put into it and noted there.
    """

    def __init__(self, message: Incoming) -> None:
        self._message = message
        self._undone: set[str] = set()

    def undo(self, child: etree._Element, *, header_only: bool = False) -> None:
        """Decrypt what a ReferenceList lists, or an EncryptedKey that holds one.

        Args:
            child: of the header.
            header_only: decrypt only what is a child of the header itself.

        Raises:
            VerificationError: checks "encrypted-key", "reference", "encryption-form", "algorithm", "token", "context",
                "derived-key", "decryption", "signed-parts".
            LimitExceeded: checks "reference", "elements".
        """
        message, carried = self._message, child.tag == ENCRYPTED_KEY
        if carried and not self._has_use_for(child):
            raise VerificationError(
                "encrypted-key", "The policy has no use for a key that comes with the message"
            )
        listed = child.find(REFERENCE_LIST) if carried else child
        if listed is None:
            return
        names = [ref.get("URI") or "" for ref in listed.iterchildren(f"{{{XENC}}}DataReference")]
        if len(names) > message.environment.limits.references:
            raise LimitExceeded("reference", "A ReferenceList is too long")
        for uri in names:
            if uri in self._undone:
                continue
            data = self._listed(uri)
            # looked up anew each time: what was decrypted last may have made a new tree
            if not header_only or data.getparent() is message.header.element:
                self._decrypt(data, message.keys.open_key(child, message.header) if carried else None)
                self._undone.add(uri)

    def _has_use_for(self, carrier: etree._Element) -> bool:
        message = self._message
        if isinstance(message.binding, AsymmetricBinding):
            return True
        return message.rules.takes(message.keys.open_key(carrier, message.header))

    def _listed(self, uri: str) -> etree._Element:
        data = self._message.header.find(uri[1:]) if uri.startswith("#") else None
        if data is None or data.tag != ENCRYPTED_DATA:
            raise VerificationError("reference", "A ReferenceList names something that is not encrypted data")
        if len(self._undone) >= self._message.environment.limits.encrypted_parts:
            raise LimitExceeded("reference", "The message has too many encrypted parts")
        return data

    def _decrypt(self, data: etree._Element, carrier: EphemeralKey | None) -> None:
        """Put the plaintext of an EncryptedData in its place, if it stands where one may stand.

        Whoever can encrypt to us could otherwise put a second Body, or headers, anywhere into the tree.
        """
        message, place = self._message, self._place_of(data)
        algorithm = message.suite.encryption
        method = only(data, f"{{{XENC}}}EncryptionMethod", "encryption-form")
        if method.get("Algorithm") != algorithm or len(method):
            raise VerificationError("algorithm", "An encryption algorithm is not that of the policy")
        key = self._data_key(data) if carrier is None else self._carried_key(carrier)
        plaintext = encryption.decrypt(algorithm, key, cipher_value(data))
        refuse_width(plaintext, message.environment.limits)
        covering = self._covering(data)
        for found in message.signatures.values():
            found.over_ciphertext |= any(holds(found.elements, outer) for outer in data.iterancestors())
        parent, position = message.put(data, plaintext)
        refuse_attributes(parent, plaintext, message.environment.limits)
        if data.get("Type") == XENC_ELEMENT:
            # encrypted before it was signed: the signature covered what stood in this place
            for found in covering:
                found.elements.append(parent[position])
        place(parent, position)

    # ------------------------------------------------------------------------------------------ places

    def _place_of(self, data: etree._Element) -> _Place:
        """What to do when the plaintext stands in the place of *data*.

        Raises:
            VerificationError: check "encryption-form", when nothing encrypted may stand there.
        """
        message, parent, kind = self._message, data.getparent(), data.get("Type")
        if parent is not None:
            alone = len(parent) == 1 and not (parent.text or "").strip() and not (data.tail or "").strip()
            if kind == XENC_CONTENT and alone and self._may_hold_content(parent):
                return self._take_content
            if kind == XENC_ELEMENT and parent is message.header.element and self._may_hide():
                return self._take_header_child
            wraps = parent.tag == ENCRYPTED_HEADER and parent.getparent() is message.soap.header
            if kind == XENC_ELEMENT and wraps and alone:
                return self._take_header
            named = message.policy.encrypted.elements
            if kind == XENC_ELEMENT and named and parent is not message.header.element:
                return self._take_element
        raise VerificationError(
            "encryption-form", "Something is encrypted where the policy has nothing encrypted"
        )

    def _may_hold_content(self, element: etree._Element) -> bool:
        message = self._message
        if element is message.soap.body:
            return True
        return holds(message.select(message.policy.encrypted.contents), element)

    def _may_hide(self) -> bool:
        """Whether anything in the header may be encrypted: signatures, or tokens of a request."""
        return self._message.hides or self._message.has_tokens()

    def _take_content(self, element: etree._Element, _position: int) -> None:
        self._message.contents.append(element)

    def _take_element(self, parent: etree._Element, position: int) -> None:
        """An element that the policy names, and no other."""
        message = self._message
        if not holds(message.select(message.policy.encrypted.elements), parent[position]):
            raise decryption_failed()
        message.decrypted.append(parent[position])

    def _take_header_child(self, security: etree._Element, position: int) -> None:
        """A signature or what confirms one (EncryptSignature, 6.4), or a supporting token; nothing that is a key."""
        message, child = self._message, security[position]
        if not isinstance(child.tag, str) or child.tag in _NEVER_HIDDEN:
            raise decryption_failed()
        allowed = message.hides if child.tag in OF_SIGNING else message.has_tokens()
        if not allowed:
            raise decryption_failed()
        message.decrypted.append(child)

    def _take_header(self, wrapper: etree._Element, _position: int) -> None:
        """The header block takes the place of its wsse11:EncryptedHeader (WSS 1.1, section 9.3)."""
        message, header, block = self._message, wrapper.getparent(), wrapper[0]
        assert header is not None
        if not isinstance(block.tag, str) or block.tag == message.header.element.tag:
            raise decryption_failed()
        header.replace(wrapper, block)
        message.header.forget(wrapper)
        message.decrypted.append(block)
        for found in self._covering(wrapper):
            found.elements.append(block)
        for found in message.signatures.values():
            found.elements = [element for element in found.elements if element is not wrapper]

    def _covering(self, ciphertext: etree._Element) -> list[VerifiedSignature]:
        """The signatures that cover what a ciphertext hides, where the policy encrypts before it signs.

        Elsewhere who signs has to know what it is: anybody can put his signature over somebody else's ciphertext.
        """
        if not self._message.binding.encrypt_before_signing:
            return []
        return [found for found in self._message.signatures.values() if holds(found.elements, ciphertext)]

    # -------------------------------------------------------------------------------------------- keys

    def _carried_key(self, key: EphemeralKey) -> bytes:
        binding, source = self._message.binding, KeySource(ephemeral=key, secret=key.secret)
        if isinstance(binding, SymmetricBinding):
            return self._symmetric_key(binding, source)
        self._message.rules.refuse_second_secret(source)
        return key.secret

    def _data_key(self, data: etree._Element) -> bytes:
        """The key that encrypted data names: of the binding's context made as the policy says, or one sent along."""
        message = self._message
        key_info = only(data, f"{{{DS}}}KeyInfo", "token-reference")
        reference = only(key_info, f"{{{WSSE}}}SecurityTokenReference", "token-reference")
        source = message.keys.resolve(reference, message.header)
        if isinstance(message.binding, AsymmetricBinding):
            # CXF's EncryptedKey stands apart from the list of what it encrypts when encryption came first
            if source.ephemeral is not None and source.derived is DerivedKeys.NONE:
                message.rules.refuse_second_secret(source)
                return source.secret
        elif isinstance(message.binding, SymmetricBinding):
            return self._symmetric_key(message.binding, source)
        raise _foreign_key()

    def _symmetric_key(self, binding: SymmetricBinding, source: KeySource) -> bytes:
        message = self._message
        if not fits_binding(binding.encryption_token, source):
            raise _foreign_key()
        if source.ephemeral is not None and not message.rules.takes(source.ephemeral):
            raise _foreign_key()
        check_derivation(binding.encryption_token, source)
        message.rules.refuse_second_secret(source)
        message.ephemeral = source.ephemeral or message.ephemeral
        length = encryption.key_length(message.suite.encryption)
        sized = source.derived is not DerivedKeys.NONE and not source.unsized
        return source.secret if sized else source.secret[:length]


def _foreign_key() -> VerificationError:
    return VerificationError("token", "Encrypted data does not use a key of the policy's binding")
