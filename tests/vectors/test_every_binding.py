"""Captured conversations under every other binding and token: all messages are read from the recorded keys."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.vectors.changes import BITS, refused
from tests.vectors.replay import (
    CALLS,
    FAULT,
    PRINCIPAL,
    RENEWAL,
    Conversation,
    Exchange,
    texts,
)
from zeep_secureconv import Limits, VerificationError
from zeep_secureconv.trust import RequestType, context_key, request_from_xml, response_from_xml
from zeep_secureconv.wss.certificates import same


@dataclass(frozen=True)
class Proof:
    """How the client of a conversation proves itself.

    Args:
        signer: with a certificate, by the signature over the request for a context.
        endorser: with a certificate, by a signature over that signature or the Timestamp.
        user: with the UsernameToken of the request for a context.
        caller: with a UsernameToken in every call.
    """

    signer: bool = False
    endorser: bool = False
    user: bool = False
    caller: bool = False


_SIGNED, _ENDORSED, _USER = Proof(signer=True), Proof(endorser=True), Proof(user=True)
PROOFS = {
    ("cxf", "asym-dk-app-username"): Proof(signer=True, caller=True),
    ("cxf", "asym-username-dk"): Proof(signer=True, user=True),
    ("cxf", "symx509-dk"): Proof(),
    ("cxf", "symx509-endorsing-dk"): _ENDORSED,
    ("cxf", "tls-endorsing-sct"): _USER,
    ("cxf", "tls-endorsing-sct-dk"): _USER,
    ("cxf", "tls-x509-bootstrap"): _ENDORSED,
    ("cxf", "username-dk"): _USER,
    ("metro", "netbeans-username"): _USER,
    ("metro", "symx509-username"): _USER,
    ("metro", "tls-endorsing-sct"): _USER,
    ("rampart", "asym-dk"): _SIGNED,
    ("rampart", "asym-dk-256"): _SIGNED,
    ("rampart", "asym-draft"): _SIGNED,
    ("rampart", "asym-wsa"): _SIGNED,
    ("rampart", "sym-dk"): _ENDORSED,
    ("rampart", "sym-dk-256"): _ENDORSED,
    ("rampart", "ut-sym"): _USER,
    ("rampart", "ut-tls"): _USER,
}
#: What the users' password was, and how each stack writes the user's name; Rampart knows no callers.
PASSWORDS = {"cxf": "alice-secret", "metro": "secret", "rampart": "secret"}
NAMES = {"cxf": "alice", "metro": "CN=alice"}
CONVERSATIONS = {Conversation(*name): proof for name, proof in PROOFS.items()}


def exchanges(*kinds: RequestType | None) -> list[object]:
    """The exchanges of these kinds, None for calls, of every conversation, as parameters."""
    return [
        pytest.param(exchange, id=f"{conversation.stack}-{conversation.variant}-{exchange.name}")
        for conversation in CONVERSATIONS
        for exchange in conversation.exchanges
        if exchange.kind in kinds and not lacks_its_endorsement(exchange)
    ]


def lacks_its_endorsement(exchange: Exchange) -> bool:
    """Whether it is the one Renew that its own server refused: CXF's without the endorsing X509Token."""
    return exchange.conversation.variant == "tls-x509-bootstrap" and exchange.kind is RequestType.RENEW


def said(exchange: Exchange) -> tuple[list[str], list[str]] | None:
    """The texts of a call and of its answer, where they are known."""
    conversation, operation = exchange.conversation, exchange.name.split("-")[1]
    if operation == "whoami" and conversation.stack in NAMES:
        proof = CONVERSATIONS[conversation]
        by_certificate = PRINCIPAL if proof.signer or proof.endorser else "anonymous"
        return [], [NAMES[conversation.stack] if proof.user else by_certificate]
    # a refused renewal and the new context in its stead move the rest by one
    moved = conversation.variant == "tls-x509-bootstrap" and exchange.request.number > RENEWAL["cxf"]
    known = CALLS[conversation.stack].get(exchange.request.number - moved)
    return None if known is None else known[1:]


_TRUST = (RequestType.ISSUE, RequestType.RENEW)
#: Also the headers of TLS variants and of some of Rampart's are not signed, so that they may change.
_CHANGES = sorted(BITS.keys() - {"header"})


