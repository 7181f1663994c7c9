"""The wsse:Security header of a received message, found by position and bounded, and the ids in a message."""

from __future__ import annotations

import math
from collections.abc import Iterator

from lxml import etree

from ..errors import LimitExceeded, VerificationError
from ..limits import Limits
from ..names import (
    DS,
    SOAP11,
    SOAP12,
    WSC_2005,
    WSC_200512,
    WSSE,
    WSSE11,
    WSU,
    X509_PKI_PATH,
    X509_V3,
    XENC,
)
from ..soap.envelope import Soap

_PREFIXES = {"wsu": WSU, "ds": DS, "xenc": XENC}
#: The elements of a subtree that have an id, and the attribute that it is in. Three paths: libxml2 takes twice as long
#: for one with an "or".
_WITH_ID = tuple(
    (etree.XPath(f"descendant-or-self::{path}", namespaces=_PREFIXES), attribute)
    for path, attribute in (("*[@wsu:Id]", f"{{{WSU}}}Id"), ("ds:*[@Id]", "Id"), ("xenc:*[@Id]", "Id"))
)
_COUNT = etree.XPath("count(descendant::*)")

SIGNATURE = f"{{{DS}}}Signature"
TIMESTAMP = f"{{{WSU}}}Timestamp"
ENCRYPTED_KEY = f"{{{XENC}}}EncryptedKey"
ENCRYPTED_HEADER = f"{{{WSSE11}}}EncryptedHeader"
EMBEDDED = f"{{{WSSE}}}Embedded"
ENCRYPTED_DATA = f"{{{XENC}}}EncryptedData"
REFERENCE_LIST = f"{{{XENC}}}ReferenceList"
CONFIRMATION = f"{{{WSSE11}}}SignatureConfirmation"
USERNAME = f"{{{WSSE}}}UsernameToken"
BINARY_TOKEN = f"{{{WSSE}}}BinarySecurityToken"
CONTEXT_TOKENS = frozenset(f"{{{wsc}}}SecurityContextToken" for wsc in (WSC_2005, WSC_200512))
DERIVED_KEYS = frozenset(f"{{{wsc}}}DerivedKeyToken" for wsc in (WSC_2005, WSC_200512))
#: The attribute by which an assertion of SAML is referred to: it is signed by its issuer, and gets no other.
SAML_IDS = {
    "{urn:oasis:names:tc:SAML:1.0:assertion}Assertion": "AssertionID",
    "{urn:oasis:names:tc:SAML:2.0:assertion}Assertion": "ID",
}
#: The attribute that says whom a header block is for.
ACTOR = {SOAP11: "actor", SOAP12: "role"}
CERTIFICATES = frozenset({X509_V3, X509_PKI_PATH})
#: What counts against Limits.tokens.
_TOKENS = frozenset({BINARY_TOKEN, ENCRYPTED_KEY, USERNAME}) | CONTEXT_TOKENS


class SecurityHeader:
    """The wsse:Security header of a message, and the ids in the message.

    Args:
        soap: the message.
        limits: bounds on the header.
        needed: refuse a message without one; otherwise it is taken for empty.

    Raises:
        VerificationError: check "security-header", when there is none or more than one; "duplicate-id".
        LimitExceeded: check "header-size", when it has more tokens, keys or signatures than allowed.
    """

    def __init__(self, soap: Soap, limits: Limits, *, needed: bool = True) -> None:
        found = find_security(soap, limits)
        if found is None and needed:
            raise VerificationError("security-header", "The message has no wsse:Security header")
        self.element = etree.Element(f"{{{WSSE}}}Security") if found is None else found
        self._ids: dict[str, etree._Element] = {}
        self.index(soap.envelope)

    def find(self, name: str) -> etree._Element | None:
        """The element of the message with that id."""
        return self._ids.get(name)

    def token(self, name: str) -> etree._Element:
        """The token in the header with that id.

        Raises:
            VerificationError: check "token", when the id is that of nothing in the header.
        """
        token = self._ids.get(name)
        if token is None or token.getparent() is not self.element:
            raise VerificationError("token", "A reference names a token that is not in the header")
        return token

    def place(self, element: etree._Element) -> int | None:
        """Which child of the header an element is; None where it is none."""
        return self.element.index(element) if element.getparent() is self.element else None

    def index(self, element: etree._Element) -> None:
        """Add the ids in a subtree.

        An id is a wsu:Id anywhere, an Id of XML Signature and XML Encryption elements, or that of a SAML assertion
        in the header. An application's own Id attributes are none: no reference of ours may find them.

        Raises:
            VerificationError: check "duplicate-id", when one stands twice in the message.
        """
        for name, found in _ids_in(element):
            self._add(name, found)
        for token in self.element.iterchildren(*SAML_IDS):
            own = token.get(SAML_IDS[str(token.tag)])
            if own is not None:
                self._add(own, token)

    def _add(self, name: str, element: etree._Element) -> None:
        if self._ids.setdefault(name, element) is not element:
            raise VerificationError("duplicate-id", "An id stands twice in the message")

    def forget(self, element: etree._Element) -> None:
        """Drop the ids of an element that left the message, and of what is in it."""
        for name, found in _ids_in(element):
            if self._ids.get(name) is found:
                del self._ids[name]


def _ids_in(element: etree._Element) -> Iterator[tuple[str, etree._Element]]:
    for path, attribute in _WITH_ID:
        for found in path(element):
            yield found.get(attribute, ""), found


def find_security(soap: Soap, limits: Limits) -> etree._Element | None:
    """The wsse:Security header meant for us, or None.

    Raises:
        VerificationError: check "security-header", when there are two.
        LimitExceeded: check "header-size", when it has more tokens, keys or signatures than allowed.
    """
    if soap.header is None:
        return None
    try:
        count = _COUNT(soap.header)
    except etree.XPathError:
        count = math.inf  # more than libxml2 can look at
    if count > limits.header_elements:
        raise LimitExceeded("header-size", "The header has too many elements")
    actor = f"{{{soap.version}}}{ACTOR[soap.version]}"
    found = [block for block in soap.blocks() if block.tag == f"{{{WSSE}}}Security" and not block.get(actor)]
    if len(found) > 1:
        raise VerificationError("security-header", "The message has two wsse:Security headers")
    if not found:
        return None
    tags = [child.tag for child in found[0]]
    for kind, most in (
        (frozenset({SIGNATURE}), limits.signatures),
        (frozenset({CONFIRMATION}), limits.signatures),
        (DERIVED_KEYS, limits.derived_keys),
        (frozenset({ENCRYPTED_KEY}), limits.encrypted_keys),
        (_TOKENS, limits.tokens),
    ):
        if sum(tag in kind for tag in tags) > most:
            raise LimitExceeded(
                "header-size", "The wsse:Security header has too many tokens, keys or signatures"
            )
    return found[0]
