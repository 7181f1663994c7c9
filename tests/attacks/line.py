"""A client of zeep, the real service, and whoever sits on the line between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import requests
import zeep
from lxml import etree

from tests.attacks.embedded import Service
from tests.attacks.forge import World
from tests.loopback import Answer, Loopback, Request, call_wsgi
from tests.unit.parties import identity, trust
from tests.unit.policy.documents import cxf_wsdl
from zeep_secureconv import SecureConversation
from zeep_secureconv.policy.reader import read_wsdl
from zeep_secureconv.service.contract import Published, demonstration_wsdl

Forward = Callable[[Request], Answer]

#: The ways to attach a SecureConversation to a zeep client.
ATTACH: dict[str, Callable[[SecureConversation, str], zeep.Client]] = {
    "plugins and wsse": lambda sc, wsdl: zeep.Client(wsdl, wsse=sc, plugins=[sc]),
    "sc.client": lambda sc, wsdl: sc.client(wsdl),
}


class Line:
    """The demonstration service on a loopback port, behind somebody who may change everything.

    Args:
        world: time and keys of the honest parties.
        wsdl: what ``?wsdl`` gives; by default that of CXF's variant asym-dk.

    Attributes:
        post: gives the answer to each POST: called with the request, and with what passes it on to the service.
    """

    def __init__(self, world: World, wsdl: bytes | None = None) -> None:
        self.world = world
        self.post: Callable[[Request, Forward], Answer | None] = lambda request, forward: forward(request)
        self.loopback = Loopback(self._answer)
        self._wsdl = wsdl or cxf_wsdl("asym-dk").encode()
        honest = etree.fromstring(cxf_wsdl("asym-dk").encode())
        self.service = Service(world, read_wsdl(honest))
        self._sessions: list[requests.Session] = []

    def __enter__(self) -> Line:
        self.loopback.__enter__()
        self._published = Published(
            self.service.middleware, demonstration_wsdl(self._wsdl, address=self.endpoint)
        )
        return self

    def __exit__(self, *exc_info: object) -> None:
        for session in self._sessions:
            session.close()
        self.loopback.__exit__(*exc_info)

    @property
    def endpoint(self) -> str:
        """URL of the service."""
        return f"{self.loopback.url}/peer"

    @property
    def wsdl(self) -> str:
        """URL of its WSDL."""
        return f"{self.endpoint}?wsdl"

    def conversation(self, **options: Any) -> SecureConversation:
        """A SecureConversation of the honest client."""
        given = {
            "identity": identity("client"),
            "trust": trust(),
            "peer": identity("server").certificate,
            "clock": self.world.time.clock,
            "random": self.world.vault.random,
            **options,
        }
        return SecureConversation(**given)

    def client(self, sc: SecureConversation, how: str = "sc.client") -> zeep.Client:
        """A zeep client of the service, whose connections are closed with the line."""
        client = ATTACH[how](sc, self.wsdl)
        self._sessions.append(client.transport.session)
        return client

    def let_pass(self) -> None:
        """Change nothing from now on."""
        self.post = lambda request, forward: forward(request)

    def _answer(self, request: Request) -> Answer | None:
        def forward(message: Request) -> Answer:
            return call_wsgi(self._published, message)

        return forward(request) if request.method == "GET" else self.post(request, forward)


def is_bootstrap(request: Request) -> bool:
    """Whether a request is for the trust service."""
    return b"/RST/SCT" in request.body
