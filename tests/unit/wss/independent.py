"""Reads and makes secured messages with xmlsec, and with nothing of the library.

The order of the header decides, as in WSS4J: what stands first was applied last.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass

import xmlsec
from lxml import etree

WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
WSSE11 = "http://docs.oasis-open.org/wss/oasis-wss-wssecurity-secext-1.1.xsd"
DS = "http://www.w3.org/2000/09/xmldsig#"
XENC = "http://www.w3.org/2001/04/xmlenc#"
EXC = "http://www.w3.org/2001/10/xml-exc-c14n#"
LABEL = b"WS-SecureConversationWS-SecureConversation"

#: Key length in bytes, and the kind of key that xmlsec wants.
CIPHERS = {
    f"{XENC}tripledes-cbc": (24, xmlsec.constants.KeyDataDes),
    f"{XENC}aes128-cbc": (16, xmlsec.constants.KeyDataAes),
    f"{XENC}aes192-cbc": (24, xmlsec.constants.KeyDataAes),
    f"{XENC}aes256-cbc": (32, xmlsec.constants.KeyDataAes),
    "http://www.w3.org/2009/xmlenc11#aes128-gcm": (16, xmlsec.constants.KeyDataAes),
    "http://www.w3.org/2009/xmlenc11#aes192-gcm": (24, xmlsec.constants.KeyDataAes),
    "http://www.w3.org/2009/xmlenc11#aes256-gcm": (32, xmlsec.constants.KeyDataAes),
}


def p_sha1(secret: bytes, seed: bytes, length: int) -> bytes:
    """P_SHA-1 as RFC 2246 writes it."""
    a, out = seed, b""
    while len(out) < length:
        a = hmac.new(secret, a, "sha1").digest()
        out += hmac.new(secret, a + seed, "sha1").digest()
    return out[:length]


def register_ids(context: xmlsec.SignatureContext, root: etree._Element) -> None:
    """Tell xmlsec every id of a message."""
    for element in root.iter("*"):
        if element.get(f"{{{WSU}}}Id") is not None:
            context.register_id(element, "Id", WSU)
        elif element.get("Id") is not None and str(element.tag).startswith((f"{{{DS}}}", f"{{{XENC}}}")):
            context.register_id(element, "Id")


def hmac_key(octets: bytes) -> xmlsec.Key:
    """A key for HMAC signatures."""
    return xmlsec.Key.from_binary_data(xmlsec.constants.KeyDataHmac, octets)


def pem_key(pem: bytes) -> xmlsec.Key:
    """A private key, or the public key of a certificate."""
    kind = (
        xmlsec.constants.KeyDataFormatCertPem if b"CERTIFICATE" in pem else xmlsec.constants.KeyDataFormatPem
    )
    return xmlsec.Key.from_memory(pem, kind)


@dataclass
class Reader:
    """Verifies and decrypts one message.

    Args:
        data: the message.
        secret: the secret of the context.
        signer: the signer's certificate in PEM form.
        recipient: the recipient's private key in PEM form.
    """

    data: bytes
    secret: bytes = b""
    signer: bytes = b""
    recipient: bytes = b""
    signatures: int = 0
    decrypted: int = 0

    def read(self) -> etree._Element:
        """The envelope in the clear.

        Raises:
            xmlsec.Error: when a signature does not verify, or something does not decrypt.
        """
        self.root = etree.fromstring(self.data)
        at = 0
        while at < len(self._security()):
            child = self._security()[at]
            if child.tag == f"{{{DS}}}Signature":
                self._verify(child)
            for reference in child.iter(f"{{{XENC}}}DataReference"):
                self._decrypt(reference.get("URI", "")[1:])
            at += 1
        return self.root

    def _security(self) -> etree._Element:
        (found,) = self.root.findall(f"{{*}}Header/{{{WSSE}}}Security")
        return found

    def _element(self, name: str) -> etree._Element:
        (found,) = [e for e in self.root.iter("*") if name in (e.get(f"{{{WSU}}}Id"), e.get("Id"))]
        return found

    def _verify(self, signature: etree._Element) -> None:
        context = xmlsec.SignatureContext()
        register_ids(context, self.root)
        method = signature.find(f"{{{DS}}}SignedInfo/{{{DS}}}SignatureMethod")
        assert method is not None
        if "hmac" in method.get("Algorithm", ""):
            context.key = hmac_key(self._octets(signature, None))
        else:
            context.key = pem_key(self.signer)
        context.verify(signature)
        self.signatures += 1

    def _octets(self, user: etree._Element, length: int | None) -> bytes:
        """The key that the KeyInfo of a signature or of encrypted data means."""
        reference = user.find(f"{{{DS}}}KeyInfo/{{{WSSE}}}SecurityTokenReference/{{{WSSE}}}Reference")
        assert reference is not None
        uri = reference.get("URI", "")
        token = self._element(uri[1:]) if uri.startswith("#") else None
        if token is not None and token.tag == f"{{{XENC}}}EncryptedKey":
            context = xmlsec.EncryptionContext()
            context.key = pem_key(self.recipient)
            return _octets(context.decrypt(token))
        if token is None or not str(token.tag).endswith("}DerivedKeyToken"):
            return self.secret[:length]
        nonce = base64.b64decode(token.findtext("{*}Nonce") or "")
        offset, size = int(token.findtext("{*}Offset") or 0), int(token.findtext("{*}Length") or 32)
        return p_sha1(self.secret, LABEL + nonce, offset + size)[offset:]

    def _decrypt(self, name: str) -> None:
        data = self._element(name)
        method = data.find(f"{{{XENC}}}EncryptionMethod")
        assert method is not None
        length, kind = CIPHERS[method.get("Algorithm", "")]
        context = xmlsec.EncryptionContext()
        octets = self._octets(data, length)
        assert len(octets) == length
        context.key = xmlsec.Key.from_binary_data(kind, octets)
        # without Type xmlsec returns the octets, and does not parse them into this tree
        del data.attrib["Type"]
        plaintext = _octets(context.decrypt(data))
        mark = etree.Comment("here")
        mark.tail = data.tail
        parent = data.getparent()
        assert parent is not None
        parent.replace(data, mark)
        text = etree.tostring(self.root).replace(b"<!--here-->", plaintext)
        self.root = etree.fromstring(text)
        self.decrypted += 1


def _octets(result: object) -> bytes:
    """What decrypting gave, which is octets and no element where there is no Type."""
    assert isinstance(result, bytes)
    return result


def encrypted_data(name: str, algorithm: str, key: bytes, key_info: str, plaintext: bytes) -> etree._Element:
    """xenc:EncryptedData of type Content that xmlsec encrypted."""
    data = etree.fromstring(
        f'<xenc:EncryptedData xmlns:xenc="{XENC}" Id="{name}" Type="{XENC}Content">'
        f'<xenc:EncryptionMethod Algorithm="{algorithm}"/><ds:KeyInfo xmlns:ds="{DS}">{key_info}</ds:KeyInfo>'
        "<xenc:CipherData><xenc:CipherValue/></xenc:CipherData></xenc:EncryptedData>"
    )
    context = xmlsec.EncryptionContext()
    context.key = xmlsec.Key.from_binary_data(CIPHERS[algorithm][1], key)
    context.encrypt_binary(data, plaintext)
    return data


def signature_template(
    method: str, digest: str, ids: list[str], key_info: str, prefixes: str | None = None
) -> str:
    """A ds:Signature to be filled in by xmlsec.

    Args:
        method: algorithm of the signature.
        digest: algorithm of the digests.
        ids: what it covers.
        key_info: the inside of its KeyInfo.
        prefixes: the PrefixList of every canonicalization, or None for none.
    """
    listed = (
        f'<ec:InclusiveNamespaces xmlns:ec="{EXC}" PrefixList="{prefixes}"/>' if prefixes is not None else ""
    )
    references = "".join(
        f'<ds:Reference URI="#{name}"><ds:Transforms><ds:Transform Algorithm="{EXC}">{listed}</ds:Transform>'
        f'</ds:Transforms><ds:DigestMethod Algorithm="{digest}"/><ds:DigestValue/></ds:Reference>'
        for name in ids
    )
    return (
        f'<ds:Signature xmlns:ds="{DS}"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="{EXC}">{listed}'
        f'</ds:CanonicalizationMethod><ds:SignatureMethod Algorithm="{method}"/>{references}</ds:SignedInfo>'
        f"<ds:SignatureValue/><ds:KeyInfo>{key_info}</ds:KeyInfo></ds:Signature>"
    )


def sign(root: etree._Element, key: xmlsec.Key) -> None:
    """Fill in the only ds:Signature of a message."""
    context = xmlsec.SignatureContext()
    register_ids(context, root)
    context.key = key
    (signature,) = root.iter(f"{{{DS}}}Signature")
    context.sign(signature)
