"""What a forked child has of its parent's stores: what is stored outside of the process, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[4]

#: Forks while another thread is in the middle of everything; the child prints what it finds, then the parent does.
_PROGRAM = """
import os, sys, threading
from tests.unit.conversation.store.user import KEY, RECORD, made, open_store
from zeep_secureconv import MemoryStore

place = sys.argv[1]
store = MemoryStore(flight_timeout=5) if place == "memory" else open_store(place, key=KEY, flight_timeout=5)
other = ("client", "http://localhost/peer", "policy", "other")
store.add(RECORD, made("urn:uuid:1"))
entered, leave = threading.Event(), threading.Event()
lock = getattr(store, "_lock", None) or getattr(store, "_writing", None) or store._flights._guard

def hold():
    with store.flight(other), lock:
        entered.set()
        leave.wait(30)

flight = store.flight(RECORD)
flight.__enter__()
thread = threading.Thread(target=hold)
thread.start()
entered.wait(30)
child = os.fork()
if child == 0:
    found = store.get(RECORD)
    print("child has", found and found.identifier, flush=True)
    print("child adds", store.add((*RECORD[:3], "child"), made("urn:uuid:2")), flush=True)
    with store.flight((*RECORD[:3], "child")):
        print("child flies", flush=True)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
leave.set()
thread.join()
flight.__exit__(None, None, None)
with store.flight(RECORD), store.flight(other):
    print("parent flies", flush=True)
print("parent has", sorted(context.identifier for _, context in store.items("client")), flush=True)
"""

#: Forks in a flight: the child leaves it by the end of the block, and the parent still has it.
_INSIDE = """
import os, sys
from tests.unit.conversation.store.user import KEY, RECORD, open_store
from zeep_secureconv import StoreError

store = open_store(sys.argv[1], key=KEY)
child = None
with store.flight(RECORD):
    child = os.fork()
    if child:
        assert os.waitpid(child, 0)[1] == 0
        try:
            with open_store(sys.argv[1], key=KEY, flight_timeout=0.1).flight(RECORD):
                print("free")
        except StoreError:
            print("held")
if child == 0:
    os._exit(0)
with store.flight(RECORD):
    print("free")
"""

#: The parent ends in its flight, and a child lives on.
_ORPHAN = """
import os, sys
from tests.unit.conversation.store.user import KEY, RECORD, open_store

store = open_store(sys.argv[1], key=KEY, flight_timeout=5)
inherited, told = os.pipe()
flight = store.flight(RECORD)
flight.__enter__()
if os.fork():
    os._exit(0)
os.close(told)
os.read(inherited, 1)
with store.flight(RECORD):
    print("free")
"""


def _told(program: str, place: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program, place],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.splitlines()


def test_a_store_in_memory_begins_anew_in_a_child() -> None:
    """A forked child has none of its parent's contexts in memory, and neither waits for its locks."""
    assert _told(_PROGRAM, "memory") == [
        "child has None",
        "child adds True",
        "child flies",
        "parent flies",
        "parent has ['urn:uuid:1']",
    ]


def test_a_store_outside_is_shared_with_a_child(place: str) -> None:
    """A forked child has the contexts that are stored, and waits for no lock of its parent's threads."""
    assert _told(_PROGRAM, place) == [
        "child has urn:uuid:1",
        "child adds True",
        "child flies",
        "parent flies",
        "parent has ['urn:uuid:1', 'urn:uuid:2']",
    ]


def test_a_child_does_not_end_the_flight_of_its_parent(place: str) -> None:
    """A child that was forked in a flight gives nothing free; the parent does."""
    assert _told(_INSIDE, place) == ["held", "free"]


def test_a_flight_does_not_outlive_its_holder_in_a_child(place_of: Callable[[str], str]) -> None:
    """When a process ends in its flight, a child that it forked does not keep the lock."""
    assert _told(_ORPHAN, place_of("file")) == ["free"]


@pytest.mark.parametrize("kind", ["file", "redis"])
def test_a_store_that_is_gone_needs_no_making_anew(kind: str, place_of: Callable[[str], str]) -> None:
    """Stores that were dropped are not held for the sake of children to come."""
    program = """
import gc, sys
from tests.unit.conversation.store.user import KEY, open_store
from zeep_secureconv.conversation.store import forks
before = len(forks._REMAKERS)
for _ in range(3):
    store = open_store(sys.argv[1], key=KEY)
print(len(forks._REMAKERS) - before)
del store
gc.collect()
print(len(forks._REMAKERS) - before)
"""
    assert _told(program, place_of(kind)) == ["1", "0"]
