"""Writes a ds:Signature (XML Signature 1.1) into its place in the header."""

from __future__ import annotations

from collections.abc import Iterable

from lxml import etree

from ..names import DS, EXC_C14N, WSSE, WSU
from ..policy.suites import AlgorithmSuite
from . import base64, signature
from .c14n import canonicalize
from .layout import is_renamed
from .pieces import SigningKey

#: (id, digest as base64) of a part that a signature covers.
Covered = tuple[str, str]


def digest_of(algorithm: str, octets: bytes) -> str:
    """A digest as base64."""
    return base64.encode(signature.digest(algorithm, octets))


def sign(
    place: etree._Element, name: str, key: SigningKey, suite: AlgorithmSuite, covered: Iterable[Covered]
) -> tuple[etree._Element, bytes]:
    """Put a signature where *place* stands.

    Args:
        place: an empty ds:Signature in the header.
        name: its Id.
        key: makes the value.
        suite: the algorithms.
        covered: the parts.

    Returns:
        The element, and the signature value.
    """
    info = _signed_info(suite, key.algorithm, covered)
    value = key.sign(info.encode())
    element = etree.fromstring(
        f'<ds:Signature xmlns:ds="{DS}" xmlns:wsse="{WSSE}" xmlns:wsu="{WSU}" Id="{name}">{info}<ds:SignatureValue>'
        f"{base64.encode(value)}</ds:SignatureValue><ds:KeyInfo>{key.reference}</ds:KeyInfo></ds:Signature>"
    )
    parent = place.getparent()
    assert parent is not None
    parent.replace(place, element)
    if is_renamed(element):
        # the envelope has the namespace of XML Signature under another prefix, and lxml used that
        value = key.sign(canonicalize(element[0]))
        element[1].text = base64.encode(value)
    return element, value


def _signed_info(suite: AlgorithmSuite, algorithm: str, covered: Iterable[Covered]) -> str:
    """In canonical form, declarations included: its octets are what the value is over."""
    references = "".join(
        f'<ds:Reference URI="#{name}"><ds:Transforms><ds:Transform Algorithm="{EXC_C14N}"></ds:Transform>'
        f'</ds:Transforms><ds:DigestMethod Algorithm="{suite.digest}"></ds:DigestMethod>'
        f"<ds:DigestValue>{value}</ds:DigestValue></ds:Reference>"
        for name, value in covered
    )
    return (
        f'<ds:SignedInfo xmlns:ds="{DS}">'
        f'<ds:CanonicalizationMethod Algorithm="{EXC_C14N}"></ds:CanonicalizationMethod>'
        f'<ds:SignatureMethod Algorithm="{algorithm}"></ds:SignatureMethod>{references}</ds:SignedInfo>'
    )
