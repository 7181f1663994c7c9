"""Stores by their address, and keys out of files."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.conversation.store.test_contract import KEY, made
from tests.unit.conversation.store.user import KEY as STORE_KEY
from tests.unit.parties import Time
from zeep_secureconv import ConfigurationError, FileStore, RedisStore
from zeep_secureconv.conversation.store.opening import open_store, read_key


def test_a_file_is_opened_by_its_path(tmp_path: Path) -> None:
    """A path as text, as Path and as URL is the same file."""
    clock = Time().clock
    path = tmp_path / "my contexts"
    FileStore(path, key=STORE_KEY, clock=clock).add(KEY, made())
    for address in (str(path), path, path.as_uri()):
        assert open_store(address, key=STORE_KEY, clock=clock).get(KEY) == made()


def test_keys_are_handed_on(tmp_path: Path) -> None:
    """A passphrase and earlier keys reach the store."""
    clock = Time().clock
    path = tmp_path / "contexts"
    FileStore(path, key=STORE_KEY, clock=clock).add(KEY, made())
    store = open_store(path, key="open sesame", previous_keys=[STORE_KEY], clock=clock)
    assert store.replace(KEY, made(), made(instance="1"))
    assert FileStore(path, passphrase="open sesame", clock=clock).get(KEY) == made(instance="1")


def test_redis_is_opened_by_its_url(place_of: Callable[[str], str]) -> None:
    """A URL of Redis is a RedisStore."""
    url = place_of("redis").partition("#")[0]
    store = open_store(url, key=STORE_KEY)
    assert isinstance(store, RedisStore)
    assert store.get(KEY) is None


def test_other_addresses_are_refused(tmp_path: Path) -> None:
    """An address of another scheme is a ConfigurationError, and makes no file."""
    assert open_store(tmp_path / "contexts", key=STORE_KEY).get(KEY) is None
    with pytest.raises(ConfigurationError) as caught:
        open_store("memcached://localhost", key=STORE_KEY)
    assert "redis://" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (STORE_KEY, STORE_KEY),
        (STORE_KEY.hex().encode() + b"\n", STORE_KEY),
        (STORE_KEY[:16].hex().upper().encode(), STORE_KEY[:16]),
        (base64.b64encode(STORE_KEY) + b"\r\n", STORE_KEY),
        (b"open sesame\n", "open sesame"),
        (b"z" * 64, "z" * 64),
        (b"!" * 43 + b"=", "!" * 43 + "="),
        ("Öffne dich".encode(), "Öffne dich"),
    ],
    ids=["raw", "hex", "short hex", "base64", "passphrase", "no hex", "no base64", "umlaut"],
)
def test_a_key_file_is_read(tmp_path: Path, written: bytes, read: bytes | str) -> None:
    """A key is taken in hexadecimal, base64 or as it is; anything else is a passphrase."""
    file = tmp_path / "key"
    file.write_bytes(written)
    assert read_key(file) == read


def test_a_key_file_that_holds_nothing_is_refused(tmp_path: Path) -> None:
    """A file that is missing or empty is a ConfigurationError that says what belongs in it."""
    empty, good = tmp_path / "empty", tmp_path / "good"
    empty.write_text(" \n")
    good.write_text("open sesame")
    assert read_key(good)
    for wrong in (empty, tmp_path / "missing", tmp_path):
        with pytest.raises(ConfigurationError) as caught:
            read_key(wrong)
        assert "openssl rand" in (caught.value.hint or "")