@pytest.mark.parametrize("exchange", exchanges(*_TRUST))
def test_a_request_for_a_context_proves_its_sender(exchange: Exchange) -> None:
    """Certificate and user are proved the way the bootstrap policy wants it, and nothing else is."""
    proof, conversation = CONVERSATIONS[exchange.conversation], exchange.conversation
    verified = exchange.read_request()
    assert exchange.kind is RequestType.RENEW or verified.context is None
    assert (verified.signer is not None) == proof.signer
    assert len(verified.endorsers) == proof.endorser
    for certificate in (verified.signer, *verified.endorsers):
        assert certificate is None or same(certificate, conversation.certificate("client"))
    password = PASSWORDS[conversation.stack]
    users = [(user.username, user.matches(password), user.matches("other")) for user in verified.usernames]
    assert users == ([("alice", True, False)] if proof.user else [])


def test_a_renewal_without_its_endorsement_is_refused() -> None:
    """CXF's Renew under an endorsing bootstrap has no endorsing signature; its own server refused it too."""
    conversation = Conversation("cxf", "tls-x509-bootstrap")
    exchange = conversation.exchange(RENEWAL["cxf"])
    assert conversation.exchange(1).read_request().endorsers
    with pytest.raises(VerificationError) as caught:
        exchange.read_request()
    assert caught.value.check == "endorsement"
    assert exchange.response.status == 500


@pytest.mark.parametrize("exchange", exchanges(*_TRUST))
def test_what_both_sides_said_gives_the_recorded_secret(exchange: Exchange) -> None:
    """The key worked out from request and answer is the one that the server recorded."""
    conversation = exchange.conversation
    asked, answered = exchange.read_request().soap.payload, exchange.read_response().soap.payload
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


@pytest.mark.parametrize("exchange", exchanges(None))
def test_a_call_is_read_by_the_service(exchange: Exchange) -> None:
    """A call proves its context, and the user that the policy wants in it, and says what was sent."""
    proof, known = CONVERSATIONS[exchange.conversation], said(exchange)
    verified = exchange.read_request()
    assert verified.context is not None or verified.endorsed_by
    assert [user.username for user in verified.usernames] == (["alice"] if proof.caller else [])
    assert known is None or texts(verified.soap) == known[0]


@pytest.mark.parametrize("exchange", exchanges(None))
def test_an_answer_is_read_by_the_client(exchange: Exchange) -> None:
    """An answer belongs to its request and says what was answered; the declared fault keeps its detail."""
    known, reply = said(exchange), exchange.read_response()
    if exchange.request.number == FAULT[exchange.conversation.stack]:
        assert reply.fault is not None
        assert reply.fault.detail is not None
        assert "".join(str(text) for text in reply.fault.detail.itertext()) == "E42"
    elif known is not None:
        assert reply.fault is None
        assert texts(reply.soap) == known[1]


@pytest.mark.parametrize("exchange", exchanges(RequestType.CANCEL))
def test_cancel_and_its_answer_are_read(exchange: Exchange) -> None:
    """Cancel is proved by the context, whatever else the stack protects in it; CXF's is by the bootstrap only."""
    if exchange.is_bootstrapped_cancel:
        with pytest.raises(VerificationError):
            exchange.read_request()
        return
    verified = exchange.read_request()
    assert verified.context is not None or verified.endorsed_by
    answer = exchange.read_response().soap.payload
    assert answer is not None
    assert response_from_xml(answer, Limits()).cancelled


@pytest.mark.parametrize("what", _CHANGES)
@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda one: f"{one.stack}-{one.variant}")
def test_a_changed_bit_is_refused(conversation: Conversation, what: str) -> None:
    """No bit of a signature, a digest, a ciphertext or a nonce may change in issue and call, asked or answered."""
    for number in (1, 2):
        exchange = conversation.exchange(number)
        sent = exchange.sent()
        exchange.read_response(sent=sent)
        asked = refused(exchange.read_request, exchange.request, what)
        answered = refused(lambda s: exchange.read_response(s, sent=sent), exchange.response, what)  # noqa: B023
        for check, allowed in (*asked, *answered):
            assert check in allowed
