"""Answers of the trust service that should not give anybody a context."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from lxml import etree

from tests.attacks.conftest import Refuses
from tests.attacks.forge import MINE, NS, THEIRS, Message, World, element
from tests.unit.messages import ENDPOINT, asymmetric, symmetric
from tests.unit.parties import identity
from zeep_secureconv.conversation.context import SecurityContext
from zeep_secureconv.conversation.initiator import Exchange, Initiator
from zeep_secureconv.conversation.policies import conversation_policy
from zeep_secureconv.environment import Environment
from zeep_secureconv.names import WSC_2005, WSC_200512, WST_2005, WST_200512, sct_type
from zeep_secureconv.policy.model import (
    Direction,
    EndpointPolicy,
    Parts,
    SecureConversationToken,
    SymmetricBinding,
    TrustOptions,
)
from zeep_secureconv.soap.addressing import address_reply
from zeep_secureconv.soap.envelope import Soap, new_envelope, parse, serialize
from zeep_secureconv.trust import (
    DIALECTS,
    Entropy,
    Lifetime,
    RequestSecurityTokenResponse,
    RequestType,
    TokenReference,
    new_context_token,
    response_to_xml,
)
from zeep_secureconv.wss.kdf import p_sha1
from zeep_secureconv.wss.keys import Keyring
from zeep_secureconv.wss.protect import protect

IDENTIFIER = "urn:uuid:new-context"
DIALECT = DIALECTS["oasis13"]


class Trust:
    """A client that asks for a context, and a service that answers as the test wants.

    Args:
        world: time and keys.
        require_server_entropy: what the policy says.
    """

    def __init__(self, world: World, *, require_server_entropy: bool = False) -> None:
        self.world = world
        self.environment: Environment = world.environment()
        policy = symmetric()
        assert isinstance(policy.binding, SymmetricBinding)
        token = policy.binding.signature_token
        assert isinstance(token, SecureConversationToken)
        token = replace(token, bootstrap=asymmetric())
        binding = replace(policy.binding, signature_token=token, encryption_token=token)
        options = TrustOptions(require_server_entropy=require_server_entropy)
        self.policy = conversation_policy(
            EndpointPolicy(endpoint=replace(policy, binding=binding, trust=options))
        )
        self.client = world.channel("rst")
        self.service = world.channel("rstr")
        self.initiator = Initiator(self.environment)
        self.exchange = self.ask()
        self.server_entropy = world.vault.random(16)

    def ask(self) -> Exchange:
        """A request of the client's."""
        return self.initiator.ask_issue(ENDPOINT, self.policy, self.client.sender, DIALECT)

    def response(self, **changes: Any) -> RequestSecurityTokenResponse:
        """What an honest service says."""
        token = new_context_token(IDENTIFIER, wsc=WSC_200512, element_id="sct-1")
        now = self.world.time.now
        honest: dict[str, Any] = {
            "wst": WST_200512,
            "token_type": sct_type(WSC_200512),
            "token": token,
            "attached": TokenReference("#sct-1", sct_type(WSC_200512)),
            "unattached": TokenReference(IDENTIFIER, sct_type(WSC_200512)),
            "computed_key": f"{WST_200512}/CK/PSHA1",
            "entropy": Entropy(self.server_entropy),
            "key_size": 16,
            "lifetime": Lifetime(now, now + timedelta(hours=1)),
        }
        return RequestSecurityTokenResponse(**(honest | changes))

    def answer(
        self,
        response: RequestSecurityTokenResponse | etree._Element | None = None,
        *,
        sender: Keyring | None = None,
        relates_to: str | None = "",
        **changes: Any,
    ) -> Message:
        """An answer, protected by the real service unless there is another sender.

        Args:
            response: what it says; an element stands in the Body as it is.
            sender: the keys of somebody else.
            relates_to: another MessageID than that of the request.
            changes: of the policy that the sender applies.
        """
        if not isinstance(response, etree._Element):
            response = response_to_xml(response or self.response(), DIALECT, RequestType.ISSUE)
        soap = new_envelope(NS["soap"])
        soap.body.append(response)
        address_reply(
            soap,
            wsa=NS["wsa"],
            action=DIALECT.action(RequestType.ISSUE, Direction.RESPONSE) or "",
            relates_to=self.exchange.protected.message_id if relates_to == "" else relates_to,
            random=self.environment.random,
        )
        policy = replace(self.policy.bootstrap.response, **changes)
        ring = sender or self.service.sender
        protect(soap, policy, ring, self.environment, direction=Direction.RESPONSE)
        return Message(serialize(soap.envelope))

    def accept(self, answer: Message | bytes) -> SecurityContext:
        """What the client makes of an answer."""
        data = answer if isinstance(answer, bytes) else answer.bytes
        soap = Soap.of(parse(data, self.environment.limits))
        context = self.initiator.accept_issue(self.exchange, soap, DIALECT)
        assert isinstance(context, SecurityContext)
        return context

    def accepts_honest_answer(self) -> None:
        """The untouched answer gives a context with the key that both sides compute."""
        client = Initiator(self.environment)
        soap = Soap.of(parse(self.answer().bytes, self.environment.limits))
        context = client.accept_issue(self.exchange, soap, DIALECT)
        assert isinstance(context, SecurityContext)
        entropy = self.exchange.request.entropy
        assert entropy is not None
        assert context.key.secret == p_sha1(entropy.secret, self.server_entropy, 16)


