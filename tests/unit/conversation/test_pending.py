"""Contexts that nobody uses, and those that are too many."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.conversation.pair import PRINCIPAL, Pair, who
from tests.unit.conversation.test_issue import rst
from tests.unit.conversation.test_renew_cancel import known, renewal
from zeep_secureconv import LimitExceeded, Limits, MemoryStore, SecurityContext
from zeep_secureconv.conversation.granting import RequestRefused
from zeep_secureconv.conversation.store import RecordKey

SECOND = timedelta(seconds=1)


class Counting(MemoryStore):
    """A store that counts what is read and written."""

    read = written = 0

    def get(self, key: RecordKey) -> SecurityContext | None:
        """The context under *key*, or None."""
        self.read += 1
        return super().get(key)

    def replace(self, key: RecordKey, old: SecurityContext, new: SecurityContext) -> bool:
        """Put *new* in the place of *old*."""
        self.written += 1
        return super().replace(key, old, new)


def issue(pair: Pair, name: str = PRINCIPAL) -> SecurityContext:
    """A new context; each is a second younger than the one before."""
    pair.time.forward(SECOND)
    return pair.issuer.issue(rst(), who(name)).context


def use(pair: Pair, context: SecurityContext) -> None:
    """Make a call."""
    held = pair.issuer.find(context.identifier, context.instance)
    assert held is not None
    pair.issuer.used(held)


def refused(pair: Pair, name: str = PRINCIPAL) -> RequestRefused:
    """The refusal of one context more."""
    with pytest.raises(RequestRefused) as caught:
        issue(pair, name)
    assert caught.value.code == "RequestFailed"
    return caught.value


def test_use_is_noted_once() -> None:
    """The first call writes, the others do not even read."""
    pair = Pair()
    pair.store = pair.issuer._store = Counting(clock=pair.time.clock)
    context = issue(pair)
    assert not context.used
    for _ in range(3):
        use(pair, context)
        held = known(pair, context)
        assert held is not None
        assert held == replace(context, used=True)
    assert pair.store.written == 1
    before = pair.store.read
    pair.issuer.used(replace(context, used=True))
    assert pair.store.read == before


def test_a_renewed_context_stays_used() -> None:
    """What was used before its renewal needs no call after it; what was not is noted at its first, under any name."""
    pair = Pair()
    context = issue(pair)
    use(pair, context)
    renewed = pair.renew(renewal(context)).context
    assert renewed.used
    pending = pair.renew(renewal(issue(pair))).context
    assert not pending.used
    use(pair, pending)
    for instance in (None, pending.instance):
        held = pair.issuer.find(pending.identifier, instance)
        assert held is not None
        assert held.used


def test_use_of_what_is_gone_changes_nothing() -> None:
    """A call whose context was dropped, or renewed, at the same moment brings nothing back."""
    pair = Pair()
    context = issue(pair)
    pair.store.drop(("service", context.endpoint, context.identifier, ""), context)
    pair.issuer.used(context)
    assert list(pair.store.items("service")) == []
    again = issue(pair)
    renewed = pair.renew(renewal(again)).context
    pair.issuer.used(again)
    assert known(pair, again) == replace(renewed, used=True)


def test_of_one_principal_the_oldest_unused_goes_first() -> None:
    """Whoever asks for more than allowed loses what it never used; when all are in use it gets no more."""
    pair = Pair(limits=Limits(contexts_per_principal=3))
    others = issue(pair, "CN=other")
    contexts = [issue(pair) for _ in range(3)]
    use(pair, contexts[0])
    added = [issue(pair), issue(pair)]
    assert [known(pair, context) is not None for context in contexts] == [True, False, False]
    for context in added:
        use(pair, context)
    assert "principal" in str(refused(pair).__cause__)
    assert known(pair, others) is not None
    assert all(known(pair, context) is not None for context in (contexts[0], *added))
    pair.time.forward(timedelta(hours=1))
    assert issue(pair).owner == PRINCIPAL


def test_in_a_full_store_the_oldest_unused_goes_first() -> None:
    """Whose it is does not matter then; when all are in use nobody gets more, and nothing is lost."""
    pair = Pair()
    pair.store = pair.issuer._store = MemoryStore(2, clock=pair.time.clock)
    first, second = issue(pair, "CN=one"), issue(pair, "CN=two")
    use(pair, first)
    third = issue(pair, "CN=three")
    assert [known(pair, context) is not None for context in (first, second, third)] == [True, False, True]
    use(pair, third)
    error = refused(pair, "CN=four")
    assert isinstance(error.__cause__, LimitExceeded)
    assert [known(pair, context) is not None for context in (first, third)] == [True, True]


def test_a_renewal_takes_no_room() -> None:
    """Whoever holds as many as it may still renews them; the old key ends at once then, and nothing else is lost."""
    pair = Pair(limits=Limits(contexts_per_principal=2))
    contexts = [issue(pair), issue(pair)]
    for context in contexts:
        use(pair, context)
    first = pair.renew(renewal(contexts[0])).context
    second = pair.renew(renewal(first)).context
    assert known(pair, first) == second
    assert known(pair, first, second.instance) == second
    assert known(pair, first, first.instance) is None
    assert known(pair, contexts[1]) is not None
    pair.store.drop(("service", second.endpoint, contexts[1].identifier, ""), contexts[1])
    third = pair.renew(renewal(second)).context
    assert known(pair, first) == third
    assert known(pair, first, second.instance) is not None


def test_a_store_that_others_fill_at_the_same_moment_is_full() -> None:
    """Room that others take is made again, and at last the request is refused; it never hangs."""

    class Contended(MemoryStore):
        made = 0

        def add(self, *_args: Any, **_options: Any) -> bool:
            raise LimitExceeded("contexts", "The store of contexts is full")

        def make_room(self, owner: str | None) -> bool:
            assert owner is None
            self.made += 1
            return True

    pair = Pair()
    store = Contended(clock=pair.time.clock)
    pair.issuer._store = store
    refused(pair)
    assert store.made == 3


def test_a_context_is_one_record() -> None:
    """Under whichever name it is asked for, with an Instance from the beginning or after a renewal."""
    pair = Pair(limits=Limits(contexts_per_principal=1))
    context = pair.issuer.issue(rst(), who(PRINCIPAL), named=True).context
    for _ in range(2):
        assert len(list(pair.store.items("service"))) == 1
        for instance in (None, context.instance):
            assert pair.issuer.find(context.identifier, instance) == context
        context = pair.renew(renewal(context)).context
