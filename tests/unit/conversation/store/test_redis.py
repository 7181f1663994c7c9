"""What the store in Redis does besides."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.redis_server import RedisServer
from tests.unit.conversation.store.test_contract import KEY, OTHER, SERVICE, made
from tests.unit.conversation.store.user import KEY as STORE_KEY
from tests.unit.parties import NOW, Time
from zeep_secureconv import ConfigurationError, RedisStore, StoreError
from zeep_secureconv.conversation.store import Store

HOUR = 3_600_000
GRACE = 600_000
Open = Callable[..., RedisStore]


@pytest.fixture
def time() -> Time:
    """The time that the store reads."""
    return Time()


@pytest.fixture
def prefix() -> str:
    """A prefix of its own for each test."""
    return f"{uuid4()}:"


@pytest.fixture
def open_it(redis_server: RedisServer, prefix: str, time: Time) -> Open:
    """Opens the store, the same one each time; takes other arguments for it."""
    usual: dict[str, Any] = {"key": STORE_KEY, "prefix": prefix, "clock": time.clock}
    return lambda **changes: RedisStore(redis_server.url, **(usual | changes))


@pytest.fixture
def raw(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """Redis itself."""
    with redis.Redis.from_url(redis_server.url) as client:
        yield client


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of this test alone, to be stopped."""
    server = RedisServer(tmp_path)
    yield server
    server.stop()


def names(raw: redis.Redis, pattern: str) -> list[str]:
    """What Redis has under names of that pattern."""
    return sorted(name.decode() for name in raw.scan_iter(pattern))


def value_of(raw: redis.Redis, name: str) -> bytes:
    """What Redis has under a name."""
    value = raw.get(name)
    assert isinstance(value, bytes)
    return value


# ------------------------------------------------------------------------------------------------- life


def test_a_value_lives_until_its_context_is_over_and_the_grace_is(
    open_it: Open, raw: redis.Redis, prefix: str
) -> None:
    """A value expires with its context and the grace, ten minutes unless set; the indexes with the last of them."""
    store = open_it()
    owned = replace(made(), owner="CN=a")
    store.add(SERVICE, owned)
    left = [raw.pttl(name) for name in names(raw, prefix + "*")]
    assert len(left) == 5
    assert all(HOUR + GRACE - 60_000 < one <= HOUR + GRACE for one in left)
    longer = replace(made(instance="1"), owner="CN=a", expires=NOW + timedelta(hours=5))
    assert store.replace(SERVICE, owned, longer)
    assert all(raw.pttl(name) > 5 * HOUR for name in names(raw, prefix + "*"))
    assert store.replace(SERVICE, longer, owned)
    (value,) = names(raw, prefix + "context:*")
    assert raw.pttl(value) <= HOUR + GRACE
    endless = replace(made("urn:uuid:2"), expires=None, owner="CN=a")
    assert open_it().replace(SERVICE, owned, endless)
    assert {raw.pttl(name) for name in names(raw, prefix + "*")} == {-1}
    open_it(grace=timedelta(0)).add(KEY, made())
    assert {raw.pttl(name) <= HOUR for name in names(raw, prefix + "context:*")} == {True}


def test_indexes_forget_what_is_gone(open_it: Open, raw: redis.Redis, prefix: str, time: Time) -> None:
    """What Redis let go of itself leaves no trace in the indexes once something is added."""
    store = open_it()
    store.add(SERVICE, replace(made(), owner="CN=a"))
    raw.delete(*names(raw, prefix + "context:*"))
    assert list(store.items("service")) == []
    assert store.get(SERVICE) is None
    time.forward(timedelta(hours=2))
    later = replace(made("urn:uuid:2"), owner="CN=a", expires=time.now + timedelta(hours=1))
    store.add((*SERVICE[:2], "urn:uuid:2", ""), later)
    for index in (f"{prefix}role:service", *names(raw, prefix + "owner:*")):
        assert raw.zcard(index) == 1
    assert store.held_by("CN=a") == 1


def test_more_contexts_than_a_page_are_listed(open_it: Open) -> None:
    """Hundreds of contexts are listed, each once."""
    store = open_it()
    keys = [(*KEY[:3], str(number)) for number in range(450)]
    for number, key in enumerate(keys):
        store.add(key, made(f"urn:uuid:{number}"))
    assert sorted(key for key, _ in store.items("client")) == sorted(keys)


# ---------------------------------------------------------------------------------------------- tampering


