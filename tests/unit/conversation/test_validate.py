"""Contexts that the service is asked about."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from lxml import etree

from tests.unit.conversation.pair import ENDPOINT, HOUR, Pair, who
from tests.unit.messages import conversation, order, wire
from zeep_secureconv import Limits, SecurityContext, VerificationError
from zeep_secureconv.conversation.granting import RequestRefused
from zeep_secureconv.conversation.initiator import Exchange
from zeep_secureconv.conversation.issuer import ANONYMOUS
from zeep_secureconv.names import WSC_2005, WSC_200512, WST_2005, WST_200512, sct_type
from zeep_secureconv.policy import TrustOptions
from zeep_secureconv.soap.envelope import Soap, new_envelope, parse
from zeep_secureconv.soap.faults import make_fault
from zeep_secureconv.trust import (
    DIALECTS,
    ContextToken,
    RequestSecurityToken,
    RequestSecurityTokenResponse,
    RequestType,
    TokenReference,
    request_from_xml,
    response_to_xml,
)
from zeep_secureconv.wss.reply import Reply
from zeep_secureconv.wss.unprotect import unprotect

_SEEDS = Path(__file__).parents[2] / "vectors" / "seeds"
_VALID, _INVALID = f"{WST_200512}/status/valid", f"{WST_200512}/status/invalid"


def _ask(pair: Pair, context: SecurityContext, *, in_full: bool = False) -> Exchange:
    return pair.initiator.ask_validate(context, pair.policy, pair.client_ring, pair.dialect, in_full=in_full)


def _answer(
    pair: Pair,
    exchange: Exchange,
    *,
    in_full: bool = False,
    instead: RequestSecurityTokenResponse | None = None,
) -> Soap:
    """The service's answer.

    Args:
        pair: both sides.
        exchange: the question.
        in_full: its form.
        instead: what it says in place of the truth.
    """
    form = pair.policy.cancel_in_full if in_full else pair.policy.cancel
    verified = unprotect(wire(exchange.soap), form.request, pair.service_ring, pair.environment)
    assert verified.context is not None
    assert verified.soap.payload is not None
    context = pair.issuer.find(verified.context.identifier, verified.context.instance)
    assert context is not None
    response = pair.issuer.validate(request_from_xml(verified.soap.payload, pair.limits), context)
    reply = new_envelope(pair.policy.soap)
    reply.body.append(response_to_xml(instead or response, pair.dialect, exchange.kind))
    ring = replace(pair.service_ring, context=context.key)
    policy = form.response if in_full else form.request
    return pair.secure(reply, policy, ring, exchange.protected.message_id)


def _question(
    target: ContextToken | TokenReference | None, *, token_type: str | None = None
) -> RequestSecurityToken:
    return RequestSecurityToken(
        wst=WST_200512, request_type=RequestType.VALIDATE, target=target, token_type=token_type
    )


def _reference(context: SecurityContext, instance: str | None = None) -> TokenReference:
    return TokenReference(context.identifier, sct_type(WSC_200512), instance)


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("in_full", [False, True], ids=["in-clear", "in-full"])
def test_a_living_context_is_valid(name: str, in_full: bool) -> None:
    """In every dialect and in both forms the service is asked, secured by the context, and says yes."""
    pair = Pair()
    pair.dialect = DIALECTS[name].in_generation(WST_200512)
    exchange = _ask(pair, pair.issue(), in_full=in_full)
    assert exchange.action == f"{WST_200512}/RST/Validate"
    assert "SecurityContextToken" in order(exchange.soap)
    assert pair.initiator.accept_validate(exchange, _answer(pair, exchange, in_full=in_full)) is True


def test_the_target_stands_as_the_dialect_has_it() -> None:
    """WebSphere's question holds the token and what else its own has, in its order; others a reference."""
    pair = Pair()
    mine = pair.issue()
    assert _ask(pair, mine).request.target == _reference(mine)
    pair.dialect = DIALECTS["websphere13"]
    written = wire(_ask(pair, mine).soap).payload
    seed = parse((_SEEDS / "validate-rst.xml").read_bytes(), Limits()).find(".//{*}RequestSecurityToken")
    assert written is not None
    assert seed is not None
    assert [child.tag for child in written] == [child.tag for child in seed]
    target = written.find(f"{{{WST_200512}}}ValidateTarget")
    assert target is not None
    assert etree.QName(target[0]).localname == "SecurityContextToken"


def test_the_generation_of_the_question_is_that_of_the_context() -> None:
    """A context of the draft is asked about in the draft, whose status has another name."""
    pair = Pair(conversation(trust=TrustOptions(wst=WST_2005)))
    exchange = _ask(pair, pair.issue())
    assert exchange.action == f"{WST_2005}/RST/Validate"
    assert pair.initiator.accept_validate(exchange, _answer(pair, exchange)) is True


@pytest.mark.parametrize("status", [None, f"{WST_2005}/status/valid", "urn:perhaps"])
def test_an_answer_that_says_neither_is_refused(status: str | None) -> None:
    """Only the two codes of the generation that was asked in are an answer."""
    pair = Pair()
    mine = pair.issue()
    exchange = _ask(pair, mine)
    odd = RequestSecurityTokenResponse(wst=WST_200512, status=status)
    with pytest.raises(VerificationError) as caught:
        pair.initiator.accept_validate(exchange, _answer(pair, exchange, instead=odd))
    assert caught.value.check == "trust-message"
    for code, expected in ((_VALID, True), (_INVALID, False)):
        answer = RequestSecurityTokenResponse(wst=WST_200512, status=code)
        exchange = _ask(pair, mine)
        assert pair.initiator.accept_validate(exchange, _answer(pair, exchange, instead=answer)) is expected


