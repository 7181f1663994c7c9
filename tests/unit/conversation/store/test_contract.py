"""What every store of contexts does."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier, Event, Thread

import pytest

from tests.unit.conversation.store.conftest import Open
from tests.unit.messages import context
from tests.unit.parties import NOW, Time
from zeep_secureconv import LimitExceeded, SecurityContext, StoreError
from zeep_secureconv.conversation.store import RecordKey, Store

KEY: RecordKey = ("client", "http://localhost/peer", "policy", "parties")
OTHER: RecordKey = ("client", "http://localhost/peer", "policy", "other parties")
SERVICE: RecordKey = ("service", "/peer", "urn:uuid:1", "")


def made(identifier: str = "urn:uuid:1", instance: str | None = None) -> SecurityContext:
    """A context of an hour with that name."""
    return SecurityContext(
        endpoint="http://localhost/peer",
        created=NOW,
        expires=NOW + timedelta(hours=1),
        dialect="oasis13",
        key=context(identifier=identifier, instance=instance),
    )


def test_an_empty_store_has_nothing(store: Store) -> None:
    """Nothing is found, replaced, dropped or listed."""
    assert store.get(KEY) is None
    assert not store.replace(KEY, made(), made("urn:uuid:2"))
    assert not store.drop(KEY, made())
    assert list(store.items("client")) == []


def test_what_was_added_is_found_under_its_key_alone(store: Store) -> None:
    """A context is found under its key, and under no other."""
    assert store.add(KEY, made())
    assert store.get(KEY) == made()
    assert store.get(OTHER) is None
    assert store.get(SERVICE) is None
    assert store.get(("client",)) is None


def test_a_second_context_is_not_added(store: Store) -> None:
    """Add is put-if-absent: the first one stays, even against itself."""
    assert store.add(KEY, made())
    assert not store.add(KEY, made("urn:uuid:2"))
    assert not store.add(KEY, made())
    assert store.get(KEY) == made()
    assert store.add(OTHER, made("urn:uuid:2"))


def test_replace_is_compare_and_swap(store: Store) -> None:
    """A context is replaced when it is still the one that is there, by Identifier and Instance."""
    store.add(KEY, made())
    assert not store.replace(KEY, made("urn:uuid:9"), made("urn:uuid:2"))
    assert not store.replace(KEY, made(instance="1"), made("urn:uuid:2"))
    assert not store.replace(OTHER, made(), made("urn:uuid:2"))
    assert store.get(KEY) == made()
    assert store.replace(KEY, made(), made(instance="1"))
    assert store.get(KEY) == made(instance="1")
    assert not store.replace(KEY, made(), made("urn:uuid:2"))


def test_drop_is_compare_and_delete(store: Store) -> None:
    """A late fault about an older instance drops nothing."""
    store.add(KEY, made(instance="2"))
    assert not store.drop(KEY, made(instance="1"))
    assert not store.drop(KEY, made())
    assert not store.drop(KEY, made("urn:uuid:2", instance="2"))
    assert store.get(KEY) == made(instance="2")
    assert store.drop(KEY, made(instance="2"))
    assert store.get(KEY) is None
    assert not store.drop(KEY, made(instance="2"))
    assert store.add(KEY, made())


def test_items_are_those_of_a_role(store: Store) -> None:
    """Records of clients and of services are listed apart."""
    store.add(KEY, made())
    store.add(OTHER, made("urn:uuid:2"))
    store.add(SERVICE, made("urn:uuid:3"))
    assert dict(store.items("client")) == {KEY: made(), OTHER: made("urn:uuid:2")}
    assert dict(store.items("service")) == {SERVICE: made("urn:uuid:3")}
    assert list(store.items("other")) == []


def test_items_may_be_dropped_while_they_are_listed(store: Store) -> None:
    """A list that is being read does not mind changes."""
    for number in range(10):
        store.add((*KEY[:3], str(number)), made(f"urn:uuid:{number}"))
    for key, held in store.items("client"):
        assert store.drop(key, held)
    assert list(store.items("client")) == []


def test_an_expired_context_can_be_dropped(store: Store, time: Time) -> None:
    """A store need not judge ages: whoever asks does, and drops what is over, so that a new one can be added."""
    store.add(KEY, made())
    time.forward(timedelta(hours=2))
    found = store.get(KEY)
    if found is not None:
        assert found.is_over(time.clock)
        assert store.drop(KEY, found)
    assert store.add(KEY, made("urn:uuid:2"))


def of(principal: str, identifier: str) -> SecurityContext:
    """A service's context of a principal."""
    return replace(made(identifier), principal=principal, owner=principal)


