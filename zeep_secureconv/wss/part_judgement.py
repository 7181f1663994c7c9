"""Whether the parts of a received message are signed, encrypted and there, each in its place, as its policy has it."""

from __future__ import annotations

from dataclasses import dataclass, field

from lxml import etree

from ..errors import VerificationError
from ..limits import Limits
from ..names import DS, WSC_2005, WSC_200512, WSSE, WSSE11, WSU, XENC
from ..policy.model import Binding, ElementPath, Layout, Parts, Policy
from ..soap.addressing import is_addressing
from .elements import holds, is_within, select
from .header import (
    ACTOR,
    BINARY_TOKEN,
    CONTEXT_TOKENS,
    EMBEDDED,
    ENCRYPTED_DATA,
    ENCRYPTED_HEADER,
    ENCRYPTED_KEY,
    SAML_IDS,
    SIGNATURE,
    TIMESTAMP,
    USERNAME,
)
from .key_judgement import check_order
from .opened import Opened, VerifiedSignature
from .supporting_judgement import is_token

_SECURITY = frozenset({WSSE, WSSE11, WSU, DS, XENC, WSC_2005, WSC_200512})
#: What may stand in a reference to it instead of in the header.
_EMBEDDED = frozenset({BINARY_TOKEN, ENCRYPTED_KEY, USERNAME, *SAML_IDS}) | CONTEXT_TOKENS
#: What is looked for in other places alone: a time in the header of security, ciphertext where it may be decrypted.
_NO_BLOCKS = frozenset({TIMESTAMP, ENCRYPTED_DATA})
_TIMESTAMP_PLACES = {Layout.LAX_TIMESTAMP_FIRST: 0, Layout.LAX_TIMESTAMP_LAST: -1}


