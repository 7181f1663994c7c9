"""Old, future, doubled and forged times; messages that come a second time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.attacks.conftest import Refuses
from tests.attacks.forge import Channel, Message, World, element, twin
from zeep_secureconv.wss.seen import SeenSignatures


def test_an_expired_message_is_refused(channel: Channel, world: World, refuses: Refuses) -> None:
    """A message that was kept until its Timestamp had expired, with the skew between the clocks, is too old."""
    channel.read(channel.genuine())
    message = channel.genuine()
    world.time.forward(timedelta(minutes=8))
    with refuses("timestamp"):
        channel.read(message)


def test_a_message_within_the_skew_is_taken(channel: Channel, world: World) -> None:
    """The bound is where it is said to be: a second earlier the same message passes."""
    message = channel.genuine()
    world.time.forward(timedelta(minutes=7, seconds=59))
    assert channel.read(message).signed


def test_a_message_from_the_future_is_refused(channel: Channel, world: World, refuses: Refuses) -> None:
    """A sender whose clock is ahead could keep messages valid for as long as it likes."""
    world.time.forward(timedelta(minutes=3, seconds=1))
    message = channel.genuine()
    world.time.forward(timedelta(seconds=-2))
    channel.read(message)
    world.time.forward(timedelta(minutes=-3))
    with refuses("timestamp"):
        channel.read(message)


def test_a_message_without_a_timestamp_is_refused(channel: Channel, refuses: Refuses) -> None:
    """The policy demands one, so that a removed Timestamp is noticed before anything else."""
    channel.read(channel.genuine())
    message = channel.genuine()
    with refuses("timestamp"):
        channel.read(message.drop(message.timestamp))


def test_a_message_has_one_timestamp(channel: Channel, refuses: Refuses) -> None:
    """A second Timestamp, fresher than the signed one, does not count, nor does it get ignored."""
    channel.read(channel.genuine())
    message = channel.genuine()
    other = twin(message.timestamp)
    other.attrib.clear()
    with refuses("timestamp"):
        channel.read(message)


def test_a_timestamp_that_was_freshened_is_noticed(channel: Channel, world: World, refuses: Refuses) -> None:
    """The Timestamp is compared with its digest before anything is decrypted."""
    channel.read(channel.genuine())
    message, fresh = channel.genuine(), channel.genuine()
    world.time.forward(timedelta(minutes=8))
    fresh = channel.genuine()
    for old, new in zip(message.timestamp, fresh.timestamp, strict=True):
        old.text = new.text
    with refuses("digest"):
        channel.read(message)


def test_a_timestamp_outside_the_signature_is_refused(open_channel: Channel, refuses: Refuses) -> None:
    """A fresh Timestamp beside a signature that does not cover it says nothing of the signature's age."""
    open_channel.read(open_channel.genuine())
    message = open_channel.genuine()
    message.drop(message.reference_to(message.timestamp))
    with refuses("signed-parts"):
        open_channel.read(open_channel.sign(message))


@pytest.mark.parametrize(
    "times",
    [
        "<wsu:Created>2026-11-21T12:00:00Z</wsu:Created><wsu:Expires>9999-12-31T23:59:59Z</wsu:Expires>",
        "<wsu:Created>9999-12-31T23:59:59Z</wsu:Created>",
        "<wsu:Created>0001-01-01T00:00:00+14:00</wsu:Created>",
        "<wsu:Created>9999-12-31T23:59:59-14:00</wsu:Created>",
        "<wsu:Created>2026-11-21T12:00:00Z</wsu:Created><wsu:Expires>2026-11-21T12:00:00Z</wsu:Expires>",
        "<wsu:Created>2026-11-20T11:00:00Z</wsu:Created><wsu:Expires>2099-12-31T23:59:59Z</wsu:Expires>",
        "<wsu:Created>2026-02-30T12:00:00Z</wsu:Created>",
        "<wsu:Created>2026-11-21</wsu:Created>",
        "<wsu:Created>yesterday</wsu:Created>",
        "<wsu:Created></wsu:Created>",
        "<wsu:Created>2026-11-21T<?x?>12:00:00Z</wsu:Created>",
        "<wsu:Created>2026-11-21T12:00:00Z<?x?>evil</wsu:Created>",
        "<wsu:Expires>2026-11-21T12:05:00Z</wsu:Expires>",
        "<wsu:Created>2026-11-21T12:00:00Z</wsu:Created><wsu:Created>2026-11-21T12:00:00Z</wsu:Created>",
        "<wsu:Created>2026-11-21T12:00:00Z</wsu:Created>"
        + "<wsu:Expires>2026-11-21T12:05:00Z</wsu:Expires>" * 2,
        "",
    ],
    ids=[
        *("end of time", "created at the end of time", "before time", "after time", "no lifetime", "old"),
        *("no such day", "no time", "no date", "empty", "instruction inside", "instruction at the end"),
        *("only Expires", "two Created", "two Expires", "nothing"),
    ],
)
def test_strange_times(
    open_channel: Channel, refuses: Refuses, times: str, request: pytest.FixtureRequest
) -> None:
    """Times that cannot be, or that reach beyond what can be computed, are refused, and never an internal error."""
    open_channel.read(open_channel.genuine())
    message = open_channel.genuine()
    message.timestamp[:] = list(element(f"<x>{times}</x>"))
    message.digest_again(message.timestamp)
    open_channel.sign(message)
    if "end of time]" in request.node.name and "created" not in request.node.name:
        assert open_channel.read(message).signed
        return
    with refuses("timestamp"):
        open_channel.read(message)


