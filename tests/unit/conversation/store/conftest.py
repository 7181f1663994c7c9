"""Every store there is, empty. A new one is a new entry here, and the contract holds for it too."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.unit.conversation.store.user import KEY, open_store
from tests.unit.parties import Time
from zeep_secureconv import MemoryStore
from zeep_secureconv.conversation.store import Store

#: Makes a store that reads the time from a clock, the same one each time it is called.
Open = Callable[..., Any]


@pytest.fixture
def time() -> Time:
    """The time that the store reads."""
    return Time()


@pytest.fixture
def busy() -> Iterator[None]:
    """Threads that change at every opportunity."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.fixture
def place_of(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """Where a store of a kind is, for :func:`~tests.unit.conversation.store.user.open_store`."""

    def place(kind: str) -> str:
        if kind == "redis":
            return f"{request.getfixturevalue('redis_server').url}#{uuid4()}:"
        return str(tmp_path / "contexts")

    return place


@pytest.fixture(params=["file", "redis"])
def place(request: pytest.FixtureRequest, place_of: Callable[[str], str]) -> str:
    """Where a store is that outlives its process."""
    return place_of(request.param)


@pytest.fixture
def open_it(place: str, time: Time) -> Open:
    """Opens a store that outlives its process, the same one each time; takes other arguments for it."""
    return lambda **changes: open_store(place, **({"key": KEY, "clock": time.clock} | changes))


@pytest.fixture(params=["memory", "file", "redis"])
def opened(request: pytest.FixtureRequest, place_of: Callable[[str], str], time: Time) -> Open:
    """Opens a store, the same one each time; takes other arguments for it. That in memory is one object."""
    made: dict[str, MemoryStore] = {}
    where = place_of(request.param)

    def again(**changes: Any) -> Store:
        if request.param == "memory":
            return made.setdefault("it", MemoryStore(clock=time.clock, **changes))
        return open_store(where, **({"key": KEY, "clock": time.clock} | changes))

    return again


@pytest.fixture
def store(opened: Open) -> Store:
    """An empty store."""
    made: Store = opened()
    return made
