"""A signed part is moved, doubled or hidden, and another one stands in its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.attacks.conftest import Refuses
from tests.attacks.forge import EVIL, WSU_ID, Channel, Message, World, element, move, twin
from zeep_secureconv import Policy, PolicyError
from zeep_secureconv.policy.model import HeaderPart, Parts

Hide = Callable[[Message], None]


def _in_a_header_block(message: Message) -> None:
    wrapper = element("<wrapper/>")
    message.header.append(wrapper)
    move(message.body, wrapper)


def _as_a_header_block(message: Message) -> None:
    move(message.body, message.header)


def _first_in_the_header(message: Message) -> None:
    message.header.insert(0, message.body)


def _in_the_security_header(message: Message) -> None:
    move(message.body, message.security)


def _in_the_signature(message: Message) -> None:
    wrapper = element("<wrapper/>")
    message.find(".//ds:Signature/ds:KeyInfo").append(wrapper)
    move(message.body, wrapper)


def _in_a_copy_of_the_envelope(message: Message) -> None:
    wrapper = element("<a><b><soap:Envelope><soap:Header/></soap:Envelope></b></a>")
    message.header.insert(0, wrapper)
    move(message.body, wrapper[0][0])


HIDING_PLACES = [
    _in_a_header_block,
    _as_a_header_block,
    _first_in_the_header,
    _in_the_security_header,
    _in_the_signature,
    _in_a_copy_of_the_envelope,
]


@pytest.mark.parametrize("hide", HIDING_PLACES)
def test_a_body_that_was_moved_does_not_vouch_for_another(
    open_channel: Channel, refuses: Refuses, hide: Hide
) -> None:
    """The signature still verifies, but what it covers does not stand where the Body belongs."""
    open_channel.read(open_channel.genuine())
    message = open_channel.genuine()
    hide(message)
    message.insert_body(EVIL)
    with refuses("signed-parts"):
        open_channel.read(message)


@pytest.mark.parametrize("hide", HIDING_PLACES)
def test_an_encrypted_body_that_was_moved_is_not_even_decrypted(
    channel: Channel, refuses: Refuses, hide: Hide
) -> None:
    """Encrypted content is taken in the Body of the envelope only, so that it appears nowhere else in the tree."""
    channel.read(channel.genuine())
    message = channel.genuine()
    hide(message)
    message.insert_body(EVIL)
    with refuses("encryption-form"):
        channel.read(message)


@pytest.mark.parametrize("hide", HIDING_PLACES)
def test_the_new_body_cannot_borrow_the_id_of_the_signed_one(
    open_channel: Channel, refuses: Refuses, hide: Hide
) -> None:
    """An id that stands twice is refused before anybody asks which of the two is meant."""
    open_channel.read(open_channel.genuine())
    message = open_channel.genuine()
    name = message.body.get(WSU_ID, "")
    hide(message)
    message.insert_body(EVIL).set(WSU_ID, name)
    with refuses("duplicate-id"):
        open_channel.read(message)


@pytest.mark.parametrize("attribute", ["Id", "{http://www.w3.org/XML/1998/namespace}id"])
def test_other_id_attributes_do_not_make_the_new_body_the_signed_one(
    open_channel: Channel, refuses: Refuses, attribute: str
) -> None:
    """A Body is named by wsu:Id alone; an Id or xml:id with the same value names nothing."""
    open_channel.read(open_channel.genuine())
    message = open_channel.genuine()
    name = message.body.get(WSU_ID, "")
    _in_a_header_block(message)
    message.insert_body(EVIL).set(attribute, name)
    with refuses("signed-parts"):
        open_channel.read(message)


def test_ids_in_the_decrypted_content_cannot_repeat_one_outside(world: World, refuses: Refuses) -> None:
    """What comes out of the ciphertext is searched for ids like what was there before."""
    channel = world.channel("request")
    channel.read(channel.genuine('<e:echo xmlns:e="urn:test" wsu:Id="free"/>'))
    message = channel.genuine('<e:echo xmlns:e="urn:test" wsu:Id="taken"/>')
    message.header.append(element('<wrapper wsu:Id="taken"/>'))
    with refuses("duplicate-id"):
        channel.read(message)


def test_two_bodies_are_no_envelope(open_channel: Channel, refuses: Refuses) -> None:
    """The signed Body may stand in its place, a second one may not follow it."""
    open_channel.read(open_channel.genuine())
    message = open_channel.genuine()
    twin(message.body).attrib.clear()
    with refuses("envelope"):
        open_channel.read(message)


def test_two_headers_are_no_envelope(open_channel: Channel, refuses: Refuses) -> None:
    """A second Header would leave open whose addressing counts."""
    open_channel.read(open_channel.genuine())
    message = open_channel.genuine()
    message.header.addprevious(element("<soap:Header><wsa:To>urn:evil</wsa:To></soap:Header>"))
    with refuses("envelope"):
        open_channel.read(message)


def test_an_envelope_in_an_envelope_is_no_envelope(open_channel: Channel, refuses: Refuses) -> None:
    """The genuine message inside one of the attacker's own is content, not a message."""
    open_channel.read(open_channel.genuine())
    message = open_channel.genuine()
    outer = element(f"<soap:Envelope><soap:Body>{EVIL}</soap:Body></soap:Envelope>")
    outer.append(message.envelope)
    message.envelope = outer
    with refuses("envelope"):
        open_channel.read(message)


