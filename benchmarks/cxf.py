"""What the benchmarks share: Apache CXF, certificates, the clients under test, and how times are summed up."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from tests.peers import peer
from tests.peers.peer import CXF, FAST_JVM, PeerClient, PeerError, PeerServer
from zeep_secureconv import Identity, SecureConversation, Trust

_MAKE_PKI = Path(peer.__file__).parent / "pki" / "make_pki.py"
#: Longer than any run, so that neither client renews in the middle of it.
_LIFETIME_MS = "7200000"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"

SECURED = "asym-dk"
PLAIN = "plain"


@dataclass(frozen=True)
class Peers:
    """A running CXF server with a plain and a secured endpoint, CXF's client, and the certificates of both."""

    server: PeerServer
    client: PeerClient
    pki: Path


@contextmanager
def peers(announce: Callable[[str], object]) -> Iterator[Peers]:
    """Start CXF's server with the JVM's default options and a fresh PKI; stop it at the end.

    Raises:
        PeerError: the peer cannot be built or started.
    """
    lack = CXF.missing()
    if lack:
        raise PeerError(f"nothing to measure beside: {lack}")
    CXF.build(announce)
    with tempfile.TemporaryDirectory() as folder:
        pki = Path(folder)
        subprocess.run([sys.executable, _MAKE_PKI, pki], check=True, timeout=120)  # noqa: S603
        options = ("--only", f"{SECURED},{PLAIN}", "--lifetime-ms", _LIFETIME_MS)
        with PeerServer(CXF, pki, *options, java_options=FAST_JVM) as server:
            yield Peers(server, PeerClient(CXF, pki, java_options=FAST_JVM), pki)


def parties(pki: Path) -> dict[str, Any]:
    """The arguments of SecureConversation for that PKI, files given as paths, as in the README."""
    return {
        "identity": Identity.from_pkcs12(pki / "client.p12", "changeit"),
        "trust": Trust.from_pem(pki / "ca.pem"),
        "peer": pki / "server.pem",
    }


def conversation(pki: Path) -> SecureConversation:
    """Our side of a secure conversation with CXF's server."""
    return SecureConversation(**parties(pki))


def text_of(size: int) -> str:
    """The text that CXF's client echoes at that size."""
    return (_LETTERS * (size // len(_LETTERS) + 1))[:size]


# ----------------------------------------------------------------------------------------------- figures


@dataclass(frozen=True)
class Figures:
    """Times of one thing in milliseconds; *cpu* is the mean of the processor time of its process, if known."""

    minimum: float
    median: float
    p90: float
    cpu: float | None = None

    @classmethod
    def of(cls, seconds: Sequence[float], cpu: float | None = None) -> Figures:
        """Sum up single times, by the ranks that the Java side uses too."""
        ordered = sorted(seconds)
        count = len(ordered)
        return cls(
            ordered[0] * 1e3,
            ordered[count // 2] * 1e3,
            ordered[int(count * 0.9)] * 1e3,
            None if cpu is None else cpu / count * 1e3,
        )

    @classmethod
    def of_report(cls, micros: dict[str, int], cpu: int | None = None) -> Figures:
        """What a Java side reported, in microseconds."""
        return cls(
            micros["min"] / 1e3,
            micros["median"] / 1e3,
            micros["p90"] / 1e3,
            None if cpu is None else cpu / 1e3,
        )

    @classmethod
    def of_rounds(cls, rounds: Sequence[Figures]) -> Figures:
        """One figure from several rounds: the least minimum, and the medians of the rest."""
        spent = [one.cpu for one in rounds if one.cpu is not None]
        return cls(
            min(one.minimum for one in rounds),
            median(one.median for one in rounds),
            median(one.p90 for one in rounds),
            median(spent) if spent else None,
        )


def measured(call: Callable[[], object], calls: int) -> Figures:
    """Time *calls* calls one by one."""
    times = []
    spent = time.process_time()
    for _ in range(calls):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return Figures.of(times, time.process_time() - spent)


# -------------------------------------------------------------------------------------------- the machine


def machine(server: PeerServer) -> str:
    """One line on what was measured, where, and how busy the machine was."""
    packages = ", ".join(
        f"{name} {_version(name)}"
        for name in ("zeep", "lxml", "xmlsec", "cryptography", "requests", "pybase64")
    )
    return (
        f"CPython {platform.python_version()}, {packages}; CXF {server.version}; "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def grid(heads: list[str], rows: list[list[str]]) -> list[str]:
    """The lines of a Markdown table; all columns but the first are numbers."""
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    lines = [
        "| " + " | ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) + " |"
        for row in [heads, *rows]
    ]
    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|"
    return [lines[0], rule, *lines[1:]]
