"""Exclusive canonicalization, compared with what xmlsec digests."""

from __future__ import annotations

import base64
import hashlib

import pytest
import xmlsec
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from tests.unit.wss.strategies import documents
from zeep_secureconv import Limits, VerificationError
from zeep_secureconv.names import DS, EXC_C14N
from zeep_secureconv.soap.envelope import parse
from zeep_secureconv.wss.c14n import canonicalize


def digest_by_xmlsec(apex: etree._Element, prefixes: list[str]) -> bytes:
    """The SHA-1 that xmlsec makes of the canonical form of an element with ``Id="apex"``."""
    root = apex.getroottree().getroot()
    listed = (
        f'<InclusiveNamespaces xmlns="{EXC_C14N}" PrefixList="{" ".join(prefixes)}"/>' if prefixes else ""
    )
    signature = etree.fromstring(
        f'<ds:Signature xmlns:ds="{DS}"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="{EXC_C14N}"/>'
        f'<ds:SignatureMethod Algorithm="{DS}hmac-sha1"/><ds:Reference URI="#apex"><ds:Transforms>'
        f'<ds:Transform Algorithm="{EXC_C14N}">{listed}</ds:Transform></ds:Transforms>'
        f'<ds:DigestMethod Algorithm="{DS}sha1"/><ds:DigestValue/></ds:Reference></ds:SignedInfo>'
        "<ds:SignatureValue/></ds:Signature>"
    )
    root.append(signature)
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_binary_data(xmlsec.constants.KeyDataHmac, b"key")
    context.register_id(apex, "Id")
    context.sign(signature)
    root.remove(signature)
    return base64.b64decode(signature.findtext(f".//{{{DS}}}DigestValue") or "")


@settings(max_examples=100)
@given(documents(), st.lists(st.sampled_from(["a", "b", "c", "xml", "none"]), unique=True))
def test_it_is_what_xmlsec_digests(root: etree._Element, prefixes: list[str]) -> None:
    """Any document, with any PrefixList without #default, has the canonical form that xmlsec works with."""
    form = canonicalize(root[0], prefixes)
    assert hashlib.sha1(form).digest() == digest_by_xmlsec(root[0], prefixes), form


@settings(max_examples=120)
@given(documents(), st.lists(st.sampled_from(["a", "b", "c"]), unique=True))
def test_it_is_what_xmlsec_digests_with_the_default_namespace_listed(
    root: etree._Element, prefixes: list[str]
) -> None:
    """Any document with #default in its PrefixList, too, which lxml leaves out without a word."""
    form = canonicalize(root[0], [*prefixes, "#default"])
    assert hashlib.sha1(form).digest() == digest_by_xmlsec(root[0], [*prefixes, "#default"]), form


@pytest.mark.parametrize(
    ("document", "prefixes", "form"),
    [
        ('<r xmlns="U"><e Id="apex"/></r>', [], '<e xmlns="U" Id="apex"></e>'),
        ('<r xmlns="U" xmlns:a="V"><a:e Id="apex"/></r>', [], '<a:e xmlns:a="V" Id="apex"></a:e>'),
        (
            '<r xmlns="U" xmlns:a="V"><a:e Id="apex"/></r>',
            ["#default"],
            '<a:e xmlns="U" xmlns:a="V" Id="apex"></a:e>',
        ),
        (
            '<r xmlns:a="V" xmlns:b="W"><e Id="apex"/></r>',
            ["b", "c"],
            '<e xmlns:b="W" Id="apex"></e>',
        ),
        (
            '<r xmlns="U"><e Id="apex" xmlns=""><f xmlns="U"/></e></r>',
            ["#default"],
            '<e Id="apex"><f xmlns="U"></f></e>',
        ),
        (
            '<r xmlns="U" xmlns:a="V"><a:e Id="apex"><f xmlns=""/></a:e></r>',
            ["#default"],
            '<a:e xmlns="U" xmlns:a="V" Id="apex"><f xmlns=""></f></a:e>',
        ),
        (
            '<r xmlns:a="V" xmlns:b="V"><e Id="apex" b:x="1" a:y=" b:y=2"/></r>',
            ["#default"],
            '<e xmlns:a="V" xmlns:b="V" Id="apex" b:x="1" a:y=" b:y=2"></e>',
        ),
        ('<r><e Id="apex" xml:lang="de"/></r>', ["#default"], '<e Id="apex" xml:lang="de"></e>'),
    ],
)
def test_known_forms(document: str, prefixes: list[str], form: str) -> None:
    """Declarations stand where the recommendation says, and xmlsec digests the same."""
    apex = etree.fromstring(
        document.replace('"U"', '"urn:u"').replace('"V"', '"urn:v"').replace('"W"', '"urn:w"')
    )[0]
    expected = form.replace('"U"', '"urn:u"').replace('"V"', '"urn:v"').replace('"W"', '"urn:w"').encode()
    assert canonicalize(apex, prefixes) == expected
    assert digest_by_xmlsec(apex, prefixes) == hashlib.sha1(expected).digest()


@pytest.mark.parametrize("prefixes", [[], ["#default"]])
@pytest.mark.parametrize(
    ("inside", "form"),
    [
        ("a<!--x-->b<!--y--><f/>c", "ab<f></f>c"),
        ("a<?p q?>b<?r?>", "a<?p q?>b<?r?>"),
        ("<![CDATA[<&>]]>x", "&lt;&amp;&gt;x"),
        ("\u20ac&#13;\n\t\U0001d4b3", "\u20ac&#xD;\n\t\U0001d4b3"),
        ('<f g="&#9;&#10;&#13;&lt;&gt;&quot;&amp;\'"/>', '<f g="&#x9;&#xA;&#xD;&lt;>&quot;&amp;\'"></f>'),
    ],
)
def test_content_has_one_form(inside: str, form: str, prefixes: list[str]) -> None:
    """Comments are dropped, the rest is written as the recommendation says, in both ways of making it."""
    root = etree.fromstring(f'<r><e Id="apex">{inside}</e>tail</r>')
    expected = f'<e Id="apex">{form}</e>'.encode()
    assert canonicalize(root[0], prefixes) == expected
    assert digest_by_xmlsec(root[0], prefixes) == hashlib.sha1(expected).digest()


def test_a_relative_namespace_has_no_canonical_form() -> None:
    """A part with a relative namespace URI is refused."""
    assert canonicalize(etree.fromstring('<a xmlns="urn:u"/>')) == b'<a xmlns="urn:u"></a>'
    with pytest.raises(VerificationError) as caught:
        canonicalize(parse(b'<a xmlns="relative"/>', Limits()))
    assert caught.value.check == "canonicalization"
