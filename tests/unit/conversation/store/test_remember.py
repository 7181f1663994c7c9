"""What stores that outlive their process remember of messages: each is taken once, whoever it comes to."""

from __future__ import annotations

import signal
import stat
import time as real_time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.redis_server import RedisServer
from tests.unit.conversation.store.conftest import Open
from tests.unit.conversation.store.processes import users
from tests.unit.conversation.store.test_contract import raced
from tests.unit.conversation.store.user import KEY as STORE_KEY
from tests.unit.parties import NOW, Time
from zeep_secureconv import FileStore, MemoryStore, RedisStore, StoreError
from zeep_secureconv.conversation.store import replays
from zeep_secureconv.wss.seen import Remembers, SeenSignatures, SharedSignatures, memory_of

MINUTE = timedelta(minutes=1)
NEW_KEY = bytes(range(50, 82))
#: Octets of the head and of a record of the file.
HEAD, RECORD = 36, 31


def told(store: Remembers, mark: bytes, now: datetime = NOW, **changes: datetime | None) -> bool:
    """Whether a mark is new that is good for eleven minutes."""
    return store.remember(mark, **({"until": now + 11 * MINUTE, "now": now} | changes))  # type: ignore[arg-type]


def test_a_mark_is_new_once_for_all(open_it: Open) -> None:
    """What one object remembers, another one on the same place has seen, and one that is opened later."""
    one, two = open_it(), open_it()
    assert told(one, b"a")
    assert not told(one, b"a")
    assert not told(two, b"a")
    assert told(two, b"b")
    assert not told(one, b"b")
    assert [told(open_it(), mark) for mark in (b"a", b"b", b"c")] == [False, False, True]


def test_a_mark_is_forgotten_when_its_message_expired(open_it: Open, place: str) -> None:
    """From the moment that the Timestamp refuses a message, its mark need not be remembered."""
    store = open_it()
    assert told(store, b"a", until=NOW + MINUTE)
    assert told(store, b"b", until=NOW + 9 * MINUTE)
    if place.startswith("redis:"):
        lives = sorted(_lives(place))
        # clocks of two processes may be three minutes apart
        assert [round(life / 60_000) for life in lives] == [4, 12]
        return
    assert not told(open_it(), b"a", NOW + MINUTE - timedelta(microseconds=1))
    assert told(open_it(), b"a", NOW + MINUTE)
    assert not told(store, b"b", NOW + MINUTE)


def _lives(place: str) -> list[int]:
    """How long Redis keeps what it remembers, in milliseconds."""
    import redis

    url, _, prefix = place.partition("#")
    with redis.Redis.from_url(url) as client:
        return [int(client.pttl(name)) for name in client.scan_iter(prefix + "seen:*")]


def test_marks_are_not_written_in_the_clear(open_it: Open, place: str) -> None:
    """Neither a mark nor a part of it is found in what is written."""
    mark = bytes(range(100, 132))
    assert told(open_it(), mark)
    if place.startswith("redis:"):
        import redis

        url, _, prefix = place.partition("#")
        with redis.Redis.from_url(url) as client:
            written = b"".join(name + (client.get(name) or b"") for name in client.scan_iter(prefix + "*"))
    else:
        written = Path(place + ".seen").read_bytes()
        assert stat.S_IMODE(Path(place + ".seen").stat().st_mode) == 0o600
    assert len(written) > 40
    assert not any(piece in written for piece in (mark[:8], mark[8:16], mark.hex().encode()))


def test_marks_are_known_while_keys_are_exchanged(open_it: Open) -> None:
    """A message that was taken under the old key is not taken under the new one, nor the other way."""
    learned, switched = open_it(previous_keys=[NEW_KEY]), open_it(key=NEW_KEY, previous_keys=[STORE_KEY])
    assert told(open_it(), b"a")
    assert not told(switched, b"a")
    assert told(switched, b"b")
    assert not told(learned, b"b")