def test_a_context_is_kept_as_long_as_its_service_says(store: Store, time: Time) -> None:
    """What is over stays for ten minutes, or until the moment that the context itself names, if that is another."""
    keys: list[RecordKey] = [("service", "/peer", f"urn:uuid:{number}", "") for number in range(4)]
    untils = (None, NOW + timedelta(hours=3), NOW + timedelta(minutes=61))
    for number, until in enumerate(untils):
        store.add(keys[number], replace(of("CN=a", f"urn:uuid:{number}"), kept_until=until))

    def found(later: timedelta) -> list[int]:
        time.forward(NOW + later - time.now)
        # what is over may go at any change
        store.add(keys[3], replace(of("CN=b", "urn:uuid:3"), expires=NOW + timedelta(days=1)))
        return [number for number in range(3) if store.get(keys[number]) is not None]

    assert found(timedelta(minutes=60)) == [0, 1, 2]
    assert found(timedelta(minutes=65)) == [0, 1]
    assert found(timedelta(minutes=179)) == [1]
    assert found(timedelta(minutes=181)) == []
    assert {key for key, _ in store.items("service")} == {keys[3]}


def test_the_records_of_a_principal_are_counted(store: Store, time: Time) -> None:
    """What a principal holds on a service is counted as it comes and goes, and what is over does not count."""
    keys: list[RecordKey] = [("service", "/peer", f"urn:uuid:{number}", "") for number in range(4)]
    assert store.held_by("CN=a") == 0
    for number, principal in enumerate(("CN=a", "CN=a", "CN=b")):
        store.add(keys[number], of(principal, f"urn:uuid:{number}"))
    store.add(keys[0], of("CN=a", "urn:uuid:9"))
    store.add(KEY, made())
    assert [store.held_by(name) for name in ("CN=a", "CN=b", "CN=c")] == [2, 1, 0]
    renewed = replace(of("CN=a", "urn:uuid:0"), key=context(identifier="urn:uuid:0", instance="1"))
    assert store.replace(keys[0], of("CN=a", "urn:uuid:0"), renewed)
    assert store.held_by("CN=a") == 2
    assert store.drop(keys[0], renewed)
    assert not store.drop(keys[0], renewed)
    assert store.held_by("CN=a") == 1
    time.forward(timedelta(hours=2))
    store.add(
        keys[3], replace(of("CN=a", "urn:uuid:3"), created=time.now, expires=time.now + timedelta(hours=1))
    )
    assert [store.held_by(name) for name in ("CN=a", "CN=b")] == [1, 0]


def test_a_principal_holds_no_more_than_it_may(store: Store, time: Time) -> None:
    """With *most* records of a principal alive, add refuses one more, until one goes or is over."""
    keys: list[RecordKey] = [("service", "/peer", f"urn:uuid:{number}", "") for number in range(6)]
    for number in range(2):
        assert store.add(keys[number], of("CN=a", f"urn:uuid:{number}"), most=2)
    assert not store.add(keys[1], of("CN=a", "urn:uuid:9"), most=3)
    with pytest.raises(LimitExceeded) as caught:
        store.add(keys[2], of("CN=a", "urn:uuid:2"), most=2)
    assert caught.value.check == "contexts-per-principal"
    assert store.get(keys[2]) is None
    assert store.add(keys[3], of("CN=b", "urn:uuid:3"), most=2)
    assert store.add(KEY, made(), most=0)
    assert store.drop(keys[0], of("CN=a", "urn:uuid:0"))
    assert store.add(keys[2], of("CN=a", "urn:uuid:2"), most=2)
    time.forward(timedelta(minutes=61))
    later = replace(of("CN=a", "urn:uuid:4"), created=time.now, expires=time.now + timedelta(hours=1))
    assert store.add(keys[4], later, most=1)
    assert store.held_by("CN=a") == 1


