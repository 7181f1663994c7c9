"""Writes the parts of WS-Trust messages."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lxml import etree

from ..names import WSA_2005, WSP_2004, WSSE, WSU
from ..soap.envelope import parser
from ..wss import base64
from ..wss.times import write_time
from .dialects import Dialect
from .model import (
    ContextToken,
    Entropy,
    Lifetime,
    Renewing,
    RequestSecurityTokenResponse,
    TokenReference,
)


class Writer:
    """Writes the parts of one message. Every method turns a missing value into no element."""

    def __init__(self, wst: str, dialect: Dialect) -> None:
        if wst != dialect.wst:
            raise ValueError(f"the dialect {dialect.name} is not of the generation of the message")
        self._wst = wst
        self._wsc = dialect.wsc
        self._spliced: list[bytes] = []

    def element(self, name: str) -> etree._Element:
        return etree.Element(f"{{{self._wst}}}{name}", nsmap={"wst": self._wst})

    def message(
        self,
        name: str,
        context: str | None,
        parts: Mapping[str, etree._Element | None],
        order: tuple[str, ...],
    ) -> etree._Element:
        root = self.element(name)
        if context is not None:
            root.set("Context", context)
        for part in (*order, *(name for name in parts if name not in order)):
            if (element := parts.get(part)) is not None:
                root.append(element)
        return root

    def finish(self, root: etree._Element) -> etree._Element:
        """The whole message, with what was given as XML spliced in as text.

        Appending parsed elements would not do: lxml then drops declarations of namespaces that are bound
        above, also those of prefixes that only stand in values.
        """
        text = re.sub(rb"<\?splice ([0-9]+)\?>", lambda m: self._spliced[int(m[1])], etree.tostring(root))
        return etree.fromstring(text, parser())

    def text(self, name: str, text: str | None) -> etree._Element | None:
        if text is None:
            return None
        element = self.element(name)
        element.text = text or None
        return element

    def verbatim(self, name: str, xml: bytes | None) -> etree._Element | None:
        if xml is None:
            return None
        element = self.element(name)
        element.append(etree.ProcessingInstruction("splice", str(len(self._spliced))))
        self._spliced.append(xml)
        return element

    def applies_to(self, address: str | None, namespace: str = WSP_2004) -> etree._Element | None:
        if address is None:
            return None
        element = etree.Element(f"{{{namespace}}}AppliesTo", nsmap={"wsp": namespace})
        reference = etree.SubElement(element, f"{{{WSA_2005}}}EndpointReference", nsmap={"wsa": WSA_2005})
        etree.SubElement(reference, f"{{{WSA_2005}}}Address").text = address
        return element

    def key_size(self, size: int | None) -> etree._Element | None:
        return None if size is None else self.text("KeySize", str(size * 8))

    def lifetime(self, lifetime: Lifetime | None) -> etree._Element | None:
        if lifetime is None:
            return None
        element = etree.Element(f"{{{self._wst}}}Lifetime", nsmap={"wst": self._wst, "wsu": WSU})
        for name, moment in (("Created", lifetime.created), ("Expires", lifetime.expires)):
            if moment is not None:
                etree.SubElement(element, f"{{{WSU}}}{name}").text = write_time(moment)
        return element

    def renewing(self, renewing: Renewing | None) -> etree._Element | None:
        if renewing is None:
            return None
        element = self.element("Renewing")
        element.set("Allow", str(renewing.allow).lower())
        element.set("OK", str(renewing.ok).lower())
        return element

    def entropy(self, entropy: Entropy | None, encrypted: bytes | None) -> etree._Element | None:
        if entropy is None:
            return self.verbatim("Entropy", encrypted)
        if encrypted is not None:
            raise ValueError("an Entropy holds one secret")
        element = self.element("Entropy")
        element.append(self._binary_secret(entropy.secret, entropy.type_uri))
        return element

    def proof(self, rstr: RequestSecurityTokenResponse) -> etree._Element | None:
        given = (rstr.computed_key, rstr.proof_secret, rstr.proof_encrypted_key)
        if sum(value is not None for value in given) > 1:
            raise ValueError("a RequestedProofToken holds one proof")
        if rstr.proof_encrypted_key is not None:
            return self.verbatim("RequestedProofToken", rstr.proof_encrypted_key)
        if rstr.proof_secret is not None:
            inner = self._binary_secret(rstr.proof_secret, f"{self._wst}/SymmetricKey")
        else:
            computed_key = self.text("ComputedKey", rstr.computed_key)
            if computed_key is None:
                return None
            inner = computed_key
        element = self.element("RequestedProofToken")
        element.append(inner)
        return element

    def status(self, code: str | None) -> etree._Element | None:
        if code is None:
            return None
        element = self.element("Status")
        etree.SubElement(element, f"{{{self._wst}}}Code").text = code
        return element

    def token(self, name: str, target: ContextToken | TokenReference | None) -> etree._Element | None:
        if isinstance(target, ContextToken):
            return self.verbatim(name, target.xml)
        return self.reference(name, target)

    def reference(self, name: str, reference: TokenReference | None) -> etree._Element | None:
        if reference is None or reference.xml is not None:
            return self.verbatim(name, None if reference is None else reference.xml)
        element = self.element(name)
        outer = etree.SubElement(element, f"{{{WSSE}}}SecurityTokenReference", nsmap={"wsse": WSSE})
        inner = etree.SubElement(outer, f"{{{WSSE}}}Reference", nsmap={"wsc": self._wsc})
        attributes = {
            "URI": reference.uri,
            "ValueType": reference.value_type,
            f"{{{self._wsc}}}Instance": reference.instance,
        }
        for attribute, value in attributes.items():
            if value is not None:
                inner.set(attribute, value)
        return element

    def _binary_secret(self, secret: bytes, type_uri: str | None) -> etree._Element:
        element = self.element("BinarySecret")
        if type_uri is not None:
            element.set("Type", type_uri)
        element.text = base64.encode(secret)
        return element
