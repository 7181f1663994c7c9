"""Contexts in Redis, for the processes of many machines."""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ...clock import SYSTEM_CLOCK, Clock
from ...errors import ConfigurationError, StoreError
from ..context import SecurityContext
from . import RecordKey
from .flights import FLIGHT_TIMEOUT, Deadline, Flights
from .forks import in_child
from .memory import MemoryStore
from .records import (
    GRACE,
    is_gone,
    is_unused,
    kept_for,
    key_octets,
    open_record,
    same,
    seal_record,
    too_many_of_one,
)
from .redis_connection import AwayError, asking, client_of, errors_of_redis
from .redis_scripts import FENCED, RELEASE, REMEMBER, SWAP, TAKE, TOO_MANY
from .sealing import SALT_BYTES, Cost, Sealer, secrets_of

if TYPE_CHECKING:
    import redis

log = logging.getLogger(__name__)

_T = TypeVar("_T")

_MILLISECOND = timedelta(milliseconds=1)
#: How many records are read at once when all are listed.
_PAGE = 200
#: How long a server that was away is left alone where memory takes its place, in seconds.
_PAUSE = 5.0
#: The kind of the indexes of service contexts that no call was made in.
_UNUSED = "unused"

#: How far the clocks of the processes may be apart: a message may still be good for one when it is none for another.
_APART = timedelta(minutes=3)
#: Octets of the keyed hash that a message is remembered by.
_MARK_BYTES = 16


@dataclass(frozen=True)
class _Held:
    """What Redis holds under a key.

    Args:
        raw: the value, empty when there is none.
        context: what is in it; None when it cannot be opened.
        sealer: what it was sealed with.
        living: whether others may have it.
    """

    raw: bytes = field(default=b"", repr=False)
    context: SecurityContext | None = None
    sealer: Sealer | None = None
    living: bool = False


