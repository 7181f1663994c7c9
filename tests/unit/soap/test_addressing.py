"""Addressing headers, made and read."""

from __future__ import annotations

import pytest
from lxml import etree

from tests.unit.messages import bare
from tests.unit.parties import environment
from zeep_secureconv import Limits, VerificationError
from zeep_secureconv.names import SOAP11, WSA_2004, WSA_2005
from zeep_secureconv.soap.addressing import (
    ANONYMOUS,
    FAULT_ACTION,
    address_reply,
    address_request,
    new_message_id,
    read_addressing,
    target_of,
)
from zeep_secureconv.soap.envelope import Soap, parse

RANDOM = environment().random
GENERATIONS = pytest.mark.parametrize("wsa", [WSA_2004, WSA_2005], ids=["2004", "2005"])


def with_headers(headers: str, wsa: str = WSA_2005) -> Soap:
    """A message with those header blocks; ``a`` is the prefix of addressing."""
    data = (
        f'<s:Envelope xmlns:s="{SOAP11}" xmlns:a="{wsa}"><s:Header>{headers}</s:Header><s:Body/></s:Envelope>'
    )
    return Soap.of(parse(data.encode(), Limits()))


def addressed(soap: Soap, wsa: str = WSA_2005) -> str:
    """Address it as a request; its MessageID."""
    return address_request(soap, wsa=wsa, to="http://to", action="urn:act", random=RANDOM)


def names(soap: Soap) -> list[str]:
    """Local names of the header blocks."""
    return [etree.QName(block).localname for block in soap.blocks()]


# ----------------------------------------------------------------------------------------------------- made


@GENERATIONS
def test_a_request_gets_its_headers(wsa: str) -> None:
    """Action, MessageID, To and an anonymous ReplyTo, in the namespace asked for."""
    soap = bare()
    message_id = addressed(soap, wsa)
    assert names(soap) == ["Action", "MessageID", "To", "ReplyTo"]
    read = read_addressing(soap)
    assert (read.wsa, read.to, read.action, read.message_id) == (wsa, "http://to", "urn:act", message_id)
    assert read.reply_to == ANONYMOUS[wsa]
    assert (read.relates_to, read.fault_to) == (None, None)


@GENERATIONS
def test_a_request_may_have_fewer_headers(wsa: str) -> None:
    """They come in the order asked for; the generation of 2004 has no answer without ReplyTo."""
    soap = bare()
    message_id = address_request(
        soap, wsa=wsa, to="http://to", action="urn:act", random=RANDOM, headers=("To", "MessageID", "Action")
    )
    assert names(soap) == ["To", "MessageID", "Action", *(["ReplyTo"] if wsa == WSA_2004 else [])]
    assert read_addressing(soap).message_id == message_id


def test_what_is_there_already_is_kept() -> None:
    """Headers of the user or of another plugin stay, wherever they stand, and nothing is doubled."""
    soap = with_headers(
        "<a:To> http://mine </a:To><x/><a:MessageID> urn:mine </a:MessageID>"
        "<a:ReplyTo><a:Address>http://reply</a:Address></a:ReplyTo><a:From/>"
    )
    assert addressed(soap) == "urn:mine"
    assert names(soap) == ["To", "x", "MessageID", "ReplyTo", "From", "Action"]
    read = read_addressing(soap)
    assert (read.to, read.action, read.reply_to) == ("http://mine", "urn:act", "http://reply")


def test_doubles_and_the_other_generation_are_dropped() -> None:
    """Of two the first stays; those of the other namespace go."""
    soap = with_headers(
        f'<o:To xmlns:o="{WSA_2004}">http://old</o:To><a:Action>urn:1</a:Action><a:Action>urn:2</a:Action>'
    )
    addressed(soap)
    read = read_addressing(soap)
    assert (read.to, read.action, read.wsa) == ("http://to", "urn:1", WSA_2005)
    assert names(soap) == ["Action", "MessageID", "To", "ReplyTo"]


@GENERATIONS
def test_a_reply_gets_its_headers(wsa: str) -> None:
    """Action, MessageID, an anonymous To, and RelatesTo where the request had a MessageID."""
    soap = bare()
    message_id = address_reply(soap, wsa=wsa, action="urn:answer", relates_to="urn:uuid:1", random=RANDOM)
    assert names(soap) == ["Action", "MessageID", "To", "RelatesTo"]
    read = read_addressing(soap)
    assert (read.action, read.relates_to, read.to) == ("urn:answer", "urn:uuid:1", ANONYMOUS[wsa])
    assert read.message_id == message_id
    lone = bare()
    address_reply(lone, wsa=wsa, action="urn:answer", relates_to=None, random=RANDOM)
    assert names(lone) == ["Action", "MessageID", "To"]


