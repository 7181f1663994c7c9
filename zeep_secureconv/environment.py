"""What the core is handed instead of reaching for it: time, randomness, and the bounds of what it accepts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from .clock import SYSTEM_CLOCK, SYSTEM_RANDOM, Clock, RandomBytes
from .limits import Limits


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Time, randomness and tolerance for making and checking messages.

    Args:
        clock: where time comes from.
        random: where random octets come from.
        limits: bounds on what a peer controls.
        clock_skew: how far a peer's clock may be off when Timestamps are judged.
        message_lifetime: how long a message may travel: Expires of ours, and the age of the oldest that we take.
    """

    clock: Clock = SYSTEM_CLOCK
    random: RandomBytes = SYSTEM_RANDOM
    limits: Limits = field(default_factory=Limits)
    clock_skew: timedelta = timedelta(minutes=3)
    message_lifetime: timedelta = timedelta(minutes=5)
