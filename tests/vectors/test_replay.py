"""Captured conversations: every message is read again from the recorded keys, and no bit of it may change."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from lxml import etree

from tests.vectors.changes import BITS, refused
from tests.vectors.replay import (
    CALLS,
    CANCEL,
    FAULT,
    PRINCIPAL,
    RENEWAL,
    Conversation,
    Exchange,
    environment_at,
    texts,
)
from zeep_secureconv import Limits, VerificationError
from zeep_secureconv.policy import Direction
from zeep_secureconv.trust import (
    RequestSecurityTokenResponse,
    RequestType,
    context_key,
    request_from_xml,
    response_from_xml,
)
from zeep_secureconv.wss.certificates import same
from zeep_secureconv.wss.protect import Protected
from zeep_secureconv.wss.seen import SeenSignatures
from zeep_secureconv.wss.unprotect import unprotect

CXF = (
    "asym-dk",
    "asym-dk-basic192",
    "asym-dk-basic256",
    "asym-dk-basic256sha256",
    "asym-dk-ebs",
    "asym-dk-encsig",
    "asym-dk-signonly",
    "asym-dk-soap12",
    "asym-dk-tripledes",
    "asym-nodk",
    "draft-asym-dk",
    "draft-asym-nodk",
)
METRO = ("asym-dk", "basic256", "draft-asym-dk", "soap12")
CONVERSATIONS = [Conversation("cxf", name) for name in CXF] + [Conversation("metro", name) for name in METRO]
#: Its bodies cannot be read (see below); its trust messages can.
METRO_WITHOUT_DERIVED_KEYS = Conversation("metro", "asym-nodk")

ADDRESSING = {
    Direction.REQUEST: {"To", "Action", "MessageID", "ReplyTo"},
    Direction.RESPONSE: {"To", "Action", "MessageID", "RelatesTo"},
}


def exchanges(*numbers: int | dict[str, int]) -> list[object]:
    """The exchanges with these numbers of every conversation, as parameters; without numbers all calls."""
    found: list[object] = []
    for conversation in CONVERSATIONS:
        wanted = [n if isinstance(n, int) else n[conversation.stack] for n in numbers]
        for number in wanted or CALLS[conversation.stack]:
            name = f"{conversation.stack}-{conversation.variant}-{number:02d}"
            found.append(pytest.param(conversation.exchange(number), id=name))
    return found


def names(elements: tuple[etree._Element, ...]) -> set[str]:
    """Local names of elements."""
    return {etree.QName(element).localname for element in elements}


def instance_at(exchange: Exchange) -> str | None:
    """Instance of the context's key at that time."""
    conversation = exchange.conversation
    if exchange.request.number <= RENEWAL[conversation.stack]:
        return None
    return next(instance for _, instance in conversation.secrets if instance is not None)


def encrypts(exchange: Exchange) -> bool:
    """Whether its Bodies are encrypted by the policy."""
    return exchange.conversation.variant != "asym-dk-signonly"


# ------------------------------------------------------------------------------------------- what was said


@pytest.mark.parametrize("exchange", exchanges())
def test_a_call_is_read_by_the_service(exchange: Exchange) -> None:
    """A recorded call is decrypted, and proves its context, its instance, and its signed and encrypted parts."""
    operation, said, _ = CALLS[exchange.conversation.stack][exchange.request.number]
    verified = exchange.read_request()
    assert verified.soap.payload is not None
    assert verified.soap.payload.tag == f"{{urn:secureconv:peer}}{operation}"
    assert texts(verified.soap) == said
    assert verified.context is not None
    assert verified.context.instance == instance_at(exchange)
    assert verified.signer is None
    assert verified.endorsed_by == ()
    assert names(verified.signed) >= ADDRESSING[Direction.REQUEST] | {"Timestamp", "Body"}
    assert names(verified.decrypted) == ({"Body"} if encrypts(exchange) else set())
    assert verified.is_signed(verified.soap.body)
    assert verified.addressing.action == exchange.action