# ------------------------------------------------------------------------------------------ a second time


def test_a_message_is_taken_once(channel: Channel, refuses: Refuses) -> None:
    """A replay is refused before anything of it is decrypted."""
    seen = SeenSignatures()
    message = channel.genuine()
    channel.read(message, seen=seen)
    with refuses("replay"):
        channel.read(message, seen=seen)


def test_a_replay_in_other_clothes_is_a_replay(channel: Channel, refuses: Refuses) -> None:
    """What no signature covers may look different: it is the value of the signature that came before."""
    seen = SeenSignatures()
    message = channel.genuine()
    channel.read(message, seen=seen)
    value = message.find(".//ds:SignatureValue")
    value.text = "\n".join((value.text or "")[i : i + 8] for i in range(0, len(value.text or ""), 8)) + "\n"
    message.signature.set("Id", "other")
    message.header.insert(0, element('<x:block xmlns:x="urn:x"/>'))
    with refuses("replay"):
        channel.read(Message(message.bytes), seen=seen)


@pytest.mark.parametrize("name", ["request", "rst"])
def test_a_replay_is_noticed_as_long_as_its_timestamp_holds(
    world: World, refuses: Refuses, name: str
) -> None:
    """The memory outlives the Timestamp by the skew that its check allows."""
    channel, seen = world.channel(name), SeenSignatures()
    message = channel.genuine()
    channel.read(message, seen=seen)
    world.time.forward(timedelta(minutes=7, seconds=59))
    channel.read(channel.genuine(), seen=seen)
    with refuses("replay"):
        channel.read(message, seen=seen)
    world.time.forward(timedelta(seconds=2))
    with refuses("timestamp"):
        channel.read(message, seen=seen)


def test_a_timestamp_put_beside_does_not_shorten_the_memory(world: World, refuses: Refuses) -> None:
    """Where the policy has no Timestamp an attacker may add one; the value is remembered all the same."""
    channel, seen = world.channel("request", include_timestamp=False), SeenSignatures()
    message = channel.genuine()
    forged = element(
        "<wsu:Timestamp><wsu:Created>2026-11-21T11:52:00.001Z</wsu:Created>"
        "<wsu:Expires>2026-11-21T11:57:00.001Z</wsu:Expires></wsu:Timestamp>"
    )
    message.security.insert(0, forged)
    channel.read(message, seen=seen)
    world.time.forward(timedelta(hours=3))
    message.drop(message.find(".//wsu:Timestamp"))
    with refuses("replay"):
        channel.read(message, seen=seen)


def test_a_sender_does_not_prolong_the_life_of_a_message(
    channel: Channel, world: World, refuses: Refuses
) -> None:
    """Five minutes and the skew are the most, whatever the signed Expires says."""
    lasting = replace(channel.environment, message_lifetime=timedelta(hours=2))
    message = channel.but(environment=lasting).genuine()
    world.time.forward(timedelta(minutes=7, seconds=59))
    assert channel.read(Message(message.bytes)).signed
    world.time.forward(timedelta(seconds=1))
    with refuses("timestamp"):
        channel.read(message)


def test_a_changed_message_does_not_spoil_the_genuine_one(open_channel: Channel, refuses: Refuses) -> None:
    """An attacker cannot have a message forgotten by sending garbage with the same id first."""
    seen = SeenSignatures()
    message = open_channel.genuine()
    forged = Message(message.bytes)
    forged.timestamp[1].text = "2026-11-21T12:30:00Z"
    with refuses("digest"):
        open_channel.read(forged, seen=seen)
    assert open_channel.read(message, seen=seen).signed
