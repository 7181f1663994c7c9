"""Every store there is, empty. A new one is a new entry here, and the contract holds for it too."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.parties import Time
from zeep_secureconv import MemoryStore
from zeep_secureconv.conversation.store import Store

#: Makes an empty store that reads the time from a clock.
STORES: dict[str, Callable[[Time], Store]] = {
    "memory": lambda time: MemoryStore(clock=time.clock),
}


@pytest.fixture
def time() -> Time:
    """The time that the store reads."""
    return Time()


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, time: Time) -> Store:
    """An empty store."""
    return STORES[request.param](time)