def test_a_changed_value_counts_as_absent(
    open_it: Open, raw: redis.Redis, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A bit flipped anywhere: the context is not found, the log says so, and a new one takes its place."""
    store = open_it()
    store.add(KEY, made())
    (name,) = names(raw, prefix + "context:*")
    good = value_of(raw, name)
    for at in (0, 3, 4, 7, 8, 11, *range(12, len(good), 97), len(good) - 1):
        raw.set(name, good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        # what tells listings the record key is not needed where it is known
        found = [store.get(KEY), *(context for _, context in store.items("client"))]
        assert found in ([None], [made()])
    for bad in (good[:-1], good[:20], good + b"\0", b"x"):
        raw.set(name, bad)
        caplog.clear()
        assert store.get(KEY) is None
        assert "cannot be opened" in caplog.text
        assert list(store.items("client")) == []
        assert not store.drop(KEY, made())
        assert not store.replace(KEY, made(), made())
    raw.set(name, good)
    assert store.get(KEY) == made()
    raw.set(name, b"x")
    assert store.add(KEY, made("urn:uuid:2"))
    assert store.get(KEY) == made("urn:uuid:2")


def test_a_value_under_the_name_of_another_is_refused(open_it: Open, raw: redis.Redis, prefix: str) -> None:
    """Whoever can write in Redis cannot give one party the context of another."""
    store = open_it()
    store.add(KEY, made())
    (mine,) = names(raw, prefix + "context:*")
    store.add(OTHER, made("urn:uuid:2"))
    (theirs,) = set(names(raw, prefix + "context:*")) - {mine}
    assert len(list(store.items("client"))) == 2
    raw.copy(theirs, mine, replace=True)
    assert store.get(KEY) is None
    assert store.get(OTHER) == made("urn:uuid:2")
    assert dict(store.items("client")) == {OTHER: made("urn:uuid:2")}


# ------------------------------------------------------------------------------------------------ flights


def test_who_outlives_his_lease_cannot_write_while_another_one_asks(
    open_it: Open, raw: redis.Redis, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The lease ends, another process asks: the first one's add and replace are refused, and it gives nothing free."""
    slow, quick = open_it(), open_it()
    with slow.flight(KEY):
        raw.delete(*names(raw, prefix + "flight:*"))  # as when the lease ended
        with quick.flight(KEY):
            assert not slow.add(KEY, made("urn:uuid:slow"))
            assert "too late" in caplog.text
            assert slow.get(KEY) is None
            assert slow.add(OTHER, made("urn:uuid:slow"))
            assert quick.add(KEY, made())
            assert not slow.replace(KEY, made(), made(instance="slow"))
            assert quick.replace(KEY, made(), made(instance="1"))
        assert not slow.add(KEY, made("urn:uuid:slow"))
        with quick.flight(KEY):
            assert not slow.replace(KEY, made(instance="1"), made(instance="2"))
    assert quick.get(KEY) == made(instance="1")


def test_who_outlives_his_lease_gives_nothing_free(
    open_it: Open, raw: redis.Redis, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The end of a flight whose lease is over leaves the flight of another one alone."""
    caplog.set_level(logging.INFO)
    slow, quick = open_it(), open_it(flight_timeout=0.1)
    first = slow.flight(KEY)
    first.__enter__()
    raw.delete(*names(raw, prefix + "flight:*"))
    with open_it().flight(KEY):
        first.__exit__(None, None, None)
        assert "longer than its lease" in caplog.text
        with pytest.raises(StoreError), quick.flight(KEY):
            pass
    with quick.flight(KEY):
        pass
    assert names(raw, prefix + "flight:*") == []


def test_a_lease_is_shorter_than_the_waiting(open_it: Open, raw: redis.Redis, prefix: str) -> None:
    """The lease is two thirds of the waiting or what was set, and longer than the waiting it is refused."""
    for changes, lease in (({"flight_timeout": 90}, 60_000), ({"flight_lease": 12}, 12_000)):
        with open_it(**changes).flight(KEY):
            (name,) = names(raw, prefix + "flight:*")
            assert lease - 5_000 < raw.pttl(name) <= lease
    for wrong in (0, -1, 30, 31):
        with pytest.raises(ConfigurationError):
            open_it(flight_lease=wrong)


# --------------------------------------------------------------------------------------------------- away


def acts(store: Store) -> list[Callable[[], object]]:
    """Every operation on a store, for a client."""
    return [
        lambda: store.get(KEY),
        lambda: store.add(KEY, made()),
        lambda: store.replace(KEY, made(), made()),
        lambda: store.drop(KEY, made()),
        lambda: list(store.items("client")),
        lambda: store.flight(KEY).__enter__(),
    ]


def service_acts(store: Store) -> list[Callable[[], object]]:
    """Every operation on a store, for a service."""
    return [
        lambda: store.get(SERVICE),
        lambda: store.add(SERVICE, made()),
        lambda: store.replace(SERVICE, made(), made()),
        lambda: store.drop(SERVICE, made()),
        lambda: store.held_by("CN=a"),
        lambda: list(store.items("service")),
        lambda: store.flight(SERVICE).__enter__(),
    ]


def test_without_redis_everything_fails(mortal: RedisServer) -> None:
    """While Redis is away every operation is a StoreError with a hint, and works again afterwards."""
    store = RedisStore(mortal.url, key=STORE_KEY, clock=Time().clock)
    assert store.add(KEY, made())
    mortal.stop()
    for act in (*acts(store), *service_acts(store)):
        with pytest.raises(StoreError) as caught:
            act()
        assert "Redis" in (caught.value.hint or "")
    mortal.start()
    assert store.get(KEY) is None
    assert store.add(KEY, made())
    with store.flight(KEY):
        assert store.get(KEY) == made()


def test_redis_going_away_in_a_flight_does_no_harm(mortal: RedisServer) -> None:
    """A flight whose Redis goes away ends without an error of its own."""
    store = RedisStore(mortal.url, key=STORE_KEY)
    with store.flight(KEY):
        mortal.stop()


def test_a_client_may_go_on_in_memory(mortal: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """With fallback="memory" a client keeps contexts in its process while Redis is away, and says so once."""
    time = Time()
    store = RedisStore(mortal.url, key=STORE_KEY, clock=time.clock, fallback="memory")
    assert store.add(KEY, made())
    mortal.stop()
    assert store.get(KEY) is None
    with store.flight(KEY):
        assert store.add(KEY, made("urn:uuid:2"))
    assert store.get(KEY) == made("urn:uuid:2")
    assert store.replace(KEY, made("urn:uuid:2"), made("urn:uuid:2", "1"))
    assert dict(store.items("client")) == {KEY: made("urn:uuid:2", "1")}
    assert caplog.text.count("kept in memory") == 1
    mortal.start()
    assert store.add(OTHER, made("urn:uuid:3"))  # left alone for five seconds
    assert RedisStore(mortal.url, key=STORE_KEY, clock=time.clock).get(OTHER) is None
    time.forward(timedelta(seconds=5))
    third = ("client", "http://localhost/third", "policy", "parties")
    assert store.add(third, made("urn:uuid:4"))
    assert dict(RedisStore(mortal.url, key=STORE_KEY, clock=time.clock).items("client")) == {
        third: made("urn:uuid:4")
    }
    assert store.get(KEY) == made("urn:uuid:2", "1")
    assert len(list(store.items("client"))) == 3
    assert store.drop(KEY, made("urn:uuid:2", "1"))
    assert store.drop(third, made("urn:uuid:4"))
    assert [key for key, _ in store.items("client")] == [OTHER]


def test_a_service_never_goes_on_in_memory(mortal: RedisServer) -> None:
    """A service fails closed while Redis is away, whatever the setting: another process may have cancelled."""
    store = RedisStore(mortal.url, key=STORE_KEY, clock=Time().clock, fallback="memory")
    assert store.add(SERVICE, made())
    mortal.stop()
    for act in service_acts(store):
        with pytest.raises(StoreError):
            act()
    assert store.get(KEY) is None


# ---------------------------------------------------------------------------------------------- arguments


def test_a_client_of_redis_is_taken(redis_server: RedisServer, prefix: str) -> None:
    """A redis.Redis works as its URL does."""
    with redis.Redis.from_url(redis_server.url) as client:
        store = RedisStore(client, key=STORE_KEY, prefix=prefix)
        assert store.add(KEY, replace(made(), expires=None))
        assert store.get(KEY) == replace(made(), expires=None)


def test_clients_that_cannot_work_are_refused(redis_server: RedisServer) -> None:
    """A client that decodes, an asynchronous one and a strange URL are ConfigurationErrors, without the password."""
    url = redis_server.url
    with redis.Redis.from_url(url, decode_responses=True) as decoding:
        for wrong in (
            decoding,
            redis.asyncio.Redis.from_url(url),
            None,
            "http://localhost",
            "redis://:p4/ss@host",
        ):
            with pytest.raises(ConfigurationError) as caught:
                RedisStore(wrong, key=STORE_KEY)  # type: ignore[arg-type]
            assert caught.value.hint
            assert "p4" not in str(caught.value)
    with pytest.raises(ConfigurationError):
        RedisStore(url, key=STORE_KEY, fallback="none")  # type: ignore[arg-type]


def test_a_wrong_password_is_told_and_not_shown(mortal: RedisServer) -> None:
    """A user that Redis refuses is a StoreError about that, even where memory is allowed, and shows no password."""
    with redis.Redis.from_url(mortal.url, retry=Retry(NoBackoff(), 0)) as client:
        client.config_set("requirepass", "right")
    right = RedisStore(mortal.url.replace("//", "//:right@"), key=STORE_KEY)
    assert right.get(KEY) is None
    for url in (mortal.url, mortal.url.replace("//", "//:wr0ng@")):
        store = RedisStore(url, key=STORE_KEY, fallback="memory")
        with pytest.raises(StoreError) as caught:
            store.get(KEY)
        assert "rights" in (caught.value.hint or "")
        assert "wr0ng" not in str(caught.value) + repr(store)


def test_without_the_package_the_extra_is_named(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the package redis is missing, the error says how to install it."""
    assert RedisStore(redis_server.url, key=STORE_KEY).get(KEY) is None
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigurationError) as caught:
        RedisStore(redis_server.url, key=STORE_KEY)
    assert "zeep_secureconv[redis]" in (caught.value.hint or "")