def test_a_signed_header_that_was_moved_does_not_vouch_for_another(
    open_channel: Channel, refuses: Refuses
) -> None:
    """The same for the addressing headers, one of which tells what a message answers or wants."""
    open_channel.read(open_channel.genuine())
    message = open_channel.genuine()
    action = message.find("soap:Header/wsa:Action")
    other = twin(action)
    other.text = "urn:evil"
    del other.attrib[WSU_ID]
    wrapper = element("<wrapper/>")
    message.header.append(wrapper)
    move(action, wrapper)
    with refuses("signed-parts"):
        open_channel.read(message)


def test_an_addressing_header_that_nobody_signed_is_refused(open_channel: Channel, refuses: Refuses) -> None:
    """Every header that the policy names must be signed if it is there, also one that the sender left out."""
    open_channel.read(open_channel.genuine())
    message = open_channel.genuine()
    message.header.append(element("<wsa:FaultTo><wsa:Address>urn:evil</wsa:Address></wsa:FaultTo>"))
    with refuses("signed-parts"):
        open_channel.read(message)


def test_an_addressing_header_cannot_stand_twice(world: World, refuses: Refuses) -> None:
    """Where the policy leaves addressing unsigned a second header would let each reader take another one."""
    channel = world.channel("request", signed=Parts(body=True))
    channel.read(channel.genuine())
    message = channel.genuine()
    message.header.append(element("<wsa:Action>urn:evil</wsa:Action>"))
    with refuses("addressing"):
        channel.read(message)


def test_two_generations_of_addressing_do_not_mix(world: World, refuses: Refuses) -> None:
    """A policy that signs one generation of WS-Addressing says nothing of headers in the other one."""
    channel = world.channel("request")
    channel.read(channel.genuine())
    message = channel.genuine()
    draft = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
    message.header.append(element(f'<d:FaultTo xmlns:d="{draft}"/>'))
    with refuses("addressing"):
        channel.read(message)


def test_a_signature_over_the_timestamp_alone_proves_no_body(channel: Channel, refuses: Refuses) -> None:
    """A signature by the real key that covers nothing but the Timestamp, as zeep.wsse takes it, is not enough."""
    honest = channel.but(policy=_timestamp_only(channel))
    assert honest.read(honest.genuine()).signed
    with refuses("signed-parts"):
        channel.read(honest.genuine())


def _timestamp_only(channel: Channel) -> Policy:
    return replace(channel.policy, signed=Parts(), encrypted=Parts())


def test_a_policy_that_secures_nothing_checks_nothing(world: World) -> None:
    """Without a binding there is nothing to be verified, which is an error and not a success."""
    channel = world.channel("request")
    channel.read(channel.genuine())
    with pytest.raises(PolicyError):
        channel.but(policy=Policy()).read(channel.genuine())


def test_an_unsigned_body_is_refused(channel: Channel, refuses: Refuses) -> None:
    """Addressing and Timestamp signed by the real key, the Body encrypted under it: the Body itself is not signed."""
    headers = (HeaderPart(namespace="http://www.w3.org/2005/08/addressing"),)
    honest = channel.but(policy=replace(channel.policy, signed=Parts(headers=headers)))
    honest.read(honest.genuine())
    with refuses("signed-parts"):
        channel.read(honest.genuine())
