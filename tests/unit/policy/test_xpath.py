from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from tests.unit.policy.documents import policy, refused
from zeep_secureconv.names import SOAP11, SP_200702, WSSE, WSU
from zeep_secureconv.policy import ElementPath, Parts
from zeep_secureconv.policy.xpath import XPathError, element_path

_NAMESPACES = {"s": "urn:s", "w": "urn:w", None: "urn:default"}
_WEBSPHERE = (
    f"/*[namespace-uri()='{SOAP11}' and local-name()='Envelope']"
    f"/*[namespace-uri()='{SOAP11}' and local-name()='Header']"
    f"/*[namespace-uri()='{WSSE}' and local-name()='Security']"
    f"/*[namespace-uri()='{WSU}' and local-name()='Timestamp']"
)


@pytest.mark.parametrize(
    ("path", "prefixes"),
    [
        (_WEBSPHERE, ""),
        ("/s:Envelope/s:Header/w:Token", "sw"),
        ("//s:a | //w:b", "sw"),
        ("//s:*[1]", "s"),
        ("//a[@w:id='s:not a name']", "w"),
        ("child::s:a/descendant-or-self::node()/w:b", "sw"),
        ("//and/or[div and mod]", ""),
        ("//a[. = 'count(x)' or ../b and(c)]", ""),
        ("//a[@b * 2 = 4 div 2 mod 3]", ""),
        ("//xml:a", ""),
    ],
)
def test_paths_that_are_taken(path: str, prefixes: str) -> None:
    """A path of names keeps the namespaces of the prefixes that it has, and no others."""
    found = element_path(f" {path}\n", _NAMESPACES)
    assert found == ElementPath(xpath=path, namespaces=tuple((p, f"urn:{p}") for p in prefixes))


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("", "empty"),
        ("//" + "a" * 1_000, "1,000 characters"),
        ("//q:a", "prefix 'q'"),
        ("//a[@q:b]", "prefix 'q'"),
        ("//q:*", "prefix 'q'"),
        ("count(//s:a)", r"function count\(\)"),
        ("//s:a[position()=1]", r"function position\(\)"),
        ("//s:a[last()]", r"function last\(\)"),
        ("//s:a[contains (., 'b')]", r"function contains\(\)"),
        ("id('a')", r"function id\(\)"),
        ("s:f(//a)", r"function s:f\(\)"),
        ("//comment()", r"function comment\(\)"),
        ("document('file:///etc/passwd')", r"function document\(\)"),
        ("$x", "variable"),
        ("//a[", "no XPath"),
        ("//s:", "no XPath"),
        ("a b", "no XPath"),
        ("//a^", "no XPath"),
        ("for $x in //a return $x", "no XPath|variable"),
        ("1 = 1", "selects no elements"),
        ("'text'", "selects no elements"),
        ("//a and //b", "selects no elements"),
    ],
)
def test_paths_that_are_refused(path: str, says: str) -> None:
    """Functions, variables, prefixes that are not declared, other languages and what selects nothing are refused."""
    assert element_path("//s:a", _NAMESPACES).xpath == "//s:a"
    with pytest.raises(XPathError, match=says):
        element_path(path, _NAMESPACES)


@given(st.text(alphabet="/*[]()@.:|'\"$=<>+- abws1", max_size=30))
def test_what_is_taken_can_be_evaluated(path: str) -> None:
    """A path is refused, or lxml selects nodes by it with the namespaces that were kept."""
    try:
        found = element_path(path, _NAMESPACES)
    except XPathError:
        return
    nodes = etree.XPath(found.xpath, namespaces=dict(found.namespaces))(etree.fromstring("<a><b/>1</a>"))
    assert isinstance(nodes, list)


_STEP = st.tuples(st.sampled_from(["", "s:", "w:"]), st.sampled_from(["a", "Envelope", "and", "*"]))


