"""What came of calls: measured as it happens, told at the end."""

from __future__ import annotations

import base64
import json
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from typing import Any

import click
from lxml import etree
from zeep.helpers import serialize_object

from .. import Event, SecurityContext
from .failures import Failure, printable, report


@dataclass
class Outcome:
    """What came of it, filled in as it happens.

    Args:
        result: what the last call gave.
        context: the security context of the calls.
        valid: what the service says of it; None when it was not asked.
        cancelled: None when there was nothing to cancel, or it was to be kept.
        events: kinds of the events of the conversation, in their order; not that replies were verified, which
            the number of calls tells.
        bootstrap: how long the first call took to get a context, in seconds.
        durations: of each call without the bootstrap, in seconds.
        error: what ended it.
    """

    result: Any = None
    context: SecurityContext | None = None
    valid: bool | None = None
    cancelled: bool | None = None
    events: list[str] = field(default_factory=list)
    bootstrap: float | None = None
    durations: list[float] = field(default_factory=list)
    error: Failure | None = None
    _started: float = 0.0

    def note(self, event: Event) -> None:
        """Take an event of the conversation."""
        if event.kind != "verified":
            self.events.append(event.kind)
        if event.kind == "issued" and self.bootstrap is None:
            self.bootstrap = time.perf_counter() - self._started

    def run(self, operation: Callable[[], Any]) -> None:
        """Carry out one call and measure it."""
        first = self.bootstrap is None
        self._started = time.perf_counter()
        self.result = serialize_object(operation(), target_cls=dict)
        spent = time.perf_counter() - self._started
        self.durations.append(spent - (self.bootstrap or 0.0) if first else spent)

    def as_dict(self) -> dict[str, Any]:
        """The object of ``--json``."""
        context = self.context
        return {
            "ok": self.error is None,
            "result": self.result,
            "calls": len(self.durations),
            "context": None
            if context is None
            else {
                "identifier": context.identifier,
                "instance": context.instance,
                "expires": rfc3339(context.expires),
            },
            **({} if self.valid is None else {"valid": self.valid}),
            "cancelled": self.cancelled,
            "events": self.events,
            "timing": {
                "bootstrap_ms": _rounded(self.bootstrap, 1e3),
                "median_us": _rounded(statistics.median(self.durations) if self.durations else None, 1e6),
                "p90_us": _rounded(_percentile_90(self.durations), 1e6),
            },
            "error": self.error.as_dict() if self.error else None,
        }


def tell(outcome: Outcome, *, as_json: bool) -> None:
    """Print it: one JSON object, or the result on standard output and the rest on standard error."""
    if as_json:
        click.echo(json.dumps(outcome.as_dict(), default=_plain))
        return
    if outcome.durations:
        result = outcome.result
        click.echo(result if isinstance(result, str) else json.dumps(result, default=_plain, indent=2))
        click.echo(_summary(outcome), err=True)
    if outcome.error is not None:
        report(outcome.error)


def _summary(outcome: Outcome) -> str:
    timing = outcome.as_dict()["timing"]
    parts = [
        f"{len(outcome.durations)} call{'s' if len(outcome.durations) > 1 else ''}",
        f"median {timing['median_us']} µs, 90 % within {timing['p90_us']} µs",
    ]
    if outcome.bootstrap is not None:
        parts.append(f"bootstrap {timing['bootstrap_ms']} ms")
    if outcome.context is not None:
        ending = {None: "kept", True: "cancelled", False: "not cancelled"}[outcome.cancelled]
        parts.append(f"context {printable(outcome.context.identifier)} {ending}")
    return "; ".join(parts)


def _plain(value: Any) -> Any:
    """The JSON form of what zeep's types give and JSON does not know."""
    if isinstance(value, (datetime, date, time_of_day)):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if etree.iselement(value):
        return etree.tostring(value, encoding="unicode")
    return str(value)


def rfc3339(moment: datetime | None) -> str | None:
    """A time in UTC as RFC 3339 writes it."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def _rounded(seconds: float | None, factor: float) -> float | None:
    return None if seconds is None else round(seconds * factor, 1)


def _percentile_90(durations: list[float]) -> float | None:
    return sorted(durations)[math.ceil(0.9 * len(durations)) - 1] if durations else None
