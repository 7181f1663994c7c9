"""XPath 1.0 of policies: what is taken, checked before any message is.

A path comes from whoever wrote the policy, and selects what must be signed or encrypted. So it may say where an
element stands and what it is called, and nothing else: functions are refused but those that give a name, since
WebSphere writes ``/*[namespace-uri()='…' and local-name()='Envelope']/…``. That leaves out ``position()`` and
``last()`` too. What they count changes with every header that somebody adds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from lxml import etree

from .model import ElementPath

_MAX_CHARS = 1_000
_FUNCTIONS = frozenset({"local-name", "namespace-uri"})
_NODE_TESTS = frozenset({"node", "text"})
_NAME = r"[^\W\d][\w.\-]*"
_TOKEN = re.compile(
    rf"""\s*(?:
        (?P<literal>"[^"]*"|'[^']*')
      | (?P<number>\d+(?:\.\d*)?|\.\d+)
      | (?P<name>{_NAME}(?::(?:{_NAME}|\*))?)
      | (?P<symbol>::|//|\.\.|!=|<=|>=|[()\[\]@,./|+\-=<>*$])
    )""",
    re.VERBOSE,
)
#: Symbols after which an operator is expected, so that a name there is one (XPath 1.0, 3.7).
_OPERANDS = frozenset({")", "]", ".", "..", "*"})


class XPathError(ValueError):
    """Says in one clause why a path cannot be used."""


def element_path(text: str, namespaces: Mapping[str | None, str]) -> ElementPath:
    """The path that *text* is.

    Args:
        text: what stands in sp:XPath.
        namespaces: the namespaces in scope there, by prefix.

    Raises:
        XPathError: it is too long, no XPath 1.0, uses a function or a prefix that is not declared, or selects no
            nodes.
    """
    path = text.strip()
    if not path:
        raise XPathError("is empty")
    if len(path) > _MAX_CHARS:
        raise XPathError(f"is longer than {_MAX_CHARS:,} characters")
    prefixes = {prefix for prefix in _prefixes(path) if prefix != "xml"}
    undeclared = sorted(prefixes - {prefix for prefix in namespaces if prefix})
    if undeclared:
        raise XPathError(f"uses the prefix {undeclared[0]!r}, which is not declared there")
    declared = tuple(sorted((prefix, namespaces[prefix]) for prefix in prefixes))
    _try(path, dict(declared))
    return ElementPath(xpath=path, namespaces=declared)


def _prefixes(path: str) -> Iterator[str]:
    """The prefixes of the names in a path; refuses functions and variables on the way."""
    at, operand = 0, False
    while at < len(path):
        token = _TOKEN.match(path, at)
        if token is None:
            if not path[at:].strip():
                return
            raise XPathError("is no XPath 1.0")
        at = token.end()
        if token["name"] is None:
            if token["symbol"] == "$":
                raise XPathError("uses a variable")
            operand = token["symbol"] is None or token["symbol"] in _OPERANDS
        elif operand:
            operand = False  # and, or, div, mod: lxml refuses any other
        else:
            yield from _prefix_of(token["name"], path[at:].lstrip())
            operand = not path[at:].lstrip().startswith(("(", "::"))


def _prefix_of(name: str, rest: str) -> Iterator[str]:
    if rest.startswith("::"):
        return  # an axis
    if rest.startswith("("):
        if name not in _FUNCTIONS | _NODE_TESTS:
            raise XPathError(f"uses the function {name}()")
    elif ":" in name:
        yield name.partition(":")[0]


def _try(path: str, namespaces: dict[str, str]) -> None:
    try:
        found = etree.XPath(path, namespaces=namespaces, regexp=False)(etree.Element("empty"))
    except etree.XPathError as error:
        raise XPathError(f"is no XPath 1.0: {error}") from None
    if not isinstance(found, list):
        raise XPathError("selects no elements")