def test_a_fault_is_handed_over() -> None:
    """A fault says nothing of the context; the caller judges it."""
    pair = Pair()
    exchange = _ask(pair, pair.issue())
    fault = make_fault(pair.policy.soap, code=f"{{{WST_200512}}}InvalidRequest", text="no")
    answer = pair.initiator.accept_validate(exchange, fault)
    assert isinstance(answer, Reply)
    assert not answer.proven


def test_an_answer_under_another_context_is_refused() -> None:
    """The answer is secured by the context that the question is about."""
    pair = Pair()
    exchange, foreign = _ask(pair, pair.issue()), _ask(pair, pair.issue())
    with pytest.raises(VerificationError) as caught:
        pair.initiator.accept_validate(exchange, _answer(pair, foreign))
    assert caught.value.check == "context"
    assert pair.initiator.accept_validate(exchange, _answer(pair, exchange)) is True


# ------------------------------------------------------------------------------------------------- service


def _held(pair: Pair, context: SecurityContext) -> SecurityContext:
    held = pair.issuer.find(context.identifier, context.instance)
    assert held is not None
    return held


def test_a_principal_asks_about_its_own_contexts_alone() -> None:
    """Another's context is as invalid as one that does not exist; a second one of its own is valid."""
    pair = Pair()
    mine, second = _held(pair, pair.issue()), pair.issue()
    request = pair.read(pair.ask())[1]
    others = pair.issuer.issue(request, who("CN=client2,O=Test")).context
    status = {
        what: pair.issuer.validate(_question(target), mine).status
        for what, target in {
            "itself": _reference(mine),
            "its second": _reference(second),
            "another's": _reference(others),
            "unknown": TokenReference("urn:uuid:unknown"),
            "unknown instance": _reference(mine, "urn:uuid:unknown"),
        }.items()
    }
    assert status == {
        "itself": _VALID,
        "its second": _VALID,
        "another's": _INVALID,
        "unknown": _INVALID,
        "unknown instance": _INVALID,
    }


def test_who_is_not_known_asks_about_the_context_itself_alone() -> None:
    """Where nobody says who has which context, no context tells of another."""
    pair = Pair()
    request = pair.read(pair.ask())[1]
    mine, other = (pair.issuer.issue(request, ANONYMOUS).context for _ in range(2))
    assert pair.issuer.validate(_question(_reference(mine)), mine).status == _VALID
    assert pair.issuer.validate(_question(_reference(other)), mine).status == _INVALID


def test_what_is_over_or_cancelled_is_invalid() -> None:
    """The status follows the life of the context that is asked about."""
    pair = Pair()
    first = pair.issue()
    question = _question(_reference(first))
    pair.time.forward(HOUR / 2)
    asking = _held(pair, pair.issue())
    assert pair.issuer.validate(question, asking).status == _VALID
    pair.time.forward(HOUR / 2)
    assert pair.issuer.validate(question, asking).status == _INVALID
    cancelled = _held(pair, pair.issue())
    pair.issuer.cancel(replace(_question(_reference(cancelled)), request_type=RequestType.CANCEL), cancelled)
    assert pair.issuer.validate(_question(_reference(cancelled)), asking).status == _INVALID


@pytest.mark.parametrize("token_type", [None, sct_type(WSC_200512), f"{WST_200512}/RSTR/Status"])
def test_the_token_type_may_be_that_of_a_status(token_type: str | None) -> None:
    """WS-Trust's own TokenType for validations is taken, WebSphere's too; that of the other generation is not."""
    pair = Pair()
    mine = _held(pair, pair.issue())
    assert pair.issuer.validate(_question(_reference(mine), token_type=token_type), mine).status == _VALID
    with pytest.raises(RequestRefused) as caught:
        pair.issuer.validate(_question(_reference(mine), token_type=sct_type(WSC_2005)), mine)
    assert caught.value.code == "InvalidRequest"


def test_a_question_without_target_is_refused() -> None:
    """No target, an id of another message, and another kind of request: InvalidRequest."""
    pair = Pair()
    mine = _held(pair, pair.issue())
    odd = replace(_question(_reference(mine)), request_type=RequestType.CANCEL)
    for request in (_question(None), _question(TokenReference("#sct-id")), odd):
        with pytest.raises(RequestRefused) as caught:
            pair.issuer.validate(request, mine)
        assert caught.value.code == "InvalidRequest"
    assert pair.issuer.validate(_question(_reference(mine)), mine).status == _VALID


def test_websphere_s_question_is_answered_as_websphere_does() -> None:
    """The sample question, its context held here, is answered with the elements of the sample answer."""
    pair = Pair()
    mine = _held(pair, pair.issue())
    body = parse((_SEEDS / "validate-rst.xml").read_bytes(), Limits()).find(".//{*}RequestSecurityToken")
    sample = parse((_SEEDS / "validate-rstr.xml").read_bytes(), Limits()).find(
        ".//{*}RequestSecurityTokenResponse"
    )
    assert body is not None
    assert sample is not None
    question = request_from_xml(body, Limits())
    question = replace(question, applies_to=ENDPOINT)
    assert isinstance(question.target, ContextToken)
    assert pair.issuer.validate(question, mine).status == _INVALID
    known = replace(question, target=replace(question.target, identifier=mine.identifier, instance=None))
    answer = response_to_xml(pair.issuer.validate(known, mine), DIALECTS["websphere13"], RequestType.VALIDATE)
    assert [element.tag for element in answer.iter()] == [element.tag for element in sample.iter()]
    assert (answer.findtext(".//{*}Code"), answer.get("Context")) == (_VALID, question.context)
