"""WS-Addressing headers: made for requests and replies, read from messages."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from lxml import etree

from ..clock import RandomBytes
from ..errors import VerificationError
from ..names import WSA_2004, WSA_2005
from .envelope import Soap

ANONYMOUS = {WSA_2005: f"{WSA_2005}/anonymous", WSA_2004: f"{WSA_2004}/role/anonymous"}
FAULT_ACTION = {WSA_2005: f"{WSA_2005}/soap/fault", WSA_2004: f"{WSA_2004}/fault"}

#: What a request and its answer have, in this order, unless somebody wants them otherwise.
REQUEST_HEADERS = ("Action", "MessageID", "To", "ReplyTo")
ANSWER_HEADERS = ("Action", "MessageID", "To", "RelatesTo")

_PROPERTIES = ("To", "From", "Action", "MessageID", "RelatesTo", "ReplyTo", "FaultTo")
#: (namespace, local name) of every addressing header, by its tag.
_HEADERS = {f"{{{wsa}}}{local}": (wsa, local) for wsa in ANONYMOUS for local in _PROPERTIES}


@dataclass(frozen=True, kw_only=True)
class Addressing:
    """The addressing headers of a message; text is stripped, absent ones are None.

    Args:
        wsa: the namespace they are in, or None when there are none.
        elements: the header blocks they were read from, by local name, so that a caller can ask whether
            each was signed.
    """

    wsa: str | None
    to: str | None
    action: str | None
    message_id: str | None
    relates_to: str | None
    reply_to: str | None
    fault_to: str | None
    elements: dict[str, etree._Element]


def is_addressing(tag: str) -> bool:
    """Whether this is the tag of an addressing header, of either generation."""
    return tag in _HEADERS


def new_message_id(random: RandomBytes) -> str:
    """A fresh ``urn:uuid:`` MessageID."""
    return UUID(bytes=random(16), version=4).urn


def remove_message_id(soap: Soap) -> None:
    """Take the MessageID out of a request that is sent again: it is another message then."""
    for block in soap.blocks():
        if soap.header is not None and _HEADERS.get(str(block.tag), ("", ""))[1] == "MessageID":
            soap.header.remove(block)


def address_request(
    soap: Soap,
    *,
    wsa: str,
    to: str,
    action: str,
    random: RandomBytes,
    headers: tuple[str, ...] = REQUEST_HEADERS,
) -> str:
    """Give a request its addressing headers and return its MessageID.

    Headers that are there already (from zeep's own addressing plugin, or the user) are kept, each once;
    those of another addressing namespace are replaced, since a message with two generations means two things.

    Args:
        soap: the request.
        wsa: namespace of WS-Addressing.
        to: where it is sent.
        action: what it asks for.
        random: makes its MessageID.
        headers: which it gets, in this order. Only the generation of 2005/08 can do without ReplyTo.
    """
    header = soap.need_header()
    present: dict[str, etree._Element] = {}
    for block in soap.blocks():
        if block.tag not in _HEADERS:
            continue
        namespace, local = _HEADERS[block.tag]
        if namespace == wsa and local not in present:
            present[local] = block
        else:
            header.remove(block)
    message_id = new_message_id(random)
    values = {"Action": action, "MessageID": message_id, "To": to}
    for local in headers:
        if local in values and local not in present:
            present[local] = _append(header, wsa, local, values[local])
    if "ReplyTo" not in present and ("ReplyTo" in headers or wsa == WSA_2004):
        reply_to = _append(header, wsa, "ReplyTo", None)
        address = etree.SubElement(reply_to, f"{{{wsa}}}Address")
        address.text = ANONYMOUS[wsa]
    return (present["MessageID"].text or "").strip()


def address_reply(
    soap: Soap,
    *,
    wsa: str,
    action: str,
    relates_to: str | None,
    random: RandomBytes,
    headers: tuple[str, ...] = ANSWER_HEADERS,
) -> str:
    """Give a reply its addressing headers, instead of any that the application wrote, and return its MessageID.

    Args:
        soap: the reply.
        wsa: namespace of WS-Addressing.
        action: what it is.
        relates_to: MessageID of the request, if it had one.
        random: makes its MessageID.
        headers: which it gets, in this order.
    """
    header = soap.need_header()
    for block in soap.blocks():
        if block.tag in _HEADERS:
            header.remove(block)
    message_id = new_message_id(random)
    values = {"Action": action, "MessageID": message_id, "To": ANONYMOUS[wsa], "RelatesTo": relates_to}
    for local in headers:
        if values[local] is not None:
            _append(header, wsa, local, values[local])
    return message_id


def target_of(soap: Soap) -> tuple[str | None, str | None]:
    """(To, Action) of a request of ours before :func:`address_request`; of doubles the first counts, as it does there.

    zeep adds the headers by itself where the WSDL names actions, and once more for its own addressing plugin.
    """
    found: dict[str, str | None] = {}
    for block in soap.blocks():
        if block.tag in _HEADERS:
            found.setdefault(_HEADERS[block.tag][1], block.text)
    to, action = ((found.get(local) or "").strip() or None for local in ("To", "Action"))
    return to, action


def read_addressing(soap: Soap) -> Addressing:
    """The addressing headers of a message.

    Raises:
        VerificationError: check "addressing", when one appears twice, in two generations, or holds more than text.
    """
    found: dict[str, etree._Element] = {}
    generations = set()
    for block in soap.blocks():
        if block.tag in _HEADERS:
            namespace, local = _HEADERS[block.tag]
            if local in found:
                raise VerificationError("addressing", f"The message has wsa:{local} twice")
            found[local] = block
            generations.add(namespace)
    if len(generations) > 1:
        raise VerificationError("addressing", "The message mixes two generations of WS-Addressing")
    wsa = generations.pop() if generations else None
    return Addressing(
        wsa=wsa,
        to=_text(found.get("To")),
        action=_text(found.get("Action")),
        message_id=_text(found.get("MessageID")),
        relates_to=_text(found.get("RelatesTo")),
        reply_to=_address(found.get("ReplyTo"), wsa),
        fault_to=_address(found.get("FaultTo"), wsa),
        elements=found,
    )


def _append(header: etree._Element, wsa: str, local: str, value: str | None) -> etree._Element:
    block: etree._Element = etree.SubElement(header, f"{{{wsa}}}{local}", nsmap={"wsa": wsa})
    block.text = value
    return block


def _text(block: etree._Element | None) -> str | None:
    if block is None:
        return None
    if len(block):
        # a processing instruction would cut the text in two, and readers would differ about what it says
        raise VerificationError("addressing", f"wsa:{etree.QName(block).localname} holds more than text")
    return (block.text or "").strip()


def _address(block: etree._Element | None, wsa: str | None) -> str | None:
    return None if block is None else _text(block.find(f"{{{wsa}}}Address"))