class RedisStore:
    """Keeps contexts in Redis, shared by all processes that have the same URL, prefix and key.

    Values are encrypted and authenticated with AES-GCM, with the record key as associated data, so that a value works
    under its own key only; names are keyed hashes. Who sees or changes the database learns roles, numbers and times,
    and can remove contexts or bring old ones back, but neither read nor make one. A value that was changed counts as
    absent and is logged. Values go when the context is over for longer than *grace*.

    Redis must not evict what still lives: ``maxmemory-policy noeviction`` for a service, whose messages could be taken
    twice otherwise; for clients ``volatile-ttl`` will do, since a context that is lost is asked for anew.

    Args:
        client: URL (``redis://``, ``rediss://`` or ``unix://``) or a ``redis.Redis``.
        key: 16, 24 or 32 random bytes.
        passphrase: a text instead of *key*. The key is made from it by scrypt with a salt that follows from *prefix*,
            since all processes must come to the same one; random bytes are better.
        previous_keys: keys (bytes) and passphrases (str) that values may be encrypted with besides: older ones, and the
            next one before the first process writes with it. Values are written with the current one.
        prefix: of all keys in Redis.
        grace: how long contexts stay that are over.
        fallback: what a client does while Redis is away: "fail", or go on with contexts of this process in "memory".
            A service always fails.
        flight_timeout: how long to wait for another process that asks for the same context, in seconds.
        flight_lease: after how many seconds another process takes the place of one that seems dead, by default two
            thirds of *flight_timeout*. One that lives, but is slower, can no more write what it asked for while the
            other one is at it.
        clock: tells what is expired.

    Raises:
        ConfigurationError: when the extra ``redis`` is missing, or an argument is of no use.
    """

    def __init__(
        self,
        client: redis.Redis | str,
        *,
        key: bytes | None = None,
        passphrase: str | None = None,
        previous_keys: Sequence[bytes | str] = (),
        prefix: str = "zeep_secureconv:",
        grace: timedelta = GRACE,
        fallback: Literal["fail", "memory"] = "fail",
        flight_timeout: float = FLIGHT_TIMEOUT,
        flight_lease: float | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if fallback not in ("fail", "memory"):
            raise ConfigurationError(f"There is no fallback {fallback!r}", hint="give 'fail' or 'memory'")
        lease = flight_timeout * 2 / 3 if flight_lease is None else flight_lease
        if not 0 < lease < flight_timeout:
            raise ConfigurationError(
                "flight_lease must be shorter than flight_timeout",
                hint="otherwise nobody can wait for the end of a dead process's lease",
            )
        salt = hashlib.sha256(b"zeep_secureconv redis " + prefix.encode()).digest()[:SALT_BYTES]
        self._sealers = [s.sealer(salt, Cost()) for s in secrets_of(key, passphrase, previous_keys)]
        self._redis = client_of(client)
        self._errors = errors_of_redis()
        self._swap_script, self._take, self._release, self._remember = map(
            self._redis.register_script, (SWAP, TAKE, RELEASE, REMEMBER)
        )
        self._prefix = prefix
        self._grace = grace
        self._flight_timeout = flight_timeout
        self._flight_lease = lease
        self._clock = clock
        self._memory = MemoryStore(clock=clock) if fallback == "memory" else None
        self._away_until: float | None = None
        self._flights = Flights()
        self._tokens: dict[RecordKey, str] = {}
        in_child(self._in_child)

    def __repr__(self) -> str:
        return f"<RedisStore with prefix {self._prefix!r}>"

    def get(self, key: RecordKey) -> SecurityContext | None:
        """The context under *key*, or None.

        Raises:
            StoreError: when Redis does not answer.
        """
        found = self._or(key[0], lambda: self._living(key), lambda: None)
        if found is None and self._memory is not None:
            return self._memory.get(key)  # from a time when Redis was away
        return found

    def add(self, key: RecordKey, context: SecurityContext, *, most: int | None = None) -> bool:
        """Keep *context* under *key* if nothing is there; False if something is.

        Raises:
            LimitExceeded: check "contexts-per-principal", when its principal holds *most* living contexts.
            StoreError: when Redis does not answer.
        """

        def add() -> bool:
            held = self._held(key)
            # what is over or cannot be opened makes room
            return not held.living and self._swap(key, held, context, most) == 1

        memory = self._memory
        return self._or(key[0], add, lambda: memory is not None and memory.add(key, context))

    def replace(self, key: RecordKey, old: SecurityContext, new: SecurityContext) -> bool:
        """Put *new* in the place of *old*; False if what is there is not *old*.

        Raises:
            StoreError: when Redis does not answer.
        """
        memory = self._memory
        return self._or(key[0], lambda: self._exchange(key, old, new), lambda: False) or (
            memory is not None and memory.replace(key, old, new)
        )

    def drop(self, key: RecordKey, context: SecurityContext) -> bool:
        """Remove *context*; False if what is there is another one.

        Raises:
            StoreError: when Redis does not answer.
        """
        memory = self._memory
        return self._or(key[0], lambda: self._exchange(key, context, None), lambda: False) or (
            memory is not None and memory.drop(key, context)
        )

    def held_by(self, owner: str) -> int:
        """How many living records a principal holds on a service.

        Raises:
            StoreError: when Redis does not answer.
        """
        now = self._milliseconds()
        with asking(self._errors):
            return sum(self._redis.zcount(name, f"({now}", "+inf") for name in self._owner_indexes(owner))

    def make_room(self, owner: str | None) -> bool:
        """Drop the context of a service that no call was made in and that ends first; False when there is none.

        Raises:
            StoreError: when Redis does not answer.
        """
        now = self._milliseconds()
        indexes = self._owner_indexes(owner, _UNUSED) if owner is not None else [self._role_index(_UNUSED)]
        for index in indexes:
            with asking(self._errors):
                names = self._redis.zrange(index, f"({now}", "+inf", byscore=True, offset=0, num=_PAGE)
            if any(self._drop_unused(name.decode(), owner, index) for name in names):
                return True
        return False

    def items(self, role: str) -> Iterator[tuple[RecordKey, SecurityContext]]:
        """All records of a role, read page by page.

        Raises:
            StoreError: when Redis does not answer.
        """
        memory = self._memory
        if memory is None:
            return self._records(role)
        kept: dict[RecordKey, SecurityContext] = dict(memory.items(role))
        found = self._or(role, lambda: dict(self._records(role)), kept.copy)
        return iter((kept | found).items())

    @contextmanager
    def flight(self, key: RecordKey) -> Iterator[None]:
        """Held while a context for *key* is asked for or renewed: by one thread of one process at a time.

        It is a lock in Redis with a lease. Whoever overstays it cannot write under *key* any more as long as another
        one holds it, and what that one wrote stays: add() and replace() are False then.

        Raises:
            StoreError: when it was not free in time, or Redis does not answer.
        """
        deadline = Deadline(self._flight_timeout)
        names = [self._name("flight", sealer, key) for sealer in self._sealers]
        lease = max(1, round(self._flight_lease * 1000))
        with self._flights.hold(key, deadline):
            token = secrets.token_hex(16)
            self._or(
                key[0],
                lambda: deadline.poll(
                    lambda: bool(self._asked(lambda: self._take(keys=names, args=[token, lease])))
                ),
                lambda: None,
            )
            tokens = self._tokens
            tokens[key] = token
            try:
                yield
            finally:
                # a child that was forked inside has no tokens, and gives nothing free
                if tokens is self._tokens:
                    del tokens[key]
                    self._give_free(key[0], names, token)

    def remember(
        self,
        mark: bytes,
        *,
        until: datetime,
        now: datetime,
        created: datetime | None = None,  # noqa: ARG002 - as other stores have it
    ) -> bool:
        """Remember for all processes that *mark* was received; False when one of them has it already.

        Redis gets a keyed hash of it, for as long as the message is good and clocks may be apart.

        Args:
            mark: what no other message has.
            until: when the message expires.
            now: the time.
            created: when it was created; Redis forgets nothing before its time, so that does not count.

        Raises:
            StoreError: when Redis does not answer, or has no room: the message must be refused then.
        """
        names = [f"{self._prefix}seen:{sealer.name(mark)[: 2 * _MARK_BYTES]}" for sealer in self._sealers]
        life = max(1, round((until - now + _APART) / _MILLISECOND))
        arguments = [secrets.token_bytes(8), life]
        return bool(self._asked(lambda: self._remember(keys=names, args=arguments)))

    # ---------------------------------------------------------------------------------------- inside

    def _in_child(self) -> None:
        self._flights.remake()
        self._tokens = {}

    def _name(self, kind: str, sealer: Sealer, key: RecordKey) -> str:
        return f"{self._prefix}{kind}:{sealer.name(key_octets(key))}"

    def _role_index(self, role: str) -> str:
        return f"{self._prefix}role:{role}"

    def _owner_indexes(self, owner: str, kind: str = "owner") -> list[str]:
        return [f"{self._prefix}{kind}:{sealer.name(owner.encode())}" for sealer in self._sealers]

    def _indexes(
        self, key: RecordKey, held: SecurityContext | None, sealer: Sealer
    ) -> dict[str, timedelta | None]:
        """The indexes that a record is in, and for how long."""
        if held is None:
            return {self._role_index(key[0]): None}
        remaining, at = held.remaining(self._clock), self._sealers.index(sealer)
        found = {self._role_index(key[0]): kept_for(held, self._clock, self._grace)}
        if held.owner is not None:
            found[self._owner_indexes(held.owner)[at]] = remaining
        if is_unused(key, held):
            found[self._role_index(_UNUSED)] = remaining
            if held.owner is not None:
                found[self._owner_indexes(held.owner, _UNUSED)[at]] = remaining
        return found

    def _milliseconds(self) -> int:
        return round(self._clock.now().timestamp() * 1000)

    def _held(self, key: RecordKey) -> _Held:
        """What is there, under the name of the current secret or of an earlier one."""
        values = self._values([self._name("context", sealer, key) for sealer in self._sealers])
        raw = next((value for value in values if value), b"")
        return self._opened(raw, key) if raw else _Held()

    def _values(self, names: list[Any]) -> list[bytes | None]:
        values: list[bytes | None] = self._asked(lambda: self._redis.mget(names))
        return values

    def _opened(self, raw: bytes, key: RecordKey) -> _Held:
        try:
            _, context, sealer = open_record(self._sealers, raw, key)
        except StoreError as error:
            log.warning("A context in Redis cannot be opened, and counts as absent: %s", error.message)
            return _Held(raw)
        return _Held(raw, context, sealer, living=not is_gone(context, self._clock, self._grace))

    def _living(self, key: RecordKey) -> SecurityContext | None:
        held = self._held(key)
        return held.context if held.living else None

    def _exchange(self, key: RecordKey, old: SecurityContext, new: SecurityContext | None) -> bool:
        while True:
            held = self._held(key)
            if not held.living or not same(held.context, old):
                return False
            done = self._swap(key, held, new)
            # 0: another value, which may be the same context with another end
            if done:
                return done != FENCED

    def _swap(self, key: RecordKey, held: _Held, new: SecurityContext | None, most: int | None = None) -> int:
        sealer = self._sealers[0]
        kept = new.for_others(self._clock) if new is not None else None
        now = self._milliseconds()
        left = kept_for(kept, self._clock, self._grace) if kept is not None else None
        leave = self._indexes(key, held.context, held.sealer or sealer) if held.raw else {}
        enter = self._indexes(key, kept, sealer) if kept is not None else {}
        counted = self._owner_indexes(kept.owner) if kept is not None and kept.owner is not None else []
        names = [self._name(kind, one, key) for kind in ("context", "flight") for one in self._sealers]
        arguments = [
            len(self._sealers),
            len(leave),
            len(enter),
            held.raw,
            seal_record(sealer, key, kept) if kept is not None else b"",
            self._tokens.get(key, ""),
            max(1, round(left / _MILLISECOND)) if left is not None else "",
            now,
            most if most is not None and counted else "",
            *(now + round(end / _MILLISECOND) if end is not None else "+inf" for end in enter.values()),
        ]
        keys = [*names, *leave, *enter, *counted]
        done: int = self._asked(lambda: self._swap_script(keys=keys, args=arguments))
        if done == TOO_MANY:
            raise too_many_of_one()
        if done == FENCED:
            log.warning("A context came too late: another process asks for one in this one's place")
        return done

    def _drop_unused(self, name: str, owner: str | None, index: str) -> bool:
        """Drop what is listed as never used, if it still is that; take it out of the index if it is gone."""
        (raw,) = self._values([name])
        record = self._record(name, raw) if raw else None
        if record is None:
            self._asked(lambda: self._redis.zrem(index, name))
            return False
        key, held = record
        assert held.context is not None
        mine = is_unused(key, held.context) and owner in (None, held.context.owner)
        return mine and self._swap(key, held, None) == 1

    def _records(self, role: str) -> Iterator[tuple[RecordKey, SecurityContext]]:
        names = self._asked(lambda: self._redis.zrange(self._role_index(role), 0, -1))
        for start in range(0, len(names), _PAGE):
            page = names[start : start + _PAGE]
            for name, raw in zip(page, self._values(page), strict=True):
                record = self._record(name.decode(), raw) if raw else None
                if record is not None and record[1].context is not None:
                    yield record[0], record[1].context

    def _record(self, name: str, raw: bytes) -> tuple[RecordKey, _Held] | None:
        """A record, if it belongs where it was found."""
        try:
            key, context, sealer = open_record(self._sealers, raw)
        except StoreError as error:
            log.warning("A context in Redis cannot be opened, and is left out: %s", error.message)
            return None
        if name != self._name("context", sealer, key):
            log.warning("A context in Redis lies under the name of another one, and is left out")
            return None
        if is_gone(context, self._clock, self._grace):
            return None
        return key, _Held(raw, context, sealer, living=True)

    def _give_free(self, role: str, names: list[str], token: str) -> None:
        def release() -> bool:
            return bool(self._asked(lambda: self._release(keys=names, args=[token])))

        # when Redis is away, the lease ends by itself
        with suppress(StoreError):
            if not self._or(role, release, lambda: True):
                log.info("A flight lasted longer than its lease")

    def _or(self, role: str, ask: Callable[[], _T], instead: Callable[[], _T]) -> _T:
        """Ask Redis; while it is away, a client that may do without gets something else."""
        if self._memory is None or role != "client":
            return ask()
        now = self._clock.monotonic()
        if self._away_until is not None and now < self._away_until:
            return instead()
        try:
            answer = ask()
        except AwayError as error:
            if self._away_until is None:
                log.warning("%s; contexts are kept in memory until it is back", error.message)
            self._away_until = now + _PAUSE
            return instead()
        self._away_until = None
        return answer

    def _asked(self, ask: Callable[[], Any]) -> Any:
        with asking(self._errors):
            return ask()