@pytest.mark.usefixtures("busy")
def test_threads_take_a_mark_once(open_it: Open) -> None:
    """Of threads that bring the same marks at once, through several objects, one is told that a mark is new."""
    stores = [open_it() for _ in range(3)]
    for number in range(20):
        assert raced(8, lambda thread, number=number: told(stores[thread % 3], b"%d" % number)) == 1  # type: ignore[misc]


def test_processes_take_a_mark_once(place: str) -> None:
    """Of processes that bring the same hundred marks at once, one each time is told that a mark is new."""
    with users(place, "bring", ["100"] * 3) as started:
        assert sum(int(user.line()) for user in started) == 100


def test_a_killed_process_forgets_nothing(place: str, open_it: Open) -> None:
    """What a process was told to be new, before it was killed at any moment, is new for nobody else."""
    with users(place, "bring_and_say", [""]) as (user,):
        said = [user.line() for _ in range(50)]
        user.kill()
        assert user.end() == -signal.SIGKILL
    store = open_it()
    now = datetime.fromtimestamp(real_time.time(), NOW.tzinfo)
    assert not any(told(store, mark.encode(), now) for mark in said)
    assert told(store, b"another", now)


def test_a_forked_child_and_its_parent_take_a_mark_once(place: str) -> None:
    """A child goes on with its parent's memory, and the parent learns of what the child received."""
    with users(place, "bring_forked", [""]) as (user,):
        assert user.line() == "[True, True, False, True]"


# ------------------------------------------------------------------------------------------- in a file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the contexts are; the messages lie beside."""
    return tmp_path / "contexts"


def opened(path: Path) -> FileStore:
    """The store."""
    return FileStore(path, key=STORE_KEY)


def test_what_a_killed_process_wrote_half_is_no_record(path: Path) -> None:
    """Half a record at the end is taken away, and what follows is read by all."""
    one, two, seen = opened(path), opened(path), Path(f"{path}.seen")
    assert told(one, b"a")
    assert told(two, b"b")
    with seen.open("ab") as file:
        file.write(b"half a record")
    assert told(one, b"c")
    assert seen.stat().st_size == HEAD + 3 * RECORD
    assert [told(two, mark) for mark in (b"a", b"b", b"c", b"d")] == [False, False, False, True]
    assert not told(one, b"d")


def test_the_file_does_not_grow_without_end(path: Path) -> None:
    """What expired is left out when the file has grown: by then another object goes on with the new file."""
    one, two, seen = opened(path), opened(path), Path(f"{path}.seen")
    largest = 0
    for number in range(3_000):
        now = NOW + number * timedelta(seconds=1)
        assert told((one, two)[number % 2], b"%d" % number, now, until=now + MINUTE)
        largest = max(largest, seen.stat().st_size)
    assert largest <= HEAD + RECORD * (1_000 + 2 * 61 + 2)
    assert seen.stat().st_size < largest
    last = NOW + timedelta(seconds=2_999)
    assert not any(told(opened(path), b"%d" % number, last) for number in range(2_940, 3_000))
    assert told(one, b"2939", last)
    assert {one.name for one in path.parent.iterdir()} == {"contexts.seen", "contexts.seen.lock"}


