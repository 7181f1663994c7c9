"""A security context: how it ages, and how it is kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.messages import SECRET, context
from tests.unit.parties import NOW, Time
from zeep_secureconv import ConfigurationError, SecurityContext, StoreError
from zeep_secureconv.wss.keys import ContextKey

MINUTE = timedelta(minutes=1)
RECORD_KEY = bytes(range(100, 132))


def made(**changes: Any) -> SecurityContext:
    """A context of ten minutes."""
    usual: dict[str, Any] = {
        "endpoint": "http://localhost/peer",
        "created": NOW,
        "expires": NOW + 10 * MINUTE,
        "dialect": "oasis13",
        "key": context(),
    }
    return SecurityContext(**(usual | changes))


# --------------------------------------------------------------------------------------------------- age


def test_what_was_received_here_ages_on_the_monotonic_clock() -> None:
    """A context that this process received lives as long as the issuer said, from its receipt."""
    time = Time()
    mine = made(received=time.seconds)
    assert not mine.is_over(time.clock)
    time.forward(10 * MINUTE - timedelta(seconds=1))
    assert not mine.is_over(time.clock)
    time.forward(timedelta(seconds=1))
    assert mine.is_over(time.clock)


@pytest.mark.parametrize("jump", [timedelta(days=365), timedelta(days=-365)], ids=["forward", "back"])
def test_a_jump_of_the_wall_clock_neither_ends_nor_prolongs_it(jump: timedelta) -> None:
    """Set the wall clock a year ahead or back: the context goes on, and ends in time."""
    time = Time()
    mine = made(received=time.seconds)
    time.forward(jump, monotonic=False)
    assert not mine.is_over(time.clock)
    time.forward(10 * MINUTE)
    assert mine.is_over(time.clock)


def test_skew_between_the_parties_does_not_shorten_it() -> None:
    """An issuer whose clock is an hour behind gives ten minutes all the same."""
    time = Time()
    behind = made(created=NOW - 60 * MINUTE, expires=NOW - 50 * MINUTE, received=time.seconds)
    assert not behind.is_over(time.clock)
    time.forward(10 * MINUTE)
    assert behind.is_over(time.clock)


def test_what_came_from_a_store_ages_on_the_wall_clock() -> None:
    """A context of another process lives until its Expires."""
    time = Time()
    theirs = made()
    assert not theirs.is_over(time.clock)
    time.seconds += 10_000_000
    assert not theirs.is_over(time.clock)
    time.forward(10 * MINUTE - timedelta(microseconds=1), monotonic=False)
    assert not theirs.is_over(time.clock)
    time.forward(timedelta(microseconds=1), monotonic=False)
    assert theirs.is_over(time.clock)


def test_a_context_without_a_beginning_or_an_end() -> None:
    """Without Expires it never ends; without Created it ends by the wall clock."""
    time = Time()
    endless, unbegun = made(expires=None, received=time.seconds), made(created=None, received=time.seconds)
    time.forward(9 * MINUTE)
    assert not unbegun.is_over(time.clock)
    time.forward(timedelta(days=9999))
    assert unbegun.is_over(time.clock)
    assert not endless.is_over(time.clock)


def test_what_another_process_received_ages_from_its_receipt() -> None:
    """A context goes to another process with what the wall clock showed at its receipt, and lives as long there."""
    time = Time()
    mine = made(created=NOW - 60 * MINUTE, expires=NOW - 50 * MINUTE, received=time.seconds)
    time.forward(4 * MINUTE)
    theirs = mine.for_others(time.clock)
    assert (theirs.received, theirs.obtained) == (None, NOW)
    assert theirs.for_others(time.clock) is theirs
    for context_ in (mine, theirs):
        assert context_.remaining(time.clock) == 6 * MINUTE
    time.forward(6 * MINUTE)
    assert mine.is_over(time.clock)
    assert theirs.is_over(time.clock)


def test_lifetimes_of_any_length_are_measured() -> None:
    """Lifetimes in the past, without length, of a second and until the year 9999 have their remaining time."""
    time = Time()
    for lifetime in (-10 * MINUTE, timedelta(0), timedelta(seconds=1), NOW.replace(year=9999) - NOW):
        expires = NOW + lifetime
        for known in ({}, {"received": time.seconds}, {"obtained": NOW}):
            assert made(expires=expires, **known).remaining(time.clock) == lifetime
            assert made(expires=expires, **known).is_over(time.clock) is (lifetime <= timedelta(0))
    assert made(expires=None).remaining(time.clock) is None


# ------------------------------------------------------------------------------------------------ keeping

_times = st.none() | st.datetimes(datetime(2000, 1, 1), timezones=st.just(timezone.utc))  # noqa: DTZ001
_octets = st.none() | st.binary(max_size=50)
_names = st.text(max_size=20)


_keys = st.builds(
    ContextKey,
    identifier=_names,
    instance=st.none() | _names,
    wsc=_names,
    secret=st.binary(max_size=64),
    token=st.binary(max_size=50),
    attached=_octets,
    unattached=_octets,
)


@settings(max_examples=100)
@given(
    st.builds(
        SecurityContext,
        endpoint=_names,
        created=_times,
        expires=_times,
        dialect=_names,
        renewable=st.booleans(),
        renewable_late=st.booleans(),
        used=st.booleans(),
        kept_until=_times,
        principal=st.none() | _names,
        policy=_names,
        received=st.none() | st.floats(0, 1e6),
        obtained=_times,
        owner=st.none() | _names,
        first=st.none() | _keys,
        key=_keys,
    )
)
def test_a_context_comes_back_from_its_bytes(mine: SecurityContext) -> None:
    """Everything but the reading of the monotonic clock, which means nothing elsewhere, comes back."""
    back = SecurityContext.from_bytes(RECORD_KEY, mine.to_bytes(RECORD_KEY))
    assert back == mine
    assert back.received is None
    assert back.obtained == mine.obtained


def test_what_another_version_stored_is_told_apart() -> None:
    """Bytes in the form of an older or a newer version say so, instead of blaming the key."""
    data = made().to_bytes(RECORD_KEY)
    for other in (b"zsc1", b"zsc9"):
        with pytest.raises(StoreError) as caught:
            SecurityContext.from_bytes(RECORD_KEY, other + data[4:])
        assert "another version" in caught.value.message
        assert caught.value.hint
    record = made().record()
    assert SecurityContext.from_record(record) == made()
    wrong: Any
    for wrong in ({**record, "version": 1}, {k: v for k, v in record.items() if k != "version"}, [], None):
        with pytest.raises(StoreError):
            SecurityContext.from_record(wrong)


def test_what_was_stored_before_it_knew_of_use_is_unused() -> None:
    """A record without the newer fields is read, as one that nobody used and the store keeps as it likes."""
    record = made(used=True, kept_until=NOW).record()
    older = {name: value for name, value in record.items() if name not in ("used", "kept_until")}
    assert SecurityContext.from_record(older) == made()


@pytest.mark.parametrize("length", [16, 24, 32])
def test_keys_of_each_length_of_aes_are_taken(length: int) -> None:
    """16, 24 and 32 bytes are keys, anything else is a ConfigurationError."""
    data = made().to_bytes(bytes(length))
    assert SecurityContext.from_bytes(bytes(length), data) == made()
    for wrong in (0, 15, 33):
        with pytest.raises(ConfigurationError) as caught:
            made().to_bytes(bytes(wrong))
        assert caught.value.hint
        with pytest.raises(ConfigurationError):
            SecurityContext.from_bytes(bytes(wrong), data)


def test_stored_bytes_show_nothing_and_never_repeat() -> None:
    """Neither key nor names show in the bytes, and the same context gives others each time."""
    one, two = made().to_bytes(RECORD_KEY), made().to_bytes(RECORD_KEY)
    assert one != two
    for plain in (SECRET, b"sct-1", b"localhost", b"oasis13"):
        assert plain not in one


def test_changed_bytes_are_refused() -> None:
    """One bit anywhere, a cut, an addition, or another key: refused, without saying which."""
    data = made().to_bytes(RECORD_KEY)
    assert SecurityContext.from_bytes(RECORD_KEY, data) == made()
    changed = [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in range(len(data))]
    cut = [data[:length] for length in (0, 3, 4, 5, 15, 16, 20, len(data) - 1)]
    for wrong in (*changed, *cut, data + b"\0", b"garbage"):
        with pytest.raises(StoreError) as caught:
            SecurityContext.from_bytes(RECORD_KEY, wrong)
        assert caught.value.hint
    with pytest.raises(StoreError):
        SecurityContext.from_bytes(bytes(32), data)


def test_its_repr_has_no_secret() -> None:
    """The repr names endpoint and lifetime and shows neither key nor token."""
    mine = made(key=replace(context(), attached=b"attached-reference"))
    for shown in (repr(mine), str(mine)):
        assert "http://localhost/peer" in shown
        assert "\\x01\\x02" not in shown
        assert SECRET.hex() not in shown
        assert "SecurityContextToken" not in shown
        assert "attached-reference" not in shown


def test_its_names_are_those_of_its_key() -> None:
    """Identifier and Instance are those of the key in use."""
    assert (made().identifier, made().instance) == ("urn:uuid:sct-1", None)
    assert made(key=context(instance="2")).instance == "2"
