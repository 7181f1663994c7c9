"""What happens to contexts, told to whoever wants to know."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Event:
    """Something that happened to a context. Holds no secret.

    Args:
        kind: "issued", "cancelled", "lost", "verified" or "refused".
        endpoint: URL of the service.
        identifier, instance: name of the context, where there is one.
        at: when, aware UTC.
        detail: a sentence for people, or the id of the check that refused.
    """

    kind: str
    endpoint: str
    identifier: str | None
    instance: str | None
    at: datetime
    detail: str
