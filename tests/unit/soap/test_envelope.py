"""Envelopes by position, and the parser for what comes from a network."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from lxml import etree

from zeep_secureconv import LimitExceeded, Limits, VerificationError
from zeep_secureconv.names import SOAP11, SOAP12
from zeep_secureconv.soap import envelope
from zeep_secureconv.soap.envelope import Soap, new_envelope, parse, serialize

VERSIONS = pytest.mark.parametrize("version", [SOAP11, SOAP12], ids=["soap11", "soap12"])
LIMITS = Limits()


def text(inside: str, version: str = SOAP11, root: str = "Envelope") -> bytes:
    """An envelope with that content."""
    return f'<s:{root} xmlns:s="{version}">{inside}</s:{root}>'.encode()


def soap(inside: str, version: str = SOAP11) -> Soap:
    """The same, taken apart."""
    return Soap.of(parse(text(inside, version), LIMITS))


# ------------------------------------------------------------------------------------------------ envelopes


@VERSIONS
def test_an_envelope_is_taken_apart(version: str) -> None:
    """Header and Body are found by position, with anything that is no element between them."""
    whole = soap(" <s:Header><a/><!-- c --><?pi?><b/></s:Header>\n<?pi?><s:Body/> ", version)
    assert whole.version == version
    assert whole.header is whole.envelope[0]
    assert whole.body.tag == f"{{{version}}}Body"
    assert [block.tag for block in whole.blocks()] == ["a", "b"]
    bare = soap("<s:Body/>", version)
    assert bare.header is None
    assert bare.blocks() == []


@pytest.mark.parametrize(
    "data",
    [
        b"<a/>",
        text("<s:Body/>", root="envelope"),
        text("<s:Body/>", "urn:other"),
        text(""),
        text("<s:Header/>"),
        text("<s:Body/><s:Body/>"),
        text("<s:Header/><s:Header/><s:Body/>"),
        text("<s:Body/><s:Header/>"),
        text("<s:Header/><s:Body/><x/>"),
        text("<x/><s:Body/>"),
        text(f'<b:Body xmlns:b="{SOAP12}"/>'),
        text("<Body/>"),
    ],
)
def test_anything_else_is_no_envelope(data: bytes) -> None:
    """An envelope has one Header, if any, and one Body, both of its own version, and nothing else."""
    Soap.of(parse(text("<s:Body/>"), LIMITS))
    with pytest.raises(VerificationError) as caught:
        Soap.of(parse(data, LIMITS))
    assert caught.value.check == "envelope"


def test_a_header_is_made_when_it_is_needed() -> None:
    """A missing Header is made once, before the Body."""
    bare = soap("<s:Body/>")
    header = bare.need_header()
    assert bare.need_header() is header
    assert bare.header is header
    assert list(bare.envelope) == [header, bare.body]
    assert Soap.of(bare.envelope).header is header
    full = soap("<s:Header/><s:Body/>")
    assert full.need_header() is full.envelope[0]


def test_the_payload_is_the_only_child_of_the_body() -> None:
    """Text and processing instructions do not count; two elements are refused."""
    one = soap("<s:Body> <?pi?><a/> </s:Body>").payload
    assert one is not None
    assert one.tag == "a"
    assert soap("<s:Body>text</s:Body>").payload is None
    with pytest.raises(VerificationError) as caught:
        _ = soap("<s:Body><a/><b/></s:Body>").payload
    assert caught.value.check == "envelope"


@VERSIONS
def test_a_fault_is_the_only_child_of_the_body(version: str) -> None:
    """A Fault counts when it stands alone and is of the envelope's version."""
    other = SOAP11 if version == SOAP12 else SOAP12
    assert soap("<s:Body><s:Fault/></s:Body>", version).is_fault()
    assert not soap("<s:Body><s:Fault/><a/></s:Body>", version).is_fault()
    assert not soap("<s:Body><a><s:Fault/></a></s:Body>", version).is_fault()
    assert not soap(f'<s:Body><o:Fault xmlns:o="{other}"/></s:Body>', version).is_fault()
    assert not soap("<s:Body><Fault/></s:Body>", version).is_fault()
    assert not soap("<s:Body/>", version).is_fault()


@VERSIONS
def test_a_new_envelope_is_empty(version: str) -> None:
    """It has Header and Body and nothing else, and is read again as it is."""
    fresh = new_envelope(version)
    again = Soap.of(parse(serialize(fresh.envelope), LIMITS))
    assert again.version == version
    assert again.blocks() == []
    assert len(again.body) == 0


def test_messages_are_utf_8() -> None:
    """A message is written in UTF-8 with an XML declaration that says so."""
    whole = soap("<s:Body>\u20ac \U0001d4b3</s:Body>")
    data = serialize(whole.envelope)
    assert data.startswith(b"<?xml version='1.0' encoding='UTF-8'?>")
    assert "\u20ac \U0001d4b3".encode() in data