@pytest.mark.parametrize("exchange", exchanges())
def test_an_answer_is_read_by_the_client(exchange: Exchange) -> None:
    """A recorded answer is decrypted, and proves that it is from the request's context and belongs to it."""
    _, _, said = CALLS[exchange.conversation.stack][exchange.request.number]
    reply = exchange.read_response()
    assert exchange.response.status == 200
    assert reply.fault is None
    assert texts(reply.soap) == said
    verified = reply.verified
    assert verified is not None
    assert verified.context is not None
    assert verified.context.instance == instance_at(exchange)
    assert names(verified.signed) >= ADDRESSING[Direction.RESPONSE] | {"Timestamp", "Body"}
    assert names(verified.decrypted) == ({"Body"} if encrypts(exchange) else set())


@pytest.mark.parametrize("exchange", exchanges(FAULT))
def test_a_declared_fault_is_read_with_its_detail(exchange: Exchange) -> None:
    """The declared fault keeps its detail; Metro signs all of it, CXF nothing but the Timestamp."""
    assert texts(exchange.read_request().soap) == ["E42"]
    reply = exchange.read_response()
    assert reply.fault is not None
    assert reply.fault.detail is not None
    assert [str(text) for text in reply.fault.detail.itertext()] == ["E42"]
    assert reply.verified is not None
    if exchange.conversation.stack == "metro":
        assert reply.proven
        assert reply.fault.text == "requested failure"
        assert reply.verified.is_signed(reply.soap.body)
    else:
        assert not reply.proven
        assert reply.fault.text == "failed with E42"
        assert names(reply.verified.signed) - {"SignatureConfirmation"} == {"Timestamp"}


@pytest.mark.parametrize("exchange", exchanges(1, RENEWAL))
def test_issue_and_renewal_are_signed_by_their_parties(exchange: Exchange) -> None:
    """Bootstrap messages name their signer, and both Bodies are signed and were encrypted."""
    conversation = exchange.conversation
    verified = exchange.read_request()
    assert verified.signer is not None
    assert same(verified.signer, conversation.certificate("client"))
    assert verified.context is None
    assert verified.is_signed(verified.soap.body)
    assert names(verified.decrypted) == {"Body"}
    answer = exchange.read_response().verified
    assert answer is not None
    assert answer.signer is not None
    assert same(answer.signer, conversation.certificate("server"))
    assert answer.is_signed(answer.soap.body)
    assert names(answer.decrypted) == {"Body"}


@pytest.mark.parametrize("exchange", exchanges(1, RENEWAL))
def test_the_entropies_give_the_recorded_secret(exchange: Exchange) -> None:
    """The key worked out from what both sides said is the one that the server recorded."""
    conversation = exchange.conversation
    asked = exchange.read_request().soap.payload
    answered = exchange.read_response().soap.payload
    assert asked is not None
    assert answered is not None
    request = request_from_xml(asked, Limits())
    response = response_from_xml(answered, Limits())
    assert response.token is not None
    key = context_key(
        request.entropy.secret if request.entropy is not None else None,
        response,
        request.key_size or 32,
        minimum=conversation.conversation.key_size,
        require_server_entropy=conversation.conversation.requires_server_entropy,
    )
    assert key == conversation.secrets[response.token.identifier, response.token.instance]
    assert (response.token.instance is not None) == (exchange.kind is RequestType.RENEW)


@pytest.mark.parametrize("exchange", exchanges(RENEWAL))
def test_metro_endorses_a_renewal_with_the_first_key(exchange: Exchange) -> None:
    """A renewal of Metro is endorsed by the context to be renewed, one of CXF by nothing."""
    endorsed = exchange.read_request().endorsed_by
    if exchange.conversation.stack == "cxf":
        assert endorsed == ()
    else:
        (key,) = endorsed
        assert (key.identifier, key.instance) == next(iter(exchange.conversation.secrets))
        assert key.instance is None