@dataclass(frozen=True)
class PartJudge:
    """Judges the parts of one message.

    Args:
        opened: the message.
        policy: its policy.
        binding: that of the policy.
        limits: bounds what paths may name.
    """

    opened: Opened
    policy: Policy
    binding: Binding
    limits: Limits
    _selected: dict[tuple[ElementPath, ...], list[etree._Element]] = field(default_factory=dict, init=False)

    def check_signed(self, primary: VerifiedSignature) -> None:
        """Whether what the policy names is under the primary signature.

        Raises:
            VerificationError: check "signed-parts".
        """
        soap, signed = self.opened.soap, self.policy.signed
        required = [soap.body] if signed.body else []
        required += [block for block in self.opened.blocks() if signed.header(str(block.tag))]
        if self.opened.timestamp is not None and self.binding.include_timestamp:
            required.append(self.opened.timestamp)
        own = self.opened.header.element
        required += [
            element
            for element in self._select(signed.elements)
            if element is not own and not (element.tag == SIGNATURE and element.getparent() is own)
        ]
        for part in required:
            if not is_within(part, primary.elements):
                raise VerificationError(
                    "signed-parts", f"The policy demands that {_local(part)} is signed, and it is not"
                )

    def check_encrypted(self, primary: VerifiedSignature) -> None:
        """Whether what the policy names was encrypted, before or after signing as it says.

        Raises:
            VerificationError: checks "encrypted-parts" and "protection-order".
        """
        soap, encrypted, opened = self.opened.soap, self.policy.encrypted, self.opened
        own = opened.header.element
        required = [block for block in opened.blocks() if encrypted.header(str(block.tag))]
        required += [
            e for e in self._select(encrypted.elements) if not (e.tag == SIGNATURE and e.getparent() is own)
        ]
        for part in required:
            if not opened.was_encrypted(part):
                raise _not_encrypted(part)
        contents = [soap.body] if encrypted.body else []
        contents += self._select(encrypted.contents)
        for part in contents:
            if not _is_empty(part) and not opened.content_was_encrypted(part):
                raise _not_encrypted(part)
        check_order(primary, self.binding)
        in_order = primary.body_was_clear != self.binding.encrypt_before_signing
        if encrypted.body and not in_order and holds(opened.contents, soap.body):
            raise VerificationError(
                "protection-order", "Signing and encryption are not in the policy's order"
            )

    def check_layout(self) -> None:
        """Where the Timestamp stands, if the policy says it (6.7), and that no part of a part was signed (6.6).

        Raises:
            VerificationError: checks "layout" and "signed-parts".
        """
        binding, header, stamp = self.binding, self.opened.header.element, self.opened.timestamp
        place = _TIMESTAMP_PLACES.get(binding.layout)
        if place is not None and stamp is not None and header[place] is not stamp:
            raise VerificationError("layout", "The Timestamp is not where the policy demands it")
        if not binding.only_sign_entire_headers_and_body:
            return
        soap = self.opened.soap
        whole = [soap.envelope, soap.header, header]
        for found in self.opened.signatures:
            if not all(any(part.getparent() is one for one in whole) for part in found.elements):
                raise VerificationError(
                    "signed-parts", "A signature covers a part of a header or of Body only"
                )

    def check_required(self) -> None:
        """Whether what must be in the message is there.

        Raises:
            VerificationError: check "required-parts".
        """
        tags = [str(block.tag) for block in self.opened.soap.blocks()]
        for part in self.policy.required.headers:
            if not any(part.matches(tag) for tag in tags):
                raise VerificationError(
                    "required-parts", f"The policy demands a header {part.name or part.namespace}"
                )
        for path in self.policy.required.elements:
            if not self._select((path,)):
                raise VerificationError("required-parts", f"The policy demands an element {path.xpath}")

    def check_nothing_hidden(self) -> None:
        """Nothing stayed encrypted that the policy names: it would pass for something that is not there.

        Raises:
            VerificationError: check "encryption-form".
        """
        soap, encrypted, own = self.opened.soap, self.policy.encrypted, self.opened.header.element
        left = [block for block in self.opened.blocks() if block.tag == ENCRYPTED_HEADER]
        left = [block for block in left if not block.get(f"{{{soap.version}}}{ACTOR[soap.version]}")]
        left += own.iterchildren(ENCRYPTED_DATA)
        if encrypted.elements or encrypted.contents:
            left += soap.envelope.iterdescendants(ENCRYPTED_DATA)
        if left:
            raise VerificationError(
                "encryption-form", "Something is encrypted, and the message does not list it"
            )

    def check_places(self, found: VerifiedSignature, named: Parts) -> None:
        """What a signature covers is a header block, Body, in the header of security, or what a path names.

        Otherwise somebody could put a signed part where nobody looks for it, as if it had never been in the message.

        Raises:
            VerificationError: check "signed-parts".
        """
        if not named:
            return  # of a fault, whose parts are asked for one by one
        soap, by_path = self.opened.soap, self._select(named.elements)
        halves = bool(named.elements) and not named.body
        for element in found.elements:
            parent = element.getparent()
            if parent is self.opened.header.element:
                stands = self._is_of_security(element)
            elif parent is soap.header:
                stands = element.tag not in _NO_BLOCKS and (
                    not halves or self._is_a_header(str(element.tag), named)
                )
            else:
                stands = element is soap.body or self._is_embedded(element)
            # what hid a part when it was signed was signed for it
            if not stands and not any(is_within(part, [element]) for part in by_path):
                raise VerificationError(
                    "signed-parts", f"{_local(element)} is signed, and does not stand where the policy has it"
                )

    def _is_of_security(self, element: etree._Element) -> bool:
        """Whether an element is what belongs into wsse:Security."""
        name = etree.QName(element)
        if name.namespace in _SECURITY or name.text in SAML_IDS:
            return element.tag != ENCRYPTED_HEADER  # whose place is among the header blocks, to become one
        return any(is_token(entry.token, element) for entry in self.policy.supporting)

    def _is_embedded(self, element: etree._Element) -> bool:
        """Whether an element is a token in a reference, which is in the header of security."""
        holder = element.getparent()
        return (
            holder is not None
            and holder.tag == EMBEDDED
            and element.tag in _EMBEDDED
            and is_within(holder, [self.opened.header.element])
        )

    def _is_a_header(self, tag: str, named: Parts) -> bool:
        """Whether a header block with that tag is nothing that could have been taken out of Body."""
        return named.header(tag) or self.policy.encrypted.header(tag) or is_addressing(tag)

    def _select(self, paths: tuple[ElementPath, ...]) -> list[etree._Element]:
        # the message does not change any more, and several checks want the same
        if paths not in self._selected:
            self._selected[paths] = select(paths, self.opened.soap.envelope, self.limits)
        return self._selected[paths]


def _is_empty(element: etree._Element) -> bool:
    return not len(element) and not (element.text or "").strip()


def _local(element: etree._Element) -> str:
    return etree.QName(element).localname


def _not_encrypted(part: etree._Element) -> VerificationError:
    return VerificationError(
        "encrypted-parts", f"The policy demands that {_local(part)} is encrypted, and it is not"
    )
