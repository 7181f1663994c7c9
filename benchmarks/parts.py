"""Where the time of our secured call goes: by the steps of zeep's pipeline, and by function."""

from __future__ import annotations

import cProfile
import io
import pstats
import re
import time
from itertools import pairwise
from typing import Any

import zeep

from zeep_secureconv import SecureConversation

from .cxf import SECURED, Figures, Peers, conversation, parties, text_of

#: The steps of a call in their order; each ends at one mark.
STEPS = (
    "zeep: build the envelope",
    "ours: egress",
    "ours: apply",
    "zeep: serialise",
    "post, the server's share included",
    "zeep: parse",
    "ours: verify",
    "ours: ingress",
    "zeep: read the answer",
)
_TOP = 40
_FOLDERS = re.compile(r"/\S*/(?=(?:zeep_secureconv|zeep|requests|urllib3|http|python3\.\d+)/)")


class _Watched(SecureConversation):
    """Marks the time where zeep enters and leaves its hooks."""

    marks: list[float]

    def egress(self, *arguments: Any) -> Any:
        self.marks.append(time.perf_counter())
        result = super().egress(*arguments)
        self.marks.append(time.perf_counter())
        return result

    def apply(self, *arguments: Any) -> Any:
        result = super().apply(*arguments)
        self.marks.append(time.perf_counter())
        return result

    def verify(self, *arguments: Any) -> Any:
        self.marks.append(time.perf_counter())
        result = super().verify(*arguments)
        self.marks.append(time.perf_counter())
        return result

    def ingress(self, *arguments: Any) -> Any:
        result = super().ingress(*arguments)
        self.marks.append(time.perf_counter())
        return result


class _Transport(zeep.Transport):
    def __init__(self, watched: _Watched) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._watched = watched

    def post(self, *arguments: Any) -> Any:
        self._watched.marks.append(time.perf_counter())
        result = super().post(*arguments)  # type: ignore[no-untyped-call]
        self._watched.marks.append(time.perf_counter())
        return result


def steps(peers: Peers, size: int, calls: int) -> dict[str, Figures]:
    """The time between the marks of a secured echo of *size* characters, step by step."""
    text = text_of(size)
    times: list[list[float]] = [[] for _ in STEPS]
    sc = _Watched(**parties(peers.pki))
    with sc:
        client = sc.client(peers.server.wsdl(SECURED), transport=_Transport(sc))
        for number in range(-(calls // 5) - 1, calls):
            sc.marks = [time.perf_counter()]
            client.service.echo(text)
            sc.marks.append(time.perf_counter())
            if number >= 0:
                for some, (start, end) in zip(times, pairwise(sc.marks), strict=True):
                    some.append(end - start)
    return {name: Figures.of(some) for name, some in zip(STEPS, times, strict=True)}


def profile(peers: Peers, size: int, calls: int) -> str:
    """The functions that a secured echo of *size* characters spends its time in, by cProfile, the worst first."""
    text = text_of(size)
    profiler = cProfile.Profile()
    with conversation(peers.pki) as sc:
        client = sc.client(peers.server.wsdl(SECURED))
        for _ in range(calls // 5 + 1):
            client.service.echo(text)
        profiler.enable()
        for _ in range(calls):
            client.service.echo(text)
        profiler.disable()
    out = io.StringIO()
    pstats.Stats(profiler, stream=out).sort_stats("tottime").print_stats(_TOP)
    return _FOLDERS.sub("", out.getvalue())