def test_http_headers_name_the_action() -> None:
    """SOAP 1.1 has SOAPAction, SOAP 1.2 the action parameter of its media type, both quoted."""
    assert envelope.http_headers(SOAP11, "urn:a") == {
        "Content-Type": "text/xml; charset=utf-8",
        "SOAPAction": '"urn:a"',
    }
    assert envelope.http_headers(SOAP12, "urn:a") == {
        "Content-Type": 'application/soap+xml; charset=utf-8; action="urn:a"'
    }
    assert envelope.content_type(SOAP11) == "text/xml; charset=utf-8"
    assert envelope.content_type(SOAP12) == "application/soap+xml; charset=utf-8"


# --------------------------------------------------------------------------------------------------- parser


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"text",
        b"<a>",
        b"<a></b>",
        b"<a/><b/>",
        b"\xff\xfe",
        b"<a b=1/>",
        b"<p:a/>",
        b"<a>&x;</a>",
        b"\x00",
    ],
)
def test_what_is_not_well_formed_is_refused(data: bytes) -> None:
    """Truncated, foreign or broken input is one error, check "xml"."""
    assert parse(b"<a/>", LIMITS).tag == "a"
    with pytest.raises(VerificationError) as caught:
        parse(data, LIMITS)
    assert caught.value.check == "xml"


def test_a_document_type_is_refused(tmp_path: Path) -> None:
    """A DTD is refused, whether it is empty, declares entities, or names a file; nothing is read."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    bomb = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 9))
    for dtd, inside in (
        ("<!DOCTYPE a>", ""),
        ('<!DOCTYPE a [<!ENTITY x "y">]>', "&x;"),
        (f'<!DOCTYPE a [<!ENTITY x SYSTEM "{secret.as_uri()}">]>', "&x;"),
        (f'<!DOCTYPE a SYSTEM "{secret.as_uri()}">', ""),
        (f'<!DOCTYPE a [<!ENTITY e0 "x">{bomb}]>', "&e8;"),
    ):
        with pytest.raises(VerificationError) as caught:
            parse(f"{dtd}<a>{inside}</a>".encode(), LIMITS)
        assert caught.value.check in {"dtd", "xml"}
        assert "secret" not in str(caught.value)


def test_the_size_of_a_message_has_a_bound() -> None:
    """One byte more than allowed is refused before anything is parsed."""
    data = b"<a>" + b"x" * 93 + b"</a>"
    assert parse(data, Limits(message_bytes=100)).text == "x" * 93
    for over in (data + b" ", b"x" * 101):
        with pytest.raises(LimitExceeded) as caught:
            parse(over, Limits(message_bytes=100))
        assert caught.value.check == "message-size"


def test_the_depth_of_a_message_has_a_bound() -> None:
    """One element deeper than allowed is refused."""
    assert parse(b"<a>" * 50 + b"</a>" * 50, Limits(depth=50)) is not None
    with pytest.raises(LimitExceeded) as caught:
        parse(b"<a>" * 51 + b"</a>" * 51, Limits(depth=50))
    assert caught.value.check == "depth"
    assert parse(b"<a>" * 150 + b"</a>" * 150, LIMITS) is not None
    with pytest.raises((LimitExceeded, VerificationError)):
        parse(b"<a>" * 100_000 + b"</a>" * 100_000, LIMITS)


def test_comments_are_dropped_and_instructions_stay() -> None:
    """Comments go, with their neighbours' text joined; processing instructions and CDATA's text stay."""
    root = parse(b"<a>x<!-- c -->y<?pi z?><![CDATA[<&]]></a>", LIMITS)
    assert root.text == "xy"
    assert len(root) == 1
    assert root[0].tail == "<&"


def test_large_texts_are_read() -> None:
    """A text of more than ten million characters, libxml2's usual bound, is read."""
    data = b"<a>" + b"x" * 10_500_000 + b"</a>"
    assert len(parse(data, LIMITS).text or "") == 10_500_000


def test_threads_parse_at_once() -> None:
    """Threads parse at the same time, each its own messages."""
    data = text(f"<s:Body>{'<a/>' * 200}</s:Body>")
    with ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(lambda _: len(Soap.of(parse(data, LIMITS)).body), range(200)))
    assert set(sizes) == {200}


def test_zeeps_trees_are_taken_as_they_are() -> None:
    """An envelope that another parser made is taken apart the same way; its DTD is refused later."""
    assert Soap.of(etree.fromstring(text("<!-- c --><s:Body/>"))).header is None
    envelope.refuse_dtd(etree.fromstring(b"<a/>"))
    with pytest.raises(VerificationError) as caught:
        envelope.refuse_dtd(etree.fromstring(b"<!DOCTYPE a><a/>"))
    assert caught.value.check == "dtd"