@given(
    st.lists(st.tuples(st.sampled_from(["/", "//"]), _STEP, st.sampled_from(["", "[1]", "[@a]", "[s:b]"])))
)
def test_paths_of_names_are_taken(steps: list[tuple[str, tuple[str, str], str]]) -> None:
    """Any path of names, positions and predicates of names is taken as it is."""
    path = "/s:root" + "".join(
        slash + prefix + name + predicate for slash, (prefix, name), predicate in steps
    )
    assert element_path(path, _NAMESPACES).xpath == path


# ------------------------------------------------------------------------------------ in policies


@pytest.mark.parametrize(
    ("assertion", "field", "kind"),
    [
        ("SignedElements", "signed", "elements"),
        ("EncryptedElements", "encrypted", "elements"),
        ("ContentEncryptedElements", "encrypted", "contents"),
        ("RequiredElements", "required", "elements"),
    ],
)
def test_element_assertions(assertion: str, field: str, kind: str) -> None:
    """Every assertion of elements gives paths, with namespaces as declared where each stands."""
    one = '<sp:XPath xmlns:y="urn:y">/y:a/x:b</sp:XPath><sp:XPath>/*</sp:XPath><sp:XPath>/*</sp:XPath>'
    paths = (
        ElementPath(xpath="/y:a/x:b", namespaces=(("x", "urn:x"), ("y", "urn:y"))),
        ElementPath(xpath="/*"),
    )
    selected: dict[str, Any] = {kind: paths}
    changed: dict[str, Any] = {field: Parts(**selected)}
    assert policy(more=f"<sp:{assertion}>{one}</sp:{assertion}>") == replace(policy(), **changed)


def test_elements_join_parts() -> None:
    """Parts and elements of several assertions are demanded together."""
    elements = "<sp:SignedElements><sp:XPath>//x:{}</sp:XPath></sp:SignedElements>"
    more = f"<sp:SignedParts><sp:Body/></sp:SignedParts>{elements.format('a')}{elements.format('b')}"
    found = policy(more=more).signed
    assert found.body
    assert [path.xpath for path in found.elements] == ["//x:a", "//x:b"]


def test_a_path_is_read_without_comments() -> None:
    """A comment inside a path is no part of it."""
    more = "<sp:SignedElements><sp:XPath>//x:<!-- here -->a</sp:XPath></sp:SignedElements>"
    assert [path.xpath for path in policy(more=more).signed.elements] == ["//x:a"]


@pytest.mark.parametrize(
    ("content", "named", "says"),
    [
        ("<sp:XPath>count(//x:a)</sp:XPath>", "XPath", "function count()"),
        ("<sp:XPath>//undeclared:a</sp:XPath>", "XPath", "'undeclared'"),
        ("<sp:XPath>//a</sp:XPath><sp:XPath>//[</sp:XPath>", "XPath", "no XPath 1.0"),
        ("", "SignedElements", "names no elements"),
        ("<sp:Body/>", "Body", "not known here"),
    ],
)
def test_paths_that_are_refused_in_a_policy(content: str, named: str, says: str) -> None:
    """A path that cannot be used is refused with the name and the line of its element."""
    error = refused(more=f"<sp:SignedElements>{content}</sp:SignedElements>")
    assert error.assertion == f"{{{SP_200702}}}{named}"
    assert says in error.message
    assert error.position is not None
    assert error.position.startswith("line ")


def test_xpath_2_is_refused() -> None:
    """XPath 2.0 is refused by its element, and any other version by the attribute."""
    path = "<sp:XPath>//x:a</sp:XPath>"
    usual = f'<sp:SignedElements XPathVersion="{_XPATH_10}">{path}</sp:SignedElements>'
    assert policy(more=usual).signed.elements
    assert (
        "XPath2"
        in refused(more="<sp:SignedElements><sp13:XPath2>//a</sp13:XPath2></sp:SignedElements>").message
    )
    other = usual.replace(_XPATH_10, "http://www.w3.org/2002/06/xmldsig-filter2")
    assert "xmldsig-filter2" in refused(more=other).message


_XPATH_10 = "http://www.w3.org/TR/1999/REC-xpath-19991116"