def test_what_was_never_used_makes_room(store: Store) -> None:
    """Of the service's contexts in which no call was made the one that ends first goes, of one principal or of all."""
    keys: list[RecordKey] = [("service", "/peer", f"urn:uuid:{number}", "") for number in range(5)]
    ends = (50, 40, 30, 60, 20)
    for number, principal in enumerate(("CN=a", "CN=a", "CN=b", "CN=b", "CN=b")):
        one = replace(of(principal, f"urn:uuid:{number}"), expires=NOW + timedelta(minutes=ends[number]))
        store.add(keys[number], one)
    store.add(KEY, made())
    used = store.get(keys[4])
    assert used is not None
    assert store.replace(keys[4], used, replace(used, used=True))
    assert not store.make_room("CN=c")

    def left() -> list[int]:
        return [number for number, key in enumerate(keys) if store.get(key) is not None]

    assert store.make_room("CN=a")
    assert left() == [0, 2, 3, 4]
    assert store.make_room(None)
    assert left() == [0, 3, 4]
    assert store.make_room("CN=b")
    assert not store.make_room("CN=b")
    assert left() == [0, 4]
    assert store.make_room(None)
    assert not store.make_room(None)
    assert left() == [4]
    assert store.get(KEY) == made()
    assert [store.held_by(name) for name in ("CN=a", "CN=b")] == [0, 1]


@pytest.mark.usefixtures("busy")
def test_room_is_made_by_one_context_each_time(store: Store) -> None:
    """As many contexts go as threads were told, and none that was used while they looked for one."""
    keys: list[RecordKey] = [("service", "/peer", f"urn:uuid:{number}", "") for number in range(24)]
    for number, key in enumerate(keys):
        store.add(key, of("CN=a", f"urn:uuid:{number}"))
    marked: list[RecordKey] = []

    def act(number: int) -> bool:
        if number < 8:
            held = store.get(keys[number])
            if held is not None and store.replace(keys[number], held, replace(held, used=True)):
                marked.append(keys[number])
            return False
        return store.make_room("CN=a" if number % 2 else None)

    gone = raced(16, act)
    left = {key for key, _ in store.items("service")}
    assert gone == 8
    assert len(left) == 24 - gone
    assert left >= set(marked)


@pytest.mark.usefixtures("busy")
def test_no_number_of_threads_goes_beyond_the_limit(opened: Open) -> None:
    """Of many threads that add at once, through several objects, as many succeed as the principal may hold."""
    stores = [opened() for _ in range(4)]

    def act(number: int) -> bool:
        key: RecordKey = ("service", "/peer", f"urn:uuid:{number}", "")
        try:
            return bool(stores[number % 4].add(key, of("CN=a", f"urn:uuid:{number}"), most=5))
        except LimitExceeded:
            return False

    assert raced(32, act) == 5
    assert stores[0].held_by("CN=a") == 5


def raced(threads: int, act: Callable[[int], bool]) -> int:
    """How many of the threads that act at once say True."""
    barrier = Barrier(threads)

    def run(number: int) -> bool:
        barrier.wait()
        return act(number)

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(run, range(threads)))


@pytest.mark.usefixtures("busy")
def test_one_thread_adds(store: Store) -> None:
    """Of many threads that add under one key, one succeeds, and its context is there."""
    for _ in range(20):
        assert raced(8, lambda number: store.add(KEY, made(f"urn:uuid:{number}"))) == 1
        winner = store.get(KEY)
        assert winner is not None
        assert raced(8, lambda _, winner=winner: store.drop(KEY, winner)) == 1  # type: ignore[misc]


