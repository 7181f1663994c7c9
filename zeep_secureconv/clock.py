"""Time and randomness, handed in, so that nothing below reads a clock or draws a number by itself."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Where time comes from.

    Args:
        now: the wall clock, as an aware datetime in UTC.
        monotonic: seconds that never go back, for ageing what this process received itself.
    """

    now: Callable[[], datetime] = _utc_now
    monotonic: Callable[[], float] = time.monotonic


#: Gives that many random bytes, as ``secrets.token_bytes`` does.
RandomBytes = Callable[[int], bytes]

SYSTEM_CLOCK = Clock()
SYSTEM_RANDOM: RandomBytes = secrets.token_bytes
