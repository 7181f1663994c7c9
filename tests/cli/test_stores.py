"""``--store`` and ``--store-key``: which store a URL means, and what a key file holds."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from tests.redis_server import RedisServer
from tests.unit.messages import ENDPOINT, context
from zeep_secureconv import ConfigurationError, FileStore, RedisStore, SecurityContext, StoreError
from zeep_secureconv.cli.stores import open_store, store_of

CommandLine = Callable[..., Any]


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A file with 32 random bytes, which are no text."""
    file = tmp_path / "store.key"
    file.write_bytes(b"\0" + secrets.token_bytes(31))
    return file


def test_a_file_is_named_in_either_form(tmp_path: Path, key: Path) -> None:
    """file:PATH and file:///PATH mean the same file, and lead to one store."""
    for url in (f"file:{tmp_path}/contexts", f"file://{tmp_path}/contexts", f"FILE:{tmp_path}/contexts"):
        store = open_store(url, [key])
        assert isinstance(store, FileStore)
        assert repr(store) == f"<FileStore {str(tmp_path / 'contexts')!r}>"


def test_a_redis_is_named_by_its_url(redis_server: RedisServer, key: Path) -> None:
    """redis: leads to a store in Redis that answers."""
    store = open_store(redis_server.url, [key])
    assert isinstance(store, RedisStore)
    assert store.held_by("nobody") == 0


@pytest.mark.parametrize(
    "url",
    [
        "",
        "contexts",
        "http://user:secret@localhost/",
        "file:",
        "file://elsewhere/contexts",
        "redis:nonsense://",
    ],
)
def test_another_url_is_refused_without_being_shown(url: str, key: Path) -> None:
    """What is no store is told, and never the URL, which may hold a password."""
    assert isinstance(open_store("redis://localhost:1/0", [key]), RedisStore)
    with pytest.raises(ConfigurationError) as caught:
        open_store(url, [key])
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"\xff" * 31])
def test_what_is_neither_key_nor_passphrase_is_refused(content: bytes, tmp_path: Path, key: Path) -> None:
    """A key file holds 32 bytes or a text."""
    assert isinstance(open_store(f"file:{tmp_path}/contexts", [key]), FileStore)
    key.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        open_store(f"file:{tmp_path}/contexts", [key])
    assert "/dev/urandom" in (caught.value.hint or "")


def test_a_key_can_be_replaced(tmp_path: Path, key: Path) -> None:
    """A passphrase of 32 letters is one, its line end is no part of it, and an older key given again still opens."""
    url = f"file:{tmp_path}/contexts"
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("a passphrase of 32 letters, oh y\n")
    name = ("client", ENDPOINT, "policy", "parties")
    held = SecurityContext(endpoint=ENDPOINT, created=None, expires=None, dialect="oasis13", key=context())
    assert open_store(url, [passphrase]).add(name, held)
    passphrase.write_text("a passphrase of 32 letters, oh y")
    assert open_store(url, [passphrase]).get(name) == held
    with pytest.raises(StoreError):
        open_store(url, [key]).get(name)
    assert open_store(url, [key, passphrase]).get(name) == held


def test_one_is_not_without_the_other(key: Path) -> None:
    """A store without a key is wrong usage, and a key without a store; none of both is no store."""
    assert store_of({"store": None, "store_key": ()}) is None
    for options in ({"store": "file:x", "store_key": ()}, {"store": None, "store_key": (key,)}):
        with pytest.raises(click.UsageError):
            store_of(options)


def test_wrong_usage_has_status_2(cli: CommandLine, key: Path) -> None:
    """So it is on the command line, of every command with a store."""
    for command in (["call", "x.wsdl", "echo"], ["serve", "--policy", "x"], ["sessions"]):
        assert cli(*command, "--store", "file:x").status == 2
        assert cli(*command, "--store-key", key).status == 2
