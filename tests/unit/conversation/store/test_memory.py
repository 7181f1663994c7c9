"""What the store in memory does besides: it is bounded."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.unit.conversation.store.test_contract import KEY, OTHER, made
from tests.unit.parties import Time
from zeep_secureconv import LimitExceeded, MemoryStore
from zeep_secureconv.conversation.store import RecordKey


def keyed(number: int) -> RecordKey:
    """A key of its own for each number."""
    return ("service", "/peer", f"urn:uuid:{number}", "")


def test_a_full_store_pushes_nobody_out() -> None:
    """When it is full of living contexts a new one is refused, and the others stay."""
    time = Time()
    store = MemoryStore(2, clock=time.clock)
    assert store.add(KEY, made())
    assert store.add(OTHER, made())
    with pytest.raises(LimitExceeded) as caught:
        store.add(keyed(1), made("urn:uuid:2"))
    assert caught.value.check == "contexts"
    assert not store.add(KEY, made("urn:uuid:3"))
    assert (store.get(KEY), store.get(OTHER)) == (made(), made())
    assert store.replace(KEY, made(), made(instance="1"))


def test_expired_contexts_make_room() -> None:
    """When it is full the expired ones go, all of them."""
    time = Time()
    store = MemoryStore(3, clock=time.clock)
    for number in range(3):
        store.add(keyed(number), made(f"urn:uuid:{number}"))
    time.forward(timedelta(hours=1))
    assert store.add(KEY, made())
    assert [store.get(keyed(number)) for number in range(3)] == [None] * 3
    assert dict(store.items("client")) == {KEY: made()}
