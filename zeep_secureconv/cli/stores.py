"""Stores of contexts, by URL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.request import url2pathname

import click

from ..conversation.store import Store
from ..conversation.store.file import FileStore
from ..conversation.store.redis import RedisStore
from ..errors import ConfigurationError
from ..wss.certificates import read_source

_KEY_BYTES = 32
_PRINTABLE = frozenset(range(0x20, 0x7F))


def store_of(options: dict[str, Any]) -> Store | None:
    """The store that ``--store`` and ``--store-key`` give, which are taken out of *options*; None without them.

    Raises:
        click.UsageError: when one is given without the other.
        ConfigurationError: when there is no such store, or the key is of no use.
    """
    url, keys = options.pop("store"), options.pop("store_key")
    need_key(url, keys)
    return None if url is None else open_store(url, keys)


def need_key(url: str | None, keys: Sequence[Path]) -> None:
    """Refuse a store without a key, and a key without a store.

    Raises:
        click.UsageError: when there is one without the other.
    """
    if url is None and keys:
        raise click.UsageError("--store-key needs --store")
    if url is not None and not keys:
        raise click.UsageError("--store needs --store-key: contexts are kept encrypted")


def open_store(url: str, key_files: Sequence[Path]) -> Store:
    """The store at a URL.

    Args:
        url: ``file:PATH``, or that of a Redis (``redis:``, ``rediss:``, ``unix:``).
        key_files: a file with the key, then those with older keys; each 32 random bytes or a passphrase.

    Raises:
        ConfigurationError: when there is no such store, or a key is of no use.
    """
    opened = _KINDS.get(url.partition(":")[0].lower())
    if opened is None:
        # not the URL itself, which may hold a password
        raise ConfigurationError(
            "--store: there is no store of that kind", hint="give file:PATH or redis://HOST:6379/0"
        )
    current, *previous = [_read_key(file) for file in key_files]
    if isinstance(current, str):
        return opened(url, passphrase=current, previous_keys=previous)
    return opened(url, key=current, previous_keys=previous)


def _file(url: str, **secrets: Any) -> Store:
    path = url.partition(":")[2]
    if path.startswith("//"):
        host, _, rest = path[2:].partition("/")
        if host not in ("", "localhost"):
            raise ConfigurationError(
                "--store: the file would be on another machine",
                hint="write file:PATH or file:///ABSOLUTE/PATH",
            )
        path = url2pathname(f"/{rest}")
    if not path:
        raise ConfigurationError("--store: file: names no file", hint="write file:PATH")
    return FileStore(path, **secrets)


def _redis(url: str, **secrets: Any) -> Store:
    return RedisStore(url, **secrets)


_KINDS: dict[str, Callable[..., Store]] = {"file": _file, "redis": _redis, "rediss": _redis, "unix": _redis}


def _read_key(file: Path) -> bytes | str:
    """What a key file holds: 32 bytes that are no text are a key, text is a passphrase."""
    data = read_source(file, "key file of the store")
    if len(data) == _KEY_BYTES and not _PRINTABLE.issuperset(data):
        return data
    try:
        passphrase = data.decode().strip("\r\n")
    except UnicodeDecodeError:
        passphrase = ""
    if not passphrase:
        raise ConfigurationError(
            f"--store-key: {file} holds neither 32 random bytes nor a passphrase",
            hint="make one with: head -c 32 /dev/urandom > FILE",
        )
    return passphrase
