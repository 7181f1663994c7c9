"""What stores do that outlive their process: share, encrypt, age by the wall clock, and exchange keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.conversation.store.conftest import Open
from tests.unit.conversation.store.processes import users
from tests.unit.conversation.store.test_contract import KEY, OTHER, SERVICE, made
from tests.unit.conversation.store.user import KEY as STORE_KEY
from tests.unit.conversation.store.user import RECORD, open_store
from tests.unit.messages import SECRET
from tests.unit.parties import NOW, Time
from zeep_secureconv import ConfigurationError, SecurityContext, StoreError
from zeep_secureconv.conversation.store import Store

NEW_KEY = bytes(range(50, 82))
MINUTE = timedelta(minutes=1)


def test_another_user_of_the_store_has_the_same_contexts(open_it: Open) -> None:
    """What one object keeps, renews and drops, another one on the same place sees."""
    one, two = open_it(), open_it()
    assert one.add(KEY, made())
    assert two.get(KEY) == made()
    assert not two.add(KEY, made("urn:uuid:2"))
    assert two.replace(KEY, made(), made(instance="1"))
    assert one.get(KEY) == made(instance="1")
    assert not one.drop(KEY, made())
    assert one.drop(KEY, made(instance="1"))
    assert two.get(KEY) is None


def test_what_is_over_stays_for_its_grace(open_it: Open, time: Time) -> None:
    """A context that is over is found for ten more minutes, and makes room afterwards."""
    store = open_it()
    store.add(KEY, made())
    time.forward(69 * MINUTE)
    found = store.get(KEY)
    assert found == made()
    assert found.is_over(time.clock)
    assert not store.add(KEY, made("urn:uuid:2"))
    time.forward(MINUTE)
    assert store.get(KEY) is None
    assert list(store.items("client")) == []
    assert not store.drop(KEY, made())
    fresh = replace(made("urn:uuid:2"), expires=time.now + MINUTE)
    assert store.add(KEY, fresh)
    assert open_it().get(KEY) == fresh


def test_a_context_out_of_a_store_ages_by_the_wall_clock_from_its_receipt(open_it: Open, time: Time) -> None:
    """A service whose clock is an hour behind gave an hour: another process has that hour too, and no more."""
    behind = replace(
        made(), created=NOW - 60 * MINUTE, expires=NOW, received=time.seconds - 10 * 60
    )  # received ten minutes ago
    open_it().add(KEY, behind)
    found = open_it().get(KEY)
    assert found.received is None
    assert found.remaining(time.clock) == 50 * MINUTE
    time.seconds += 1e6
    assert not found.is_over(time.clock)
    time.forward(50 * MINUTE, monotonic=False)
    assert found.is_over(time.clock)


def test_a_context_without_an_end_stays(open_it: Open, time: Time) -> None:
    """A context that never ends is there after years, beside one that ends in the year 9999."""
    store = open_it()
    store.add(KEY, replace(made(), expires=None))
    store.add(OTHER, replace(made(), expires=NOW.replace(year=9999), received=time.seconds))
    time.forward(timedelta(days=4000))
    assert {key for key, _ in open_it().items("client")} == {KEY, OTHER}


def test_nothing_is_stored_in_the_clear(open_it: Open, place: str) -> None:
    """Neither secrets nor names are found in what is written, nor in the repr of the store."""
    store = open_it()
    owned = replace(made(), owner="CN=somebody", first=made().key)
    store.add(KEY, owned)
    store.add(SERVICE, owned)
    with store.flight(KEY):
        written = _everything(place)
    assert len(written) > 1000
    for plain in (
        SECRET,
        SECRET.hex().encode(),
        b"urn:uuid:1",
        b"localhost",
        b"somebody",
        b"Identifier",
        b"parties",
    ):
        assert plain not in written
    assert STORE_KEY.hex() not in repr(store)


def _everything(place: str) -> bytes:
    if not place.startswith("redis:"):
        folder = Path(place).parent
        return b"".join(path.name.encode() + path.read_bytes() for path in folder.iterdir())
    import redis

    url, _, prefix = place.partition("#")
    found = b""
    with redis.Redis.from_url(url) as client:
        for name in client.scan_iter(prefix + "*"):
            kind = client.type(name)
            found += name + (
                client.get(name) or b"" if kind == b"string" else b"".join(client.zrange(name, 0, -1))
            )
    return found


# ------------------------------------------------------------------------------------------------- keys


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": None},
        {"key": STORE_KEY, "passphrase": "open sesame"},
        {"key": bytes(15)},
        {"key": b""},
        {"key": None, "passphrase": ""},
        {"previous_keys": [bytes(3)]},
        {"previous_keys": [""]},
    ],
    ids=str,
)
def test_a_store_wants_one_good_key(open_it: Open, wrong: dict[str, Any]) -> None:
    """No key, two, or one of a wrong length is a ConfigurationError that tells what is wanted."""
    open_it()
    with pytest.raises(ConfigurationError) as caught:
        open_it(**wrong)
    assert "random bytes" in (caught.value.hint or "")


@pytest.mark.parametrize("key", [bytes(16), bytes(24), bytes(32)], ids=len)
def test_keys_of_each_length_are_taken(open_it: Open, key: bytes) -> None:
    """Keys of 16, 24 and 32 bytes keep contexts."""
    assert open_it(key=key).add(KEY, made())
    assert open_it(key=key).get(KEY) == made()


def test_a_passphrase_keeps_contexts(open_it: Open) -> None:
    """With a passphrase contexts are found by who has the same."""
    assert open_it(key=None, passphrase="open sesame").add(KEY, made())
    assert open_it(key=None, passphrase="open sesame").get(KEY) == made()
    assert not _has(open_it(key=None, passphrase="open barley"))


def test_another_key_opens_nothing(open_it: Open) -> None:
    """With another key nothing is found, and nothing of the others is lost."""
    store = open_it()
    store.add(KEY, made())
    assert _has(store)
    assert not _has(open_it(key=NEW_KEY))
    assert not _has(open_it(key=STORE_KEY[:16]))
    assert _has(open_it())


def test_keys_are_exchanged_one_process_after_the_other(open_it: Open) -> None:
    """All learn the next key, then all write with it, then it is the only one: at each step all see all."""
    old, learned = open_it(), open_it(previous_keys=[NEW_KEY])
    old.add(KEY, made())
    learned.add(OTHER, made("urn:uuid:2"))
    switched = open_it(key=NEW_KEY, previous_keys=[STORE_KEY])
    for store in (learned, switched):
        assert (store.get(KEY), store.get(OTHER)) == (made(), made("urn:uuid:2"))
        assert not store.add(KEY, made("urn:uuid:3"))
        assert len(list(store.items("client"))) == 2
    with learned.flight(KEY):
        short = open_it(key=NEW_KEY, previous_keys=[STORE_KEY], flight_timeout=0.1)
        with pytest.raises(StoreError), short.flight(KEY):
            pass
    assert switched.replace(KEY, made(), made(instance="1"))
    assert switched.replace(OTHER, made("urn:uuid:2"), made("urn:uuid:2", "1"))
    assert learned.get(KEY) == made(instance="1")
    assert len(list(learned.items("client"))) == 2
    last = open_it(key=NEW_KEY)
    assert dict(last.items("client")) == {KEY: made(instance="1"), OTHER: made("urn:uuid:2", "1")}
    assert not _has(open_it())


def test_the_records_of_a_principal_are_counted_under_all_keys(open_it: Open) -> None:
    """While keys are exchanged, what a principal holds is counted whatever it is encrypted with."""
    keys = [("service", "/peer", f"urn:uuid:{number}", "") for number in range(2)]
    theirs = [replace(made(f"urn:uuid:{number}"), owner="CN=a") for number in range(2)]
    open_it().add(keys[0], theirs[0])
    switched = open_it(key=NEW_KEY, previous_keys=[STORE_KEY])
    switched.add(keys[1], theirs[1])
    assert switched.held_by("CN=a") == 2
    assert switched.drop(keys[0], theirs[0])
    assert switched.held_by("CN=a") == 1


def _has(store: Store) -> bool:
    """Whether the context is found; a file cannot be opened at all with another key."""
    try:
        return store.get(KEY) == made()
    except StoreError:
        return False


# -------------------------------------------------------------------------------------------- processes


def test_one_of_many_processes_asks(place: str, tmp_path: Path) -> None:
    """Of processes that start at once without a context one asks for it, and all use the same."""
    journal = tmp_path / "journal"
    with users(place, "ensure", [str(journal)] * 4) as started:
        used = [user.line() for user in started]
    assert len(journal.read_text().splitlines()) == 1
    assert used == [f"urn:uuid:{journal.read_text().strip()}"] * 4
    found = open_store(place, key=STORE_KEY).get(RECORD)
    assert found is not None
    assert found.identifier == used[0]


def test_processes_that_change_different_records_lose_nothing(place: str) -> None:
    """What many processes add at once is all there."""
    with users(place, "count", ["30"] * 3) as started:
        assert [user.line() for user in started] == ["30"] * 3
    assert len(list(open_store(place, key=STORE_KEY).items("client"))) == 90


def test_no_number_of_processes_goes_beyond_the_limit(place: str) -> None:
    """Of processes that add at once for one principal, as many succeed as it may hold, not one more."""
    with users(place, "add_some", ["12"] * 3) as started:
        assert sum(int(user.line()) for user in started) == 10
    assert open_store(place, key=STORE_KEY).held_by("CN=a") == 10


def test_a_flight_whose_holder_was_killed_is_free(place: str) -> None:
    """A process that is killed in its flight is followed by the next one: at once, or when its lease ends."""
    with users(place, "hold", [""]) as (user,):
        assert user.line() == "held"
        short = open_store(place, key=STORE_KEY, flight_timeout=0.1)
        with pytest.raises(StoreError), short.flight(RECORD):
            pass
        user.kill()
        user.end()
        if place.startswith("redis:"):
            _end_leases(place)
        with open_store(place, key=STORE_KEY).flight(RECORD):
            pass


def _end_leases(place: str) -> None:
    """Let the leases in Redis end now, instead of after 20 seconds."""
    import redis

    url, _, prefix = place.partition("#")
    with redis.Redis.from_url(url) as client:
        for name in client.scan_iter(f"{prefix}flight:*"):
            assert 0 < client.pttl(name) <= 20_000
            client.pexpire(name, 1)


def test_contexts_survive_their_process(place: str) -> None:
    """What a process kept that is gone, the next one has."""
    context: Callable[[], SecurityContext | None] = lambda: open_store(place, key=STORE_KEY).get(RECORD)  # noqa: E731
    assert context() is None
    with users(place, "ensure", ["/dev/null"]) as (user,):
        used = user.line()
    found = context()
    assert found is not None
    assert found.identifier == used
