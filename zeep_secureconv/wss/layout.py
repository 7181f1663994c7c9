"""What stands in the wsse:Security header of an outgoing message, and in which order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from lxml import etree

from ..names import DS, WSSE, WSSE11, WSU, XENC
from ..policy.model import AsymmetricBinding, Binding, Layout
from .pieces import MessageKeys, Piece
from .supporting import Carried

_PREFIXES = {WSSE: "wsse", WSU: "wsu", DS: "ds", WSSE11: "wsse11", XENC: "xenc"}
_LIST = "<xenc:ReferenceList/>"
_SIGNATURE = "<ds:Signature/>"


@dataclass(frozen=True, kw_only=True)
class HeaderLayout:
    """The pieces of one header.

    Args:
        binding: says the order.
        keys: the keys and their tokens.
        stamps: the Timestamp, if there is one.
        carried: the supporting tokens.
        confirmations: what confirms the signatures of the request, in an answer.
        signature: the place of the primary signature.
        first: the list of what was encrypted last, which stands before the signatures.
        last: the list of what was encrypted before signing.
        endorsements: the place of the signature of each supporting token that endorses.
    """

    binding: Binding
    keys: MessageKeys
    stamps: tuple[Piece, ...]
    carried: tuple[Carried, ...]
    confirmations: tuple[Piece, ...]
    signature: Piece = field(default_factory=lambda: Piece(text=_SIGNATURE))
    first: Piece = field(default_factory=lambda: Piece(text=_LIST))
    last: Piece = field(default_factory=lambda: Piece(text=_LIST))
    endorsements: dict[Carried, Piece] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for carried in self.carried:
            if carried.key is not None:
                self.endorsements[carried] = Piece(text=_SIGNATURE)

    def write(self, soap: str) -> Header:
        """The header, with empty signatures and lists.

        Args:
            soap: SOAP namespace of the message.
        """
        pieces = self._in_order()
        element = etree.fromstring(
            f'<wsse:Security xmlns:wsse="{WSSE}" xmlns:wsu="{WSU}" xmlns:ds="{DS}" xmlns:xenc="{XENC}" '
            f'xmlns:soap="{soap}" soap:mustUnderstand="1">{"".join(piece.text for piece in pieces)}</wsse:Security>'
        )
        return Header(element, dict(zip(pieces, element, strict=True)))

    def _in_order(self) -> list[Piece]:
        """The children of the header.

        What comes first was applied last: WSS4J works from the top down, so the ReferenceList stands before the
        Signature when the message was signed first. Tokens stand before what uses them (Layout Strict), which
        every layout allows.
        """
        keys = self.keys
        signing = keys.signing.tokens if keys.signing is not None else ()
        encryption = keys.encryption.tokens if keys.encryption is not None else ()
        signature = (self.signature,) if keys.signing is not None else ()
        first, last = self._lists()
        carried = tuple(self._carried_tokens())
        if isinstance(self.binding, AsymmetricBinding):
            middle = (*encryption, *first, *carried, *signing)
        elif self.binding.encrypt_before_signing:
            middle = (*encryption, *signing, *first, *carried)
        else:
            middle = (*signing, *encryption, *first, *carried)
        signatures = (*self.confirmations, *signature, *self.endorsements.values())
        rest = (*keys.shared, *middle, *self._endorsing_tokens(), *signatures, *last)
        stamp_last = self.binding.layout is Layout.LAX_TIMESTAMP_LAST
        return [*rest, *self.stamps] if stamp_last else [*self.stamps, *rest]

    def _lists(self) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
        """(the list before the signatures, the list after them)."""
        encryption = self.keys.encryption
        if encryption is None:
            return (), ()
        return (encryption.carrier or self.first,), (
            self.last,
        ) if self.binding.encrypt_before_signing else ()

    def _carried_tokens(self) -> Iterator[Piece]:
        return (entry.piece for entry in self.carried if entry.key is None and entry.piece is not None)

    def _endorsing_tokens(self) -> Iterator[Piece]:
        """What the endorsing signatures need; a context that is there stands once."""
        there = set(self.keys.shared)
        for carried in self.endorsements:
            assert carried.key is not None
            yield from (piece for piece in carried.key.tokens if piece not in there)


@dataclass(frozen=True)
class Header:
    """The wsse:Security header of an outgoing message.

    Args:
        element: the header.
        places: where each piece stands.
    """

    element: etree._Element
    places: dict[Piece, etree._Element]

    def list_of(self, piece: Piece) -> etree._Element:
        """The ReferenceList that a piece is, or holds."""
        place = self.places[piece]
        held = place.find(f"{{{XENC}}}ReferenceList")
        return place if held is None else held

    def drop_empty_lists(self) -> None:
        """Remove lists of nothing: the schema of XML Encryption has no such."""
        for found in list(self.element.iter(f"{{{XENC}}}ReferenceList")):
            parent = found.getparent()
            if not len(found) and parent is not None:
                parent.remove(found)

    def is_renamed(self) -> bool:
        """Whether lxml changed prefixes when the header joined the envelope.

        It does so where the envelope declares one of these namespaces under another prefix.
        """
        return is_renamed(self.element)


def is_renamed(element: etree._Element) -> bool:
    """Whether an element has not the prefixes that it was written with."""
    return any(_PREFIXES.get(uri, prefix) != prefix for prefix, uri in element.nsmap.items())
