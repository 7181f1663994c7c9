"""What is protected is read again: every option with every other, and any payload."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from tests.unit.messages import (
    BODY,
    SIGNED,
    TICKET,
    asymmetric,
    canonical,
    context,
    message,
    read,
    rings,
    secured,
    symmetric,
    wire,
)
from tests.unit.parties import CLIENT, SERVER
from tests.unit.wss.strategies import PIECES, elements
from zeep_secureconv import Policy, VerificationError
from zeep_secureconv.names import SOAP11, SOAP12
from zeep_secureconv.policy import SUITES, DerivedKeys, Direction, HeaderPart, Parts
from zeep_secureconv.soap.envelope import Soap
from zeep_secureconv.wss.unprotect import Verified

TICKETED = f'<t:Ticket xmlns:t="{TICKET}" s:mustUnderstand="1">s\u00e9cret</t:Ticket>'
HEADERS = (HeaderPart(namespace=TICKET),)
XSI = "http://www.w3.org/2001/XMLSchema-instance"


def there(soap: Soap, policy: Policy, direction: Direction) -> Verified:
    """Protect, send, and unprotect a message."""
    secured(soap, policy, direction=direction)
    return read(wire(soap), policy, direction=direction)


def options(before: bool, hidden: bool, header: bool) -> dict[str, Any]:
    """Options of a binding and its parts."""
    parts = Parts(headers=HEADERS) if header else Parts()
    return {
        "encrypt_before_signing": before,
        "encrypt_signature": hidden,
        "signed": SIGNED | parts,
        "encrypted": BODY | parts,
    }


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("version", [SOAP11, SOAP12], ids=["soap11", "soap12"])
def test_every_option_with_every_other(suite: str, version: str) -> None:
    """Orders, hidden signatures, derived and raw keys, encrypted headers, both directions: all are read again."""
    cases = product(
        [False, True], [False, True], [False, True], [DerivedKeys.EXPLICIT, DerivedKeys.NONE], Direction
    )
    for before, hidden, header, derived, direction in cases:
        policy = symmetric(suite, derived_keys=derived, **options(before, hidden, header))
        soap = message(version=version, headers=TICKETED)
        clear = canonical(soap.body[0])
        verified = there(soap, policy, direction)
        assert canonical(verified.soap.body[0]) == clear
        assert verified.context == context()
        assert verified.is_signed(verified.soap.body)
        ticket = verified.soap.blocks()[0]
        assert (ticket.tag, ticket.text) == (f"{{{TICKET}}}Ticket", "s\u00e9cret")
        assert verified.is_signed(ticket) == header
        assert len(verified.decrypted) == 1 + header
        assert len(verified.signature_values) == 1


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("version", [SOAP11, SOAP12], ids=["soap11", "soap12"])
def test_every_option_of_a_bootstrap_with_every_other(suite: str, version: str) -> None:
    """The same between certificates, which the verified message names."""
    cases = product([False, True], [False, True], [False, True], Direction)
    for before, hidden, header, direction in cases:
        policy = asymmetric(suite, **options(before, hidden, header))
        soap = message(version=version, headers=TICKETED)
        clear = canonical(soap.body[0])
        verified = there(soap, policy, direction)
        assert canonical(verified.soap.body[0]) == clear
        assert verified.context is None
        assert verified.signer == (CLIENT if direction is Direction.REQUEST else SERVER).make()
        assert verified.is_signed(verified.soap.body)
        assert verified.is_signed(verified.soap.blocks()[0]) == header


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("make", [symmetric, asymmetric], ids=["context", "x509"])
@pytest.mark.parametrize(
    "content",
    [
        "",
        " ",
        "text",
        "a<b/>c",
        '<e xmlns=""/>',
        '<e xmlns="urn:d"><f xmlns=""/></e>',
        f'<e xmlns:i="{XSI}" xmlns:q="urn:q" i:type="q:T">q:value</e>',
        '<c:e xmlns:c="urn:c"><f xmlns="urn:c" xmlns:d="urn:c" d:x="d:y"/></c:e>',
        "<e>a&#13;&#10;b\nc</e>",
        "<e>&amp;amp; &lt;![CDATA[ ]]&gt; &#38;#13;</e>",
        "<e>\U0001d4b3 \u20ac \u00e4\u200b</e>",
        '<e a="&#10;&#9;&quot;&amp;&lt;"/>',
        "<e><?pi inside?></e><?pi after?>",
        "<e xml:space='preserve' xml:lang='de'>  </e>",
        "<e/>\n  <f/>\n",
    ],
)
def test_odd_content_comes_through(content: str, make: Any, before: bool) -> None:
    """Empty bodies, mixed text, undeclared defaults, QNames in values and odd characters come through unchanged."""
    soap = message(content)
    clear = canonical(soap.body)
    verified = there(soap, make(encrypt_before_signing=before), Direction.REQUEST)
    body = verified.soap.body
    for name in body.attrib:
        del body.attrib[name]
    assert canonical(body) == clear
    assert verified.is_signed(body)


_TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\r\t&<>\"']")
)


@settings(max_examples=100)
@given(text=_TEXT.filter(lambda text: "\ufffe" not in text and "\uffff" not in text), before=st.booleans())
def test_any_text_comes_through(text: str, before: bool) -> None:
    """Any text that XML can hold comes through: angle brackets, carriage returns, astral characters, nothing."""
    soap = message("<e/>")
    soap.body[0].text = text
    verified = there(soap, symmetric(encrypt_before_signing=before), Direction.REQUEST)
    assert (verified.soap.body[0].text or "") == text


@settings(max_examples=100)
@given(st.data())
def test_any_payload_comes_through(data: st.DataObject) -> None:
    """Any payload has the same canonical form before and after, in either order of signing and encryption."""
    content = "".join(data.draw(st.lists(PIECES | elements(depth=2), max_size=3)))
    try:
        soap = message(content)
    except VerificationError:  # two prefixes of one namespace gave one attribute twice
        return
    clear = [canonical(child) for child in soap.body if isinstance(child.tag, str)]
    policy = symmetric(encrypt_before_signing=data.draw(st.booleans()))
    verified = there(soap, policy, Direction.REQUEST)
    assert [canonical(child) for child in verified.soap.body if isinstance(child.tag, str)] == clear


def test_a_large_body_comes_through() -> None:
    """A megabyte of text comes through."""
    text = "x\u00e4" * 500_000
    verified = there(message(f"<e>{text}</e>"), symmetric("Basic256"), Direction.REQUEST)
    assert verified.soap.body[0].text == text


def test_a_message_is_read_under_its_own_policy_only() -> None:
    """What one option makes, its opposite refuses: nothing is believed because the message says so."""
    parts = Parts(headers=HEADERS)
    pairs: list[tuple[Policy, Policy, str]] = [
        (symmetric(), symmetric(encrypt_before_signing=True), "protection-order"),
        (symmetric(encrypt_before_signing=True), symmetric(), "protection-order"),
        (symmetric(), symmetric(encrypt_signature=True), "encrypted-parts"),
        (symmetric(encrypted=Parts()), symmetric(), "encrypted-parts"),
        (symmetric(signed=Parts(body=True)), symmetric(), "signed-parts"),
        (symmetric(signed=Parts(headers=SIGNED.headers)), symmetric(), "signed-parts"),
        (symmetric(), symmetric(signed=SIGNED | parts), "signed-parts"),
        (symmetric(), symmetric(encrypted=BODY | parts), "encrypted-parts"),
        (symmetric(include_timestamp=False), symmetric(), "timestamp"),
        (symmetric(), symmetric(derived_keys=DerivedKeys.NONE), "derived-key"),
        (symmetric(derived_keys=DerivedKeys.NONE), symmetric(), "derived-key"),
        (symmetric("Basic128"), symmetric("Basic128Sha256"), "algorithm"),
        (asymmetric("Basic128"), asymmetric("Basic128Rsa15"), "algorithm"),
        (asymmetric("Basic128"), asymmetric("Basic256"), "algorithm"),
        (asymmetric(), symmetric(), "signature-missing"),
        (symmetric(), asymmetric(), "signature-missing"),
    ]
    for made, expected, check in pairs:
        soap = message(headers=TICKETED)
        secured(soap, made)
        arrived = wire(soap)
        assert read(wire(soap), made).soap.payload is not None
        with pytest.raises(VerificationError) as caught:
            read(arrived, expected, ring=_both_keys())
        assert caught.value.check == check, (made, expected)


def _both_keys() -> Any:
    """The service's keys: its identity and the context."""
    return rings()[1]


def test_the_tree_of_the_message_is_used_where_it_can_be() -> None:
    """Ordinary content is decrypted in place, so that whoever holds the tree sees it in the clear."""
    soap = message()
    secured(soap, symmetric())
    arrived = wire(soap)
    verified = read(arrived, symmetric())
    assert verified.soap.envelope is arrived.envelope
    assert etree.QName(arrived.body[0]).localname == "echo"
