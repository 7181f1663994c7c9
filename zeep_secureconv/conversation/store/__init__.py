"""Where contexts are kept: one small interface, and its implementations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from ..context import SecurityContext

#: What a record is found by. A client's is ("client", endpoint, policy, credentials), a service's
#: ("service", endpoint, Identifier, Instance or "").
RecordKey = tuple[str, ...]


class Store(Protocol):
    """Keeps contexts. Every operation is atomic, and safe to call from several threads.

    A context belongs to its parties: the record key says whose it is, and nothing is found under another.
    """

    def get(self, key: RecordKey) -> SecurityContext | None:
        """The context under *key*, or None."""

    def add(self, key: RecordKey, context: SecurityContext) -> bool:
        """Keep *context* under *key* if nothing is there; False if something is."""

    def replace(self, key: RecordKey, old: SecurityContext, new: SecurityContext) -> bool:
        """Put *new* in the place of *old*; False if what is there is not *old* (by Identifier and Instance)."""

    def drop(self, key: RecordKey, context: SecurityContext) -> bool:
        """Remove *context*; False if what is there is another one, so that a late fault never kills a newer one."""

    def held_by(self, owner: str) -> int:
        """How many records a principal holds on a service, its renewed and fading keys among them."""

    def items(self, role: str) -> Iterator[tuple[RecordKey, SecurityContext]]:
        """All records of a role, "client" or "service"."""
