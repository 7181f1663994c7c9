"""WS-Policy: from policies as they are written to alternatives, each a flat tuple of assertions.

A policy comes from the peer, so every step is bounded: how deep operators and references nest, how many
alternatives there are, and how many assertions one alternative holds, nested ones included. A policy is
expanded once and kept, so that references which fan out cost no more than what they stand for.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit

from lxml import etree

from ..errors import PolicyError
from ..names import WSP_2004, WSP_W3C, WSU

_WSP = (WSP_2004, WSP_W3C)
_POLICY = frozenset(f"{{{wsp}}}Policy" for wsp in _WSP)
_ALL = frozenset(f"{{{wsp}}}All" for wsp in _WSP) | _POLICY
_EXACTLY_ONE = frozenset(f"{{{wsp}}}ExactlyOne" for wsp in _WSP)
_REFERENCE = frozenset(f"{{{wsp}}}PolicyReference" for wsp in _WSP)
_POLICY_URIS = tuple(f"{{{wsp}}}PolicyURIs" for wsp in _WSP)
_IDS = (f"{{{WSU}}}Id", "{http://www.w3.org/XML/1998/namespace}id", "Name")
_TRUE = ("true", "1")

_MAX_ALTERNATIVES = 256
_MAX_ASSERTIONS = 1_000
_MAX_DEPTH = 64

Alternative = tuple["Assertion", ...]
Alternatives = tuple[Alternative, ...]


@dataclass(frozen=True, eq=False)
class Assertion:
    """One assertion of one alternative; *nested* is one alternative of the policy inside it.

    Args:
        element: the assertion as it stands in the document.
        document: the document's name, for messages to people.
        nested: what the policy inside it demands; empty when there is none.
    """

    element: etree._Element
    document: str
    nested: Alternative = ()

    @cached_property
    def size(self) -> int:
        """How many assertions this is, with all that are nested in it."""
        return 1 + sum(child.size for child in self.nested)

    @cached_property
    def depth(self) -> int:
        """How many levels of assertions this is."""
        return 1 + max((child.depth for child in self.nested), default=0)

    @property
    def parameters(self) -> tuple[etree._Element, ...]:
        """The child elements that are not nested policies."""
        return tuple(child for child in children(self.element) if child.tag not in _POLICY)

    @property
    def position(self) -> str:
        """Where it stands, for messages to people."""
        return position(self.element, self.document)

    @property
    def ignorable(self) -> bool:
        """Whether it is marked wsp:Ignorable (WS-Policy 1.5, 4.4)."""
        return _marked(self.element, "Ignorable")


class PolicyDocument:
    """One document with policies in it.

    Args:
        root: its root element.
        location: where it came from, or None.
    """

    def __init__(self, root: etree._Element, location: str | None = None) -> None:
        self.root = root
        self.location = location
        anonymous = "the policy" if is_policy(root) else "the WSDL"
        self.name = _without_credentials(location) if location else anonymous
        self._policies: dict[str, list[etree._Element]] = {}
        for policy in root.iter(*_POLICY):
            for reference in _references_to(policy):
                self._policies.setdefault(reference, []).append(policy)
        self._expanded: dict[etree._Element, Alternatives] = {}
        self._open: set[etree._Element] = set()

    def alternatives(self, policy: etree._Element) -> Alternatives:
        """The normal form of *policy* (WS-Policy 1.5, 4.3).

        Raises:
            PolicyError: a reference leads nowhere, outside or in a circle, or the policy is too large.
        """
        return self._expand(policy, 0)

    def attached(
        self, node: etree._Element, extensions: Collection[str] = frozenset()
    ) -> tuple[Alternatives, ...]:
        """The policies that are attached to an element of a WSDL (WS-PolicyAttachment 1.5, 3 and 4).

        Args:
            node: the element.
            extensions: names of child elements that count as assertions though they stand in no policy.
        """
        named = [
            self._policy(self._referred(uri, node), 0)
            for attribute in _POLICY_URIS
            for uri in node.get(attribute, "").split()
        ]
        wanted = _POLICY | _REFERENCE
        written = [
            self._expand(child, 0)
            for child in children(node)
            if child.tag in wanted or child.tag in extensions
        ]
        return tuple(named + written)

    def _expand(self, element: etree._Element, depth: int) -> Alternatives:
        if depth > _MAX_DEPTH:
            raise self._refused(element, "The policy nests too deeply")
        if element.tag in _REFERENCE:
            return self._policy(self._referred(element.get("URI", "").strip(), element), depth + 1)
        if element.tag in _POLICY:
            return self._policy(element, depth)
        if element.tag in _ALL:
            return self._every(element, depth)
        if element.tag in _EXACTLY_ONE:
            found = tuple(itertools.chain(*self._children(element, depth)))
            return _bounded(found, position(element, self.name))
        return self._assertion(element, depth)

    def _policy(self, policy: etree._Element, depth: int) -> Alternatives:
        known = self._expanded.get(policy)
        if known is not None:
            return known
        if policy in self._open:
            raise self._refused(policy, "The policy refers to itself")
        self._open.add(policy)
        try:
            self._expanded[policy] = self._every(policy, depth)
        finally:
            self._open.discard(policy)
        return self._expanded[policy]

    def _every(self, element: etree._Element, depth: int) -> Alternatives:
        return _cross(self._children(element, depth), position(element, self.name))

    def _children(self, element: etree._Element, depth: int) -> list[Alternatives]:
        return [self._expand(child, depth + 1) for child in children(element)]

    def _assertion(self, element: etree._Element, depth: int) -> Alternatives:
        policies = [child for child in children(element) if child.tag in _POLICY]
        nested = _cross(
            [self._expand(policy, depth + 1) for policy in policies], position(element, self.name)
        )
        found: Alternatives = tuple((Assertion(element, self.name, inside),) for inside in nested)
        if _marked(element, "Optional"):
            found += ((),)
        if any(assertion.depth > _MAX_DEPTH for assertion in itertools.chain(*found)):
            raise self._refused(element, "The policy nests too deeply")
        return _bounded(found, position(element, self.name))

    def _referred(self, uri: str, at: etree._Element) -> etree._Element:
        found = self._policies.get(uri, [])
        if len(found) == 1:
            return found[0]
        if found:
            raise self._refused(
                at, f"The policy reference {uri!r} is ambiguous: {len(found)} policies have that id"
            )
        if uri.startswith("#"):
            raise self._refused(at, f"The policy reference {uri!r} leads to no policy")
        raise self._refused(
            at, f"The policy reference {uri!r} leads outside the document, which is not allowed"
        )

    def _refused(self, element: etree._Element, what: str) -> PolicyError:
        where = position(element, self.name)
        return PolicyError(
            f"{what} ({where})",
            assertion=str(element.tag),
            position=where,
            hint="Correct the WSDL, or pass policy= with a policy of your own.",
        )


def is_policy(element: etree._Element) -> bool:
    """Whether *element* is a wsp:Policy."""
    return element.tag in _POLICY


def children(element: etree._Element) -> Iterator[etree._Element]:
    """The child elements, without comments, processing instructions and entities."""
    return element.iterchildren(etree.Element)


def position(element: etree._Element, document: str) -> str:
    """Where an element stands, for messages to people: "line 14 of peer.wsdl"."""
    return f"line {element.sourceline} of {document}" if element.sourceline else document


def merge(scopes: Sequence[Alternatives]) -> Alternatives:
    """The policy that holds where all *scopes* hold (WS-PolicyAttachment 1.5, 3.1: merge).

    Raises:
        PolicyError: it has too many alternatives, or one is too large.
    """
    return _cross(scopes, "all scopes of a message together")


def _cross(groups: Sequence[Alternatives], where: str) -> Alternatives:
    if math.prod(len(group) for group in groups) > _MAX_ALTERNATIVES:
        raise _too_large("more than 256 alternatives", where)
    choices = itertools.product(*groups)
    # One policy reached by two ways is demanded once.
    return _bounded(tuple(tuple(dict.fromkeys(itertools.chain(*choice))) for choice in choices), where)


def _bounded(found: Alternatives, where: str) -> Alternatives:
    if len(found) > _MAX_ALTERNATIVES:
        raise _too_large("more than 256 alternatives", where)
    if any(sum(assertion.size for assertion in alternative) > _MAX_ASSERTIONS for alternative in found):
        raise _too_large("an alternative with more than 1,000 assertions", where)
    return found


def _too_large(what: str, where: str) -> PolicyError:
    return PolicyError(
        f"The policy has {what} ({where})",
        position=where,
        hint="Write a policy with the alternative that you want, and pass it as policy=.",
    )


def _marked(element: etree._Element, attribute: str) -> bool:
    return any(element.get(f"{{{wsp}}}{attribute}", "").strip() in _TRUE for wsp in _WSP)


def _references_to(policy: etree._Element) -> set[str]:
    ids = {value for value in map(policy.get, _IDS) if value}
    name = policy.get("Name")
    return {f"#{value}" for value in ids} | ({name} if name else set())


def _without_credentials(location: str) -> str:
    try:
        host = urlsplit(location).netloc
    except ValueError:
        return location
    return location.replace(host, host.rpartition("@")[2], 1) if "@" in host else location
