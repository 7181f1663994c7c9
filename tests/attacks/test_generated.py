"""Policies generated from the model: genuine messages are read, and changed in one thing they are refused."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.attacks.changes import CHANGES, Opened
from tests.attacks.forge import Message
from tests.attacks.generated import Case, Dice, Line, case, proof
from tests.attacks.test_fuzz import _changed as changed_at_random
from tests.unit.messages import ENDORSER, path, supplied
from zeep_secureconv import VerificationError
from zeep_secureconv.policy import SUITES, DerivedKeys, HeaderPart, Parts, Policy
from zeep_secureconv.policy.model import (
    AsymmetricBinding,
    Layout,
    SecureConversationToken,
    SymmetricBinding,
    TransportBinding,
    Wss,
    X509Token,
)
from zeep_secureconv.wss.elements import hides_signature

_DICE = st.randoms(use_true_random=False)
_few = settings(max_examples=12, deadline=None)
_many = settings(max_examples=150, deadline=None)


def _holds(line: Line, octets: bytes, *, must: bool = False) -> None:
    """A changed message is refused, or proves exactly what it proved before; *must* it be refused, it is."""
    meant = proof(line.case, line.read())
    try:
        verified = line.read(octets)
    except VerificationError:
        return
    assert not must, "what the policy protects was changed, and it was accepted"
    assert proof(line.case, verified) == meant


@_many
@given(dice=_DICE)
def test_every_policy_makes_messages_that_are_read(dice: Dice) -> None:
    """Whatever a policy asks for that is not called unsupported, both sides do it, and nothing is lost on the way."""
    one = case(dice)
    verified = one.line("said").read()
    assert "".join(map(str, verified.soap.body.itertext())) == "said"
    assert verified.soap.blocks()[0].text == "secret"


@_many
@given(dice=_DICE)
def test_every_message_is_read_where_a_namespace_has_two_prefixes(dice: Dice) -> None:
    """Whatever is decrypted then makes a new tree of the message, in which everything is found again."""
    line = case(dice).line()
    envelope, rest = line.octets.split(b"Envelope ", 1)
    octets = b'%sEnvelope xmlns:z="urn:z" xmlns:zz="urn:z" %s' % (envelope, rest)
    assert proof(line.case, line.read(octets)) == proof(line.case, line.read())


@pytest.mark.parametrize("name", CHANGES)
@_few
@given(dice=_DICE)
def test_a_message_that_was_changed_in_one_thing(name: str, dice: Dice) -> None:
    """It is refused; where the change touches nothing that the policy protects, it proves what it proved before."""
    line = case(dice).line()
    message = Opened(line.case, line.octets)
    must = CHANGES[name](message, dice)
    if must is not None:
        _holds(line, message.octets, must=must)


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_every_change_meets_a_policy_that_forbids_it(name: str) -> None:
    """None of them is something that no generated message has, or that no reader minds."""
    for seed in count():
        assert seed < 200, "no policy forbids it"
        dice = random.Random(seed)  # noqa: S311 - no secret comes from it
        line = case(dice).line()
        message = Opened(line.case, line.octets)
        if CHANGES[name](message, dice) is None:
            continue
        try:
            line.read(message.octets)
        except VerificationError:
            return


@_many
@given(dice=_DICE)
def test_a_part_of_another_message(dice: Dice) -> None:
    """A piece of one genuine message in the place of the same piece of another proves nothing new."""
    one = case(dice)
    if one.over_tls:
        return  # nobody but the parties sees it
    line = one.line("one")
    message, other = Opened(one, line.octets), Opened(one, one.line("another").octets)
    pairs = [
        (old, new)
        for old, new in (
            *zip(message.security, other.security, strict=False),
            *zip(message.header, other.header, strict=False),
            *zip(message.soap.body, other.soap.body, strict=False),
        )
        if old.tag == new.tag and old is not message.security  # piece by piece: all of it may be all there is
    ]
    old, new = dice.choice(pairs)
    parent = old.getparent()
    assert parent is not None
    parent.replace(old, copy.deepcopy(new))
    _holds(line, message.octets)


@_many
@given(dice=_DICE)
def test_any_change_of_the_tree_or_the_octets(dice: Dice) -> None:
    """Changes that nobody thought of: no other error than ours, and nothing new is proven."""
    line = case(dice).line()
    _holds(line, changed_at_random(dice, Message(line.octets)))


# ------------------------------------------------------------------------------------ weaker policies


def stronger(one: Case) -> Iterator[tuple[str, Policy]]:
    """Policies with one demand more than that of a case, which its messages do not meet."""
    policy, binding = one.policy, one.binding
    missing = HeaderPart(namespace="urn:missing")
    yield "header", replace(policy, required=policy.required | Parts(headers=(missing,)))
    yield "element", replace(policy, required=policy.required | Parts(elements=(path("missing"),)))
    if one.is_request:
        other = supplied("{urn:missing}Token")
        yield "token", replace(policy, supporting=(*policy.supporting, other))
        yield "endorsement", replace(policy, supporting=(*policy.supporting, ENDORSER))
    if not binding.include_timestamp:
        yield "timestamp", replace(policy, binding=replace(binding, include_timestamp=True))
    elif one.is_signed and binding.layout in _TURNED:
        yield "layout", replace(policy, binding=replace(binding, layout=_TURNED[binding.layout]))
    if one.is_signed:
        flavour = "" if "Sha256" in binding.algorithm_suite.name else "Sha256"
        suite = SUITES[f"Basic128{flavour}"]
        yield "suite", replace(policy, binding=replace(binding, algorithm_suite=suite))
    if not isinstance(binding, TransportBinding):
        yield from _more_protection(one, binding)


_TURNED = {
    Layout.LAX_TIMESTAMP_FIRST: Layout.LAX_TIMESTAMP_LAST,
    Layout.LAX_TIMESTAMP_LAST: Layout.LAX_TIMESTAMP_FIRST,
}
_UNMET = {
    DerivedKeys.NONE: DerivedKeys.EITHER,
    DerivedKeys.EXPLICIT: DerivedKeys.IMPLIED,
    DerivedKeys.IMPLIED: DerivedKeys.EXPLICIT,
    DerivedKeys.EITHER: DerivedKeys.NONE,
}


def _more_protection(
    one: Case, binding: SymmetricBinding | AsymmetricBinding
) -> Iterator[tuple[str, Policy]]:
    policy = one.policy
    if not hides_signature(policy, one.version):
        yield "signature", replace(policy, binding=replace(binding, encrypt_signature=True))
    if not policy.encrypted.body:
        yield "encryption", replace(policy, encrypted=policy.encrypted | Parts(body=True))
    else:
        turned = not binding.encrypt_before_signing
        yield "order", replace(policy, binding=replace(binding, encrypt_before_signing=turned))
    hidden = binding.encrypt_before_signing and policy.signed.elements  # Body may stand for what it hides
    if not policy.signed.body and not hidden:
        yield "body", replace(policy, signed=policy.signed | Parts(body=True))
    if not one.is_request and not policy.confirms_signatures:
        yield "confirmation", replace(policy, wss=Wss(version="1.1", require_signature_confirmation=True))
    if isinstance(binding, SymmetricBinding):
        token = binding.signature_token
        if isinstance(token, (SecureConversationToken, X509Token)):
            unmet = replace(token, derived_keys=_UNMET[token.derived_keys])
            yield "derived keys", replace(policy, binding=replace(binding, signature_token=unmet))


@_many
@given(dice=_DICE)
def test_what_satisfies_a_weaker_policy_is_refused(dice: Dice) -> None:
    """A message under one policy is not accepted under another that demands one thing more."""
    line = case(dice).line()
    line.read()
    for what, policy in stronger(line.case):
        try:
            line.read(policy=policy)
        except VerificationError:
            continue
        pytest.fail(f"one more {what} was demanded, and not missed")


def test_every_kind_of_demand_is_tried() -> None:
    """The stronger policies are of every kind."""
    kinds = set()
    for seed in range(60):
        dice = random.Random(seed)  # noqa: S311 - no secret comes from it
        kinds |= {what for what, _ in stronger(case(dice))}
    assert kinds == {
        *(
            "header",
            "element",
            "token",
            "endorsement",
            "timestamp",
            "layout",
            "suite",
            "signature",
            "encryption",
        ),
        *("order", "body", "confirmation", "derived keys"),
    }
