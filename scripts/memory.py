# ruff: noqa: INP001 - a program, not a module
"""Memory of client and service over many calls and many contexts, under a clock that runs ahead.

Both are in this process and joined by memory instead of a network; everything else is real (``tests/in_memory.py``).
First calls in one context, which is renewed when its time has come, while the eleven minutes for which a message is
remembered against replay pass many times; then contexts, each asked for, used once and left to expire; at last fewer
of both under tracemalloc, which says by line what is more at the end than in the middle.

Prints a report as JSON. Exit status 1 when resident memory at the end of a part is larger by more than GROWTH than
after its first third, when caches and pools are full. What there is more of is listed too.

Run as ``python -m scripts.memory`` in the folder of the project; the variables CALLS (100000), CONTEXTS (10000),
TRACED (3000, calls and a tenth as many contexts) and GROWTH (4, in MB) change what it does.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
import tempfile
import time
import tracemalloc
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.in_memory import InMemory, entries, objects

_CALLS = int(os.environ.get("CALLS") or 100_000)
_CONTEXTS = int(os.environ.get("CONTEXTS") or 10_000)
_TRACED = int(os.environ.get("TRACED") or 3_000)
_GROWTH = float(os.environ.get("GROWTH") or 4) * 1e6
#: How long a message is remembered: its lifetime, and the skew of clocks on both ends.
_REMEMBERED = timedelta(minutes=11)
_STATM = Path("/proc/self/statm")
_PARTS = 12
_TOP = 12
#: Between two calls: 3,300 of them are remembered at a time, and 100,000 take five and a half hours.
_PAUSE = timedelta(milliseconds=200)
_LIFETIME = timedelta(seconds=10)
#: Between two contexts: the first is over.
_LONG_PAUSE = timedelta(seconds=11)


def _resident() -> int:
    """Memory of this process in bytes, without what the allocator could give back; 0 where the system does not say."""
    gc.collect()
    if not _STATM.exists():
        return 0
    ctypes.CDLL(None).malloc_trim(0)
    return int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _grown(before: dict[str, int], after: dict[str, int]) -> dict[str, list[int]]:
    """What there is more of."""
    return {
        name: [before.get(name, 0), count] for name, count in after.items() if count > before.get(name, 0)
    }


def _part(what: str, world: InMemory, count: int, later: timedelta) -> dict[str, Any]:
    """So many calls, and what became of memory."""
    begin, resident = time.monotonic(), []
    tables: list[tuple[dict[str, int], dict[str, int]]] = []
    for part in range(1, _PARTS + 1):
        for number in range(count * (part - 1) // _PARTS, count * part // _PARTS):
            world.call(number, later)
        resident.append(_resident())
        sys.stderr.write(f"{count * part // _PARTS} {what}: {resident[-1] / 1e6:.1f} MB\n")
        if part in (_PARTS // 3, _PARTS):
            tables.append((dict(objects()), entries(world.sc, world.middleware)))
    (warm_objects, warm_tables), (end_objects, end_tables) = tables
    return {
        what: count,
        "seconds": round(time.monotonic() - begin, 1),
        "times_the_memory_against_replay_rolled_over": round(count * later / _REMEMBERED, 1),
        "resident_mb": [round(size / 1e6, 1) for size in resident],
        "growth_mb": round((resident[-1] - resident[_PARTS // 3 - 1]) / 1e6, 2),
        "more_objects": _grown(warm_objects, end_objects),
        "more_entries": _grown(warm_tables, end_tables),
    }


def _traced(folder: Path) -> list[str]:
    """What is more at the end than in the middle, by line."""
    tracemalloc.start(1)
    world = InMemory(folder, lifetime=_LIFETIME)
    snapshots = []
    for _ in range(2):
        for number in range(_TRACED):
            world.call(number, _REMEMBERED / _TRACED * 2)
        for number in range(_TRACED // 10):
            world.call(number, _LONG_PAUSE)
        # on both occasions as much is remembered
        world.time.forward(_REMEMBERED * 2)
        world.call(0, _LONG_PAUSE)
        gc.collect()
        snapshots.append(tracemalloc.take_snapshot())
    tracemalloc.stop()
    differences = snapshots[1].compare_to(snapshots[0], "lineno")
    return [str(one) for one in differences if abs(one.size_diff) >= 1_024][:_TOP]


def _main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name, part) for part in ("calls", "contexts", "traced")]
        for folder in folders:
            folder.mkdir()
        report: dict[str, Any] = {
            "calls": _part("calls", InMemory(folders[0]), _CALLS, _PAUSE),
            "contexts": _part("contexts", InMemory(folders[1], lifetime=_LIFETIME), _CONTEXTS, _LONG_PAUSE),
            "tracemalloc": _traced(folders[2]),
        }
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return int(any(report[part]["growth_mb"] * 1e6 > _GROWTH for part in ("calls", "contexts")))


if __name__ == "__main__":
    sys.exit(_main())
