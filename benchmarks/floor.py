"""The floor: the primitives that no implementation of this message can do without, on the bytes of a real one.

Nothing of the package's code runs here, but for its choice of a base64. What is counted, once for the request
and once for the answer: key derivation, exclusive C14N and SHA-1 of every signed part, HMAC of SignedInfo,
AES-128-CBC and base64 of the Body, and the parsing and serialising that goes with it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests
import zeep
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from lxml import etree

from zeep_secureconv.wss import base64

from .cxf import SECURED, Figures, Peers, conversation, text_of

_NS = {
    "ds": "http://www.w3.org/2000/09/xmldsig#",
    "xenc": "http://www.w3.org/2001/04/xmlenc#",
    "soap": "http://schemas.xmlsoap.org/soap/envelope/",
}
_WSU_ID = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd}Id"
_BLOCK = 16
_SECRET = bytes(32)
#: A label of 42 characters and a nonce of 16 octets: the seed of a derived key.
_SEED = bytes(58)


@dataclass
class _Exchange(zeep.Plugin):
    """One call as it was before and after protection, both ways."""

    clear_request: bytes = b""
    request: bytes = b""
    response: bytes = b""
    clear_response: bytes = b""

    def egress(self, envelope: Any, http_headers: Any, *_: Any) -> Any:
        self.clear_request = etree.tostring(envelope)
        return envelope, http_headers

    def ingress(self, envelope: Any, http_headers: Any, *_: Any) -> Any:
        self.clear_response = etree.tostring(envelope)
        return envelope, http_headers

    def on_response(self, response: requests.Response, *_: object, **__: object) -> None:
        body = response.request.body
        assert isinstance(body, bytes)
        self.request, self.response = body, response.content


def _exchange(peers: Peers, size: int) -> _Exchange:
    exchange = _Exchange()
    with conversation(peers.pki) as sc:
        client = sc.client(peers.server.wsdl(SECURED), plugins=[exchange])
        client.service.echo("")
        hooks = client.transport.session.hooks["response"]
        hooks.append(exchange.on_response)
        client.service.echo(text_of(size))
        hooks.remove(exchange.on_response)  # before the Cancel
    return exchange


@dataclass(frozen=True)
class Floor:
    """Times of all primitives together, and of each of them."""

    whole: Figures
    parts: dict[str, Figures]


def floor(peers: Peers, size: int, calls: int) -> Floor:
    """Measure the primitives of one echo of *size* characters, out and in, *calls* times."""
    exchange = _exchange(peers, size)
    steps = {**_out(exchange), **_in(exchange)}
    times: dict[str, list[float]] = {name: [] for name in steps}
    wholes = []
    for number in range(-(calls // 5), calls):
        whole = 0.0
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            took = time.perf_counter() - start
            whole += took
            if number >= 0:
                times[name].append(took)
        if number >= 0:
            wholes.append(whole)
    return Floor(Figures.of(wholes), {name: Figures.of(some) for name, some in times.items()})


def _out(exchange: _Exchange) -> dict[str, Callable[[], object]]:
    clear, sent = etree.fromstring(exchange.clear_request), etree.fromstring(exchange.request)
    payload = _need(clear.find("soap:Body", _NS))[0]
    parts, info = _signed(sent, clear), _need(sent.find(".//ds:SignedInfo", _NS))
    canonical, canonical_info = [_c14n(part) for part in parts], _c14n(info)
    plaintext = etree.tostring(payload, encoding="utf-8")
    ciphertext = _encrypt(plaintext)
    return {
        "out: P_SHA1": _derive,
        "out: exc-c14n": lambda: [_c14n(part) for part in (*parts, info)],
        "out: SHA-1": lambda: [hashlib.sha1(data).digest() for data in canonical],
        "out: HMAC": lambda: hmac.digest(_SECRET, canonical_info, "sha1"),
        "out: serialise plaintext": lambda: etree.tostring(payload, encoding="utf-8"),
        "out: AES-128-CBC": lambda: _encrypt(plaintext),
        "out: base64": lambda: base64.encode(ciphertext),
        "out: serialise message": lambda: etree.tostring(sent, encoding="utf-8", xml_declaration=True),
    }


def _in(exchange: _Exchange) -> dict[str, Callable[[], object]]:
    clear, received = etree.fromstring(exchange.clear_response), etree.fromstring(exchange.response)
    parts, info = _signed(received, clear), _need(received.find(".//ds:SignedInfo", _NS))
    canonical, canonical_info = [_c14n(part) for part in parts], _c14n(info)
    plaintext = etree.tostring(_need(clear.find("soap:Body", _NS))[0], encoding="utf-8")
    value = _need(received.find(".//xenc:CipherValue", _NS))
    ciphertext = _encrypt(plaintext)
    return {
        "in: parse message": lambda: etree.fromstring(exchange.response),
        "in: P_SHA1": _derive,
        "in: HMAC": lambda: hmac.digest(_SECRET, canonical_info, "sha1"),
        "in: base64": lambda: base64.decode(value.text or ""),
        "in: AES-128-CBC": lambda: _decrypt(ciphertext),
        "in: parse plaintext": lambda: etree.fromstring(plaintext),
        "in: exc-c14n": lambda: [_c14n(part) for part in (*parts, info)],
        "in: SHA-1": lambda: [hashlib.sha1(data).digest() for data in canonical],
    }


def _signed(secured: etree._Element, clear: etree._Element) -> list[etree._Element]:
    """The parts under the signature, the Body in the clear."""
    by_id = {element.get(_WSU_ID): element for element in secured.iter("*")}
    found = [by_id[(ref.get("URI") or "")[1:]] for ref in secured.iterfind(".//ds:Reference", _NS)]
    body = f"{{{_NS['soap']}}}Body"
    return [_need(clear.find(body)) if part.tag == body else part for part in found]


def _need(element: etree._Element | None) -> etree._Element:
    assert element is not None
    return element


def _c14n(element: etree._Element) -> bytes:
    return etree.tostring(element, method="c14n", exclusive=True, with_comments=False)


def _derive() -> list[bytes]:
    """Two keys of 16 octets: one run of P_SHA-1 each."""
    keys = []
    for _ in range(2):
        a = hmac.digest(_SECRET, _SEED, "sha1")
        keys.append(hmac.digest(_SECRET, a + _SEED, "sha1")[:_BLOCK])
    return keys


def _encrypt(plaintext: bytes) -> bytes:
    iv = os.urandom(_BLOCK)
    count = _BLOCK - len(plaintext) % _BLOCK
    encryptor = Cipher(AES(_SECRET[:_BLOCK]), CBC(iv)).encryptor()
    return iv + encryptor.update(plaintext + bytes([count]) * count) + encryptor.finalize()


def _decrypt(data: bytes) -> bytes:
    decryptor = Cipher(AES(_SECRET[:_BLOCK]), CBC(data[:_BLOCK])).decryptor()
    padded = decryptor.update(memoryview(data)[_BLOCK:]) + decryptor.finalize()
    return padded[: -padded[-1]]