def test_a_reply_may_have_fewer_headers() -> None:
    """They come in the order asked for."""
    soap = bare()
    address_reply(
        soap,
        wsa=WSA_2005,
        action="urn:answer",
        relates_to="urn:uuid:1",
        random=RANDOM,
        headers=("Action", "RelatesTo"),
    )
    assert names(soap) == ["Action", "RelatesTo"]


def test_an_applications_own_headers_do_not_double_those_of_a_reply() -> None:
    """What an application wrote of addressing itself is replaced; its other headers stay."""
    soap = with_headers("<a:Action>urn:own</a:Action><x/><a:RelatesTo>urn:own</a:RelatesTo>")
    address_reply(soap, wsa=WSA_2005, action="urn:answer", relates_to="urn:uuid:1", random=RANDOM)
    read = read_addressing(soap)
    assert (read.action, read.relates_to) == ("urn:answer", "urn:uuid:1")
    assert names(soap) == ["x", "Action", "MessageID", "To", "RelatesTo"]


def test_message_ids_are_fresh_uuids() -> None:
    """MessageIDs are random UUIDs of version 4, made of the octets handed in."""
    assert new_message_id(bytes) == "urn:uuid:00000000-0000-4000-8000-000000000000"
    made = {new_message_id(RANDOM) for _ in range(100)}
    assert len(made) == 100
    assert all(one.startswith("urn:uuid:") and one[23] == "4" for one in made)


# ----------------------------------------------------------------------------------------------------- read


def test_text_is_stripped() -> None:
    """Metro writes white space round addresses, and everybody may."""
    soap = with_headers(
        "<a:To>\n http://to </a:To><a:RelatesTo> urn:1\n</a:RelatesTo>"
        "<a:ReplyTo>\n <a:Address> http://reply </a:Address>\n</a:ReplyTo>"
        "<a:FaultTo><a:Address>http://fault</a:Address></a:FaultTo>"
    )
    read = read_addressing(soap)
    assert (read.to, read.relates_to) == ("http://to", "urn:1")
    assert (read.reply_to, read.fault_to) == ("http://reply", "http://fault")
    assert read.elements["To"] is soap.blocks()[0]


def test_a_message_without_addressing_has_none() -> None:
    """Nothing is found, and nothing is an error, in a message without the headers."""
    for soap in (bare(), with_headers("<x/>"), with_headers("<To>http://to</To>")):
        read = read_addressing(soap)
        assert (read.wsa, read.to, read.action, read.message_id) == (None, None, None, None)
        assert read.elements == {}
    empty = read_addressing(with_headers("<a:ReplyTo/><a:To/>"))
    assert (empty.reply_to, empty.to) == (None, "")


@pytest.mark.parametrize(
    "headers",
    [
        "<a:To>1</a:To><a:To>2</a:To>",
        "<a:RelatesTo>1</a:RelatesTo><a:RelatesTo>1</a:RelatesTo>",
        f'<a:To>1</a:To><o:To xmlns:o="{WSA_2004}">1</o:To>',
        f'<a:To>1</a:To><o:Action xmlns:o="{WSA_2004}">1</o:Action>',
        "<a:To>1<b/>2</a:To>",
        "<a:RelatesTo>urn:1<?pi?>2</a:RelatesTo>",
        "<a:ReplyTo><a:Address>http://a<?pi?>b</a:Address></a:ReplyTo>",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(headers: str) -> None:
    """Doubled headers, two generations, and text with something in it mean two things."""
    read_addressing(with_headers("<a:To>1</a:To><a:RelatesTo>1</a:RelatesTo>"))
    with pytest.raises(VerificationError) as caught:
        read_addressing(with_headers(headers))
    assert caught.value.check == "addressing"


def test_each_generation_has_its_own_names() -> None:
    """Anonymous and the action of faults differ between the generations."""
    assert ANONYMOUS[WSA_2005] == "http://www.w3.org/2005/08/addressing/anonymous"
    assert ANONYMOUS[WSA_2004] == "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous"
    assert FAULT_ACTION[WSA_2005] == "http://www.w3.org/2005/08/addressing/soap/fault"
    assert FAULT_ACTION[WSA_2004] == "http://schemas.xmlsoap.org/ws/2004/08/addressing/fault"


def test_the_target_of_a_request_is_what_it_will_be_addressed_to() -> None:
    """To and Action of a request are read before it is addressed; of doubles the first counts."""
    soap = with_headers(
        "<a:To> http://1 </a:To><a:To>http://2</a:To><a:Action>urn:1</a:Action><a:Action>urn:2</a:Action>"
    )
    assert target_of(soap) == ("http://1", "urn:1")
    addressed(soap)
    read = read_addressing(soap)
    assert (read.to, read.action) == ("http://1", "urn:1")
    assert target_of(bare()) == (None, None)
    assert target_of(with_headers("<a:To> </a:To><x/>")) == (None, None)
