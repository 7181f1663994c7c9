"""Attributes have bounds: how many an element has, and how long one is."""

from __future__ import annotations

import pytest

from zeep_secureconv import LimitExceeded, Limits
from zeep_secureconv.soap.envelope import parse

LIMITS = Limits(attributes=20, attribute_chars=100)


def element(names: list[str], value: str = "x", around: str = "{}") -> str:
    """An element with attributes of these names, in a document."""
    attributes = " ".join(f'{name}="{value}"' for name in names)
    return around.format(f"<a {attributes}/>")


def refused(document: str | bytes, encoding: str = "utf-8") -> str:
    """The check that refuses a document."""
    with pytest.raises(LimitExceeded) as caught:
        parse(document if isinstance(document, bytes) else document.encode(encoding), LIMITS)
    return str(caught.value.check)


@pytest.mark.parametrize(
    "around", ["{}", "<b>{}</b>", "<b><c/>==<![CDATA[==]]>{}</b>", "<b x='&gt;\">'>{}</b>"]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "ascii"])
@pytest.mark.parametrize("value", ["x", "&gt;", ">", "'=", "\u3c00"])
@pytest.mark.parametrize("prefix", ["a", "xmlns:p"])
def test_an_element_has_so_many_attributes(around: str, encoding: str, value: str, prefix: str) -> None:
    """Wherever it stands, in whatever encoding, and whatever its values are; declarations count likewise."""
    if prefix != "a":
        value = "urn:x"
    if encoding == "ascii":
        value = value.encode("ascii", "xmlcharrefreplace").decode()
    declared = f'<?xml version="1.0" encoding="{encoding.removesuffix("-le")}"?>'
    names = [f"{prefix}{number}" for number in range(LIMITS.attributes + 1)]
    mark = "\ufeff" if encoding == "utf-16-le" else ""
    many, enough = (
        (mark + declared + element(some, value, around)).encode(encoding) for some in (names, names[1:])
    )
    parse(enough, LIMITS)
    assert refused(many) == "attributes"


def test_the_bound_is_for_one_element() -> None:
    """A message with many elements of many attributes, and with many signs of equality in its text, is a message."""
    names = [f"a{number}" for number in range(LIMITS.attributes)]
    parse(f"<r>{element(names) * 50}{'=' * 500}<!-- {'=' * 500} --></r>".encode(), LIMITS)
    refused(f"<r>{element(names) * 50}{element([*names, 'b'])}</r>")


def test_declarations_and_attributes_are_counted_each() -> None:
    """An element may have so many of both."""
    both = [f"xmlns:p{number}" for number in range(20)] + [f"p{number}:a" for number in range(20)]
    attributes = " ".join(f'{name}="urn:{name[5:]}"' for name in both)
    parse(f"<a {attributes}/>".encode(), LIMITS)


def test_an_attribute_is_so_long() -> None:
    """Its value has a bound in characters, not in octets."""
    for value in ("x", "\u20ac"):
        parse(element(["a"], value * 100).encode(), LIMITS)
        assert refused(element(["a"], value * 101)) == "attributes"
    parse(b"<a>" + b"x" * 1000 + b"</a>", LIMITS)
