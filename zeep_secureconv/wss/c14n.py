"""Exclusive XML Canonicalization 1.0, without comments (W3C xml-exc-c14n)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lxml import etree

from ..errors import VerificationError

_DEFAULT = "#default"
_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#xD;"})
_ATTRIBUTE = str.maketrans(
    {"&": "&amp;", "<": "&lt;", '"': "&quot;", "\t": "&#x9;", "\n": "&#xA;", "\r": "&#xD;"}
)
_XML = "http://www.w3.org/XML/1998/namespace"


def canonicalize(element: etree._Element, prefixes: Sequence[str] = ()) -> bytes:
    """The canonical octets of *element* with everything in it.

    Args:
        element: apex of the subtree; its tail does not count.
        prefixes: InclusiveNamespaces/@PrefixList, split; may hold ``#default``.

    Raises:
        VerificationError: check "canonicalization", when there is no canonical form.
    """
    if _DEFAULT in prefixes:
        # lxml drops #default without a word, and the digest is wrong wherever a default namespace is in
        # scope. WSS4J lists it, and STR-Transform is defined with it.
        return _canonicalize_with_default(element, frozenset(prefixes) - {_DEFAULT})
    try:
        return etree.tostring(
            element,
            method="c14n",
            exclusive=True,
            with_comments=False,
            inclusive_ns_prefixes=list(prefixes) if prefixes else None,
        )
    except etree.C14NError as error:  # a relative namespace URI has no canonical form
        raise VerificationError("canonicalization", "A part of the message has no canonical form") from error


def _canonicalize_with_default(apex: etree._Element, prefixes: frozenset[str]) -> bytes:
    out: list[str] = []
    node: Any  # an element, or a processing instruction or comment
    rendered: list[dict[str | None, str]] = [{}]
    for event, node in etree.iterwalk(apex, events=("start", "end", "pi", "comment")):
        if event == "start":
            out.append(_start_tag(node, rendered, prefixes))
            if node.text:
                out.append(node.text.translate(_TEXT))
        elif event == "end":
            rendered.pop()
            out.append(f"</{_qualified(node)}>")
        elif event == "pi":
            out.append(f"<?{node.target} {node.text}?>" if node.text else f"<?{node.target}?>")
        if event != "start" and node is not apex and node.tail:
            out.append(node.tail.translate(_TEXT))
    return "".join(out).encode()


def _start_tag(node: etree._Element, rendered: list[dict[str | None, str]], prefixes: frozenset[str]) -> str:
    """The start tag with the declarations that section 3 of the recommendation demands; pushes what it renders."""
    scope: dict[str | None, str] = dict(node.nsmap)
    above = rendered[-1]
    attributes = []
    used: set[str | None] = {node.prefix, None}  # #default is listed: the default namespace always counts
    for name, value in node.attrib.items():
        qname = etree.QName(name)
        prefix = _attribute_prefix(node, qname)
        if prefix not in (None, "xml"):
            used.add(prefix)
        label = f"{prefix}:{qname.localname}" if prefix else qname.localname
        attributes.append(
            ((qname.namespace or "", qname.localname), f' {label}="{str(value).translate(_ATTRIBUTE)}"')
        )
    used |= prefixes & {prefix for prefix in scope if prefix}
    here = dict(above)
    declarations = []
    for prefix in sorted(used, key=lambda p: p or ""):
        uri = scope.get(prefix, "")
        if uri != above.get(prefix, ""):
            here[prefix] = uri
            declarations.append(f' xmlns{":" + prefix if prefix else ""}="{uri.translate(_ATTRIBUTE)}"')
    rendered.append(here)
    return f"<{_qualified(node)}{''.join(declarations)}{''.join(text for _, text in sorted(attributes))}>"


def _qualified(node: etree._Element) -> str:
    local = etree.QName(node).localname
    return f"{node.prefix}:{local}" if node.prefix else local


def _attribute_prefix(node: etree._Element, name: etree.QName) -> str | None:
    """The prefix an attribute was written with; lxml does not tell, and of several it serialises the nearest."""
    if not name.namespace:
        return None
    if name.namespace == _XML:
        return "xml"
    candidates = [prefix for prefix, uri in node.nsmap.items() if prefix and uri == name.namespace]
    if len(candidates) == 1:
        return candidates[0]
    # rare: several prefixes for one namespace; read the one in use from the serialised start tag
    start = etree.tostring(node, with_tail=False).decode().partition(">")[0]
    for prefix in candidates:
        if f' {prefix}:{name.localname}="' in start:
            return prefix
    return candidates[0]
