"""A record: a context and what it is found by, as octets and encrypted."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import timedelta

from ...clock import Clock
from ...errors import LimitExceeded
from ..context import SecurityContext
from . import RecordKey
from .sealing import ID_BYTES, Sealer, other_key

#: How long what is over stays, for renewal after its end and for answers on their way.
GRACE = timedelta(minutes=10)

_MAGIC = b"zsr1"
_LENGTH_BYTES = 4
_START = len(_MAGIC) + ID_BYTES + _LENGTH_BYTES


def same(one: SecurityContext | None, other: SecurityContext) -> bool:
    """Whether both are the same context with the same key, by Identifier and Instance."""
    return one is not None and (one.identifier, one.instance) == (other.identifier, other.instance)


def kept_for(context: SecurityContext, clock: Clock, grace: timedelta) -> timedelta | None:
    """How long a store has it still: for *grace* after its end, or as long as its service says; None for ever."""
    remaining = context.remaining(clock)
    if remaining is None:
        return None
    if context.kept_until is None:
        return remaining + grace
    return max(remaining, context.kept_until - clock.now())


def is_gone(context: SecurityContext, clock: Clock, grace: timedelta) -> bool:
    """Whether it is over for longer than a store keeps it."""
    left = kept_for(context, clock, grace)
    return left is not None and left <= timedelta(0)


def moment(clock: Clock, left: timedelta | None) -> float:
    """When so much time will have passed, in seconds of the wall clock; infinite for None."""
    return math.inf if left is None else clock.now().timestamp() + left.total_seconds()


def is_unused(key: RecordKey, context: SecurityContext) -> bool:
    """Whether it is a service's, and no call was made in it."""
    return key[0] == "service" and not context.used


def too_many_of_one() -> LimitExceeded:
    """The error of a principal that holds as many contexts as it may."""
    return LimitExceeded("contexts-per-principal", "The principal holds too many contexts")


def key_octets(key: RecordKey) -> bytes:
    """A record key as octets, each its own."""
    return json.dumps(key).encode()


def seal_record(sealer: Sealer, key: RecordKey, context: SecurityContext) -> bytes:
    """A record, encrypted; the context with its record key as associated data."""
    name = key_octets(key)
    head = _MAGIC + sealer.id
    sealed_name = sealer.seal(name, head)
    sealed = sealer.seal(json.dumps(context.record()).encode(), head + name)
    return head + len(sealed_name).to_bytes(_LENGTH_BYTES, "big") + sealed_name + sealed


def open_record(
    sealers: Sequence[Sealer], data: bytes, key: RecordKey | None = None
) -> tuple[RecordKey, SecurityContext, Sealer]:
    """A record, and what it was sealed with.

    Args:
        sealers: those that may have sealed it.
        data: what :func:`seal_record` made.
        key: the record key under which it was found; None when it tells.

    Raises:
        StoreError: when another key sealed it, when it was changed, or when it is not the record of *key*.
    """
    head, length = data[: _START - _LENGTH_BYTES], data[_START - _LENGTH_BYTES : _START]
    sealer = next((one for one in sealers if head == _MAGIC + one.id), None)
    if sealer is None:
        raise other_key()
    end = _START + int.from_bytes(length, "big")
    name = key_octets(key) if key is not None else sealer.open(data[_START:end], head)
    context = SecurityContext.from_record(json.loads(sealer.open(data[end:], head + name)))
    return key or tuple(json.loads(name)), context, sealer
