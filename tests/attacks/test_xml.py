"""Attacks on the parser and on everything that walks a tree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import etree

from tests.attacks.conftest import Refuses
from tests.attacks.forge import CONTENT, Channel, Message, World, element
from zeep_secureconv import LimitExceeded, Limits
from zeep_secureconv.policy.model import Parts
from zeep_secureconv.soap.envelope import refuse_width

_BOMB = "<!ENTITY a 'ha'>" + "".join(
    f"<!ENTITY {name} '{f'&{inner};' * 10}'>" for inner, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def _prologue(message: Message, text: str) -> bytes:
    return f"<?xml version='1.0'?>{text}".encode() + message.bytes


@pytest.mark.parametrize(
    "text",
    [
        "<!DOCTYPE soap:Envelope>",
        "<!DOCTYPE soap:Envelope []>",
        "<!DOCTYPE soap:Envelope [<!ENTITY e 'x'>]>",
        "<!DOCTYPE soap:Envelope [<!ATTLIST x y CDATA 'z'>]>",
        "<!DOCTYPE soap:Envelope [<!ELEMENT x ANY>]>",
        "<!DOCTYPE soap:Envelope SYSTEM 'http://127.0.0.1:9/evil.dtd'>",
        "<!DOCTYPE soap:Envelope PUBLIC '-//evil' 'file:///etc/hostname'>",
        "<!DOCTYPE soap:Envelope [<!ENTITY % p SYSTEM 'http://127.0.0.1:9/evil.dtd'> %p;]>",
        f"<!DOCTYPE soap:Envelope [{_BOMB}]>",
    ],
    ids=[
        "name",
        "empty",
        "entity",
        "attributes",
        "element",
        "system",
        "public",
        "parameter entity",
        "unused bomb",
    ],
)
def test_a_document_type_declaration_is_refused(channel: Channel, refuses: Refuses, text: str) -> None:
    """SOAP has none, and it could change what attributes mean after they were signed."""
    channel.read(channel.genuine())
    with refuses("dtd"):
        channel.read(_prologue(channel.genuine(), text))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-7"])
def test_a_declaration_in_another_encoding_is_refused(
    open_channel: Channel, refuses: Refuses, encoding: str
) -> None:
    """The check looks at the document, not at bytes."""
    text = open_channel.genuine().bytes.decode()
    head = f"<?xml version='1.0' encoding='{encoding}'?>"
    open_channel.read(_encoded(head, text, encoding))
    text = open_channel.genuine().bytes.decode()
    with refuses("dtd"):
        open_channel.read(_encoded(head, "<!DOCTYPE x []>" + text, encoding))


def _encoded(head: str, text: str, encoding: str) -> bytes:
    if encoding == "utf-7":
        return head.encode() + text.replace("+", "+-").replace("<!", "+ADwAIQ-").encode()
    return (head + text).encode(encoding)


@pytest.mark.parametrize("where", ["text", "attribute", "default"])
def test_an_entity_bomb_costs_nothing(open_channel: Channel, refuses: Refuses, where: str) -> None:
    """A gigabyte from a kilobyte: the parser gives up, or never expands it and the declaration is refused."""
    open_channel.read(open_channel.genuine())
    message = open_channel.genuine().bytes.decode()
    extra = ""
    if where == "text":
        message = message.replace("</e:text>", "&i;</e:text>")
    elif where == "attribute":
        message = message.replace("<e:text>", "<e:text a='&i;'>")
    else:
        extra = "<!ATTLIST e:text a CDATA '&i;'>"
    data = f"<!DOCTYPE soap:Envelope [{_BOMB}{extra}]>{message}".encode()
    with refuses("dtd" if where == "default" else "xml"):
        open_channel.read(data)


def test_an_external_entity_is_not_read(open_channel: Channel, refuses: Refuses, tmp_path: Path) -> None:
    """Neither a file nor a URL: nothing of it gets into the tree."""
    open_channel.read(open_channel.genuine())
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret of a file")
    message = open_channel.genuine().bytes.decode().replace("</e:text>", "&e;</e:text>")
    for target in (secret.as_uri(), "http://127.0.0.1:9/evil"):
        data = f"<!DOCTYPE soap:Envelope [<!ENTITY e SYSTEM '{target}'>]>{message}".encode()
        with refuses("dtd") as caught:
            open_channel.read(data)
        assert "the secret of a file" not in repr(caught.value)


def test_a_wide_message_is_refused_before_it_is_parsed(world: World, refuses: Refuses) -> None:
    """A tree takes many times the memory of its text; the bound is on tags, so that it costs no tree."""
    wide = "<e:a xmlns:e='urn:test'>" + "<e:a/>" * 900 + "</e:a>"
    channel = world.channel("request", limits=Limits(elements=1_000), encrypted=Parts())
    data = channel.genuine(wide).bytes
    channel.read(data)
    with refuses("elements"):
        channel.read(data.replace(b"<e:a/>", b"<e:a/>" * 3))


@pytest.mark.parametrize("encoding", ["utf-7", "cp037"])
def test_tags_that_cannot_be_counted_are_bounded_by_size(encoding: str) -> None:
    """In UTF-7 and EBCDIC a tag may be written without the octet of its bracket."""
    text = f"<?xml version='1.0' encoding='{encoding}'?><a>"
    small, large = (
        text.encode(encoding) + ("<a/>" * number).encode(encoding) + "</a>".encode(encoding)
        for number in (10, 3_000)
    )
    refuse_width(small, Limits(elements=1_000))
    with pytest.raises(LimitExceeded) as caught:
        refuse_width(large.replace(b"<a/>", b"+ADw-a/>"), Limits(elements=1_000))
    assert caught.value.check == "elements"


def _nested(levels: int) -> str:
    return "<e:a xmlns:e='urn:test'>" * levels + "</e:a>" * levels


def test_deep_nesting_is_refused_in_the_clear(open_channel: Channel, refuses: Refuses) -> None:
    """What walks a tree behind us may recurse, so that depth is bounded: the envelope counts."""
    open_channel.read(open_channel.genuine(_nested(198)))
    message = open_channel.genuine()
    message.body.append(element(_nested(199)))
    with refuses("depth"):
        open_channel.read(message)


def test_deep_nesting_is_refused_in_ciphertext(channel: Channel, refuses: Refuses) -> None:
    """The plaintext is held to the same bound as what arrives in the clear."""
    channel.read(channel.genuine(_nested(198)))
    with refuses("depth"):
        channel.read(channel.genuine(_nested(199)))


def test_the_depth_can_be_set(world: World, refuses: Refuses) -> None:
    """A service that knows its messages can be stricter."""
    strict = world.channel("request", limits=Limits(depth=10))
    strict.read(strict.genuine(_nested(8)))
    with refuses("depth"):
        strict.read(strict.genuine(_nested(9)))


def test_a_tree_that_somebody_else_parsed_is_held_to_the_same(
    open_channel: Channel, refuses: Refuses
) -> None:
    """What zeep parsed did not go through our parser: depth and declarations are looked at before any signature."""
    open_channel.read(etree.fromstring(open_channel.genuine().bytes))
    deep = open_channel.genuine()
    deep.body.append(element(_nested(199)))
    for check, data in (
        ("dtd", b"<!DOCTYPE soap:Envelope []>" + open_channel.genuine().bytes),
        ("depth", deep.drop(deep.signature).bytes),
    ):
        with refuses(check):
            open_channel.read(etree.fromstring(data))


def test_a_declaration_is_refused_in_the_service_too(world: World, refuses: Refuses) -> None:
    """Whoever hands a tree to ``unprotect`` gets the same."""
    channel = world.channel("request")
    channel.read(etree.fromstring(channel.genuine().bytes))
    with refuses("dtd"):
        channel.read(etree.fromstring(b"<!DOCTYPE soap:Envelope []>" + channel.genuine().bytes))


def test_bottomless_nesting_is_no_crash(open_channel: Channel, refuses: Refuses) -> None:
    """A hundred thousand levels end in the parser."""
    open_channel.read(open_channel.genuine())
    data = open_channel.genuine().bytes.replace(
        b"</e:text>", b"<a>" * 100_000 + b"</a>" * 100_000 + b"</e:text>"
    )
    with refuses("xml"):
        open_channel.read(data)


def test_a_message_has_a_size(world: World, refuses: Refuses) -> None:
    """The size is compared before anything is parsed."""
    channel = world.channel("request", limits=Limits(message_bytes=20_000))
    channel.read(channel.genuine())
    with refuses("message-size"):
        channel.read(channel.genuine("<a>" + "x" * 20_000 + "</a>"))


_NO_XML: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[: len(data) // 2],
    "more behind": lambda data: data + b"<x/>",
    "empty": lambda data: data[:0],
    "zeros": lambda data: bytes(len(data)),
    "spaces": lambda data: b" " * len(data),
    "HTML": lambda data: b"<html><body>It works!<br>" + data[:0],
    "prefix": lambda data: data.replace(b"soap:", b"nobody:", 1),
    "NUL": lambda data: data.replace(b"<e:text>", b"<e:text>\0"),
    "not UTF-8": lambda data: data.replace(b"<e:text>", b"<e:text>\xff\xfe"),
    "entity": lambda data: data.replace(b"<e:text>", b"<e:text>&undefined;"),
    "attribute twice": lambda data: data.replace(b"<e:text>", b"<e:text a='1' a='2'>"),
}


@pytest.mark.parametrize("name", _NO_XML)
def test_what_is_no_xml_is_refused(open_channel: Channel, refuses: Refuses, name: str) -> None:
    """Whatever it is: one check, and nothing of it in the error."""
    open_channel.read(open_channel.genuine())
    with refuses("xml"):
        open_channel.read(_NO_XML[name](open_channel.genuine().bytes))


_SOAP = 'xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"'
_OTHER = (
    'xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:t="http://schemas.xmlsoap.org/soap/envelope/"'
)


@pytest.mark.parametrize(
    "text",
    [
        "<html/>",
        '<Envelope xmlns="urn:other"/>',
        f"<s:Envelope {_SOAP}/>",
        f"<s:Envelope {_SOAP}><s:Header/></s:Envelope>",
        f"<s:Envelope {_SOAP}><s:Body/><s:Header/></s:Envelope>",
        f"<s:Envelope {_SOAP}><s:Body/><x/></s:Envelope>",
        f"<s:Envelope {_OTHER}><t:Body/></s:Envelope>",
    ],
)
def test_what_is_no_envelope_is_refused(open_channel: Channel, refuses: Refuses, text: str) -> None:
    """Header and Body of one version of SOAP, in this order and nothing else."""
    open_channel.read(open_channel.genuine())
    with refuses("envelope"):
        open_channel.read(text.encode())


def test_comments_mean_nothing(open_channel: Channel) -> None:
    """A comment is not signed, so that it may not change what anybody reads: it is gone before that."""
    data = open_channel.genuine().bytes.replace(b"plaintext-that", b"plain<!-- evil -->text-that")
    verified = open_channel.read(data)
    assert verified.soap.payload is not None
    assert verified.soap.payload[0].text == "plaintext-that-must-not-leak"
    assert not len(verified.soap.payload[0])


def test_a_processing_instruction_is_signed(open_channel: Channel, refuses: Refuses) -> None:
    """Unlike a comment it is part of the canonical form, so that an added one is noticed."""
    open_channel.read(open_channel.genuine(CONTENT.replace("plaintext-that", "plain<?x?>text-that")))
    data = open_channel.genuine().bytes.replace(b"plaintext-that", b"plain<?x?>text-that")
    with refuses("digest"):
        open_channel.read(data)


def test_a_relative_namespace_has_no_canonical_form(open_channel: Channel, refuses: Refuses) -> None:
    """Canonicalization fails for it, which is a refusal like any other."""
    open_channel.read(open_channel.genuine())
    message = open_channel.genuine()
    message.body.append(element('<r:a xmlns:r="relative"/>'))
    with refuses("canonicalization"):
        open_channel.read(message)


def test_a_relative_namespace_in_signed_info_is_refused(open_channel: Channel, refuses: Refuses) -> None:
    """The same in what the signature value is over, where the attacker needs no key."""
    open_channel.read(open_channel.genuine())
    message = open_channel.genuine()
    message.reference_to(message.body).set("{relative}a", "1")
    with refuses("canonicalization"):
        open_channel.read(message)


def test_prefixes_mean_what_is_declared(world: World, refuses: Refuses) -> None:
    """``soap`` bound to another namespace is not SOAP, whatever its name says."""
    channel = world.channel("request", encrypted=Parts())
    channel.read(channel.genuine())
    data = channel.genuine().bytes.replace(b"http://schemas.xmlsoap.org/soap/envelope/", b"urn:evil")
    with refuses("envelope"):
        channel.read(data)


def test_a_namespace_put_around_a_part_does_not_change_it(open_channel: Channel, refuses: Refuses) -> None:
    """A default namespace declared further out changes the name of a child without a prefix, and its digest."""
    content = '<e:echo xmlns:e="urn:test"><plain xmlns="">text</plain></e:echo>'
    open_channel.read(open_channel.genuine(content))
    data = (
        open_channel.genuine(content)
        .bytes.replace(b'<plain xmlns="">', b"<plain>")
        .replace(b"<plain>", b'<plain xmlns="urn:evil">')
    )
    with refuses("digest"):
        open_channel.read(data)
