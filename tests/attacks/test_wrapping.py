"""A signed part is moved, doubled or hidden, and another one stands in its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from lxml import etree

from tests.attacks.conftest import Refuses
from tests.attacks.forge import (
    EVIL,
    NS,
    WSU_ID,
    Channel,
    Message,
    World,
    element,
    encrypted_data,
    move,
    twin,
)
from tests.unit.messages import keyrings, message, username, with_certificate
from tests.unit.parties import environment
from zeep_secureconv import Limits, Policy, PolicyError
from zeep_secureconv.policy.model import Direction, HeaderPart, Parts
from zeep_secureconv.soap.envelope import Soap, parse, serialize
from zeep_secureconv.wss.protect import protect
from zeep_secureconv.wss.unprotect import Verified, unprotect

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


#: Whether what is decrypted is put in place, or makes a new tree of the message.
NEW_TREE = {"in place": "", "in a new tree": "xmlns:z='urn:z' xmlns:zz='urn:z'"}
SAML2 = "urn:oasis:names:tc:SAML:2.0:assertion"
#: What the content holds, and what stands outside: every attribute that is an id.
WITH_ID = [
    '<e:child wsu:Id="taken"/>',
    '<ds:Object Id="taken"/>',
    '<ds:Object wsu:Id="taken" Id="other"/>',
    '<ds:Object wsu:Id="other" Id="taken"/>',
    '<xenc:CipherData Id="taken"/>',
]
OUTSIDE = [*WITH_ID, f'<a:Assertion xmlns:a="{SAML2}" ID="taken"/>']


@pytest.mark.parametrize("tree", NEW_TREE)
@pytest.mark.parametrize("inside", WITH_ID)
@pytest.mark.parametrize("outside", OUTSIDE)
def test_ids_in_the_decrypted_content_cannot_repeat_one_outside(
    world: World, refuses: Refuses, inside: str, outside: str, tree: str
) -> None:
    """What comes out of the ciphertext is searched for ids like what was there before."""
    channel = world.channel("request")
    content = f'<e:echo xmlns:e="urn:test">{inside}</e:echo>'

    def beside(block: str) -> bytes:
        message = channel.genuine(content)
        (message.security if "Assertion" in block else message.header).append(
            element(block.replace("<e:child", '<e:child xmlns:e="urn:test"'))
        )
        return message.bytes.replace(b"Envelope ", f"Envelope {NEW_TREE[tree]} ".encode(), 1)

    channel.read(beside(outside.replace('"taken"', '"free"').replace('"other"', '"free2"')))
    with refuses("duplicate-id"):
        channel.read(beside(outside))


@pytest.mark.parametrize("tree", NEW_TREE)
def test_ids_of_an_application_are_none_of_ours(world: World, tree: str) -> None:
    """Id, ID and xml:id of other elements may repeat any of ours, before and after decryption, and find nothing."""
    channel = world.channel("request")
    message = channel.genuine('<e:echo xmlns:e="urn:test" Id="one" ID="one" AssertionID="one" xml:id="one"/>')
    message.header.append(element('<wrapper wsu:Id="one"/>'))
    octets = message.bytes.replace(b"Envelope ", f"Envelope {NEW_TREE[tree]} ".encode(), 1)
    assert channel.read(octets).context is not None


#: What may come out of a ciphertext in the header, with an id.
HIDDEN = {
    "assertion": f'<a:Assertion xmlns:a="{SAML2}" ID="{{}}"/>',
    "token": '<wsse:BinarySecurityToken ValueType="urn:t" wsu:Id="{}">AAAA</wsse:BinarySecurityToken>',
    "part of a token": '<wsse:UsernameToken><wsse:Username wsu:Id="{}">a</wsse:Username></wsse:UsernameToken>',
}


@pytest.mark.parametrize("tree", NEW_TREE)
@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("of", ["wsu:Timestamp/@wsu:Id", "ds:Signature/@Id", "xenc:EncryptedKey/@Id"])
def test_a_token_that_comes_out_of_a_ciphertext_has_an_id_of_its_own(
    refuses: Refuses, hidden: str, of: str, tree: str
) -> None:
    """Somebody's encrypted token cannot take the id of a part that is signed, or of a key."""
    policy = with_certificate(supporting=(username(signed=True, encrypted=True),))

    def bringing(name: str | None) -> bytes:
        soap = message()
        protected = protect(soap, policy, keyrings()[0], environment(), direction=Direction.REQUEST)
        assert protected.ephemeral is not None
        sent = Message(serialize(soap.envelope))
        (known,) = sent.envelope.xpath(f"soap:Header/wsse:Security/{of}", namespaces=NS)
        plaintext = etree.tostring(element(HIDDEN[hidden].format(name or known)))
        key = sent.find("soap:Header/wsse:Security/xenc:EncryptedKey")
        key.append(element('<xenc:ReferenceList><xenc:DataReference URI="#ED-own"/></xenc:ReferenceList>'))
        sent.security.append(
            encrypted_data(protected.ephemeral.secret[:16], plaintext, name="ED-own", kind="Element")
        )
        return sent.bytes.replace(b"Envelope ", f"Envelope {NEW_TREE[tree]} ".encode(), 1)

    def read(data: bytes) -> Verified:
        return unprotect(Soap.of(parse(data, Limits())), policy, keyrings()[1], environment())

    assert read(bringing("free")).usernames[0].username == "alice"
    with refuses("duplicate-id"):
        read(bringing(None))


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