@pytest.mark.parametrize("exchange", exchanges(CANCEL))
def test_cancel_is_read(exchange: Exchange) -> None:
    """Metro's Cancel proves possession of the context; CXF's, which does not, passes as bootstrap message only."""
    if not exchange.is_bootstrapped_cancel:
        verified = exchange.read_request()
        assert verified.context is not None
        assert verified.context.instance == instance_at(exchange)
        assert verified.is_signed(verified.soap.body)
        assert verified.decrypted == ()
        return
    assert exchange.read_request(policy=exchange.conversation.conversation.bootstrap.request).context is None
    with pytest.raises(VerificationError) as caught:
        exchange.read_request()
    assert caught.value.check == "signature-missing"


@pytest.mark.parametrize("exchange", exchanges(CANCEL))
def test_the_answer_to_cancel_is_read(exchange: Exchange) -> None:
    """The answer to Cancel is secured by the cancelled context, by CXF with its raw key."""
    reply = exchange.read_response()
    if exchange.conversation.variant == "asym-dk-ebs":  # CXF judges Cancel as signed before it was encrypted
        assert reply.fault is not None
        assert reply.verified is None
        return
    assert reply.verified is not None
    assert reply.verified.context is not None
    assert reply.verified.context.instance == instance_at(exchange)
    assert reply.soap.payload is not None
    answer: RequestSecurityTokenResponse = response_from_xml(reply.soap.payload, Limits())
    assert answer.cancelled


@pytest.mark.parametrize("variant", [name for name in CXF if name != "asym-dk-ebs"])
def test_the_fault_after_a_cancel_proves_nothing(variant: str) -> None:
    """CXF's fault for an unknown context is read, unsecured as it is, and proves nothing."""
    exchange = Conversation("cxf", variant).exchange(13)
    assert texts(exchange.read_request().soap) == ["after cancel"]
    reply = exchange.read_response()
    assert exchange.response.status == 500
    assert reply.verified is None
    assert reply.fault is not None
    assert reply.fault.code == "{http://ws.apache.org/wss4j}SecurityError"
    assert not reply.proven


def test_what_the_clients_reported_is_what_was_read() -> None:
    """The texts that this module expects are those that the stacks' own clients reported."""
    cxf, metro = CONVERSATIONS[0].told, CONVERSATIONS[len(CXF)].told
    assert [cxf["echo1"], cxf["echo2"], cxf["echo3"]] == [CALLS["cxf"][n][2][0] for n in (2, 3, 4)]
    assert (cxf["sum"], cxf["big"], cxf["whoami"]) == (42, 2000, PRINCIPAL)
    assert [metro["echo1"], metro["echo2"], metro["sum3"]] == [CALLS["metro"][n][2][0] for n in (3, 4, 5)]
    assert (metro["big5"], metro["whoami6"]) == ("100000", PRINCIPAL)


# ------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("what", BITS)
@pytest.mark.parametrize("exchange", exchanges(1, 2, RENEWAL))
def test_a_changed_bit_in_a_request_is_refused(exchange: Exchange, what: str) -> None:
    """No bit of a signature, a digest, a ciphertext, a nonce or a signed header may change in a request."""
    exchange.read_request()
    for check, allowed in refused(exchange.read_request, exchange.request, what):
        assert check in allowed


@pytest.mark.parametrize("what", BITS)
@pytest.mark.parametrize("exchange", exchanges(1, 2, RENEWAL))
def test_a_changed_bit_in_an_answer_is_refused(exchange: Exchange, what: str) -> None:
    """No bit of a signature, a digest, a ciphertext, a nonce or a signed header may change in an answer."""
    sent = exchange.sent()
    exchange.read_response(sent=sent)
    for check, allowed in refused(lambda s: exchange.read_response(s, sent=sent), exchange.response, what):
        assert check in allowed


def test_the_changed_bits_are_there() -> None:
    """A message of each conversation holds what the two tests above change."""
    for conversation in CONVERSATIONS:
        call = conversation.exchange(2).request.soap()
        found = {what for what, (find, _, _) in BITS.items() if find(call)}
        hidden = {"SignatureValue", "DigestValue"} if conversation.variant == "asym-dk-encsig" else set()
        hidden |= {"Nonce"} if conversation.variant.endswith("-nodk") else set()
        hidden |= {"CipherValue"} if conversation.variant == "asym-dk-signonly" else set()
        assert found == BITS.keys() - hidden


