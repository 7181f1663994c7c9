"""XML as it may come: declarations, prefixes, attributes and text of every kind."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from lxml import etree

PREFIXES = ("", "a", "b", "c")
#: None has an ampersand: libxml2 leaves it as it is where the recommendation escapes it.
NAMESPACES = ("urn:u", "urn:v", "http://example.org/w?x=1;y=2")
_PLAIN = st.text(
    st.sampled_from("xyzäß€\U0001d4b3 \t\n.:;/'&<>\"]") | st.characters(min_codepoint=0x20), max_size=8
)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _is_xml(text: str) -> bool:
    return all(
        c in "\t\n" or 0x20 <= ord(c) < 0xD800 or 0xDFFF < ord(c) not in (0xFFFE, 0xFFFF) for c in text
    )


TEXTS = _PLAIN.filter(_is_xml)
PIECES = (
    TEXTS.map(_escaped)
    | TEXTS.filter(lambda text: "]]>" not in text).map(lambda text: f"<![CDATA[{text}]]>")
    | st.sampled_from(
        ["<?pi?>", "<?pi some <data> &amp; more?>", "<!-- gone -->", "&#13;", "&#10;", "&#x1D4B3;"]
    )
)


@st.composite
def elements(draw: Any, depth: int = 3, scope: frozenset[str] = frozenset({""}), mark: str = "") -> str:
    """An element with declarations, attributes and content; *scope* are the prefixes that are declared above."""
    declared = draw(st.dictionaries(st.sampled_from(PREFIXES), st.sampled_from(NAMESPACES), max_size=3))
    if draw(st.integers(0, 5)) == 0:
        declared[""] = ""
    known = sorted(scope | declared.keys())
    prefix = draw(st.sampled_from(known))
    name = f"{prefix}:e" if prefix else "e"
    attributes = {}
    for prefix in draw(
        st.lists(st.sampled_from(["", "xml", *(p for p in known if p)]), max_size=3, unique=True)
    ):
        local = draw(st.sampled_from(["space", "lang"] if prefix == "xml" else ["p", "q", f"r{prefix}"]))
        value = "preserve" if (prefix, local) == ("xml", "space") else _escaped(draw(TEXTS))
        attributes[f"{prefix}:{local}" if prefix else local] = value
    start = "".join(f' xmlns{":" + p if p else ""}="{uri}"' for p, uri in declared.items())
    start += "".join(f' {key}="{value}"' for key, value in attributes.items()) + mark
    inside = PIECES
    if depth:
        inside |= elements(depth=depth - 1, scope=scope | declared.keys())
    return f"<{name}{start}>{''.join(draw(st.lists(inside, max_size=4)))}</{name}>"


@st.composite
def documents(draw: Any) -> etree._Element:
    """The root of a document, with comments, whose only child has ``Id="apex"``."""
    declared = draw(st.dictionaries(st.sampled_from(PREFIXES), st.sampled_from(NAMESPACES), max_size=4))
    start = "".join(f' xmlns{":" + p if p else ""}="{uri}"' for p, uri in declared.items())
    inside = draw(elements(scope=frozenset({""} | declared.keys()), mark=' Id="apex"'))
    try:
        return etree.fromstring(f"<root{start}>{inside}</root>".encode())
    except etree.XMLSyntaxError:  # two prefixes of one namespace gave one attribute twice
        return etree.fromstring(b'<root xmlns="urn:u"><e Id="apex"/></root>')
