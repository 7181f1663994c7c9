"""Reads the parts of WS-Trust messages, with the leniency and strictness that :mod:`.messages` tells of."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import NoReturn

from lxml import etree

from ..errors import LimitExceeded, VerificationError
from ..limits import Limits
from ..names import WSC_2005, WSC_200512, WSSE, WST_2005, WST_200512, WSU, XENC
from ..wss import base64
from ..wss.times import read_time
from .model import ContextToken, Entropy, Lifetime, Renewing, RequestType, TokenReference

_WST = (WST_200512, WST_2005)
_WSC = (WSC_200512, WSC_2005)

#: The child that names the token in question.
TARGETS = {
    RequestType.RENEW: "RenewTarget",
    RequestType.CANCEL: "CancelTarget",
    RequestType.VALIDATE: "ValidateTarget",
}

_SPACE = " \t\r\n"
_NO_SPACE = {ord(character): None for character in _SPACE}
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_KEY_BITS = range(8, 4096 + 1, 8)
#: A cookie token of WCF, which carries the whole context encrypted, has a few kilobytes.
_VERBATIM_BYTES = 64 * 1024


def refuse(message: str) -> NoReturn:
    """Refuse the message that is being read. What the peer wrote is never part of the text."""
    raise VerificationError("trust-message", message)


def elements(parent: etree._Element) -> Iterator[etree._Element]:
    """The children that are elements."""
    return (child for child in parent if isinstance(child.tag, str))


def local_name(element: etree._Element) -> str:
    """The name of an element without its namespace."""
    return etree.QName(element).localname


def only_child(parent: etree._Element) -> etree._Element:
    """The child of an element that must have one."""
    children = list(elements(parent))
    if len(children) != 1:
        refuse(f"{local_name(parent)} does not have exactly one child")
    return children[0]


def _one_word(name: str | None) -> str | None:
    """An identifier. It will stand in logs, so that a line break in it could forge one."""
    if name is not None and any(space in name for space in _SPACE):
        refuse("An identifier has white space in it")
    return name


class Reader:
    """Reads the parts of one message. Every method takes a missing element for a missing value."""

    def __init__(self, root: etree._Element, name: str, limits: Limits) -> None:
        qname = etree.QName(root)
        if qname.localname != name or qname.namespace not in _WST:
            refuse(f"The Body is no {name} of a known generation of WS-Trust")
        self.wst = qname.namespace
        self._limits = limits

    def children(
        self, parent: etree._Element, names: Collection[str], namespace: str
    ) -> dict[str, etree._Element]:
        """The children of those names by local name; AppliesTo counts in whatever namespace it is.

        WebSphere writes AppliesTo in the namespace of WS-Policy in requests, of WS-SecurityPolicy in answers.
        """
        found: dict[str, etree._Element] = {}
        for child in elements(parent):
            qname = etree.QName(child)
            name = qname.localname
            if name not in names or (qname.namespace != namespace and name != "AppliesTo"):
                continue
            if name in found:
                refuse(f"{local_name(parent)} has more than one {name}")
            found[name] = child
        return found

    def text(self, element: etree._Element | None) -> str | None:
        """The text of an element, None for an empty one."""
        if element is None:
            return None
        return self._bounded(self._content(element).strip(_SPACE), local_name(element))

    def attribute(self, element: etree._Element, name: str) -> str | None:
        return self._bounded((element.get(name) or "").strip(_SPACE), name.rpartition("}")[2])

    def request_type(self, element: etree._Element | None) -> RequestType:
        text = self.text(element)
        for request_type in RequestType:
            if text == request_type.uri(self.wst):
                return request_type
        refuse("The RequestType is missing or unknown")

    def address(self, element: etree._Element | None) -> str | None:
        """The address in AppliesTo{EndpointReference{Address}}, matched by local names."""
        for name in ("EndpointReference", "Address"):
            if element is None:
                return None
            inner = [child for child in elements(element) if local_name(child) == name]
            if len(inner) != 1:
                refuse(f"AppliesTo does not have exactly one {name}")
            element = inner[0]
        return self.text(element)

    def key_size(self, element: etree._Element | None) -> int | None:
        """KeySize, in bytes."""
        if element is None:
            return None
        text = self.text(element) or ""
        if not re.fullmatch("[0-9]{1,4}", text) or int(text) not in _KEY_BITS:
            refuse("The KeySize is no number of bits that makes whole bytes, from 8 to 4096")
        return int(text) // 8

    def lifetime(self, element: etree._Element | None) -> Lifetime | None:
        if element is None:
            return None
        found = self.children(element, ("Created", "Expires"), WSU)
        return Lifetime(self._time(found.get("Created")), self._time(found.get("Expires")))

    def renewing(self, element: etree._Element | None) -> Renewing | None:
        if element is None:
            return None
        return Renewing(self._boolean(element, "Allow", True), self._boolean(element, "OK", False))

    def status(self, element: etree._Element | None) -> str | None:
        if element is None:
            return None
        code = self.text(self.children(element, ("Code",), self.wst).get("Code"))
        return code or refuse("Status has no Code")

    def entropy(self, element: etree._Element | None) -> tuple[Entropy | None, bytes | None]:
        """What wst:Entropy holds: a BinarySecret, or an EncryptedKey as it stands."""
        if element is None:
            return None, None
        child = only_child(element)
        if child.tag == f"{{{XENC}}}EncryptedKey":
            return None, self._verbatim(child)
        return Entropy(self._binary_secret(child), self.attribute(child, "Type")), None

    def proof(self, element: etree._Element | None) -> tuple[str | None, bytes | None, bytes | None]:
        """What wst:RequestedProofToken holds: URI of a ComputedKey, BinarySecret, or EncryptedKey."""
        if element is None:
            return None, None, None
        child = only_child(element)
        if child.tag == f"{{{self.wst}}}ComputedKey":
            return self.text(child) or refuse("ComputedKey is empty"), None, None
        if child.tag == f"{{{XENC}}}EncryptedKey":
            return None, None, self._verbatim(child)
        return None, self._binary_secret(child), None

    def target(
        self, found: Mapping[str, etree._Element], request_type: RequestType
    ) -> ContextToken | TokenReference | None:
        wanted = TARGETS.get(request_type)
        if [name for name in TARGETS.values() if name in found] != ([wanted] if wanted else []):
            refuse("The request does not have the target that its RequestType needs, and no other")
        if wanted is None:
            return None
        child = only_child(found[wanted])
        if child.tag == f"{{{WSSE}}}SecurityTokenReference":
            return self._reference(child)
        return self._token(child)

    def requested_token(self, element: etree._Element | None) -> ContextToken | None:
        return None if element is None else self._token(only_child(element))

    def requested_reference(self, element: etree._Element | None) -> TokenReference | None:
        return None if element is None else self._reference(only_child(element))

    def _token(self, element: etree._Element) -> ContextToken:
        qname = etree.QName(element)
        if qname.localname != "SecurityContextToken" or qname.namespace not in _WSC:
            refuse("The token is no SecurityContextToken of a known generation")
        found = self.children(element, ("Identifier", "Instance"), qname.namespace)
        return ContextToken(
            _one_word(self.text(found.get("Identifier"))) or refuse("A token has no Identifier"),
            _one_word(self.text(found.get("Instance"))),
            _one_word(self.attribute(element, f"{{{WSU}}}Id")),
            qname.namespace,
            self._verbatim(element),
        )

    def _reference(self, element: etree._Element) -> TokenReference:
        """Reference only: a SecurityContextToken has no other kind (WS-SecureConversation 1.3, 2)."""
        if element.tag != f"{{{WSSE}}}SecurityTokenReference":
            refuse("A reference to a token is no SecurityTokenReference")
        reference = only_child(element)
        if reference.tag != f"{{{WSSE}}}Reference":
            refuse("A SecurityTokenReference to a SecurityContextToken has no Reference")
        instances = [i for wsc in _WSC if (i := self.attribute(reference, f"{{{wsc}}}Instance"))]
        if len(instances) > 1:
            refuse("A Reference has more than one Instance")
        return TokenReference(
            _one_word(self.attribute(reference, "URI")) or refuse("A Reference has no URI"),
            self.attribute(reference, "ValueType"),
            _one_word(instances[0]) if instances else None,
            self._verbatim(element),
        )

    def _time(self, element: etree._Element | None) -> datetime | None:
        if element is None:
            return None
        text = self.text(element)
        try:
            return read_time(text)
        except VerificationError:
            raise VerificationError("trust-message", "A time in a Lifetime is no xs:dateTime") from None

    def _boolean(self, element: etree._Element, name: str, default: bool) -> bool:
        text = self.attribute(element, name)
        if text is None:
            return default
        if text not in _BOOLEANS:
            refuse(f"{name} is no xs:boolean")
        return _BOOLEANS[text]

    def _binary_secret(self, element: etree._Element) -> bytes:
        """The octets of a BinarySecret of any Type: CXF and Rampart call a proof key Nonce, or nothing."""
        if element.tag != f"{{{self.wst}}}BinarySecret":
            refuse("A secret is neither a BinarySecret nor an EncryptedKey")
        text = self._content(element).translate(_NO_SPACE)
        if len(text) > (self._limits.entropy_bytes + 2) // 3 * 4:
            raise LimitExceeded("trust-message", "A BinarySecret is too long")
        try:
            secret = base64.decode(text)
        except ValueError:
            secret = b""
        if not secret or base64.encode(secret) != text:
            refuse("A BinarySecret is empty or no base64")
        return secret

    def _verbatim(self, element: etree._Element) -> bytes:
        data = etree.tostring(element, with_tail=False)
        if len(data) > _VERBATIM_BYTES:
            raise LimitExceeded("trust-message", f"{local_name(element)} is too long")
        return data

    def _bounded(self, text: str, what: str) -> str | None:
        if len(text) > self._limits.identifier_chars:
            raise LimitExceeded("trust-message", f"{what} is too long")
        return text or None

    def _content(self, element: etree._Element) -> str:
        """The text of an element that may hold nothing else, so that nothing cuts the text short."""
        if len(element):
            refuse(f"{local_name(element)} holds more than text")
        return element.text or ""