@pytest.mark.parametrize("exchange", exchanges(3))
def test_an_answer_to_another_request_is_refused(exchange: Exchange) -> None:
    """An answer of the same context that relates to another request is not taken for the answer to this one."""
    other = exchange.conversation.exchange(4)
    assert texts(other.read_response(sent=other.sent()).soap) != texts(exchange.read_response().soap)
    with pytest.raises(VerificationError) as caught:
        exchange.read_response(other.response.soap(), sent=exchange.sent())
    confirms = exchange.policies[1].confirms_signatures
    assert caught.value.check == ("signature-confirmation" if confirms else "relates-to")


@pytest.mark.parametrize("exchange", exchanges(3))
def test_a_reflected_request_is_refused(exchange: Exchange) -> None:
    """A request of the client's own that comes back as the answer is refused for its signature."""
    sent = exchange.sent()
    exchange.read_response(sent=sent)
    with pytest.raises(VerificationError) as caught:
        exchange.read_response(exchange.request.soap(), sent=sent)
    assert caught.value.check == "reflection"


@pytest.mark.parametrize("exchange", exchanges(2))
def test_a_message_is_taken_once(exchange: Exchange) -> None:
    """The same request, and the same answer, is refused the second time."""
    seen = SeenSignatures()
    exchange.read_request(seen=seen)
    with pytest.raises(VerificationError) as caught:
        exchange.read_request(seen=seen)
    assert caught.value.check == "replay"
    sent = exchange.sent()
    exchange.read_response(sent=sent, seen=seen)
    with pytest.raises(VerificationError) as caught:
        exchange.read_response(sent=sent, seen=seen)
    assert caught.value.check == "replay"


@pytest.mark.parametrize("exchange", exchanges(2))
def test_another_key_is_refused(exchange: Exchange) -> None:
    """With one bit of the context's key changed, the request is refused."""
    conversation = exchange.conversation
    good = exchange.read_request().context
    assert good is not None
    wrong = replace(good, secret=bytes([good.secret[0] ^ 1]) + good.secret[1:])
    ring = replace(conversation.service, lookup=lambda _identifier, _instance: wrong)
    with pytest.raises(VerificationError) as caught:
        unprotect(
            exchange.request.soap(),
            exchange.policies[0],
            ring,
            environment_at(exchange.request.created),
        )
    # an encrypted signature is met as ciphertext first, and garbage may look like padding
    hidden = conversation.variant == "asym-dk-encsig"
    assert caught.value.check == ("decryption" if hidden else "signature")


@pytest.mark.parametrize("exchange", exchanges(1, 2))
@pytest.mark.parametrize("late", [timedelta(minutes=9), timedelta(minutes=-4)], ids=["too-old", "future"])
def test_a_message_is_refused_at_another_time(exchange: Exchange, late: timedelta) -> None:
    """Nine minutes later, or four minutes earlier, the Timestamp refuses what is accepted in time."""
    exchange.read_request()
    with pytest.raises(VerificationError) as caught:
        unprotect(
            exchange.request.soap(),
            exchange.policies[0],
            exchange.conversation.service,
            environment_at(exchange.request.created + late),
        )
    assert caught.value.check == "timestamp"


# ------------------------------------------------------------------------- Metro without derived keys


@pytest.mark.parametrize("number", [1, 10, 13])
def test_metro_without_derived_keys_bootstraps(number: int) -> None:
    """Issue, renewal and Cancel of Metro without derived keys are read like all others."""
    exchange = METRO_WITHOUT_DERIVED_KEYS.exchange(number)
    sent: Protected = exchange.sent()
    assert exchange.read_response(sent=sent).fault is None


@pytest.mark.parametrize("number", [2, 11])
def test_metro_without_derived_keys_encrypts_with_a_longer_key(number: int) -> None:
    """Metro encrypts with all 32 bytes of the key and says aes128-cbc, which is refused."""
    exchange = METRO_WITHOUT_DERIVED_KEYS.exchange(number)
    with pytest.raises(VerificationError) as caught:
        exchange.read_request()
    assert caught.value.check in {"decryption", "digest"}
