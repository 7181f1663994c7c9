"""Where contexts are kept: one small interface, and its implementations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from ..context import SecurityContext

#: What a record is found by. A client's is ("client", endpoint, policy, credentials), a service's
#: ("service", endpoint, Identifier, Instance or "").
RecordKey = tuple[str, ...]


class Store(Protocol):
    """Keeps contexts. Every operation is atomic among all users of the store: threads, and processes if it has any.

    A context belongs to its parties: the record key says whose it is, and nothing is found under another. What
    comes out of a store that outlives its process ages by the wall clock. A store gives what is over for a while
    longer, for renewal after the end; whoever asks judges the age.

    All operations raise :class:`~zeep_secureconv.StoreError` when the store does not answer or cannot be read.
    """

    def get(self, key: RecordKey) -> SecurityContext | None:
        """The context under *key*, or None."""

    def add(self, key: RecordKey, context: SecurityContext, *, most: int | None = None) -> bool:
        """Keep *context* under *key* if nothing is there; False if something is.

        Args:
            key: what it is found by.
            context: the context.
            most: how many living records its principal may hold with this one. That is part of the one operation:
                no number of threads and processes that add at once goes beyond it.

        Raises:
            LimitExceeded: check "contexts-per-principal" where the principal holds as many already; check "contexts"
                where the store is full of living contexts.
        """

    def replace(self, key: RecordKey, old: SecurityContext, new: SecurityContext) -> bool:
        """Put *new* in the place of *old*; False if what is there is not *old* (by Identifier and Instance)."""

    def drop(self, key: RecordKey, context: SecurityContext) -> bool:
        """Remove *context*; False if what is there is another one, so that a late fault never kills a newer one."""

    def held_by(self, owner: str) -> int:
        """How many living records a principal holds on a service, its renewed and fading keys among them."""

    def make_room(self, owner: str | None) -> bool:
        """Drop the context of a service that no call was made in and that ends first; False when there is none.

        Where all live equally long, that is the oldest. One that is used at the same moment stays.

        Args:
            owner: whose; None for anybody's.
        """

    def items(self, role: str) -> Iterator[tuple[RecordKey, SecurityContext]]:
        """All records of a role, "client" or "service"."""

    def flight(self, key: RecordKey) -> AbstractContextManager[None]:
        """Held while a context for *key* is asked for or renewed: by one user of the store at a time.

        Others wait, for a bounded time, and look what is there when it is their turn. Different keys do not wait
        for each other. It may be entered in one thread and left in another, and not twice by the same user.

        A holder that dies gives it free: at once where the operating system does that, else when its lease ends. A
        holder that outlives its lease does no harm: add() and replace() compare what is there, and are False
        when another was faster.

        Raises:
            StoreError: when it was not free in time.
        """
