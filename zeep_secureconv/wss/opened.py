"""A message with everything verified and decrypted: what is judged."""

from __future__ import annotations

from dataclasses import dataclass, field

from lxml import etree

from ..soap.envelope import Soap
from .elements import is_within
from .header import SecurityHeader
from .keys import EphemeralKey
from .signature_form import SignatureForm
from .sources import KeySource


@dataclass
class VerifiedSignature:
    """A signature whose value was verified.

    Args:
        place: which child of the header it is.
        form: what it says.
        source: the key that made it.
        hidden: whether it was encrypted.
        elements: what it covers, once the digests were compared.
        body_was_clear: whether Body was decrypted when that was done.
        over_ciphertext: whether something in what it covers was decrypted afterwards.
    """

    place: int
    form: SignatureForm
    source: KeySource
    hidden: bool
    elements: list[etree._Element] = field(default_factory=list)
    body_was_clear: bool = False
    over_ciphertext: bool = False


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A message with everything verified and decrypted, before it is judged.

    Args:
        soap: the message.
        header: its wsse:Security header.
        timestamp: its Timestamp, or None.
        signatures: in the order of the header.
        decrypted: elements that were encrypted as a whole.
        contents: elements whose content was encrypted.
        ephemeral: the key of an EncryptedKey that it was encrypted under, or None.
    """

    soap: Soap
    header: SecurityHeader
    timestamp: etree._Element | None
    signatures: tuple[VerifiedSignature, ...]
    decrypted: tuple[etree._Element, ...]
    contents: tuple[etree._Element, ...]
    ephemeral: EphemeralKey | None

    def was_encrypted(self, element: etree._Element) -> bool:
        """Whether an element was encrypted, itself or with something around it."""
        return is_within(element, self.decrypted) or self.content_was_encrypted(element.getparent())

    def content_was_encrypted(self, element: etree._Element | None) -> bool:
        """Whether everything inside an element was encrypted."""
        if element is None:
            return False
        return is_within(element, self.decrypted) or is_within(element, self.contents)

    def blocks(self) -> list[etree._Element]:
        """The header blocks besides the wsse:Security header."""
        return [block for block in self.soap.blocks() if block is not self.header.element]

    def token_of(self, source: KeySource) -> etree._Element | None:
        """The token in the header that a key comes from."""
        return None if source.place is None else self.header.element[source.place]
