"""Contexts that are renewed and given back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.conversation.pair import HOUR, PRINCIPAL, Pair
from tests.unit.messages import conversation, order, wire
from tests.unit.parties import NOW, identity
from zeep_secureconv import MemoryStore, SecurityContext, VerificationError
from zeep_secureconv.conversation.granting import RequestRefused
from zeep_secureconv.conversation.initiator import Exchange
from zeep_secureconv.conversation.store import RecordKey
from zeep_secureconv.names import WSC_2005, WSC_200512, WST_2005, WST_200512, sct_type
from zeep_secureconv.policy import DerivedKeys, TrustOptions
from zeep_secureconv.soap.envelope import Soap, new_envelope
from zeep_secureconv.soap.faults import make_fault
from zeep_secureconv.trust import (
    DIALECTS,
    ContextToken,
    Entropy,
    RequestSecurityToken,
    RequestSecurityTokenResponse,
    RequestType,
    TokenReference,
    request_from_xml,
    response_to_xml,
)
from zeep_secureconv.wss.kdf import p_sha1
from zeep_secureconv.wss.unprotect import unprotect

MINUTE = timedelta(minutes=1)


def reference(context: SecurityContext, instance: str | None = None) -> TokenReference:
    """A reference to a context by its Identifier."""
    return TokenReference(context.identifier, sct_type(WSC_200512), instance)


def renewal(context: SecurityContext, **changes: Any) -> RequestSecurityToken:
    """A request to renew a context."""
    usual: dict[str, Any] = {
        "wst": WST_200512,
        "request_type": RequestType.RENEW,
        "token_type": sct_type(WSC_200512),
        "entropy": Entropy(bytes(16)),
        "key_size": 16,
        "target": reference(context, context.instance),
    }
    return RequestSecurityToken(**(usual | changes))


def known(pair: Pair, context: SecurityContext, instance: str | None = None) -> SecurityContext | None:
    """What the service knows under that name."""
    return pair.issuer.find(context.identifier, instance)


# --------------------------------------------------------------------------------------------------- renew


def test_a_renewal_keeps_the_identifier_and_changes_all_else() -> None:
    """The renewed context has the same Identifier, a new Instance, key, token and lifetime."""
    pair = Pair()
    first = pair.issue()
    pair.time.forward(MINUTE)
    issued = pair.renew(renewal(first))
    renewed, answer = issued.context, issued.response
    assert renewed.identifier == first.identifier
    assert renewed.instance is not None
    assert renewed.key.secret != first.key.secret
    assert answer.entropy is not None
    assert renewed.key.secret == p_sha1(bytes(16), answer.entropy.secret, 16)
    assert answer.token is not None
    assert (answer.token.identifier, answer.token.instance) == (first.identifier, renewed.instance)
    assert answer.unattached == reference(first, renewed.instance)
    assert renewed.expires == NOW + MINUTE + HOUR
    assert renewed.principal == PRINCIPAL


def test_a_reference_without_instance_means_the_current_key() -> None:
    """After a renewal both the bare name and the one with the new Instance mean the new key."""
    pair = Pair()
    first = pair.issue()
    renewed = pair.renew(renewal(first)).context
    assert known(pair, first) == renewed
    assert known(pair, first, renewed.instance) == renewed
    again = pair.renew(renewal(renewed)).context
    assert known(pair, first) == again


def test_an_old_instance_works_a_little_longer() -> None:
    """The key before the current one is known by its Instance for five minutes more."""
    pair = Pair()
    first = pair.issue()
    second = pair.renew(renewal(first)).context
    third = pair.renew(renewal(second)).context
    assert second.instance != third.instance
    assert known(pair, first, second.instance) is not None
    pair.time.forward(5 * MINUTE - timedelta(seconds=1))
    assert known(pair, first, second.instance) is not None
    pair.time.forward(timedelta(seconds=1))
    assert known(pair, first, second.instance) is None
    assert known(pair, first, third.instance) == third


def test_only_its_principal_renews_a_context() -> None:
    """Another client gets the same refusal as for a context that does not exist."""
    pair = Pair()
    first = pair.issue()
    with pytest.raises(RequestRefused) as other:
        pair.renew(renewal(first), "CN=client2,O=Test")
    unknown = replace(first, key=replace(first.key, identifier="urn:uuid:unknown"))
    with pytest.raises(RequestRefused) as nothing:
        pair.renew(renewal(unknown))
    assert (other.value.code, other.value.message) == (nothing.value.code, nothing.value.message)
    assert other.value.code == "UnableToRenew"
    assert pair.renew(renewal(first)).context.identifier == first.identifier


@pytest.mark.parametrize(
    "changes",
    [
        {"target": None},
        {"target": TokenReference("#sct-id")},
        {"request_type": RequestType.ISSUE},
        {"token_type": sct_type(WSC_2005)},
        {"unsupported": ("UseKey",)},
    ],
)
def test_a_renewal_that_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    """Without a target, by an id of another message, or of another kind: InvalidRequest, and the context stays."""
    pair = Pair()
    first = pair.issue()
    with pytest.raises(RequestRefused) as caught:
        pair.renew(renewal(first, **changes))
    assert caught.value.code == "InvalidRequest"
    assert pair.renew(renewal(first)).context.identifier == first.identifier


def test_the_target_may_be_the_token_itself() -> None:
    """A copy of the token names the context too, with its Instance."""
    pair = Pair()
    first = pair.issue()
    token = ContextToken(first.identifier, None, None, WSC_200512, first.key.token)
    second = pair.renew(renewal(first, target=token)).context
    assert second.identifier == first.identifier
    wrong = ContextToken(first.identifier, "other", None, WSC_200512, first.key.token)
    with pytest.raises(RequestRefused):
        pair.renew(renewal(first, target=wrong))


def test_an_expired_context_is_not_renewed() -> None:
    """What is over is unknown."""
    pair = Pair()
    first = pair.issue()
    pair.time.forward(HOUR)
    with pytest.raises(RequestRefused) as caught:
        pair.renew(renewal(first))
    assert caught.value.code == "UnableToRenew"


def test_a_renewal_without_entropy_is_answered_with_a_proof() -> None:
    """CXF's client sends none: the key travels, even where an issue would demand entropy."""
    pair = Pair(conversation(trust=TrustOptions(require_client_entropy=True)))
    first = pair.issue()
    issued = pair.renew(renewal(first, entropy=None))
    assert issued.response.proof_secret == issued.context.key.secret


