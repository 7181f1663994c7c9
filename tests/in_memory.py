"""Client and service in one process, joined by memory instead of a network, under a clock that is set by hand.

Everything but the sockets is real: zeep, its transport and requests on one side, the WSGI middleware on the other.
"""

from __future__ import annotations

import gc
import io
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from tests.loopback import Request, call_wsgi
from tests.unit.parties import Time
from zeep_secureconv import Identity, SecureConversation, Trust
from zeep_secureconv.service.contract import demonstration_wsdl
from zeep_secureconv.service.demonstration import DemonstrationService
from zeep_secureconv.service.middleware import SecureConversationMiddleware, WsgiApplication
from zeep_secureconv.service.pki import make_pki

ADDRESS = "http://127.0.0.1/peer"


class WsgiAdapter(HTTPAdapter):
    """Has a WSGI application answer what is sent on a session of requests.

    Args:
        app: the application.
    """

    def __init__(self, app: WsgiApplication) -> None:
        super().__init__()
        self._app = app

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """The answer."""
        body = request.body if isinstance(request.body, bytes) else (request.body or "").encode()
        asked = Request(request.method or "", request.path_url, dict(request.headers.items()), body)
        answer = call_wsgi(self._app, asked)
        raw = HTTPResponse(
            io.BytesIO(answer.body), dict(answer.headers), status=answer.status, preload_content=False
        )
        return self.build_response(request, raw)


class InMemory:
    """The demonstration service and a client of it.

    Args:
        folder: where certificates and WSDL are written.
        lifetime: of contexts.
        client: further arguments of SecureConversation.
        service: further arguments of the middleware.
    """

    def __init__(
        self,
        folder: Path,
        *,
        lifetime: timedelta = timedelta(minutes=120),
        client: Mapping[str, Any] | None = None,
        service: Mapping[str, Any] | None = None,
    ) -> None:
        self.time = Time()
        clock = self.time.clock
        make_pki(folder, clock=clock)
        wsdl = folder / "service.wsdl"
        policy = files("zeep_secureconv.service").joinpath("demonstration-policy.xml").read_bytes()
        wsdl.write_bytes(demonstration_wsdl(policy, address=ADDRESS))
        self.app = DemonstrationService()
        given: dict[str, Any] = {"policy": wsdl, "trust": Trust.from_pem(folder / "ca.pem"), "clock": clock}
        self.middleware = SecureConversationMiddleware(
            self.app,
            identity=Identity.from_pem(folder / "server.pem", folder / "server.key"),
            lifetime=lifetime,
            **(given | dict(service or {})),
        )
        self.sc = SecureConversation(
            identity=Identity.from_pem(folder / "client.pem", folder / "client.key"),
            trust=Trust.from_pem(folder / "ca.pem"),
            peer=folder / "server.pem",
            clock=clock,
            **(client or {}),
        )
        session = requests.Session()
        session.mount("http://", WsgiAdapter(self.middleware))
        transport = self.sc.transport(session=session)
        self.echo = self.sc.client(str(wsdl), transport=transport).service.echo

    def call(self, number: int, later: timedelta) -> None:
        """One call, and then the clock goes on."""
        text = f"call {number}"
        answer = self.echo(text)
        assert answer == text, answer
        self.time.forward(later)


def entries(*roots: object) -> dict[str, int]:
    """How many entries each table inside some objects of this project has, by its path from there."""
    found: dict[str, int] = {}
    done: set[int] = set()
    waiting = [(type(root).__name__, root) for root in roots]
    while waiting:
        path, value = waiting.pop()
        if id(value) in done:
            continue
        done.add(id(value))
        if hasattr(value, "__len__") and not isinstance(value, (str, bytes, bytearray, memoryview, int)):
            found[path] = len(value)
        if isinstance(value, (dict, Mapping)):
            waiting += [(f"{path}[…]", part) for part in list(value.values())]
        elif isinstance(value, (list, tuple, set, frozenset)):
            waiting += [(f"{path}[…]", part) for part in list(value)]
        elif _is_ours(value) and hasattr(value, "__dict__"):
            waiting += [(f"{path}.{name}", part) for name, part in vars(value).items()]
    return found


def objects() -> Counter[str]:
    """How many objects of each class of this project are alive."""
    gc.collect()
    return Counter(
        f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects() if _is_ours(one)
    )


def _is_ours(one: object) -> bool:
    return str(type(one).__module__).startswith("zeep_secureconv")
