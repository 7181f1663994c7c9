"""A process that uses a store, for tests with several: ``python -m …user PLACE ACT [ARGUMENT]``.

It prints "ready", waits for a line, acts, and prints what came of it.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from tests.unit.messages import context
from zeep_secureconv import FileStore, LimitExceeded, RedisStore, SecurityContext
from zeep_secureconv.conversation.store import RecordKey

KEY = bytes(range(32))
RECORD: RecordKey = ("client", "http://localhost/peer", "policy", "parties")


def open_store(place: str, **arguments: Any) -> FileStore | RedisStore:
    """The store at a place: a path, or the URL of Redis and a prefix."""
    if place.startswith("redis://"):
        url, _, prefix = place.partition("#")
        return RedisStore(url, prefix=prefix, **arguments)
    return FileStore(place, **arguments)


def made(identifier: str, instance: str | None = None) -> SecurityContext:
    """A context of an hour from now."""
    now = datetime.now(timezone.utc)
    return SecurityContext(
        endpoint="http://localhost/peer",
        created=now,
        expires=now + timedelta(hours=1),
        dialect="oasis13",
        key=context(identifier=identifier, instance=instance),
    )


def _say(line: object) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class _Mortal(FileStore):
    """Dies at a step of a change."""

    last_step = ""

    def _reached(self, step: str) -> None:
        if step == self.last_step:
            os.kill(os.getpid(), signal.SIGKILL)


def ensure(place: str, journal: str) -> str:
    """Use the context that is there, or ask for one; who asks writes a line into the journal."""
    store = open_store(place, key=KEY)
    found = store.get(RECORD)
    if found is None:
        with store.flight(RECORD):
            found = store.get(RECORD)
            if found is None:
                with Path(journal).open("a") as lines:
                    lines.write(f"{os.getpid()}\n")
                found = made(f"urn:uuid:{os.getpid()}")
                assert store.add(RECORD, found)
    return found.identifier


def hold(place: str, _: str) -> str:
    """Hold the flight until killed."""
    with open_store(place, key=KEY).flight(RECORD):
        _say("held")
        signal.pause()
    return ""


def die(place: str, step: str) -> str:
    """Renew the context that is there, and die at a step."""
    store = _Mortal(place, key=KEY)
    store.last_step = step
    old = store.get(RECORD)
    assert old is not None
    return str(store.replace(RECORD, old, made(old.identifier, "new")))


def work(place: str, _: str) -> str:
    """Renew the context that is there without end."""
    store = FileStore(place, key=KEY)
    for number in range(1_000_000):
        old = store.get(RECORD)
        assert old is not None
        new = replace(old, key=context(identifier=old.identifier, instance=str(number)))
        assert store.replace(RECORD, old, new)
        _say(number)
    return ""


def count(place: str, times: str) -> str:
    """Add as many contexts."""
    store = open_store(place, key=KEY)
    for number in range(int(times)):
        assert store.add((*RECORD[:3], f"{os.getpid()} {number}"), made(f"urn:uuid:{os.getpid()}-{number}"))
    return times


def _is_new(store: FileStore | RedisStore, mark: str) -> bool:
    now = datetime.now(timezone.utc)
    return store.remember(mark.encode(), until=now + timedelta(minutes=11), now=now)


def bring(place: str, times: str) -> str:
    """Bring as many marks, the same in every process; how many were new."""
    store = open_store(place, key=KEY)
    return str(sum(_is_new(store, f"mark {number}") for number in range(int(times))))


def bring_and_say(place: str, _: str) -> str:
    """Bring marks without end, and say each that was new."""
    store = open_store(place, key=KEY)
    for number in range(1_000_000):
        assert _is_new(store, f"mark {number}")
        _say(f"mark {number}")
    return ""


def bring_forked(place: str, _: str) -> str:
    """Bring marks before a fork, in the child and after it; whether each was new."""
    store = open_store(place, key=KEY)
    new = [_is_new(store, "before")]
    child = os.fork()
    if not child:
        found = [_is_new(store, mark) for mark in ("before", "in the child")]
        os._exit(int(found != [False, True]))
    new.append(os.waitpid(child, 0)[1] == 0)
    return str(new + [_is_new(store, mark) for mark in ("in the child", "after")])


def add_some(place: str, times: str) -> str:
    """Add as many contexts of one principal that may hold ten; how many were added."""
    store, added = open_store(place, key=KEY), 0
    for number in range(int(times)):
        name = f"urn:uuid:{os.getpid()}-{number}"
        context = replace(made(name), owner="CN=a")
        with suppress(LimitExceeded):
            added += store.add(("service", "/peer", name, ""), context, most=10)
    return str(added)


_ACTS = {
    act.__name__: act
    for act in (ensure, hold, die, work, count, bring, bring_and_say, bring_forked, add_some)
}

if __name__ == "__main__":
    _say("ready")
    sys.stdin.readline()
    _say(_ACTS[sys.argv[2]](sys.argv[1], *sys.argv[3:] or [""]))