# -------------------------------------------------------------------------------------------------- cancel


def ask_cancel(pair: Pair, context: SecurityContext) -> Exchange:
    """The client's request to cancel a context."""
    return pair.initiator.ask_cancel(context, pair.policy, pair.client_ring, pair.dialect)


def answer_cancel(pair: Pair, exchange: Exchange, *, raw: bool = False, cancelled: bool = True) -> Soap:
    """The service's answer to it.

    Args:
        pair: both sides.
        exchange: the request.
        raw: secure the answer with the raw key, as CXF does.
        cancelled: what it says.
    """
    verified = unprotect(wire(exchange.soap), pair.policy.cancel.request, pair.service_ring, pair.environment)
    assert verified.context is not None
    assert verified.soap.payload is not None
    request = request_from_xml(verified.soap.payload, pair.limits)
    context = pair.issuer.find(verified.context.identifier, verified.context.instance)
    assert context is not None
    response = pair.issuer.cancel(request, context)
    assert response.cancelled
    reply = new_envelope(pair.policy.soap)
    reply.body.append(
        response_to_xml(replace(response, cancelled=cancelled), pair.dialect, RequestType.CANCEL)
        if cancelled
        else response_to_xml(
            RequestSecurityTokenResponse(wst=request.wst, token_type=request.token_type),
            pair.dialect,
            RequestType.CANCEL,
        )
    )
    policy = pair.policy.cancel.request
    if raw:
        policy = conversation(derived_keys=DerivedKeys.NONE).cancel.request
    ring = replace(pair.service_ring, context=context.key)
    return pair.secure(reply, policy, ring, exchange.protected.message_id)


@pytest.mark.parametrize("raw", [False, True], ids=["derived", "raw"])
def test_a_context_is_given_back(raw: bool) -> None:
    """Cancel is secured by the context itself; after it the service knows the context no more."""
    pair = Pair()
    mine = pair.issue()
    exchange = ask_cancel(pair, mine)
    assert order(exchange.soap) == ["Timestamp", "SecurityContextToken", "DerivedKeyToken", "Signature"]
    assert exchange.action == f"{WST_200512}/RST/SCT/Cancel"
    assert exchange.context is mine
    assert known(pair, mine) is not None
    assert pair.initiator.accept_cancel(exchange, answer_cancel(pair, exchange, raw=raw))
    assert known(pair, mine) is None


class _Renewing(MemoryStore):
    """A store in which a context is renewed just before it is dropped."""

    renew: Callable[[], object] | None = None

    def drop(self, key: RecordKey, context: SecurityContext) -> bool:
        """Remove *context*, after somebody else was faster, once."""
        renew, self.renew = self.renew, None
        if renew is not None:
            renew()
        return super().drop(key, context)


def test_a_context_that_is_renewed_while_it_is_given_back_is_gone() -> None:
    """Who is told that the context is cancelled can rely on that: no renewal of the same moment outlives it."""
    pair = Pair()
    pair.store = pair.issuer._store = store = _Renewing(clock=pair.time.clock)
    first = pair.issue()
    held = known(pair, first)
    assert held is not None
    cancel = renewal(first, request_type=RequestType.CANCEL, entropy=None, key_size=None)
    renewed: list[SecurityContext] = []
    store.renew = lambda: renewed.append(pair.renew(renewal(first)).context)
    assert pair.issuer.cancel(cancel, held).cancelled
    assert [context.identifier for context in renewed] == [first.identifier]
    for instance in (None, renewed[0].instance):
        assert known(pair, first, instance) is None


