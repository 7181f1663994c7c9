"""Genuine messages changed at random: each is refused with an error of ours, or means what it meant."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from tests.attacks.embedded import Caller, Service, outward
from tests.attacks.forge import CONTENT, NS, Channel, Message, World, element, encrypted_data, wrapped_key
from tests.unit.messages import canonical
from tests.unit.parties import identity
from zeep_secureconv import SecureConversationError
from zeep_secureconv.policy.model import DerivedKeys, HeaderPart, Parts
from zeep_secureconv.service.contract import NAMESPACE
from zeep_secureconv.soap.envelope import serialize

_TEXTS = [
    *(
        "",
        " ",
        "0",
        "-1",
        "1",
        "9" * 40,
        "²",
        "\u0660",
        "x" * 5000,
        "AAAA",
        "====",
        "%00",
        "#",
        "#x",
        "urn:x",
    ),
    *("2026-11-21T12:00:00Z", "9999-12-31T23:59:59.999999999Z", "0001-01-01T00:00:00Z", "true", "\u2028"),
    *("http://127.0.0.1:9/", "file:///etc/hostname", "#xpointer(/)", "MIIB", "A" * 342 + "=="),
]
_ELEMENTS = [
    *("<x/>", "<wsu:Timestamp/>", "<ds:Signature/>", "<xenc:EncryptedData/>", "<xenc:EncryptedKey/>"),
    *(
        "<xenc:ReferenceList/>",
        "<wsse:SecurityTokenReference/>",
        "<wsse:Security/>",
        "<wsc:DerivedKeyToken/>",
    ),
    *(
        "<wsc:SecurityContextToken/>",
        "<wsse:BinarySecurityToken/>",
        "<wsse11:EncryptedHeader/>",
        "<soap:Body/>",
    ),
    *("<soap:Fault/>", "<wsa:RelatesTo/>", "<ds:Object/>", "<wsse11:SignatureConfirmation/>"),
    *('<r:a xmlns:r="relative"/>', '<a xmlns="" b="c"/>', "<wsa:Action>urn:x</wsa:Action>"),
]
_KEY = bytes(16)

Change = Callable[[random.Random, etree._Element], None]


def _dice(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - no secret comes from it


def _pick(dice: random.Random, root: etree._Element) -> etree._Element:
    return dice.choice([found for found in root.iter() if isinstance(found.tag, str)])


def _remove(dice: random.Random, root: etree._Element) -> None:
    found = _pick(dice, root)
    parent = found.getparent()
    if parent is not None:
        parent.remove(found)


def _double(dice: random.Random, root: etree._Element) -> None:
    found = _pick(dice, root)
    if found.getparent() is not None:
        found.addnext(copy.deepcopy(found))


def _move(dice: random.Random, root: etree._Element) -> None:
    found, target = _pick(dice, root), _pick(dice, root)
    if found is not root and target not in found.iter():
        target.insert(dice.randint(0, len(target)), found)


def _write(dice: random.Random, root: etree._Element) -> None:
    _pick(dice, root).text = dice.choice(_TEXTS)


def _write_behind(dice: random.Random, root: etree._Element) -> None:
    found = _pick(dice, root)
    if found is not root:
        found.tail = dice.choice(_TEXTS)


def _write_attribute(dice: random.Random, root: etree._Element) -> None:
    found = _pick(dice, root)
    names = [str(name) for name in found.attrib]
    names += ["Id", "URI", "Algorithm", "Type", "ValueType", f"{{{NS['wsu']}}}Id", f"{{{NS['soap']}}}actor"]
    found.set(dice.choice(names), dice.choice(_TEXTS))


def _drop_attribute(dice: random.Random, root: etree._Element) -> None:
    found = _pick(dice, root)
    if len(found.attrib):
        del found.attrib[dice.choice(list(found.attrib))]


def _swap_attributes(dice: random.Random, root: etree._Element) -> None:
    """Ids and references of one part given to another."""
    holders = [found for found in root.iter() if isinstance(found.tag, str) and len(found.attrib)]
    if not holders:
        return
    one, other = dice.choice(holders), dice.choice(holders)
    for name in set(one.attrib) & set(other.attrib):
        one.attrib[name], other.attrib[name] = other.attrib[name], one.attrib[name]


def _rename(dice: random.Random, root: etree._Element) -> None:
    _pick(dice, root).tag = _pick(dice, root).tag


def _put(dice: random.Random, root: etree._Element) -> None:
    target = _pick(dice, root)
    target.insert(dice.randint(0, len(target)), element(dice.choice(_ELEMENTS)))


def _put_instruction(dice: random.Random, root: etree._Element) -> None:
    target = _pick(dice, root)
    instruction = etree.ProcessingInstruction(dice.choice(["x", "splice"]), dice.choice([None, "here"]))
    instruction.tail, target.text = (target.text or "")[3:], (target.text or "")[:3]
    target.insert(0, instruction)


def _put_ciphertext(dice: random.Random, root: etree._Element) -> None:
    """Something encrypted under a key of the attacker's, which an EncryptedKey to the reader tells."""
    securities = root.xpath(".//wsse:Security", namespaces=NS)
    if not securities:
        return
    target, name = _pick(dice, root), f"ED-{dice.random()}"
    inner = dice.choice([*_ELEMENTS, "text", "", "<a/><b/>", "<?x?>"])
    plain = inner.encode() if ":" not in inner else etree.tostring(element(inner))
    data = encrypted_data(_KEY, plain, name=name, kind=dice.choice(["Content", "Element"]))
    if dice.random() < 0.5:
        target[:] = []
        target.text = None
    target.insert(dice.randint(0, len(target)), data)
    security = dice.choice(securities)
    for holder in (identity("server"), identity("client")):
        key = wrapped_key(holder, _KEY, [name])
        key.set("Id", f"EK-{dice.random()}")
        security.insert(dice.randint(0, len(security)), key)


