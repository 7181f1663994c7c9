"""Answers to Renew that name another context, or a key that was there before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from tests.unit.conversation.pair import PRINCIPAL, Change, Pair
from zeep_secureconv import SecurityContext, VerificationError
from zeep_secureconv.conversation.initiator import Exchange
from zeep_secureconv.names import WSC_200512
from zeep_secureconv.soap.envelope import new_envelope
from zeep_secureconv.trust import new_context_token, response_to_xml


def ask(pair: Pair, context: SecurityContext) -> Exchange:
    """A request for a new key, secured by the bootstrap alone."""
    return pair.initiator.ask_renew(context, pair.policy, pair.client_ring, pair.dialect, endorsed_by=None)


@dataclass
class Answered:
    """A request for a new key to which the service has given one.

    Args:
        pair: both sides.
        context: what is renewed.
    """

    pair: Pair
    context: SecurityContext

    def __post_init__(self) -> None:
        self.exchange = ask(self.pair, self.context)
        verified, request = self.pair.read(self.exchange)
        assert verified.signer is not None
        self.ring = replace(self.pair.service_ring, peer=verified.signer)
        self.response = self.pair.renew(request, PRINCIPAL).response

    def accept(self, change: Change = lambda response: response) -> SecurityContext:
        """What the client makes of the answer, after *change*."""
        pair, reply = self.pair, new_envelope(self.pair.policy.soap)
        reply.body.append(response_to_xml(change(self.response), pair.dialect, self.exchange.kind))
        policy, message_id = pair.policy.bootstrap.response, self.exchange.protected.message_id
        reply = pair.secure(reply, policy, self.ring, message_id)
        found = pair.initiator.accept_renew(self.exchange, reply, pair.dialect)
        assert isinstance(found, SecurityContext)
        return found


def renewed(pair: Pair, context: SecurityContext) -> SecurityContext:
    """A context with a new key, as the client holds it."""
    return Answered(pair, context).accept()


def names(identifier: str, instance: str | None) -> Change:
    """An answer with a token of that name."""
    token = new_context_token(identifier, wsc=WSC_200512, element_id="sct", instance=instance)
    return lambda response: replace(response, token=token, attached=None, unattached=None)


#: What an odd service says, from (another context of this client, the first, the second and the third key of one).
_ODD: dict[str, Callable[[SecurityContext, SecurityContext, SecurityContext, SecurityContext], Change]] = {
    "another Identifier": lambda *_: names("urn:uuid:other", "urn:uuid:new"),
    "another Identifier and no Instance": lambda *_: names("urn:uuid:other", None),
    "another context": lambda other, *_: names(other.identifier, None),
    "another context and a new Instance": lambda other, *_: names(other.identifier, "urn:uuid:new"),
    "no Instance": lambda _, first, *__: names(first.identifier, None),
    "the Instance that is renewed": lambda *keys: names(keys[3].identifier, keys[3].instance),
    "an Instance before that": lambda *keys: names(keys[2].identifier, keys[2].instance),
}


@pytest.mark.parametrize("odd", _ODD)
def test_a_renewal_gives_a_new_key_of_the_same_context(odd: str) -> None:
    """Anything else is refused; the key that is there works on, and the untouched answer is accepted."""
    pair = Pair()
    other, first = pair.issue(), pair.issue()
    second = renewed(pair, first)
    third = renewed(pair, second)
    assert len({second.instance, third.instance, None}) == 3
    answered = Answered(pair, third)
    with pytest.raises(VerificationError) as caught:
        answered.accept(_ODD[odd](other, first, second, third))
    assert caught.value.check in ("trust-message", "context-reused")
    known = pair.issuer.find(third.identifier, third.instance)
    assert known is not None
    assert known.key.secret == third.key.secret
    fourth = answered.accept()
    assert (fourth.identifier, fourth.first) == (first.identifier, first.key)
    assert fourth.instance not in (None, second.instance, third.instance)


@pytest.mark.parametrize("instance", [None, "its own"])
def test_what_came_out_of_a_store_is_renewed_as_strictly(instance: str | None) -> None:
    """A process that did not ask for the context itself knows from the context what may not come again."""
    pair = Pair()
    context = pair.issue()
    if instance is not None:
        context = renewed(pair, context)
    fresh = Pair(pair.policy, pair.time)
    fresh.issuer, fresh.store = pair.issuer, pair.store
    answered = Answered(fresh, context)
    for odd in (names(context.identifier, None), names(context.identifier, context.instance)):
        with pytest.raises(VerificationError) as caught:
            answered.accept(odd)
        # the name is held from the first attempt on
        assert caught.value.check in ("trust-message", "context-reused")
    assert answered.accept().identifier == context.identifier
