"""What happens to contexts, told to whoever wants to know."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Event:
    """Something that happened to a context. Holds no secret.

    The kinds:

    - "issued": the service gave a context.
    - "renewed": it gave an existing one a new key; ``instance`` is the new one.
    - "verified": the reply to a call was verified.
    - "lost": a fault says that the service does not know the context, or casts doubt on it; the context is forgotten.
    - "recovered": the call that met that fault is sent again, once, under the context that is named.
    - "refused": an answer did not pass a check.
    - "cancelled": the service confirmed that it has forgotten the context.

    Args:
        kind: one of these; later versions may have more.
        endpoint: URL of the service.
        identifier, instance: name of the context, where there is one.
        at: when, aware UTC.
        detail: of "issued" and "renewed" the end of the lifetime, of "refused" the id of the check, of "lost" and
            "recovered" the code of the fault; otherwise empty.
    """

    kind: str
    endpoint: str
    identifier: str | None
    instance: str | None
    at: datetime
    detail: str
