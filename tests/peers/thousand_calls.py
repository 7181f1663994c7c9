"""A process that makes 1,000 calls in one conversation and prints what it sent and how it grew.

Run as ``python -m tests.peers.thousand_calls WSDL PKI``; prints one JSON object.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
import zeep
from requests.adapters import HTTPAdapter

from tests.peers.our_side import our_client

CALLS = 1_000
#: Caches and pools have filled up by then.
WARM = 200

_STATM = Path("/proc/self/statm")
_DERIVED_KEY = re.compile(rb"<(?:\w+:)?DerivedKeyToken[ >]")
_NONCE = re.compile(rb"<(?:\w+:)?Nonce>([^<]+)</")


class _Recorder(HTTPAdapter):
    """Notes the bytes on their way out, when everything else is done with them."""

    def __init__(self) -> None:
        super().__init__()
        self.derived_keys = 0
        self.nonces: set[bytes] = set()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        body = request.body or b""
        assert isinstance(body, bytes)
        self.derived_keys += len(_DERIVED_KEY.findall(body))
        self.nonces.update(_NONCE.findall(body))
        return super().send(request, *args, **kwargs)


def _resident() -> int | None:
    """Memory of this process in bytes, where the system says it."""
    if not _STATM.exists():
        return None
    return int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _call(echo: Callable[[str], str]) -> dict[int, int | None]:
    resident = {}
    for turn in range(1, CALLS + 1):
        text = f"call {turn}"
        assert echo(text) == text
        if turn in (WARM, CALLS):
            resident[turn] = _resident()
    return resident


def _main(wsdl: str, pki: str) -> None:
    recorder = _Recorder()
    with requests.Session() as session, our_client(Path(pki)) as sc:
        session.mount("http://", recorder)
        client = zeep.Client(wsdl, wsse=sc, plugins=[sc], transport=zeep.Transport(session=session))
        resident = _call(client.service.echo)
        report = {
            "derived_keys": recorder.derived_keys,
            "nonces": len(recorder.nonces),
            "contexts": len(sc.contexts()),
            "resident": [resident[WARM], resident[CALLS]],
        }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    _main(*sys.argv[1:])
