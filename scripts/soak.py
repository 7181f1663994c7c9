# ruff: noqa: INP001 - a program, not a module
"""Calls for a long time, from several threads, under contexts that live for seconds, on the embedded service.

Prints a line every tenth of the time and a report at the end, as JSON. Exit status 1 when a call failed, was executed
twice or not at all, or memory grew by more than what the memory of received signatures needs (it forgets after some
minutes, by which a message is too old to be taken).

Run as ``python scripts/soak.py``; the variables SECONDS (600), THREADS (8), LIFETIME (3, in seconds) and GROWTH (8, in
MB) change what it does.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

from zeep_secureconv import Event, Identity, SecureConversation, Trust
from zeep_secureconv.service.contract import demonstration_wsdl
from zeep_secureconv.service.demonstration import DemonstrationService
from zeep_secureconv.service.middleware import SecureConversationMiddleware
from zeep_secureconv.service.pki import make_pki
from zeep_secureconv.service.server import HttpServer

_SECONDS = float(os.environ.get("SECONDS") or 600)
_THREADS = int(os.environ.get("THREADS") or 8)
_LIFETIME = float(os.environ.get("LIFETIME") or 3)
_GROWTH = float(os.environ.get("GROWTH") or 8) * 1024 * 1024
_LINES = 10
#: What client and service remember of each call against replay, in bytes.
_REMEMBERED = 600
_STATM = Path("/proc/self/statm")


class _Soak:
    """The calls, and what became of them.

    Args:
        echo: the operation that is called.
    """

    def __init__(self, echo: Any) -> None:
        self._echo = echo
        self._lock = threading.Lock()
        self._done = threading.Event()
        self.calls = 0
        self.failures: Counter[str] = Counter()

    def work(self, number: int) -> None:
        """Call until told to stop."""
        turn = 0
        while not self._done.is_set():
            turn += 1
            text = f"thread {number} call {turn}"
            failure = self._call(text)
            with self._lock:
                self.calls += 1
                if failure is not None:
                    self.failures[failure] += 1

    def _call(self, text: str) -> str | None:
        try:
            answer = self._echo(text)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
            return f"{type(error).__name__}: {error}"
        return None if answer == text else "wrong answer"

    def stop(self) -> None:
        """No more calls."""
        self._done.set()


@contextmanager
def _service(folder: Path, app: DemonstrationService) -> Iterator[Path]:
    """The embedded service, running; its WSDL."""
    wsdl = folder / "service.wsdl"
    policy = files("zeep_secureconv.service").joinpath("demonstration-policy.xml").read_bytes()
    with HttpServer() as server:
        wsdl.write_bytes(demonstration_wsdl(policy, address=f"{server.url}/soak"))
        server.app = SecureConversationMiddleware(
            app,
            policy=wsdl,
            identity=Identity.from_pem((folder / "server.pem"), (folder / "server.key")),
            trust=Trust.from_pem(folder / "ca.pem"),
            lifetime=timedelta(seconds=_LIFETIME),
        )
        yield wsdl


def _resident() -> int:
    """Memory of this process, client and service together, in bytes; 0 where the system does not say."""
    gc.collect()
    if not _STATM.exists():
        return 0
    return int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _watch(soak: _Soak) -> list[tuple[int, int]]:
    """(calls until then, resident memory) at the end of each tenth of the time."""
    begin, seen = time.monotonic(), []
    for line in range(1, _LINES + 1):
        time.sleep(max(0.0, begin + _SECONDS * line / _LINES - time.monotonic()))
        calls, size = soak.calls, _resident()
        seen.append((calls, size))
        said = f"{_SECONDS * line / _LINES:.0f} s: {calls} calls, {size / 1e6:.1f} MB, "
        sys.stderr.write(f"{said}{sum(soak.failures.values())} failed\n")
    return seen


def _main() -> int:
    events: Counter[str] = Counter()
    lock = threading.Lock()

    def note(event: Event) -> None:
        with lock:
            events[event.kind] += 1

    app = DemonstrationService()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_pki(folder)
        with _service(folder, app) as wsdl:
            sc = SecureConversation(
                identity=Identity.from_pem(folder / "client.pem", folder / "client.key"),
                trust=Trust.from_pem(folder / "ca.pem"),
                peer=folder / "server.pem",
                on_event=note,
            )
            with sc, ThreadPoolExecutor(_THREADS) as pool:
                soak = _Soak(sc.client(str(wsdl)).service.echo)
                futures = [pool.submit(soak.work, number) for number in range(_THREADS)]
                try:
                    memory = _watch(soak)
                finally:
                    soak.stop()
                for future in futures:
                    future.result()
    # caches and pools fill up at first
    (warm_calls, warm), (end_calls, end) = memory[len(memory) // 2 - 1], memory[-1]
    growth, remembered = end - warm, (end_calls - warm_calls) * _REMEMBERED
    report = {
        "seconds": _SECONDS,
        "threads": _THREADS,
        "lifetime": _LIFETIME,
        "calls": soak.calls,
        "executed": app.calls,
        "failed": dict(soak.failures),
        "events": dict(events),
        "resident_mb": [round(size / 1e6, 1) for _, size in memory],
        "growth_in_second_half_mb": round(growth / 1e6, 2),
        "remembered_against_replay_mb": round(remembered / 1e6, 2),
    }
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return int(bool(soak.failures) or app.calls != soak.calls or growth > _GROWTH + remembered)


if __name__ == "__main__":
    sys.exit(_main())
