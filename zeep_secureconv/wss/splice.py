"""Puts plaintext where ciphertext was, with every namespace declaration as its author wrote it.

lxml changes nodes that move between trees: it drops declarations that look redundant and renames prefixes when one
namespace has two of them, and then digests fail (seen with CXF, which writes ``<Instance xmlns="U">`` beside
``<wsc:Identifier>``) and QNames in content lose their prefix. So nodes are moved only where no namespace has two
prefixes; otherwise the text is put into the serialised message, and that is parsed again.
"""

from __future__ import annotations

import re
from xml.sax.saxutils import quoteattr

from lxml import etree

from ..soap.envelope import parser
from .encryption import decryption_failed

_DECLARATION = re.compile(rb"""xmlns(?::([^\s=]+))?\s*=\s*("[^"]*"|'[^']*')""")


def splice(data: etree._Element, plaintext: bytes) -> etree._Element | None:
    """Replace the xenc:EncryptedData *data* by the nodes that *plaintext* holds.

    Returns:
        None when that was done in place, or the root of a new tree that takes the place of the whole message.

    Raises:
        VerificationError: check "decryption", when the plaintext is not well-formed.
    """
    parent = data.getparent()
    assert parent is not None
    scope = parent.nsmap
    fragment = _parse_fragment(plaintext, scope)
    if _one_prefix_each(scope, plaintext):
        _graft(data, parent, fragment)
        return None
    return _reparse(data, plaintext)


def _parse_fragment(plaintext: bytes, scope: dict[str | None, str]) -> etree._Element:
    """The nodes inside an element that declares what is in scope."""
    declarations = "".join(
        f" xmlns{':' + prefix if prefix else ''}={quoteattr(uri)}" for prefix, uri in scope.items()
    )
    try:
        return etree.fromstring(b"".join((f"<f{declarations}>".encode(), plaintext, b"</f>")), parser())
    except etree.XMLSyntaxError:
        raise decryption_failed() from None


def _one_prefix_each(scope: dict[str | None, str], plaintext: bytes) -> bool:
    """Whether no namespace has two prefixes, as far as the text shows; what only looks like a declaration counts."""
    prefixes = {uri.encode(): (prefix or "").encode() for prefix, uri in scope.items()}
    if len(prefixes) != len(scope):
        return False
    for prefix, quoted in _DECLARATION.findall(plaintext):
        uri = quoted[1:-1]
        # the same URI may be written with and without references; do not guess
        if b"&" in uri or prefixes.setdefault(uri, prefix) != prefix:
            return False
    return True


def _graft(data: etree._Element, parent: etree._Element, fragment: etree._Element) -> None:
    index = parent.index(data)
    tail = data.tail or ""
    parent.remove(data)
    _append_text(parent, index, fragment.text or "")
    children = list(fragment)
    for offset, child in enumerate(children):
        parent.insert(index + offset, child)
    _append_text(parent, index + len(children), tail)


def _append_text(parent: etree._Element, index: int, text: str) -> None:
    """Add text in front of the child at *index*."""
    if not text:
        return
    if index == 0:
        parent.text = (parent.text or "") + text
    else:
        before = parent[index - 1]
        before.tail = (before.tail or "") + text


def _reparse(data: etree._Element, plaintext: bytes) -> etree._Element:
    root = data.getroottree().getroot()
    parent = data.getparent()
    assert parent is not None
    mark = etree.ProcessingInstruction("splice", "here")
    mark.tail = data.tail
    parent.replace(data, mark)
    before, found, after = etree.tostring(root, encoding="utf-8").partition(b"<?splice here?>")
    if not found or b"<?splice here?>" in after:
        raise decryption_failed()
    try:
        return etree.fromstring(before + plaintext + after, parser())
    except etree.XMLSyntaxError:
        raise decryption_failed() from None


def path_of(element: etree._Element) -> tuple[int, ...]:
    """Where an element stands, as child numbers from the root on."""
    path: list[int] = []
    parent = element.getparent()
    while parent is not None:
        path.append(parent.index(element))
        element, parent = parent, parent.getparent()
    return tuple(reversed(path))


def element_at(root: etree._Element, path: tuple[int, ...]) -> etree._Element:
    """The element that stands there."""
    for number in path:
        root = root[number]
    return root
