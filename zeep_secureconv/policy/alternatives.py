"""WS-Policy: from policies as they are written to alternatives, each a flat tuple of assertions.

A policy comes from the peer, so every step is bounded: how deep operators and references nest, how many
alternatives there are, how many assertions one alternative holds, nested ones included, and how many documents
references lead to. A policy is expanded once and kept, so that references which fan out cost no more than what
they stand for.
"""

from __future__ import annotations

import itertools
import math
import posixpath
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePosixPath
from typing import NamedTuple, Protocol
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from lxml import etree

from ..errors import PolicyError
from ..names import WSP_2004, WSP_W3C, WSU
from .model import Direction

_WSP = (WSP_2004, WSP_W3C)
_POLICY = frozenset(f"{{{wsp}}}Policy" for wsp in _WSP)
_ALL = frozenset(f"{{{wsp}}}All" for wsp in _WSP) | _POLICY
_EXACTLY_ONE = frozenset(f"{{{wsp}}}ExactlyOne" for wsp in _WSP)
_REFERENCE = frozenset(f"{{{wsp}}}PolicyReference" for wsp in _WSP)
_ATTACHMENT = frozenset(f"{{{wsp}}}PolicyAttachment" for wsp in _WSP)
_POLICY_URIS = tuple(f"{{{wsp}}}PolicyURIs" for wsp in _WSP)
_IDS = (f"{{{WSU}}}Id", "{http://www.w3.org/XML/1998/namespace}id", "Name")
_TRUE = ("true", "1")
#: The wsu:Id of a policy that WebSphere wrote for messages of one direction.
_ROLE = re.compile(r"(request|response):(bootstrap)?")

_MAX_ALTERNATIVES = 256
_MAX_ASSERTIONS = 1_000
_MAX_DEPTH = 64
_MAX_DOCUMENTS = 64

Alternative = tuple["Assertion", ...]
Alternatives = tuple[Alternative, ...]


class Load(Protocol):
    """Gives the root of the document at an absolute location; it decides what may be loaded."""

    def __call__(self, location: str, /) -> etree._Element:
        """The root element of that document."""
        ...


class Role(NamedTuple):
    """What a policy of WebSphere's compact form is for, as its wsu:Id says: "request:bootstrap_signparts".

    Args:
        direction: the messages that it holds for.
        bootstrap: whether these are requests for contexts and their answers, whose policy is elsewhere.
    """

    direction: Direction
    bootstrap: bool


@dataclass(frozen=True, eq=False)
class Assertion:
    """One assertion of one alternative; *nested* is one alternative of the policy inside it.

    Args:
        element: the assertion as it stands in the document.
        document: the document's name, for messages to people.
        nested: what the policy inside it demands; empty when there is none.
        role: what it is for, where a wsu:Id says so.
    """

    element: etree._Element
    document: str
    nested: Alternative = ()
    role: Role | None = None

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


class Library:
    """The documents that policy references lead to, each read once.

    Args:
        load: gives the root of a document; None: no reference may leave its document.
        allow_external: whether references may lead anywhere that *load* goes, and not only to documents of the same
            origin (http) or in the same folder and below (files).
    """

    def __init__(self, load: Load | None = None, *, allow_external: bool = False) -> None:
        self._load = load
        self._allow_external = allow_external
        self._documents: dict[str, PolicyDocument] = {}
        self._home: str | None = None

    def add(self, document: PolicyDocument) -> None:
        """Takes a document in; the first with a location is the home of all."""
        if document.location is not None:
            self._home = self._home or document.location
            self._documents.setdefault(document.location, document)

    def find(self, location: str, near: str) -> PolicyDocument | str:
        """The document at *location*, which one at *near* refers to, or why it cannot be had."""
        if location in self._documents:
            return self._documents[location]
        if not self._allow_external and not any(
            _is_near(location, home or near) for home in (near, self._home)
        ):
            return "which is not allowed (zeep_secureconv.policy.load_policy(path, allow_external=True) allows it)"
        if self._load is None:
            return "and nothing can be loaded here"
        if len(self._documents) >= _MAX_DOCUMENTS:
            return f"and there are more than {_MAX_DOCUMENTS} documents already"
        return PolicyDocument(self._load(location), location, self)


