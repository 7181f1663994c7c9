"""Strict reading of small pieces: one child where one belongs, text without anything in it, base64."""

from __future__ import annotations

from collections.abc import Mapping

from lxml import etree

from ..errors import VerificationError
from ..names import XENC
from . import base64


def only(parent: etree._Element, tag: str, check: str) -> etree._Element:
    """The one child with that tag.

    Raises:
        VerificationError: with *check*, when there is none or more than one.
    """
    children = parent.iterchildren(tag)
    found = next(children, None)
    if found is None or next(children, None) is not None:
        name = etree.QName(tag).localname
        raise VerificationError(check, f"The message does not have one {name} where one belongs")
    return found


def children_of(parent: etree._Element, names: Mapping[str, str], check: str) -> dict[str, etree._Element]:
    """The children, each at most once, and none but those of *names*.

    Args:
        parent: the element.
        names: what a child with this tag is called in the result.
        check: for the error.

    Raises:
        VerificationError: with *check*.
    """
    found: dict[str, etree._Element] = {}
    for child in parent:
        name = names.get(str(child.tag))
        if name is None or name in found:
            kind = etree.QName(parent).localname
            raise VerificationError(check, f"A {kind} has a child that is unknown or stands twice")
        found[name] = child
    return found


def text_of(element: etree._Element, check: str) -> str:
    """The text of an element that holds nothing else, without white space around it.

    A processing instruction would cut the text in two, and readers would differ about what it says.

    Raises:
        VerificationError: with *check*.
    """
    if len(element):
        raise VerificationError(check, "A value holds more than text")
    return (element.text or "").strip()


def octets_of(element: etree._Element, check: str) -> bytes:
    """The octets that an element holds as base64.

    Raises:
        VerificationError: with *check*.
    """
    try:
        return base64.decode(text_of(element, check))
    except ValueError:
        raise VerificationError(check, "A value is not base64") from None


def cipher_value(element: etree._Element) -> bytes:
    """The octets in CipherData/CipherValue; a CipherReference, which points elsewhere, is refused.

    Raises:
        VerificationError: check "encryption-form".
    """
    data = only(element, f"{{{XENC}}}CipherData", "encryption-form")
    return octets_of(only(data, f"{{{XENC}}}CipherValue", "encryption-form"), "encryption-form")
