"""What the processes of one machine have received, in a file that grows at its end, so that none takes it again."""

from __future__ import annotations

import io
import os
import secrets
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from ...errors import StoreError
from ...wss.seen import MARK_BYTES, Marks, mark_of, seconds_of
from .flights import Deadline, FileLocks, waited_too_long

_MAGIC = b"zsm1"
_KEY_BYTES = 16
_NUMBER_BYTES = 8
#: Magic, key of the marks, number of this file, until when what was created may have been forgotten.
_HEADER = struct.Struct(f">4s{_KEY_BYTES}s{_NUMBER_BYTES}sd")
#: A mark, until when it is kept, when its message was created.
_RECORD = struct.Struct(f">{MARK_BYTES}sdd")
#: The file is written anew when it has so many records more than twice as many as are kept.
_SLACK = 1_000


class ReplayFile:
    """Remembers signature values for all processes that use one file, and for the next start.

    A value is remembered once its record is with the operating system: a process that is killed forgets nothing. It is
    not waited for the disk, so that a machine that stops all of a sudden may forget the last ones.

    The file has keyed hashes and times. Its key lies in it: that keeps who sends messages from choosing what collides,
    and who may read the file learns of a message that he has whether it was received.

    Args:
        path: the file; its lock lies beside it.
        locks: of the store that it belongs to.
        failed: makes an error of what the operating system refused.
        size: how many values it keeps; beyond that the oldest go, as :class:`~zeep_secureconv.wss.seen.Marks` says.
    """

    def __init__(
        self, path: Path, locks: FileLocks, failed: Callable[[OSError], StoreError], size: int = 200_000
    ) -> None:
        self._path = path
        self._lock_path = path.with_name(path.name + ".lock")
        self._locks = locks
        self._failed = failed
        self._size = size
        self.remake()

    def remake(self) -> None:
        """Begin anew with what the file says: in a forked child, what was inherited may be half a change."""
        self._turn = threading.Lock()
        self._key = self._head = b""
        self._marks = Marks(self._size)
        self._read = 0

    def remember(
        self, value: bytes, until: datetime, now: datetime, created: datetime | None, deadline: Deadline
    ) -> bool:
        """Remember *value*; False when a process has seen it before, or may have.

        Raises:
            StoreError: when the file cannot be read or written, or is not free in time.
        """
        turn = self._turn
        if not turn.acquire(timeout=deadline.left):
            raise waited_too_long()
        try:
            with self._locks.hold(self._lock_path, deadline, remove=False):
                try:
                    return self._remember(value, until.timestamp(), now.timestamp(), seconds_of(created))
                except OSError as error:
                    raise self._failed(error) from error
        finally:
            turn.release()

    def _remember(self, value: bytes, until: float, now: float, created: float) -> bool:
        try:
            with self._open(self._path, 0) as file:
                self._catch_up(file, now)
                mark = mark_of(value, self._key)
                if not self._marks.add(mark, until, now, created):
                    return False
                self._append(file, _RECORD.pack(mark, until, created))
        except FileNotFoundError:
            self._write_anew(self._key or secrets.token_bytes(_KEY_BYTES))
            return self._remember(value, until, now, created)
        self._read += _RECORD.size
        if self._read > _HEADER.size + _RECORD.size * (2 * len(self._marks) + _SLACK):
            self._write_anew(self._key)
        return True

    def _open(self, path: Path, flags: int) -> io.FileIO:
        flags |= os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
        return io.FileIO(os.open(path, flags, 0o600), "r+")

    def _catch_up(self, file: io.FileIO, now: float) -> None:
        """Read what others have written since, or all of it, when another one put a new file there."""
        size, head = os.fstat(file.fileno()).st_size, os.pread(file.fileno(), _HEADER.size, 0)
        if len(head) < _HEADER.size or not head.startswith(_MAGIC):
            raise StoreError(
                f"{self._path} is no memory of messages, or was cut off",
                hint="remove it; messages of the last minutes could be taken again then",
            )
        if head != self._head or size < self._read:
            _, self._key, _, floor = _HEADER.unpack(head)
            self._head, self._read, self._marks = head, len(head), Marks(self._size, floor)
        whole = size - (size - _HEADER.size) % _RECORD.size
        if whole < size:
            # a process was killed while it wrote, and nobody relies on that record; the lock is ours
            os.ftruncate(file.fileno(), whole)
        new = os.pread(file.fileno(), whole - self._read, self._read)
        for mark, until, created in _RECORD.iter_unpack(new):
            if until > now:
                self._marks.add(mark, until, now, created)
        self._read = whole

    def _append(self, file: io.FileIO, data: bytes) -> None:
        if file.write(data) != len(data):
            raise StoreError(
                f"{self._path} could not be written to its end", hint="check the space on the disk"
            )

    def _write_anew(self, key: bytes) -> None:
        """Put a file in the place of this one that has only what is kept."""
        new = self._path.with_name(self._path.name + ".new")
        with suppress(FileNotFoundError):
            new.unlink()
        head = _HEADER.pack(_MAGIC, key, secrets.token_bytes(_NUMBER_BYTES), self._marks.floor)
        kept = b"".join(_RECORD.pack(*entry) for entry in self._marks)
        with self._open(new, os.O_CREAT | os.O_EXCL) as file:
            self._append(file, head + kept)
        new.replace(self._path)
        self._key, self._head, self._read = key, head, len(head) + len(kept)