_CHANGES: Sequence[Change] = [
    *(_remove, _double, _move, _write, _write_behind, _write_attribute, _drop_attribute, _swap_attributes),
    *(_rename, _put, _put_instruction, _put_ciphertext),
]


def _change_bytes(dice: random.Random, data: bytes) -> bytes:
    octets = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(octets))
        kind = dice.randrange(4)
        if kind == 0:
            octets[at] = dice.randrange(256)
        elif kind == 1:
            del octets[at : at + dice.randint(1, 50)]
        elif kind == 2:
            octets[at:at] = dice.choice(
                [b"<", b">", b"&", b"]]>", b"<!--", b"-->", b"<![CDATA[", b"\0", b"<?x?>", b'"']
            )
        else:
            start = dice.randrange(len(octets))
            octets[at:at] = octets[start : start + dice.randint(1, 300)]
    return bytes(octets)


def _changed(dice: random.Random, message: Message) -> bytes:
    if dice.random() < 0.25:
        return _change_bytes(dice, message.bytes)
    for _ in range(dice.choice([1, 1, 1, 2, 3])):
        dice.choice(_CHANGES)(dice, message.envelope)
    return message.bytes


_POLICIES: dict[str, dict[str, Any]] = {
    "plain": {},
    "signed only": {"encrypted": Parts()},
    "encrypted first": {"encrypt_before_signing": True},
    "encrypted signature": {"encrypt_signature": True},
    "encrypted headers": {
        "encrypted": Parts(body=True, headers=(HeaderPart(namespace=NS["wsa"], name="To"),))
    },
    "undated": {"include_timestamp": False, "encrypt_signature": True, "encrypt_before_signing": True},
}


@pytest.mark.parametrize("name", ["request", "reply", "rst", "rstr"])
@pytest.mark.parametrize("policy", _POLICIES)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_a_changed_message_is_refused_or_means_the_same(name: str, policy: str, seed: int) -> None:
    """No other exception than ours comes out, and nothing that was not signed passes for signed."""
    _holds(World().channel(name, **_POLICIES[policy]), _dice(seed))


def _holds(channel: Channel, dice: random.Random) -> bool:
    """Change one message; whether it was accepted."""
    genuine = channel.genuine()
    meant = canonical(channel.read(genuine).soap.body)
    try:
        if channel.is_reply:
            reply = channel.answer(_changed(dice, genuine))
            assert reply.fault is None or not reply.proven
            if reply.fault is not None or reply.verified is None:
                return False
            verified = reply.verified
        else:
            verified = channel.read(_changed(dice, genuine))
    except SecureConversationError:
        return False
    assert verified.is_signed(verified.soap.body)
    assert canonical(verified.soap.body) == meant
    signed = [block for block in verified.soap.blocks() if str(block.tag).startswith(f"{{{NS['wsa']}}}")]
    assert all(verified.is_signed(block) for block in signed)
    return True


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_raw_keys_hold_as_well(seed: int) -> None:
    """The same where the policy derives no keys."""
    channel = World().channel("request", derived_keys=DerivedKeys.NONE)
    _holds(channel, _dice(seed))


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_the_service_answers_every_changed_request_alike(seed: int) -> None:
    """No exception reaches the server, nothing but the genuine call the application, and no answer says more."""
    dice = _dice(seed)
    service = Service(World())
    alice = Caller(service)
    bootstraps = dice.random() < 0.3
    message = (
        Message(serialize(alice.ask().soap.envelope)) if bootstraps else alice.message(alice.bootstrap())
    )
    answer = service.post(_changed(dice, message))
    if answer.status == 200:
        return
    shown = outward(answer)[2]
    assert b"InvalidSecurity" in shown or b"BadContextToken" in shown
    assert NAMESPACE.encode() not in shown


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_a_malicious_peer_with_real_keys_gets_no_further(seed: int) -> None:
    """Content that a legitimate sender garbled before it signed: read or refused, never an internal error."""
    dice = _dice(seed)
    world = World()
    content = etree.fromstring(f"<x>{CONTENT}</x>".encode())[0]
    for _ in range(dice.randint(1, 3)):
        dice.choice(_CHANGES)(dice, content)
    for name in ("request", "rstr"):
        channel = world.channel(name)
        try:
            channel.read(channel.genuine(etree.tostring(content, with_tail=False).decode()))
        except SecureConversationError:
            continue