class PolicyDocument:
    """One document with policies in it.

    Args:
        root: its root element.
        location: where it came from, or None.
        library: finds the documents that its references lead to.
    """

    def __init__(
        self, root: etree._Element, location: str | None = None, library: Library | None = None
    ) -> None:
        self.root = root
        self.location = location
        self._library = library or Library()
        self._library.add(self)
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
            self._follow(uri, node, 0)
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
            return self._follow(element.get("URI", "").strip(), element, depth + 1)
        if element.tag in _POLICY:
            return self.expand(element, depth)
        if element.tag in _ALL:
            return self._every(element, depth)
        if element.tag in _EXACTLY_ONE:
            found = tuple(itertools.chain(*self._children(element, depth)))
            return _bounded(found, position(element, self.name))
        return self._assertion(element, depth)

    def expand(self, policy: etree._Element, depth: int) -> Alternatives:
        """The normal form of a wsp:Policy that is that many levels deep."""
        known = self._expanded.get(policy)
        if known is not None:
            return known
        if policy in self._open:
            raise self._refused(policy, "The policy refers to itself")
        self._open.add(policy)
        try:
            self._expanded[policy] = _for_role(_role(policy), self._every(policy, depth))
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
        # WebSphere was seen to put the id at the policy inside of sp:SupportingTokens.
        role = next(filter(None, map(_role, policies)), None)
        found: Alternatives = tuple((Assertion(element, self.name, inside, role),) for inside in nested)
        if _marked(element, "Optional"):
            found += ((),)
        if any(assertion.depth > _MAX_DEPTH for assertion in itertools.chain(*found)):
            raise self._refused(element, "The policy nests too deeply")
        return _bounded(found, position(element, self.name))

    def _follow(self, uri: str, at: etree._Element, depth: int) -> Alternatives:
        """What a reference stands for."""
        found = self._policies.get(uri, [])
        if not found and uri and not uri.startswith("#"):
            return self._elsewhere(uri, at, depth)
        return self.expand(self._only(found, uri, at), depth)

    def _elsewhere(self, uri: str, at: etree._Element, depth: int) -> Alternatives:
        leads = f"The policy reference {uri!r} leads outside the document"
        if self.location is None:
            raise self._refused(at, f"{leads}, and where that came from is not known")
        try:
            location, fragment = urldefrag(_resolved(self.location, uri))
        except ValueError:
            raise self._refused(at, f"The policy reference {uri!r} is no URI") from None
        document = self._library.find(location, self.location)
        if isinstance(document, str):
            raise self._refused(at, f"{leads}, {document}")
        return document.expand(self._only(document.named(fragment), uri, at), depth)

    def named(self, fragment: str) -> list[etree._Element]:
        """The policies that the fragment of a reference from elsewhere may mean; "" is the document's own."""
        if not fragment and is_policy(self.root):
            return [self.root]
        return self._policies.get(f"#{fragment}", [])

    def _only(self, found: list[etree._Element], uri: str, at: etree._Element) -> etree._Element:
        if len(found) == 1:
            return found[0]
        if found:
            raise self._refused(
                at, f"The policy reference {uri!r} is ambiguous: {len(found)} policies have that id"
            )
        raise self._refused(at, f"The policy reference {uri!r} leads to no policy")

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


def is_attachment(element: etree._Element) -> bool:
    """Whether *element* is a wsp:PolicyAttachment."""
    return element.tag in _ATTACHMENT


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


def _role(policy: etree._Element) -> Role | None:
    found = _ROLE.match(policy.get(f"{{{WSU}}}Id", ""))
    return Role(Direction(found[1]), found[2] is not None) if found else None


def _for_role(role: Role | None, alternatives: Alternatives) -> Alternatives:
    """The same alternatives, with what no role is known of marked as being for *role*."""
    if role is None:
        return alternatives
    return tuple(
        tuple(assertion if assertion.role else replace(assertion, role=role) for assertion in alternative)
        for alternative in alternatives
    )


def _resolved(base: str, uri: str) -> str:
    """Where a reference leads. urljoin makes "x.xml" of "../x.xml" where the base is a relative path."""
    if urlsplit(base).scheme or urlsplit(uri).scheme or base.startswith("/"):
        return urljoin(base, uri)
    return posixpath.normpath(posixpath.join(posixpath.dirname(base), uri))


def _is_near(location: str, home: str) -> bool:
    """Whether a location has the origin of *home*, or for files is in its folder or below."""
    try:
        target, base = urlsplit(location), urlsplit(home)
    except ValueError:
        return False
    if (target.scheme, target.netloc) != (base.scheme, base.netloc):
        return False
    if target.scheme in ("http", "https"):
        return True
    # A loader may take %2e%2e for two dots.
    path = PurePosixPath(unquote(target.path).replace("\\", "/"))
    folder = PurePosixPath(unquote(base.path).replace("\\", "/")).parent
    return ".." not in path.parts and path.is_relative_to(folder)


def _without_credentials(location: str) -> str:
    try:
        host = urlsplit(location).netloc
    except ValueError:
        return location
    return location.replace(host, host.rpartition("@")[2], 1) if "@" in host else location