@pytest.mark.usefixtures("busy")
def test_one_thread_replaces(store: Store) -> None:
    """Of many threads that replace the same context, one succeeds."""
    for _ in range(20):
        store.add(KEY, made())
        assert raced(8, lambda number: store.replace(KEY, made(), made(instance=str(number)))) == 1
        winner = store.get(KEY)
        assert winner is not None
        assert winner.instance is not None
        store.drop(KEY, winner)


def test_the_first_key_of_a_renewed_context_is_kept(store: Store) -> None:
    """A renewed context comes back with the key that it began with."""
    renewed = replace(made(instance="1"), first=context(identifier="urn:uuid:1"))
    store.add(KEY, renewed)
    found = store.get(KEY)
    assert found == renewed
    assert found.first == context(identifier="urn:uuid:1")


@pytest.mark.usefixtures("busy")
def test_threads_that_change_different_records_lose_nothing(store: Store) -> None:
    """What many threads add, replace and drop at once is all there afterwards, and no more."""

    def act(number: int) -> bool:
        keep, lose = (*KEY[:3], f"keep {number}"), (*KEY[:3], f"lose {number}")
        first, second = made(f"urn:uuid:{number}"), made(f"urn:uuid:{number}", "1")
        done = [store.add(keep, first), store.add(lose, first), store.replace(keep, first, second)]
        return all([*done, store.drop(lose, first), store.get(keep) == second, store.get(lose) is None])

    assert raced(64, act) == 64
    wanted = {(*KEY[:3], f"keep {number}"): made(f"urn:uuid:{number}", "1") for number in range(64)}
    assert dict(store.items("client")) == wanted


# ------------------------------------------------------------------------------------------------ flights


@pytest.mark.usefixtures("busy")
def test_one_of_many_threads_asks(opened: Open) -> None:
    """Of 64 threads without a context one asks for it, through however many objects, and all have the same."""
    stores = [opened() for _ in range(4)]
    asked: list[int] = []
    found: list[str] = []

    def act(number: int) -> bool:
        store = stores[number % len(stores)]
        with store.flight(KEY):
            context = store.get(KEY)
            if context is None:
                asked.append(number)
                assert store.add(KEY, made(f"urn:uuid:{number}"))
                context = store.get(KEY)
        assert context is not None
        found.append(context.identifier)
        return True

    assert raced(64, act) == 64
    assert len(asked) == 1
    assert set(found) == {f"urn:uuid:{asked[0]}"}


def test_who_waits_too_long_for_a_flight_is_told(opened: Open) -> None:
    """A flight that is not given free in time is a StoreError for those who wait, and free for the next one."""
    store = opened(flight_timeout=0.1)
    with store.flight(KEY), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(_fly, store)
        error = waiting.exception(30)
        assert isinstance(error, StoreError)
        assert "in time" in error.message
        assert error.hint
    assert _fly(store)


def test_flights_for_different_records_do_not_wait_for_each_other(opened: Open) -> None:
    """While one key is held, another one is free."""
    store = opened(flight_timeout=0.1)
    with store.flight(KEY):
        assert _fly(store, OTHER)
        assert _fly(store, SERVICE)


def test_an_error_in_a_flight_gives_it_free(store: Store) -> None:
    """Whoever fails in a flight leaves it free, and his error is his own."""
    with pytest.raises(ZeroDivisionError), store.flight(KEY):
        raise ZeroDivisionError
    assert _fly(store)


def test_a_flight_may_end_in_another_thread(store: Store) -> None:
    """A flight is entered here and left elsewhere, as event loops with worker threads do."""
    flight = store.flight(KEY)
    flight.__enter__()
    ended = Event()

    def end() -> None:
        flight.__exit__(None, None, None)
        ended.set()

    thread = Thread(target=end)
    thread.start()
    thread.join(30)
    assert ended.is_set()
    assert _fly(store)


def _fly(store: Store, key: RecordKey = KEY) -> bool:
    with store.flight(key):
        return True
