"""A store by its address, and its key from a file: for command lines and configuration."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ...clock import SYSTEM_CLOCK, Clock
from ...errors import ConfigurationError
from .file import FileStore
from .redis import RedisStore

_REDIS = ("redis", "rediss", "unix")
_HEX_DIGITS = (32, 48, 64)
_BASE64_CHARS = 44
_KEY_FILE = (
    "give a file with a key of 32 random bytes in hexadecimal or base64, such as 'openssl rand -hex 32' writes, "
    "or with a passphrase"
)


def open_store(
    address: str | Path,
    *,
    key: bytes | str,
    previous_keys: Sequence[bytes | str] = (),
    clock: Clock = SYSTEM_CLOCK,
) -> FileStore | RedisStore:
    """The store at an address.

    Args:
        address: ``redis://``, ``rediss://`` or ``unix://`` for Redis; ``file:`` or a path for a file.
        key: a key (bytes) or a passphrase (str).
        previous_keys: those that it is read with besides.
        clock: tells what is expired.

    Raises:
        ConfigurationError: when there can be no store of that kind, or the key is malformed.
    """
    own, passphrase = (None, key) if isinstance(key, str) else (key, None)
    parts = urlsplit(str(address))
    if isinstance(address, str) and parts.scheme in _REDIS:
        return RedisStore(address, key=own, passphrase=passphrase, previous_keys=previous_keys, clock=clock)
    if isinstance(address, str) and "://" in address and parts.scheme != "file":
        raise ConfigurationError(
            f"There are no stores of contexts at {parts.scheme}:// addresses",
            hint="give redis://HOST:6379/0 or the path of a file",
        )
    path = unquote(parts.path) if parts.scheme == "file" and isinstance(address, str) else address
    return FileStore(path, key=own, passphrase=passphrase, previous_keys=previous_keys, clock=clock)


def read_key(path: str | Path) -> bytes | str:
    """What a key file holds: a key in hexadecimal, in base64 or as it is, or else a passphrase.

    Args:
        path: of the file. White space around a text does not count.

    Raises:
        ConfigurationError: when it cannot be read, or holds nothing.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"The key file {path} cannot be read: {error.strerror}", hint=_KEY_FILE
        ) from error
    try:
        text = data.decode().strip()
    except UnicodeDecodeError:
        text = None
    if text is None or not text.isprintable():
        return data
    if not text:
        raise ConfigurationError(f"The key file {path} is empty", hint=_KEY_FILE)
    try:
        if len(text) in _HEX_DIGITS:
            return bytes.fromhex(text)
        if len(text) == _BASE64_CHARS and text.endswith("="):
            return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return text
    return text
