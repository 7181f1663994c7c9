"""What a forked child must not inherit: locks that a thread of its parent holds, and contexts in memory."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable

_REMAKERS: dict[int, weakref.WeakMethod[Callable[[], None]]] = {}


def in_child(method: Callable[[], None]) -> None:
    """Call a bound method first thing in every forked child, as long as its object lives.

    Args:
        method: makes locks and the like anew. It must not wait for anything that a thread of the parent may hold.
    """
    number = id(method.__self__)  # type: ignore[attr-defined]
    _REMAKERS[number] = weakref.WeakMethod(method, lambda _: _REMAKERS.pop(number, None))


def _remake() -> None:
    for reference in list(_REMAKERS.values()):
        method = reference()
        if method is not None:
            method()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_remake)