@pytest.fixture
def trust(world: World) -> Trust:
    """A client that waits for the answer to its request, and has seen that an honest one is accepted."""
    made = Trust(world)
    made.accepts_honest_answer()
    return made


def test_another_client_of_the_ca_cannot_play_the_server(trust: Trust, refuses: Refuses) -> None:
    """client2 is trusted by the same CA and knows everything but the server's key: its answer is refused."""
    evil = replace(trust.service.sender, signing=identity("client2"))
    with refuses("signer"):
        trust.accept(trust.answer(sender=evil))


def test_an_answer_in_our_own_name_is_refused(trust: Trust, refuses: Refuses) -> None:
    """Our own certificate proves nothing about the server either."""
    evil = replace(trust.service.sender, signing=identity("client"))
    with refuses("signer"):
        trust.accept(trust.answer(sender=evil))


def test_an_unsigned_answer_is_refused(trust: Trust, refuses: Refuses) -> None:
    """Encrypted to us, which anybody can do, and not signed by anybody."""
    message = trust.answer()
    with refuses("signature-missing"):
        trust.accept(message.drop(message.signature))


def test_an_answer_whose_body_is_not_signed_is_refused(trust: Trust, refuses: Refuses) -> None:
    """Even where the bootstrap policy forgot to say so, the Body of the answer must be signed."""
    with refuses("signed-parts"):
        trust.accept(trust.answer(signed=Parts(headers=trust.policy.bootstrap.response.signed.headers)))


def test_an_answer_in_the_clear_is_refused(trust: Trust, refuses: Refuses) -> None:
    """The entropy of the server is half of the key; who sends it in the clear gives it to everybody."""
    with refuses("encrypted-parts"):
        trust.accept(trust.answer(encrypted=Parts()))


def test_an_answer_to_another_request_for_a_context_is_refused(trust: Trust, refuses: Refuses) -> None:
    """The service answered somebody, perhaps us, at another time."""
    other = trust.ask().protected.message_id
    with refuses("relates-to"):
        trust.accept(trust.answer(relates_to=other))


def test_an_answer_to_nothing_is_refused(trust: Trust, refuses: Refuses) -> None:
    """An answer without RelatesTo could be the answer to anything."""
    with refuses("relates-to"):
        trust.accept(trust.answer(relates_to=None))


def test_a_context_is_given_once(trust: Trust, refuses: Refuses) -> None:
    """The same answer again, or the same Identifier in another one, does not replace the key that we know."""
    trust.accept(trust.answer())
    trust.exchange = trust.ask()
    trust.server_entropy = bytes(16)
    with refuses("context-reused"):
        trust.accept(trust.answer())


def _proof(secret: bytes) -> dict[str, Any]:
    return {"computed_key": None, "proof_secret": secret, "entropy": None, "key_size": None}


