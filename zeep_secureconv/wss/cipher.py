"""Replaces parts of an outgoing message by their encrypted form."""

from __future__ import annotations

from lxml import etree

from ..clock import RandomBytes
from ..names import DS, WSSE, WSSE11, WSU, XENC, XENC_CONTENT, XENC_ELEMENT
from ..soap.envelope import Soap
from . import base64, encryption
from .message_keys import EncryptionKey, Ids

_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})


class PartCipher:
    """Encrypts parts of one message with one key.

    Args:
        algorithm: URI of the cipher.
        key: the key, or None where nothing will be encrypted.
        random: where initialisation vectors come from.
        ids: names for encrypted data.
    """

    def __init__(self, algorithm: str, key: EncryptionKey | None, random: RandomBytes, ids: Ids) -> None:
        self._algorithm = algorithm
        self._key = key
        self._random = random
        self._ids = ids
        self._names: list[str] = []
        self.done: list[str] = []

    def plan(self, count: int) -> list[str]:
        """Names for that many EncryptedData elements, since the header lists them before they are made."""
        while len(self._names) < count:
            self._names.append(self._ids.new("ED"))
        return self._names

    def encrypt_parts(self, soap: Soap, *, body: bool, headers: list[etree._Element]) -> None:
        """Encrypt the content of Body, and header blocks into EncryptedHeader (WSS 1.1, section 9.3)."""
        self.plan(body + len(headers))
        if body:
            self._encrypt_content(soap.body)
        for block in headers:
            wrapper = etree.Element(f"{{{WSSE11}}}EncryptedHeader")
            wrapper.set(f"{{{WSU}}}Id", self._ids.new("EH"))
            for local in ("mustUnderstand", "actor", "role"):
                name = f"{{{soap.version}}}{local}"
                if name in block.attrib:
                    wrapper.set(name, block.attrib[name])
            _replace(block, wrapper)
            wrapper.append(self._data(XENC_ELEMENT, _octets(block), etree.QName(block).localname))

    def encrypt_element(self, element: etree._Element) -> None:
        """Replace an element by its encrypted form."""
        _replace(element, self._data(XENC_ELEMENT, _octets(element), etree.QName(element).localname))

    def _encrypt_content(self, body: etree._Element) -> None:
        children = [etree.tostring(child, encoding="utf-8") for child in body]
        plaintext = b"".join([(body.text or "").translate(_TEXT).encode(), *children])
        for child in list(body):
            body.remove(child)
        body.text = None
        body.append(self._data(XENC_CONTENT, plaintext, "Body"))

    def _data(self, kind: str, plaintext: bytes, part: str) -> etree._Element:
        assert self._key is not None
        data = etree.fromstring(
            f'<xenc:EncryptedData xmlns:xenc="{XENC}" Id="{self._names[len(self.done)]}" Type="{kind}">'
            f'<xenc:EncryptionMethod Algorithm="{self._algorithm}"/>'
            f'<ds:KeyInfo xmlns:ds="{DS}" xmlns:wsse="{WSSE}">{self._key.reference}</ds:KeyInfo>'
            "<xenc:CipherData><xenc:CipherValue/></xenc:CipherData></xenc:EncryptedData>"
        )
        octets = encryption.encrypt(self._algorithm, self._key.key, plaintext, self._random)
        data[2][0].text = base64.encode_octets(octets)
        self.done.append(part)
        return data


def _octets(element: etree._Element) -> bytes:
    return etree.tostring(element, encoding="utf-8", with_tail=False)


def _replace(element: etree._Element, other: etree._Element) -> None:
    parent = element.getparent()
    assert parent is not None
    parent.replace(element, other)
