"""Plaintext in the place of ciphertext, with every namespace declaration as it was."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from tests.unit.messages import canonical, message, read, secured, symmetric, wire
from tests.unit.wss.strategies import PIECES, elements
from zeep_secureconv import VerificationError
from zeep_secureconv.names import XENC
from zeep_secureconv.soap.envelope import parser
from zeep_secureconv.wss.splice import element_at, path_of, splice

DATA = f'<x:EncryptedData xmlns:x="{XENC}"><x:CipherData/></x:EncryptedData>'
XSI = "http://www.w3.org/2001/XMLSchema-instance"


def parsed(text: str | bytes) -> etree._Element:
    """A document as it arrives."""
    return etree.fromstring(text.encode() if isinstance(text, str) else text, parser())


def whole(element: etree._Element) -> bytes:
    """The inclusive canonical form: every declaration counts, wherever it stands."""
    return etree.tostring(element, method="c14n", exclusive=False, with_comments=False)


def spliced(document: str, plaintext: str | bytes) -> tuple[etree._Element, bool]:
    """(the document with the plaintext where ``DATA`` stood, whether that was done in place)."""
    root = parsed(document.replace("@", DATA))
    (data,) = root.iter(f"{{{XENC}}}EncryptedData")
    new = splice(data, plaintext.encode() if isinstance(plaintext, str) else plaintext)
    return (root, True) if new is None else (new, False)


def expect(document: str, plaintext: str, *, in_place: bool) -> etree._Element:
    """Check that the result is what an author would have written there; it is returned."""
    root, was_in_place = spliced(document, plaintext)
    assert whole(root) == whole(parsed(document.replace("@", plaintext)))
    assert was_in_place == in_place
    return root


@pytest.mark.parametrize(
    "document",
    [
        "<r>@</r>",
        "<r>a@b</r>",
        "<r>a<c/>b@d<e/>f</r>",
        "<r><c/>@<e/></r>",
        "<s><r>@</r>tail</s>",
        "<r><?pi?>@</r>",
    ],
)
@pytest.mark.parametrize(
    "plaintext",
    [
        "",
        "text",
        "<f/>",
        "<f/>g<h/>",
        "g<f>1</f>h<f>2</f>i",
        "<?pi x?>",
        "  \n",
        "<![CDATA[<&]]>",
        "<f>&amp;lt;</f>",
    ],
)
def test_nodes_and_text_stand_where_they_belong(document: str, plaintext: str) -> None:
    """Text before, between and after, in message and plaintext, stays where it was."""
    expect(document, plaintext, in_place=True)


@pytest.mark.parametrize("text", ["&#13;&#10;", "a&#13;b", "\U0001d4b3\u20ac\u00e4", "&amp;amp;", "]]&gt;"])
def test_characters_come_through(text: str) -> None:
    """Carriage returns, astral characters and what looks like an entity come through."""
    root = expect("<r><v>@</v></r>", text, in_place=True)
    assert root[0].text == parsed(f"<v>{text}</v>").text


def test_comments_are_dropped() -> None:
    """A comment in the plaintext is dropped, and the text around it is one."""
    root, _ = spliced("<r>@</r>", "a<!-- b -->c")
    assert root.text == "ac"
    assert len(root) == 0


def test_a_prefix_in_a_value_keeps_its_meaning() -> None:
    """xsi:type names a prefix that nothing else uses; its declaration stays."""
    inside = f'<v xmlns:i="{XSI}" xmlns:t="urn:types" i:type="t:Text">x</v>'
    root = expect("<r>@</r>", inside, in_place=True)
    assert root[0].nsmap["t"] == "urn:types"
    assert root[0].get(f"{{{XSI}}}type") == "t:Text"
    outer = expect(f'<r xmlns:i="{XSI}" xmlns:t="urn:types">@</r>', '<v i:type="t:Text">x</v>', in_place=True)
    assert outer[0].nsmap["t"] == "urn:types"


@pytest.mark.parametrize(
    ("document", "inside"),
    [
        # CXF writes its renewals so; lxml would make c:Instance of it
        ('<r xmlns:c="urn:c">@</r>', '<c:Identifier>1</c:Identifier><Instance xmlns="urn:c">2</Instance>'),
        ('<r xmlns:c="urn:c">@</r>', '<v xmlns:d="urn:c" d:x="1"/>'),
        ('<r xmlns="urn:c">@</r>', '<c:v xmlns:c="urn:c"/>'),
        ("<r>@</r>", '<v xmlns:a="urn:c" xmlns:b="urn:c" a:x="1" b:y="2"/>'),
        ('<r xmlns:c="urn:c"><s>a@b</s>c</r>', 'd<v xmlns="urn:c">e</v>f'),
    ],
)
def test_two_prefixes_of_one_namespace_make_a_new_tree(document: str, inside: str) -> None:
    """Where lxml would rename prefixes the whole message is parsed again."""
    expect(document, inside, in_place=False)


def test_the_digest_of_such_a_part_stays_valid() -> None:
    """A signed and encrypted Body with two prefixes of one namespace, and QNames in values, is verified."""
    content = (
        f'<c:echo xmlns:c="urn:c" xmlns:i="{XSI}" i:type="d:T" xmlns:d="urn:c">'
        '<v xmlns="urn:c">1</v><d:v>2</d:v>3</c:echo>'
    )
    soap, policy = message(content), symmetric()
    clear = canonical(soap.body[0])
    secured(soap, policy)
    arrived = wire(soap)
    verified = read(arrived, policy)
    assert verified.soap.envelope is not arrived.envelope
    assert canonical(verified.soap.body[0]) == clear
    assert verified.is_signed(verified.soap.body)
    assert verified.soap.body[0].nsmap["d"] == "urn:c"


@pytest.mark.parametrize(
    "document", ["<r>@</r>", '<r xmlns:c="urn:c" xmlns:d="urn:c">@</r>'], ids=["fast", "new"]
)
@pytest.mark.parametrize(
    "plaintext",
    [
        "<f>",
        "</f>",
        "</r>",
        "</fragment><fragment>",
        "<f></g>",
        "&undefined;",
        "<!DOCTYPE f><f/>",
        '<?xml version="1.0"?><f/>',
        "<p:f/>",
        "<f a='1' a='2'/>",
        b"\xff\xfe",
        b"<f>\xc3</f>",
        b"\x00",
    ],
)
def test_what_is_no_xml_is_a_failure_of_decryption(document: str, plaintext: str | bytes) -> None:
    """Plaintext that is not well-formed where it stands is refused like any other failure of decryption."""
    root, _ = spliced(document, "<f/>")
    assert root.find("f") is not None
    with pytest.raises(VerificationError) as caught:
        spliced(document, plaintext)
    assert caught.value.check == "decryption"
    assert caught.value.__cause__ is None


def test_a_mark_of_an_attacker_is_refused() -> None:
    """A message that holds the mark of the place itself is refused, not cut somewhere else."""
    for document in ("<s><?splice here?><r>@</r></s>", "<r><?splice here?>@</r>", "<r>@<?splice here?></r>"):
        fast, _ = spliced(document, "<f/>")
        assert fast.find(".//f") is not None
        with pytest.raises(VerificationError) as caught:
            spliced(document.replace("<r>", '<r xmlns:c="urn:c">'), '<f xmlns="urn:c"/>')
        assert caught.value.check == "decryption"


@settings(max_examples=150)
@given(st.data())
def test_any_content_comes_back(data: st.DataObject) -> None:
    """Any content, cut out of any place as text and put back, leaves the canonical form as it was."""
    scope = {"": "urn:u", "a": "urn:v", "b": data.draw(st.sampled_from(["urn:w", "urn:v"]))}
    start = "".join(f' xmlns{":" + prefix if prefix else ""}="{uri}"' for prefix, uri in scope.items())
    inside = "".join(data.draw(st.lists(PIECES | elements(depth=2, scope=frozenset(scope)), max_size=4)))
    document = f"<r{start}><s>x@y</s><t/>z</r>"
    try:
        original = parsed(document.replace("@", inside))
    except etree.XMLSyntaxError:  # two prefixes of one namespace gave one attribute twice
        return
    root, _ = spliced(document, inside)
    assert whole(root) == whole(original)


def test_paths_lead_back() -> None:
    """The path of an element leads to it, and to its twin in a copy."""
    root = parsed("<a><b/>x<?pi?><c><d/><e><f/></e></c></a>")
    copy = parsed(etree.tostring(root))
    for element in root.iter():
        assert element_at(root, path_of(element)) is element
        assert element_at(copy, path_of(element)).tag == element.tag
    assert path_of(root) == ()
