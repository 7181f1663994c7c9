"""Encrypts parts of an outgoing message (XML Encryption 1.1; WSS 1.1, section 9)."""

from __future__ import annotations

from lxml import etree

from ..clock import RandomBytes
from ..errors import PolicyError
from ..names import DS, WSSE, WSSE11, WSU, XENC, XENC_CONTENT, XENC_ELEMENT
from . import base64, encryption
from .pieces import EncryptionKey, Ids

_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})


class PartCipher:
    """Encrypts the parts of one message, and lists what it encrypted.

    Args:
        algorithm: URI of the cipher.
        key: the key, or None where nothing will be encrypted.
        random: where initialisation vectors come from.
        ids: names for encrypted data.
        version: SOAP namespace of the message.
    """

    def __init__(
        self, algorithm: str, key: EncryptionKey | None, random: RandomBytes, ids: Ids, version: str
    ) -> None:
        self._algorithm = algorithm
        self._key = key
        self._random = random
        self._ids = ids
        self._version = version
        self.done: list[str] = []

    def content(self, element: etree._Element, listed: etree._Element) -> None:
        """Encrypt the content of an element, and name it in the ReferenceList *listed*."""
        children = [etree.tostring(child, encoding="utf-8") for child in element]
        plaintext = b"".join([(element.text or "").translate(_TEXT).encode(), *children])
        for child in list(element):
            element.remove(child)
        element.text = None
        element.append(self._data(XENC_CONTENT, plaintext, element, listed))

    def element(self, element: etree._Element, listed: etree._Element) -> etree._Element:
        """Replace an element by its encrypted form, which is returned."""
        data = self._data(XENC_ELEMENT, _octets(element), element, listed)
        _replace(element, data)
        return data

    def block(self, block: etree._Element, listed: etree._Element) -> etree._Element:
        """Replace a header block by a wsse11:EncryptedHeader (WSS 1.1, section 9.3), which is returned."""
        wrapper = etree.Element(f"{{{WSSE11}}}EncryptedHeader")
        wrapper.set(f"{{{WSU}}}Id", self._ids.new("EH"))
        for local in ("mustUnderstand", "actor", "role"):
            name = f"{{{self._version}}}{local}"
            if name in block.attrib:
                wrapper.set(name, block.attrib[name])
        _replace(block, wrapper)
        wrapper.append(self._data(XENC_ELEMENT, _octets(block), block, listed))
        return wrapper

    def _data(
        self, kind: str, plaintext: bytes, part: etree._Element, listed: etree._Element
    ) -> etree._Element:
        if self._key is None:
            raise PolicyError(
                "The policy has parts encrypted, and its binding has no key for it",
                hint="ask the service for a policy with an encryption token",
            )
        name = self._ids.new("ED")
        data = etree.fromstring(
            f'<xenc:EncryptedData xmlns:xenc="{XENC}" Id="{name}" Type="{kind}">'
            f'<xenc:EncryptionMethod Algorithm="{self._algorithm}"/>'
            f'<ds:KeyInfo xmlns:ds="{DS}" xmlns:wsse="{WSSE}">{self._key.reference}</ds:KeyInfo>'
            "<xenc:CipherData><xenc:CipherValue/></xenc:CipherData></xenc:EncryptedData>"
        )
        octets = encryption.encrypt(self._algorithm, self._key.key, plaintext, self._random)
        data[2][0].text = base64.encode_octets(octets)
        etree.SubElement(listed, f"{{{XENC}}}DataReference").set("URI", f"#{name}")
        self.done.append(etree.QName(part).localname)
        return data


def _octets(element: etree._Element) -> bytes:
    return etree.tostring(element, encoding="utf-8", with_tail=False)


def _replace(element: etree._Element, other: etree._Element) -> None:
    parent = element.getparent()
    assert parent is not None
    parent.replace(element, other)
