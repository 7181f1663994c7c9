"""Answers to something else, answers of our own, and faults that claim more than they prove."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.attacks.conftest import Refuses
from tests.attacks.forge import (
    NS,
    OWN_VALUE,
    REQUEST_ID,
    THEIRS,
    WSU_ID,
    Channel,
    Message,
    World,
    element,
    exchange,
)
from tests.unit.messages import SIGNED, message
from zeep_secureconv import TokenFault
from zeep_secureconv.conversation.faults import fault_error
from zeep_secureconv.errors import UnsecuredFault
from zeep_secureconv.policy.model import Direction, HeaderPart, Parts, Policy, Wss
from zeep_secureconv.soap.addressing import address_reply
from zeep_secureconv.soap.envelope import new_envelope, serialize
from zeep_secureconv.wss.protect import protect
from zeep_secureconv.wss.seen import SeenSignatures

BAD_CONTEXT = (
    f'<soap:Fault><faultcode xmlns:wsc="{NS["wsc"]}">wsc:BadContextToken</faultcode>'
    "<faultstring>the context is gone</faultstring></soap:Fault>"
)


@pytest.fixture(params=["reply", "rstr"])
def answers(request: pytest.FixtureRequest, world: World) -> Channel:
    """What a client reads: answers of the application, and of the trust service."""
    return world.channel(request.param)


# ---------------------------------------------------------------------------------- which request, whose


@pytest.mark.parametrize("relates_to", [None, "urn:uuid:another", "", f"x{REQUEST_ID}"])
def test_an_answer_to_another_request_is_refused(
    answers: Channel, refuses: Refuses, relates_to: str | None
) -> None:
    """Genuine, fresh and never seen before, but the answer to another request of the same context or client."""
    answers.read(answers.genuine())
    with refuses("relates-to"):
        answers.read(answers.genuine(relates_to=relates_to))


def test_a_relates_to_that_was_exchanged_is_noticed(answers: Channel, refuses: Refuses) -> None:
    """An answer to another request cannot be made ours by writing our MessageID into it."""
    answers.read(answers.genuine())
    message = answers.genuine(relates_to="urn:uuid:another")
    message.find("soap:Header/wsa:RelatesTo").text = REQUEST_ID
    with refuses("digest"):
        answers.read(message)


def test_a_relates_to_that_was_added_is_noticed(answers: Channel, refuses: Refuses) -> None:
    """Neither can one without any RelatesTo."""
    answers.read(answers.genuine())
    message = answers.genuine(relates_to=None)
    message.header.append(element(f"<wsa:RelatesTo>{REQUEST_ID}</wsa:RelatesTo>"))
    with refuses("signed-parts"):
        answers.read(message)


@pytest.mark.parametrize("text", [f"{REQUEST_ID}<?x?>", f"<?x?>{REQUEST_ID}", f"{REQUEST_ID}<?x?>evil"])
def test_a_relates_to_is_text_and_nothing_else(world: World, refuses: Refuses, text: str) -> None:
    """A processing instruction in it would let readers differ about which request is meant."""
    answers = world.channel("reply", signed=Parts(body=True))
    answers.read(answers.genuine())
    message = answers.genuine(relates_to="urn:uuid:another")
    relates_to = message.find("soap:Header/wsa:RelatesTo")
    changed = element(f"<wsa:RelatesTo>{text}</wsa:RelatesTo>")
    exchange(relates_to, changed)
    with refuses("addressing"):
        answers.read(message)


def _reflected(answers: Channel) -> Message:
    """A request of ours, with a RelatesTo that the attacker added."""
    message = answers.but(name="request", sender=answers.reader).genuine()
    message.header.append(element(f"<wsa:RelatesTo>{REQUEST_ID}</wsa:RelatesTo>"))
    return message


def test_our_own_request_is_no_answer(world: World, refuses: Refuses) -> None:
    """A request that comes back is signed under the right context, and refused for the value that we made."""
    answers = world.channel("reply", signed=Parts(body=True))
    answers.read(answers.genuine())
    ours = _reflected(answers)
    value = base64.b64decode(ours.find(".//ds:SignatureValue").text or "")
    with refuses("reflection"):
        answers.answer(ours, request=replace(answers.request, signature_values=(OWN_VALUE, value)))


def test_a_request_that_was_not_remembered_is_no_answer_either(world: World, refuses: Refuses) -> None:
    """Addressing that is signed cannot be given a RelatesTo, so that no request ever passes for an answer."""
    answers = world.channel("reply")
    answers.read(answers.genuine())
    with refuses("signed-parts"):
        answers.read(_reflected(answers))


def test_what_we_sign_is_remembered(world: World, refuses: Refuses) -> None:
    """An earlier request of ours comes back, where nothing in its addressing is signed."""
    answers, seen = world.channel("reply", signed=Parts(body=True)), SeenSignatures()
    soap = message("<e:echo xmlns:e='urn:test'/>")
    environment = answers.environment
    protect(soap, answers.policy, answers.reader, environment, direction=Direction.REQUEST, seen=seen)
    ours = Message(serialize(soap.envelope))
    ours.header.append(element(f"<wsa:RelatesTo>{REQUEST_ID}</wsa:RelatesTo>"))
    answers.read(ours)
    with refuses("replay"):
        answers.read(ours, seen=seen)
    world.time.forward(timedelta(minutes=7, seconds=59))
    with refuses("replay"):
        answers.read(ours, seen=seen)


def test_a_header_that_the_policy_requires_is_missed(answers: Channel, refuses: Refuses) -> None:
    """sp:RequiredParts: a header that a signature need not cover if it is absent, and that must not be absent."""
    demanding = answers.but(
        policy=replace(
            answers.policy, required=Parts(headers=(HeaderPart(namespace=NS["wsa"], name="RelatesTo"),))
        )
    )
    demanding.read(demanding.genuine())
    with refuses("required-parts"):
        demanding.read(answers.genuine(relates_to=None))
    # a fault in the clear is told all the same
    weak = answers.but(policy=replace(answers.policy, encrypted=Parts()))
    assert _error(demanding, weak.genuine(BAD_CONTEXT, relates_to=None)) is not None


# ------------------------------------------------------------------------------------- SignatureConfirmation


def _confirming(answers: Channel) -> Channel:
    """Where the policy wants answers to repeat the signature values of their request (WSS 1.1, 8.5)."""
    return answers.but(
        policy=replace(answers.policy, wss=Wss(version="1.1", require_signature_confirmation=True))
    )


def _confirm(answers: Channel, *values: bytes, policy: Policy | None = None) -> Message:
    soap = new_envelope(NS["soap"])
    soap.body.append(element('<e:echo xmlns:e="urn:test"/>'))
    environment = answers.environment
    address_reply(soap, wsa=NS["wsa"], action="urn:x", relates_to=REQUEST_ID, random=environment.random)
    protect(
        soap,
        policy or answers.policy,
        answers.sender,
        environment,
        direction=Direction.RESPONSE,
        confirm=values,
    )
    return Message(serialize(soap.envelope))


@pytest.mark.parametrize("values", [(), (b"another",), (OWN_VALUE, b"another"), (OWN_VALUE, OWN_VALUE)])
def test_an_answer_confirms_our_signature_and_no_other(
    answers: Channel, refuses: Refuses, values: tuple[bytes, ...]
) -> None:
    """A service that was given another request than ours cannot answer ours."""
    confirming = _confirming(answers)
    confirming.read(_confirm(confirming, OWN_VALUE))
    with refuses("signature-confirmation"):
        confirming.read(_confirm(confirming, *values))


def test_a_confirmation_is_signed(answers: Channel, refuses: Refuses) -> None:
    """One that an attacker puts into the header beside the signature confirms nothing."""
    confirming = _confirming(answers)
    confirming.read(_confirm(confirming, OWN_VALUE))
    message = _confirm(confirming, policy=answers.policy)
    value = base64.b64encode(OWN_VALUE).decode()
    message.security.append(element(f'<wsse11:SignatureConfirmation Value="{value}"/>'))
    with refuses("signature-confirmation"):
        confirming.read(message)


def test_a_confirmation_is_base64(answers: Channel, refuses: Refuses) -> None:
    """Anything else is refused like a wrong one."""
    confirming = _confirming(answers)
    message = _confirm(confirming, OWN_VALUE)
    confirming.read(Message(message.bytes))
    confirmation = message.find(".//wsse11:SignatureConfirmation")
    confirmation.set("Value", "*")
    message.digest_again(confirmation)
    with refuses("signature-confirmation"):
        confirming.read(confirming.sign(message))


# ------------------------------------------------------------------------------------------------ faults


def _error(answers: Channel, message: Message | bytes) -> TokenFault | UnsecuredFault | None:
    reply = answers.answer(message, seen=SeenSignatures())
    assert reply.fault is not None
    return fault_error(reply, doing="calling", endpoint="http://localhost", context="urn:uuid:sct-1")


def _clear_fault(content: str = BAD_CONTEXT) -> bytes:
    message = Message(
        f'<soap:Envelope xmlns:soap="{NS["soap"]}"><soap:Header/><soap:Body/></soap:Envelope>'.encode()
    )
    message.body.append(element(content))
    return message.bytes


def test_a_fault_that_anybody_could_have_sent_proves_nothing(answers: Channel) -> None:
    """It is raised, marked as unauthenticated, and ``verified`` is False."""
    error = _error(answers, _clear_fault())
    assert isinstance(error, TokenFault)
    assert error.name == "BadContextToken"
    assert not error.verified
    assert "unauthenticated" in str(error)


def test_a_fully_signed_fault_proves_itself(answers: Channel) -> None:
    """Body and RelatesTo under the signature of the context that the request used: that is proof."""
    error = _error(answers, answers.genuine(BAD_CONTEXT))
    assert isinstance(error, TokenFault)
    assert error.verified
    assert "unauthenticated" not in str(error)


@pytest.mark.parametrize("signed", [Parts(), Parts(body=True), Parts(headers=SIGNED.headers)])
def test_a_fault_that_is_signed_in_part_proves_nothing(answers: Channel, signed: Parts) -> None:
    """A signature over Timestamp, Body or addressing alone, as stacks make it for faults, leaves verified False."""
    weak = answers.but(policy=replace(answers.policy, signed=signed, encrypted=Parts()))
    message = weak.genuine(BAD_CONTEXT)
    if signed.body:
        message.header.append(element(f"<wsa:RelatesTo>{REQUEST_ID}</wsa:RelatesTo>"))
        message.drop(message.all("soap:Header/wsa:RelatesTo")[0])
    error = _error(answers, message)
    assert isinstance(error, TokenFault)
    assert not error.verified


def test_the_body_of_a_timestamp_signed_fault_can_be_exchanged_and_proves_nothing(answers: Channel) -> None:
    """A declared fault of the application with BadContextToken put into its Body is still not proof."""
    weak = answers.but(policy=replace(answers.policy, signed=Parts(), encrypted=Parts()))
    message = weak.genuine(
        "<soap:Fault><faultcode>soap:Server</faultcode><faultstring>E42</faultstring></soap:Fault>"
    )
    assert isinstance(_error(answers, message), UnsecuredFault)
    message.body[:] = [element(BAD_CONTEXT)]
    error = _error(answers, message)
    assert isinstance(error, TokenFault)
    assert not error.verified


def test_a_signed_fault_for_another_request_proves_nothing(answers: Channel) -> None:
    """A genuine BadContextToken that answered another request does not condemn this one."""
    error = _error(answers, answers.genuine(BAD_CONTEXT, relates_to="urn:uuid:another"))
    assert error is not None
    assert not error.verified


def test_a_fault_under_another_context_is_refused(world: World, refuses: Refuses) -> None:
    """A security header that does not verify is worse than none."""
    answers = world.channel("reply")
    answers.answer(answers.genuine(BAD_CONTEXT))
    foreign = answers.but(sender=replace(answers.sender, context=THEIRS))
    with refuses("context"):
        answers.answer(foreign.genuine(BAD_CONTEXT))


def test_a_changed_fault_is_refused(answers: Channel, refuses: Refuses) -> None:
    """A signature over the Body holds for a fault as for anything else."""
    weak = answers.but(policy=replace(answers.policy, encrypted=Parts()))
    answers.answer(weak.genuine(BAD_CONTEXT))
    message = weak.genuine(BAD_CONTEXT)
    message.find("soap:Body/soap:Fault/faultstring").text = "changed"
    with refuses("digest"):
        answers.answer(message)


def test_an_expired_fault_is_refused(answers: Channel, world: World, refuses: Refuses) -> None:
    """Neither is the Timestamp forgiven."""
    message = answers.genuine(BAD_CONTEXT)
    world.time.forward(timedelta(minutes=8))
    with refuses("timestamp"):
        answers.answer(message)


def test_a_replayed_fault_is_refused(answers: Channel, refuses: Refuses) -> None:
    """Nor the memory of what was received."""
    seen, message = SeenSignatures(), answers.genuine(BAD_CONTEXT)
    answers.answer(message, seen=seen)
    with refuses("replay"):
        answers.answer(message, seen=seen)


NO_FAULTS = {
    "another element": '<e:echo xmlns:e="urn:test"/>',
    "a fault of another SOAP": '<f:Fault xmlns:f="http://www.w3.org/2003/05/soap-envelope"/>',
    "a fault of no namespace": '<Fault xmlns=""/>',
    "a fault further in": '<e:echo xmlns:e="urn:test"><soap:Fault/></e:echo>',
}


@pytest.mark.parametrize("content", NO_FAULTS.values(), ids=NO_FAULTS)
def test_only_a_fault_gets_the_leave_of_a_fault(answers: Channel, refuses: Refuses, content: str) -> None:
    """Anything else without security is refused, and so it is with a signature over the Timestamp alone."""
    answers.answer(_clear_fault())
    with refuses("security-header"):
        answers.answer(_clear_fault(content))
    weak = answers.but(policy=replace(answers.policy, signed=Parts(), encrypted=Parts()))
    weak.answer(weak.genuine(BAD_CONTEXT))
    with refuses("signed-parts"):
        answers.answer(weak.genuine(content))


@pytest.mark.parametrize("first", [True, False])
def test_a_fault_does_not_bring_company(answers: Channel, refuses: Refuses, first: bool) -> None:
    """A Fault beside another child is no fault: zeep would read the other one."""
    answers.answer(_clear_fault())
    message = Message(_clear_fault())
    message.body.insert(0 if first else 1, element('<e:echo xmlns:e="urn:test"/>'))
    with refuses("security-header"):
        answers.answer(message)


@pytest.mark.parametrize(
    "header", ["<wsse:Security/>", '<wsse:Security soap:mustUnderstand="1"><wsu:Timestamp/></wsse:Security>']
)
def test_a_security_header_without_a_signature_makes_no_fault_a_proven_one(
    answers: Channel, header: str
) -> None:
    """An empty header, or one with tokens alone, leaves a fault what it is: unsecured."""
    message = Message(_clear_fault())
    message.header.append(element(header))
    error = _error(answers, message)
    assert error is not None
    assert not error.verified


def test_the_text_of_a_forged_fault_does_not_pass_for_ours(answers: Channel) -> None:
    """The mark of an unauthenticated fault stands after whatever the attacker wrote."""
    content = BAD_CONTEXT.replace("the context is gone", "all is well")
    assert str(_error(answers, _clear_fault(content))).endswith("could have sent this]")


def test_the_id_of_a_moved_relates_to_does_not_prove_a_fault(answers: Channel) -> None:
    """The RelatesTo that counts must be the very one that was signed."""
    weak = answers.but(policy=replace(answers.policy, encrypted=Parts()))
    message = weak.genuine(BAD_CONTEXT, relates_to="urn:uuid:another")
    signed = message.find("soap:Header/wsa:RelatesTo")
    wrapper = element("<wrapper/>")
    message.header.append(wrapper)
    wrapper.append(signed)
    message.header.append(element(f"<wsa:RelatesTo>{REQUEST_ID}</wsa:RelatesTo>"))
    assert signed.get(WSU_ID)
    error = _error(answers, message)
    assert error is not None
    assert not error.verified