def test_what_is_forgotten_for_room_is_refused_by_all(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When too many are good still, messages from before those that were forgotten are refused, after a restart too."""
    monkeypatch.setattr(replays, "_SLACK", 4)
    stores = [opened(path) for _ in range(2)]
    for store in stores:
        store._replays = replays.ReplayFile(Path(f"{path}.seen"), store._locks, store._failed, size=3)
    for number in range(20):
        created = NOW + timedelta(milliseconds=number)
        assert told(stores[number % 2], b"%d" % number, created=created)
    assert Path(f"{path}.seen").stat().st_size <= HEAD + RECORD * 11
    for store in (*stores, opened(path)):
        for number in (0, 5, 16, 17, 19):
            assert not told(store, b"%d" % number, created=NOW + timedelta(milliseconds=number))
        assert not told(store, b"late", created=NOW + timedelta(milliseconds=10))


def test_a_file_that_was_removed_is_made_again(path: Path) -> None:
    """Who had it open knows what was in it, and goes on."""
    one = opened(path)
    assert told(one, b"a")
    Path(f"{path}.seen").unlink()
    assert not told(one, b"a")
    assert told(one, b"b")
    assert [told(opened(path), mark) for mark in (b"a", b"b", b"c")] == [False, False, True]


@pytest.mark.parametrize("content", [b"", b"zsm1", b"something else that is long enough to be the head"])
def test_another_file_is_refused(path: Path, content: bytes) -> None:
    """What is no memory of messages is a StoreError, and stays as it is."""
    seen = Path(f"{path}.seen")
    seen.write_bytes(content)
    with pytest.raises(StoreError, match="no memory of messages") as caught:
        told(opened(path), b"a")
    assert caught.value.hint
    assert seen.read_bytes() == content


def test_a_file_that_cannot_be_written_refuses(path: Path) -> None:
    """Where the file cannot be made nobody is told that a message is new."""
    Path(f"{path}.seen.lock").mkdir()
    with pytest.raises(StoreError):
        told(opened(path), b"a")


# ------------------------------------------------------------------------------------------- in Redis


def test_without_redis_nothing_is_new(tmp_path: Path) -> None:
    """While Redis is away, or full, a service is told by an error; no setting lets it go on without."""
    import redis

    server = RedisServer(tmp_path)
    try:
        store = RedisStore(server.url, key=STORE_KEY, fallback="memory", clock=Time().clock)
        assert told(store, b"a")
        with redis.Redis.from_url(server.url) as client:
            client.config_set("maxmemory", 1)
            with pytest.raises(StoreError):
                told(store, b"b")
            client.config_set("maxmemory", 0)
        assert told(store, b"b")
    finally:
        server.stop()
    with pytest.raises(StoreError):
        told(store, b"c")


def test_a_command_that_is_sent_twice_is_no_replay(redis_server: RedisServer) -> None:
    """When the connection breaks and the library sends the command again, its own number is found, and is new."""
    store = RedisStore(redis_server.url, key=STORE_KEY, prefix="twice:")
    names, arguments = ["twice:seen:x", "twice:seen:y"], [b"number", 60_000]
    assert store._remember(keys=names, args=arguments) == 1
    assert store._remember(keys=names, args=arguments) == 1
    assert store._remember(keys=names[::-1], args=[b"another", 60_000]) == 0


# ------------------------------------------------------------------------------------ as a service has it


def test_a_memory_is_shared_where_the_store_remembers(open_it: Open) -> None:
    """Two services on one store take a value once for each purpose; one whose store is in memory is alone."""
    one, two = memory_of(open_it(), "messages", 10), memory_of(open_it(), "messages", 10)
    other = memory_of(open_it(), "user names", 10)
    assert isinstance(one, SharedSignatures)
    until = NOW + MINUTE
    assert one.add(b"a", until=until, now=NOW)
    assert not one.add(b"a", until=until, now=NOW)
    assert not two.add(b"a", until=until, now=NOW)
    assert other.add(b"a", until=until, now=NOW)
    assert isinstance(memory_of(MemoryStore(), "messages", 10), SeenSignatures)


def test_what_a_process_received_it_knows_though_the_store_lost_it(redis_server: RedisServer) -> None:
    """A Redis that forgot everything does not make a message new for the process that received it."""
    import redis

    memory = memory_of(RedisStore(redis_server.url, key=STORE_KEY, prefix="lost:"), "messages", 10)
    assert memory.add(b"a", until=NOW + MINUTE, now=NOW)
    with redis.Redis.from_url(redis_server.url) as client:
        client.delete(*client.scan_iter("lost:*"))
    assert not memory.add(b"a", until=NOW + MINUTE, now=NOW)
    assert memory.add(b"b", until=NOW + MINUTE, now=NOW)
