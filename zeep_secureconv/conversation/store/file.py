"""Contexts in one encrypted file, for the processes of one machine and for the next start."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import MappingProxyType

from ...clock import SYSTEM_CLOCK, Clock
from ...errors import ConfigurationError, LimitExceeded, StoreError
from ..context import SecurityContext
from . import RecordKey
from .flights import FLIGHT_TIMEOUT, Deadline, FileLocks, Flights, waited_too_long
from .forks import in_child
from .records import GRACE, is_gone, is_unused, key_octets, moment, same, too_many_of_one
from .replays import ReplayFile
from .sealing import ID_BYTES, SALT_BYTES, Cost, Sealer, Secret, other_key, secrets_of

_MAGIC = b"zsf1"
#: Magic, binary logarithm of N, r and p of scrypt (zeros where a key was given), salt, id of the key.
_HEADER = struct.Struct(f">4sBBB{SALT_BYTES}s{ID_BYTES}s")
#: What is read to see whether the file is another one: its nonce is new at each write.
_HEAD_BYTES = _HEADER.size + 12
_NO_COST = Cost(log2n=0, r=0, p=0)


@dataclass(frozen=True)
class _Record:
    """A context, and its line in the file."""

    context: SecurityContext
    line: bytes = field(repr=False)


@dataclass(frozen=True)
class _Snapshot:
    """What the file held when it was read.

    Args:
        head: its first octets, which differ from write to write; None without a file.
        records: by record key.
        secret: what opened it.
    """

    head: bytes | None = None
    records: Mapping[RecordKey, _Record] = field(default_factory=dict)
    secret: Secret | None = None


class FileStore:
    """Keeps contexts in one encrypted file, which any number of threads and processes of a machine may use.

    All of the file is encrypted and authenticated with AES-GCM. Each change writes a new file (mode 0600) and puts it
    in the place of the old one at once, so that a process that is killed leaves one or the other, and the next one
    goes on. Beside it lie ``NAME.lock`` and, while contexts are asked for, ``NAME.flight-…``; of a service also
    ``NAME.seen`` with hashes of the messages that it received, so that none is taken twice. All contexts are written
    at each change: that suits clients and small services, RedisStore suits others.

    Args:
        path: the file; its folder must be there, on a local disk.
        key: 16, 24 or 32 random bytes.
        passphrase: a text instead of *key*; the key is made from it by scrypt, with a salt in the file.
        previous_keys: keys (bytes) and passphrases (str) that the file may be written with still. It is written with
            the current one at the next change, or by :meth:`rotate`.
        size: how many contexts it holds.
        grace: how long contexts stay that are over.
        flight_timeout: how long to wait for other users of the file, in seconds.
        clock: tells what is expired.

    Raises:
        ConfigurationError: when there is no key, or the system has no locks for files.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        key: bytes | None = None,
        passphrase: str | None = None,
        previous_keys: Sequence[bytes | str] = (),
        size: int = 10_000,
        grace: timedelta = GRACE,
        flight_timeout: float = FLIGHT_TIMEOUT,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        # a link stays one: what it leads to is replaced
        self._path = Path(path).resolve()
        if not self._path.parent.is_dir() or self._path.is_dir():
            raise ConfigurationError(
                f"There can be no file {self._path}", hint="give the path of a file in a folder that is there"
            )
        self._secrets = secrets_of(key, passphrase, previous_keys)
        self._size = size
        self._grace = grace
        self._flight_timeout = flight_timeout
        self._clock = clock
        self._failed = partial(_failed, self._path)
        self._locks = FileLocks(self._failed)
        self._flights = Flights()
        self._replays = ReplayFile(self._beside(".seen"), self._locks, self._failed)
        self._writing = threading.Lock()
        self._snapshot = _Snapshot()
        in_child(self._in_child)

    def __repr__(self) -> str:
        return f"<FileStore {str(self._path)!r}>"

    def get(self, key: RecordKey) -> SecurityContext | None:
        """The context under *key*, or None.

        Raises:
            StoreError: when the file cannot be read, has another key, or was changed.
        """
        record = self._read().records.get(key)
        return None if record is None or self._is_gone(record) else record.context

    def add(self, key: RecordKey, context: SecurityContext, *, most: int | None = None) -> bool:
        """Keep *context* under *key* if nothing is there; False if something is.

        Raises:
            LimitExceeded: check "contexts-per-principal", when its principal holds *most* living contexts; check
                "contexts", when the store is full of living ones.
            StoreError: when the file cannot be read or written.
        """

        def change(records: dict[RecordKey, _Record]) -> bool:
            if key in records:
                return False
            if most is not None and context.owner is not None and self._held(records, context.owner) >= most:
                raise too_many_of_one()
            if len(records) >= self._size:
                for name in [name for name, held in records.items() if held.context.is_over(self._clock)]:
                    del records[name]
            if len(records) >= self._size:
                raise LimitExceeded("contexts", "The store of contexts is full")
            records[key] = self._record(key, context)
            return True

        return self._change(change)

    def replace(self, key: RecordKey, old: SecurityContext, new: SecurityContext) -> bool:
        """Put *new* in the place of *old*; False if what is there is not *old*.

        Raises:
            StoreError: when the file cannot be read or written.
        """

        def change(records: dict[RecordKey, _Record]) -> bool:
            if key not in records or not same(records[key].context, old):
                return False
            records[key] = self._record(key, new)
            return True

        return self._change(change)

    def drop(self, key: RecordKey, context: SecurityContext) -> bool:
        """Remove *context*; False if what is there is another one.

        Raises:
            StoreError: when the file cannot be read or written.
        """

        def change(records: dict[RecordKey, _Record]) -> bool:
            if key not in records or not same(records[key].context, context):
                return False
            del records[key]
            return True

        return self._change(change)

    def held_by(self, owner: str) -> int:
        """How many living records a principal holds on a service.

        Raises:
            StoreError: when the file cannot be read.
        """
        return self._held(self._read().records, owner)

    def make_room(self, owner: str | None) -> bool:
        """Drop the context of a service that no call was made in and that ends first; False when there is none.

        Raises:
            StoreError: when the file cannot be read or written.
        """

        def change(records: dict[RecordKey, _Record]) -> bool:
            unused = [
                (moment(self._clock, record.context.remaining(self._clock)), number, key)
                for number, (key, record) in enumerate(records.items())
                if is_unused(key, record.context) and owner in (None, record.context.owner)
            ]
            if unused:
                del records[min(unused)[2]]
            return bool(unused)

        return self._change(change)

    def items(self, role: str) -> Iterator[tuple[RecordKey, SecurityContext]]:
        """All records of a role.

        Raises:
            StoreError: when the file cannot be read.
        """
        records = self._read().records.items()
        return iter([(k, r.context) for k, r in records if k[0] == role and not self._is_gone(r)])

    @contextmanager
    def flight(self, key: RecordKey) -> Iterator[None]:
        """Held while a context for *key* is asked for or renewed: by one thread of one process at a time.

        The operating system gives it free when its holder dies.

        Raises:
            StoreError: when it was not free in time.
        """
        name = hashlib.sha256(key_octets(key)).hexdigest()[:16]
        path = self._beside(f".flight-{name}")
        deadline = Deadline(self._flight_timeout)
        with self._flights.hold(key, deadline), self._locks.hold(path, deadline, remove=True):
            yield

    def remember(
        self, mark: bytes, *, until: datetime, now: datetime, created: datetime | None = None
    ) -> bool:
        """Remember for all processes that *mark* was received; False when one of them has it already, or may have.

        It is written into ``NAME.seen``, as a keyed hash, and is known after a restart. Of more than 200,000 that are
        good still the oldest is forgotten, and what was created before that is refused from then on.

        Args:
            mark: what no other message has.
            until: when the message expires.
            now: the time.
            created: when it was created, or None when it does not say.

        Raises:
            StoreError: when the file cannot be read or written: the message must be refused then.
        """
        return self._replays.remember(mark, until, now, created, Deadline(self._flight_timeout))

    def rotate(self, new: bytes | str) -> None:
        """Write the file anew with another key, in which this object goes on.

        Other processes that use the file need it in ``previous_keys`` before.

        Args:
            new: 16, 24 or 32 random bytes, or a passphrase.

        Raises:
            ConfigurationError: when it is neither.
            StoreError: when the file cannot be read or written.
        """
        secret = Secret(new)
        with self._exclusively():
            old = self._secrets
            records = self._living(self._read())
            self._secrets = (*old, secret)  # readers of other threads know it before it is used
            self._write(records, _Snapshot(), secret)
            self._secrets = (secret, *old)

    # ---------------------------------------------------------------------------------------- inside

    def _in_child(self) -> None:
        self._locks.close_in_child()
        self._flights.remake()
        self._replays.remake()
        self._writing = threading.Lock()

    def _beside(self, end: str) -> Path:
        return self._path.with_name(self._path.name + end)

    def _is_gone(self, record: _Record) -> bool:
        return is_gone(record.context, self._clock, self._grace)

    def _held(self, records: Mapping[RecordKey, _Record], owner: str) -> int:
        held = (record.context for record in records.values())
        return sum(context.owner == owner and not context.is_over(self._clock) for context in held)

    def _record(self, key: RecordKey, context: SecurityContext) -> _Record:
        kept = context.for_others(self._clock)
        return _Record(kept, json.dumps([key, kept.record()]).encode())

    def _living(self, snapshot: _Snapshot) -> dict[RecordKey, _Record]:
        return {key: record for key, record in snapshot.records.items() if not self._is_gone(record)}

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        """Alone among all threads and processes."""
        deadline = Deadline(self._flight_timeout)
        writing = self._writing
        if not writing.acquire(timeout=deadline.left):
            raise waited_too_long()
        try:
            with self._locks.hold(self._beside(".lock"), deadline, remove=False):
                self._reached("locked")
                yield
        finally:
            writing.release()

    def _change(self, change: Callable[[dict[RecordKey, _Record]], bool]) -> bool:
        with self._exclusively():
            snapshot = self._read()
            self._reached("read")
            records = self._living(snapshot)
            done = change(records)
            if done:
                self._write(records, snapshot, self._secrets[0])
        self._reached("unlocked")
        return done

    def _read(self) -> _Snapshot:
        """What the file holds; it needs no lock, since the file as a whole is replaced."""
        try:
            with self._path.open("rb") as file:
                known = self._snapshot
                head = file.read(_HEAD_BYTES)
                if head == known.head:
                    return known
                rest = file.read()
        except FileNotFoundError:
            return _Snapshot()
        except OSError as error:
            raise self._failed(error) from error
        self._snapshot = snapshot = self._open(head, rest)
        return snapshot

    def _open(self, head: bytes, rest: bytes) -> _Snapshot:
        if len(head) < _HEAD_BYTES or not head.startswith(_MAGIC):
            raise StoreError(
                f"{self._path} is no store of contexts, or was cut off",
                hint="check the path; remove the file, and contexts are asked for anew",
            )
        header = head[: _HEADER.size]
        _, log2n, r, p, salt, identifier = _HEADER.unpack(header)
        cost = Cost(log2n=log2n, r=r, p=p)
        if cost != _NO_COST:
            cost.check()
        for secret in self._secrets:
            if secret.is_passphrase == (cost != _NO_COST):
                sealer = secret.sealer(salt, cost)
                if sealer.id == identifier:
                    plain = sealer.open(head[_HEADER.size :] + rest, header)
                    return _Snapshot(head, MappingProxyType(_records(plain)), secret)
        raise other_key()

    def _sealer(self, snapshot: _Snapshot, secret: Secret) -> tuple[bytes, Sealer]:
        """The header of a new file, and what seals it: the salt stays as long as the secret does."""
        if snapshot.head is not None and snapshot.secret is secret:
            header = snapshot.head[: _HEADER.size]
            _, log2n, r, p, salt, _ = _HEADER.unpack(header)
            return header, secret.sealer(salt, Cost(log2n=log2n, r=r, p=p))
        cost = Cost() if secret.is_passphrase else _NO_COST
        salt = os.urandom(SALT_BYTES)
        sealer = secret.sealer(salt, cost)
        return _HEADER.pack(_MAGIC, cost.log2n, cost.r, cost.p, salt, sealer.id), sealer

    def _write(self, records: dict[RecordKey, _Record], snapshot: _Snapshot, secret: Secret) -> None:
        header, sealer = self._sealer(snapshot, secret)
        data = header + sealer.seal(b"\n".join(record.line for record in records.values()), header)
        try:
            self._put(data)
        except OSError as error:
            raise self._failed(error) from error
        self._snapshot = _Snapshot(data[:_HEAD_BYTES], MappingProxyType(records), secret)

    def _put(self, data: bytes) -> None:
        """Replace the file. The lock is held: what lies under the new name, a killed process left."""
        new = self._beside(".new")
        with suppress(FileNotFoundError):
            new.unlink()
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            self._reached("created")
            file.write(data)
            file.flush()
            self._reached("written")
            os.fsync(file.fileno())
            self._reached("synced")
        new.replace(self._path)
        self._reached("replaced")
        _sync_folder(self._path.parent)
        self._reached("folder synced")

    def _reached(self, step: str) -> None:
        """Told of each step of a change, so that tests can end a process there."""


def _failed(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"The store of contexts {path} cannot be read or written: {error.strerror}",
        hint="check the folder, its permissions and the space on the disk",
    )


def _records(plain: bytes) -> dict[RecordKey, _Record]:
    records: dict[RecordKey, _Record] = {}
    for line in plain.splitlines():
        key, record = json.loads(line)
        records[tuple(key)] = _Record(SecurityContext.from_record(record), line)
    return records


def _sync_folder(folder: Path) -> None:
    """Make the new name of the file outlive a crash of the machine, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)