def test_a_raw_key_policy_cancels_with_the_raw_key() -> None:
    """Without derived keys in the policy Cancel has none."""
    pair = Pair(conversation(derived_keys=DerivedKeys.NONE))
    mine = pair.issue()
    exchange = ask_cancel(pair, mine)
    assert order(exchange.soap) == ["Timestamp", "SecurityContextToken", "Signature"]
    assert pair.initiator.accept_cancel(exchange, answer_cancel(pair, exchange))


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_names_the_target_in_its_way(name: str) -> None:
    """A token copy or a reference, and TokenType in any case, name the context to cancel."""
    pair = Pair()
    pair.dialect = DIALECTS[name].in_generation(WST_200512)
    mine = pair.issue()
    target = ask_cancel(pair, mine).request
    assert target.token_type == sct_type(WSC_200512)
    if pair.dialect.target == "token":
        assert target.target == ContextToken(mine.identifier, None, None, WSC_200512, b"")
    else:
        assert target.target == reference(mine)


def test_an_answer_that_says_nothing_confirms_nothing() -> None:
    """An answer without RequestedTokenCancelled, and a fault, is no confirmation; it is no error either."""
    pair = Pair()
    mine = pair.issue()
    exchange = ask_cancel(pair, mine)
    assert not pair.initiator.accept_cancel(exchange, answer_cancel(pair, exchange, cancelled=False))
    fault = make_fault(pair.policy.soap, code=f"{{{WST_200512}}}RequestFailed", text="no")
    assert not pair.initiator.accept_cancel(exchange, fault)


def test_an_answer_of_another_context_is_refused() -> None:
    """The answer to a Cancel is secured by the context that is cancelled."""
    pair = Pair()
    mine, other = pair.issue(), pair.issue()
    exchange, foreign = ask_cancel(pair, mine), ask_cancel(pair, other)
    answer = answer_cancel(pair, foreign)
    with pytest.raises(VerificationError) as caught:
        pair.initiator.accept_cancel(exchange, answer)
    assert caught.value.check == "context"
    assert pair.initiator.accept_cancel(exchange, answer_cancel(pair, exchange))


def test_a_bootstrap_secured_cancel_is_refused() -> None:
    """A Cancel that a certificate signs, and no context, proves no possession."""
    pair = Pair()
    mine = pair.issue()
    verified = unprotect(
        wire(ask_cancel(pair, mine).soap), pair.policy.cancel.request, pair.service_ring, pair.environment
    )
    assert verified.context is not None
    with pytest.raises(VerificationError) as caught:
        unprotect(wire(pair.ask().soap), pair.policy.cancel.request, pair.service_ring, pair.environment)
    assert caught.value.check == "signature-missing"
    identity("client")


def cancel(context: SecurityContext, **changes: Any) -> RequestSecurityToken:
    """A request to cancel a context."""
    usual: dict[str, Any] = {
        "wst": WST_200512,
        "request_type": RequestType.CANCEL,
        "target": reference(context, context.instance),
    }
    return RequestSecurityToken(**(usual | changes))


def test_no_context_cancels_another() -> None:
    """The target must be the context that secured the request."""
    pair = Pair()
    mine, other = pair.issue(), pair.issue()
    held = known(pair, mine)
    assert held is not None
    with pytest.raises(RequestRefused) as caught:
        pair.issuer.cancel(cancel(other), held)
    assert caught.value.code == "InvalidRequest"
    assert known(pair, other) is not None
    assert known(pair, mine) is not None
    for changes in ({"target": None}, {"request_type": RequestType.RENEW}):
        with pytest.raises(RequestRefused):
            pair.issuer.cancel(cancel(mine, **changes), held)
    assert pair.issuer.cancel(cancel(mine), held).cancelled


@pytest.mark.parametrize("by", ["current", "older"])
def test_a_cancel_ends_every_key_of_a_context(by: str) -> None:
    """Whichever key secured the Cancel, no instance of the context works after it."""
    pair = Pair()
    first = pair.issue()
    second = pair.renew(renewal(first)).context
    third = pair.renew(renewal(second)).context
    instances = [None, second.instance, third.instance]
    assert all(known(pair, first, instance) is not None for instance in instances)
    securing = third if by == "current" else known(pair, first, second.instance)
    assert securing is not None
    pair.issuer.cancel(cancel(securing), securing)
    assert [known(pair, first, instance) for instance in instances] == [None, None, None]


def test_the_generation_of_a_cancel_is_that_of_the_context() -> None:
    """A context of the draft is cancelled in the draft."""
    pair = Pair(conversation(trust=TrustOptions(wst=WST_2005)))
    mine = pair.issue()
    exchange = ask_cancel(pair, mine)
    assert exchange.action == f"{WST_2005}/RST/SCT/Cancel"
    assert pair.initiator.accept_cancel(exchange, answer_cancel(pair, exchange))
