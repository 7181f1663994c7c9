"""SOAP envelopes, read by position, and the one XML parser for what comes from a network."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from functools import cache

from lxml import etree

from ..errors import LimitExceeded, VerificationError
from ..limits import Limits
from ..names import SOAP11, SOAP12

#: The Content-Type of a message in each version (SOAP 1.1 section 6, SOAP 1.2 part 2 section 7.1.4).
_CONTENT_TYPE = {SOAP11: "text/xml; charset=utf-8", SOAP12: "application/soap+xml; charset=utf-8"}


#: The start of an XML declaration in EBCDIC, by which libxml2 knows it.
_EBCDIC = b"\x4c\x6f\xa7\x94"
_DECLARED = re.compile(rb"""(?:\xef\xbb\xbf)?<\?xml\s[^>]*?encoding\s*=\s*["']([^"'>]*)""")
#: Encodings in which every tag has an octet of its "<" and no other form of it, unlike UTF-7.
_PLAIN = re.compile(rb"(?i)utf-?8|utf-?16|utf-?32|(us-)?ascii|iso-?8859|windows-125")
#: Those of them in which an octet of "<" is nothing else, and how the others begin.
_OF_OCTETS = re.compile(rb"(?i)utf-?8|(us-)?ascii|iso-?8859|windows-125")
_WIDE = (b"\xff\xfe", b"\xfe\xff", _EBCDIC)
#: The value of an attribute.
_QUOTED = re.compile(rb"\"[^\"]*\"|'[^']*'")

#: Making a parser takes longer than parsing a small message, and one parser belongs to one thread.
_LOCAL = threading.local()


@dataclass(frozen=True)
class Soap:
    """An envelope taken apart: *header* and *body* are its only children.

    Args:
        version: the envelope's namespace.
        envelope, header, body: the elements; *header* is None where there is none.
    """

    version: str
    envelope: etree._Element
    header: etree._Element | None
    body: etree._Element

    @classmethod
    def of(cls, envelope: etree._Element) -> Soap:
        """Take *envelope* apart.

        Raises:
            VerificationError: check "envelope", when it is not exactly Envelope{Header?, Body} of one version.
        """
        for version in (SOAP11, SOAP12):
            if envelope.tag == f"{{{version}}}Envelope":
                break
        else:
            raise VerificationError("envelope", "The message is not a SOAP envelope")
        children = [child for child in envelope if isinstance(child.tag, str)]
        tags = [child.tag for child in children]
        if tags == [f"{{{version}}}Header", f"{{{version}}}Body"]:
            return cls(version, envelope, children[0], children[1])
        if tags == [f"{{{version}}}Body"]:
            return cls(version, envelope, None, children[0])
        raise VerificationError("envelope", "The envelope does not consist of one Header and one Body")

    def need_header(self) -> etree._Element:
        """The Header, made when it is missing."""
        if self.header is not None:
            return self.header
        header = etree.Element(f"{{{self.version}}}Header")
        self.envelope.insert(0, header)
        object.__setattr__(self, "header", header)
        return header

    def blocks(self) -> list[etree._Element]:
        """The header blocks in their order."""
        return [] if self.header is None else [b for b in self.header if isinstance(b.tag, str)]

    @property
    def payload(self) -> etree._Element | None:
        """The only element in the Body, or None when the Body has none.

        Raises:
            VerificationError: check "envelope", when the Body has more than one.
        """
        children = [child for child in self.body if isinstance(child.tag, str)]
        if len(children) > 1:
            raise VerificationError("envelope", "The Body has more than one child")
        return children[0] if children else None

    def is_fault(self) -> bool:
        """Whether the single child of the Body is a soap:Fault of the same version."""
        children = [child for child in self.body if isinstance(child.tag, str)]
        return len(children) == 1 and children[0].tag == f"{{{self.version}}}Fault"


def new_envelope(version: str) -> Soap:
    """An empty envelope of that version, with Header and Body."""
    envelope = etree.Element(f"{{{version}}}Envelope", nsmap={"soap": version})
    etree.SubElement(envelope, f"{{{version}}}Header")
    etree.SubElement(envelope, f"{{{version}}}Body")
    return Soap.of(envelope)


def http_headers(version: str, action: str) -> dict[str, str]:
    """The HTTP headers of a request: Content-Type, and where the action belongs in each version."""
    if version == SOAP12:
        return {"Content-Type": f'{_CONTENT_TYPE[SOAP12]}; action="{action}"'}
    return {"Content-Type": _CONTENT_TYPE[SOAP11], "SOAPAction": f'"{action}"'}


def content_type(version: str) -> str:
    """The Content-Type of a reply in that version."""
    return _CONTENT_TYPE[version]


def parser() -> etree.XMLParser:
    """The parser of this thread, which resolves no entity, reads no DTD and opens no connection.

    Comments are dropped, as zeep does: no signature of ours covers them, and zeep takes a comment that is the
    first child of Body for the message. Processing instructions stay; canonical XML keeps them.
    """
    made: etree.XMLParser | None = getattr(_LOCAL, "parser", None)
    if made is None:
        made = _LOCAL.parser = etree.XMLParser(
            resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, huge_tree=True
        )
    return made


def parse(data: bytes, limits: Limits) -> etree._Element:
    """The root of a message from the network.

    Raises:
        LimitExceeded: check "message-size", when it is longer than ``limits.message_bytes``; "elements"; "depth";
            "attributes".
        VerificationError: check "xml", when it is not well-formed or has a document type declaration.
    """
    if len(data) > limits.message_bytes:
        raise LimitExceeded("message-size", f"The message is longer than {limits.message_bytes} bytes")
    refuse_width(data, limits)
    try:
        root = etree.fromstring(data, parser())
    except etree.XMLSyntaxError as error:
        raise VerificationError("xml", "The message is not well-formed XML") from error
    refuse_dtd(root)
    refuse_depth(root, limits)
    refuse_attributes(root, data, limits)
    return root


def refuse_width(data: bytes, limits: Limits) -> None:
    """A tree takes thirty times the memory of its text, so that elements are counted before there is a tree.

    Raises:
        LimitExceeded: check "elements".
    """
    # a start tag and an end tag each
    if _most_tags(data) > 2 * limits.elements:
        raise _too_many_elements(limits)


def _most_tags(data: bytes) -> int:
    """A number that the tags in a document do not exceed."""
    declared = _DECLARED.match(data)
    if data.startswith(_EBCDIC) or (declared and not _PLAIN.match(declared[1])):
        return len(data) // 4  # the shortest element is <a/>, and its octets may be any
    return data.count(b"<")


def _too_many_elements(limits: Limits) -> LimitExceeded:
    return LimitExceeded("elements", f"The message has more than {limits.elements} elements")


def refuse_depth(root: etree._Element, limits: Limits) -> None:
    """What walks a tree behind us may recurse, so that nesting has a bound.

    Raises:
        LimitExceeded: check "depth"; check "elements", when it has more than libxml2 can look at.
    """
    try:
        deeper = _deeper_than(limits.depth)(root)
    except etree.XPathError as error:
        raise _too_many_elements(limits) from error
    if deeper:
        raise LimitExceeded("depth", f"The message nests more than {limits.depth} elements")


def refuse_attributes(root: etree._Element, data: bytes, limits: Limits) -> None:
    """Canonical XML sorts attributes and looks declarations up one after the other: both have a bound.

    Args:
        root: the tree.
        data: what it, or something in it, was parsed from: it tells whether it is worth looking.
        limits: the bounds.

    Raises:
        LimitExceeded: check "attributes".
    """
    try:
        long = len(data) > limits.attribute_chars and _longer_than(limits.attribute_chars)(root)
        many = _may_have_more_than(limits.attributes, data) and (
            _more_than(limits.attributes)(root) or _declares(limits.attributes, root)
        )
    except etree.XPathError as error:
        raise _too_many_elements(limits) from error
    if long or many:
        raise LimitExceeded(
            "attributes",
            f"An element has more than {limits.attributes} attributes, or one of more than "
            f"{limits.attribute_chars} characters",
        )


def _may_have_more_than(most: int, data: bytes) -> bool:
    """Whether an element in a document may have so many attributes."""
    if data.count(b"=") <= most:
        return False
    declared = _DECLARED.match(data)
    if b"\0" in data[:4] or data.startswith(_WIDE) or (declared and not _OF_OCTETS.match(declared[1])):
        return True
    # an attribute holds no "<", so that a tag with all of them stands between two; what follows it may be text
    return any(piece.count(b"=") > most and _tag_of(piece).count(b"=") > most for piece in data.split(b"<"))


def _tag_of(piece: bytes) -> bytes:
    """The tag at the start of a piece of a document, without the values of its attributes."""
    return _QUOTED.sub(b"", piece).partition(b">")[0]


def _declares(most: int, root: etree._Element) -> bool:
    """Whether an element declares more namespaces than that."""
    declared = 0
    for event, _ in etree.iterwalk(root, events=("start", "start-ns")):
        declared = declared + 1 if event == "start-ns" else 0
        if declared > most:
            return True
    return False


@cache
def _more_than(most: int) -> etree.XPath:
    return etree.XPath(f"boolean(//@*[{most + 1}])")


@cache
def _longer_than(most: int) -> etree.XPath:
    return etree.XPath(f"boolean(//@*[string-length() > {most}])")


@cache
def _deeper_than(depth: int) -> etree.XPath:
    return etree.XPath("boolean(/" + "*/" * depth + "*)")


def refuse_dtd(root: etree._Element) -> None:
    """SOAP messages have no document type declaration (SOAP 1.1 section 3, SOAP 1.2 part 1 section 5).

    Raises:
        VerificationError: check "dtd".
    """
    if root.getroottree().docinfo.internalDTD is not None:
        raise VerificationError("dtd", "The message has a document type declaration")


def serialize(envelope: etree._Element) -> bytes:
    """The bytes of a message, UTF-8 with an XML declaration."""
    return etree.tostring(envelope, xml_declaration=True, encoding="UTF-8")