KEYS: dict[str, dict[str, Any]] = {
    "8 bits": {"key_size": 1},
    "120 bits": {"key_size": 15},
    "520 bits": {"key_size": 65},
    "4096 bits": {"key_size": 512},
    "one byte as proof": _proof(b"x"),
    "15 bytes as proof": _proof(bytes(15)),
    "65 bytes as proof": _proof(bytes(65)),
    "computed without entropy": {"entropy": None},
    "computed in another way": {"computed_key": f"{WST_200512}/CK/HASH"},
}


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_long_enough_and_not_too_long(trust: Trust, refuses: Refuses, key: str) -> None:
    """A key that could be guessed, or that HMAC would shorten again, is not taken from the real server either."""
    with refuses("context-key"):
        trust.accept(trust.answer(trust.response(**KEYS[key])))


@pytest.mark.parametrize("changes", ["nothing", "too little", "our own entropy back"])
def test_the_server_adds_its_own_to_the_key_where_the_policy_says_so(
    world: World, refuses: Refuses, changes: str
) -> None:
    """Without a contribution of the server anybody who saw an earlier request could replay its key."""
    trust = Trust(world, require_server_entropy=True)
    trust.accepts_honest_answer()
    ours = trust.exchange.request.entropy
    assert ours is not None
    response = {
        "nothing": trust.response(computed_key=None, entropy=None),
        "too little": trust.response(entropy=Entropy(bytes(15))),
        "our own entropy back": trust.response(**_proof(ours.secret)),
    }[changes]
    with refuses("context-key"):
        trust.accept(trust.answer(response))


LIFETIMES: dict[str, tuple[timedelta | None, timedelta | None]] = {
    "postdated": (timedelta(minutes=4), timedelta(hours=1)),
    "over": (timedelta(hours=-2), timedelta(hours=-1)),
    "over, without Created": (None, timedelta(hours=-1)),
    "over within the skew, without Created": (None, timedelta(minutes=-1)),
    "backwards": (timedelta(0), timedelta(minutes=-1)),
    "of no length": (timedelta(0), timedelta(0)),
}


@pytest.mark.parametrize("name", LIFETIMES)
def test_a_lifetime_makes_sense(trust: Trust, refuses: Refuses, name: str) -> None:
    """A context that is over, or begins later, is not one to use."""
    created, expires = (None if time is None else trust.world.time.now + time for time in LIFETIMES[name])
    with refuses("lifetime"):
        trust.accept(trust.answer(trust.response(lifetime=Lifetime(created, expires))))


def test_the_skew_between_the_clocks_is_forgiven(trust: Trust) -> None:
    """A server whose clock is two minutes off gives contexts that are good for as long as it says."""
    now = trust.world.time.now
    for shift in (timedelta(minutes=2), timedelta(minutes=-12)):
        lifetime = Lifetime(now + shift, now + shift + timedelta(minutes=10))
        token = new_context_token(f"urn:uuid:{shift.total_seconds()}", wsc=WSC_200512)
        response = trust.response(lifetime=lifetime, token=token, attached=None, unattached=None)
        assert trust.accept(trust.answer(response)).expires == lifetime.expires


def _other_token_type(trust: Trust) -> etree._Element:
    return _xml(trust.response(token_type="urn:oasis:names:tc:SAML:2.0:assertion"))


def _other_generation(trust: Trust) -> etree._Element:
    return _xml(trust.response(token=new_context_token(IDENTIFIER, wsc=WSC_2005, element_id="sct-1")))


def _other_generation_of_trust(trust: Trust) -> etree._Element:
    response = trust.response(wst=WST_2005, token_type=None, computed_key=f"{WST_2005}/CK/PSHA1")
    return response_to_xml(response, DIALECTS["draft200502"], RequestType.ISSUE)


def _no_token(trust: Trust) -> etree._Element:
    return _xml(trust.response(token=None))


def _two_answers(trust: Trust) -> etree._Element:
    collection = _xml(trust.response())
    other = new_context_token("urn:uuid:other", wsc=WSC_200512)
    collection.append(_xml(trust.response(token=other, entropy=Entropy(bytes(16))))[0])
    return collection


def _no_answer(trust: Trust) -> etree._Element:
    collection = _xml(trust.response())
    del collection[:]
    return collection


def _two_tokens(trust: Trust) -> etree._Element:
    collection = _xml(trust.response())
    token = collection.find(".//{*}RequestedSecurityToken")
    assert token is not None
    token.addnext(_xml(trust.response(token=new_context_token("urn:evil", wsc=WSC_200512)))[0][1])
    return collection


def _two_entropies(trust: Trust) -> etree._Element:
    collection = _xml(trust.response())
    other = _xml(trust.response(entropy=Entropy(bytes(16)))).find(".//{*}Entropy")
    assert other is not None
    collection[0].append(other)
    return collection


