"""Messages with one bit changed, and the checks that may refuse them."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from lxml import etree

from tests.vectors.replay import Recorded
from zeep_secureconv import VerificationError
from zeep_secureconv.names import DS, WSSE, XENC
from zeep_secureconv.soap.envelope import Soap
from zeep_secureconv.wss.reply import Reply
from zeep_secureconv.wss.unprotect import Verified


def flip(octets: str) -> str:
    """base64 text with one bit of the middle byte flipped."""
    data = bytearray(base64.b64decode(octets))
    data[len(data) // 2] ^= 1
    return base64.b64encode(data).decode()


def every(tag: str) -> Callable[[Soap], list[etree._Element]]:
    """Finds the elements with that tag anywhere in a message."""
    return lambda soap: list(soap.envelope.iter(tag))


def signed_headers(soap: Soap) -> list[etree._Element]:
    """The addressing headers with a text of their own."""
    return [b for b in soap.blocks() if b.tag != f"{{{WSSE}}}Security" and (b.text or "").strip()]


#: What is changed, how, and the checks that may refuse it.
BITS: dict[str, tuple[Callable[[Soap], list[etree._Element]], Callable[[str], str], set[str]]] = {
    "SignatureValue": (every(f"{{{DS}}}SignatureValue"), flip, {"signature"}),
    "DigestValue": (every(f"{{{DS}}}DigestValue"), flip, {"signature"}),
    # what a changed ciphertext hides is known only when it is open: an encrypted signature is malformed, or wrong
    "CipherValue": (
        every(f"{{{XENC}}}CipherValue"),
        flip,
        {"decryption", "digest", "signature", "signature-form", "token-reference", "algorithm"},
    ),
    "Nonce": (every("{*}Nonce"), flip, {"signature", "decryption"}),
    "header": (signed_headers, lambda text: text.strip() + "x", {"digest"}),
}


def refused(
    read: Callable[[Soap], Verified | Reply], recorded: Recorded, what: str
) -> list[tuple[str, set[str]]]:
    """(check that refused, checks that may) for a copy of the message with each such part changed."""
    find, change, checks = BITS[what]
    found = []
    for position in range(len(find(recorded.soap()))):
        soap = recorded.soap()
        element = find(soap)[position]
        element.text = change(element.text or "")
        with pytest.raises(VerificationError) as caught:
            read(soap)
        found.append((caught.value.check, checks))
    return found