def _another_message(_trust: Trust) -> etree._Element:
    return element('<e:echo xmlns:e="urn:test"/>')


def _a_request(_trust: Trust) -> etree._Element:
    return element(f'<t:RequestSecurityToken xmlns:t="{WST_200512}"/>')


def _identifier_with_an_instruction(trust: Trust) -> etree._Element:
    collection = _xml(trust.response())
    identifier = collection.find(f".//{{{WSC_200512}}}Identifier")
    assert identifier is not None
    identifier.append(etree.ProcessingInstruction("x"))
    return collection


def _identifier_with_a_line_break(trust: Trust) -> etree._Element:
    return _xml(trust.response(token=new_context_token("urn:x\nrefused", wsc=WSC_200512)))


def _long_identifier(trust: Trust) -> etree._Element:
    return _xml(trust.response(token=new_context_token("x" * 1025, wsc=WSC_200512)))


def _long_secret(trust: Trust) -> etree._Element:
    return _xml(trust.response(entropy=Entropy(bytes(259))))


def _encrypted_secret(trust: Trust) -> etree._Element:
    collection = _xml(trust.response())
    proof = collection.find(".//{*}RequestedProofToken")
    assert proof is not None
    proof[:] = [element("<xenc:CipherData/>")]
    return collection


def _xml(response: RequestSecurityTokenResponse) -> etree._Element:
    return response_to_xml(response, DIALECT, RequestType.ISSUE)


@pytest.mark.parametrize(
    "made",
    [
        _other_token_type,
        _other_generation,
        _other_generation_of_trust,
        _no_token,
        _two_answers,
        _no_answer,
        _two_tokens,
        _two_entropies,
        _another_message,
        _a_request,
        _identifier_with_an_instruction,
        _identifier_with_a_line_break,
        _long_identifier,
        _long_secret,
        _encrypted_secret,
    ],
)
def test_an_answer_says_one_thing_and_what_was_asked(
    trust: Trust, refuses: Refuses, made: Callable[[Trust], etree._Element]
) -> None:
    """Signed and encrypted by the real server, and still not the one token of the one kind that was asked for."""
    with refuses("trust-message"):
        trust.accept(trust.answer(made(trust)))


def test_an_empty_body_is_no_answer(trust: Trust, refuses: Refuses) -> None:
    """Nothing, signed by the real server, gives no context."""
    message = trust.answer(encrypted=Parts())
    message.body[:] = []
    message.digest_again(message.body)
    message.sign_again(
        lambda data: identity("server").sign(data, "http://www.w3.org/2000/09/xmldsig#rsa-sha1")
    )
    with refuses("trust-message"):
        trust.accept(message)


def test_the_answer_of_a_cancel_is_information_only(world: World, refuses: Refuses) -> None:
    """Whoever cannot sign under the context cannot say that it was cancelled; what is said changes nothing."""
    trust = Trust(world)
    held = SecurityContext(
        endpoint=ENDPOINT, created=None, expires=None, dialect="oasis13", key=MINE, policy=""
    )
    ring = replace(trust.client.sender, context=MINE)
    exchange = trust.initiator.ask_cancel(held, trust.policy, ring, DIALECT)

    def answer(context: Any, *, cancelled: bool = True) -> Soap:
        soap = new_envelope(NS["soap"])
        response = RequestSecurityTokenResponse(wst=WST_200512, cancelled=cancelled)
        soap.body.append(response_to_xml(response, DIALECT, RequestType.CANCEL))
        address_reply(
            soap,
            wsa=NS["wsa"],
            action=DIALECT.action(RequestType.CANCEL, Direction.RESPONSE) or "",
            relates_to=exchange.protected.message_id,
            random=trust.environment.random,
        )
        service = Keyring(context=context)
        protect(soap, trust.policy.cancel.response, service, trust.environment, direction=Direction.RESPONSE)
        return Soap.of(parse(serialize(soap.envelope), trust.environment.limits))

    assert trust.initiator.accept_cancel(exchange, answer(MINE))
    assert not trust.initiator.accept_cancel(exchange, answer(MINE, cancelled=False))
    with refuses("context"):
        trust.initiator.accept_cancel(exchange, answer(THEIRS))
