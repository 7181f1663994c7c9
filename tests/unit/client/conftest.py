"""The demonstration service behind the middleware, on a real socket, with a clock that is set by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from tests.unit.parties import Time, identity, trust
from zeep_secureconv import Event, SecureConversation
from zeep_secureconv.service.contract import Published, demonstration_wsdl
from zeep_secureconv.service.demonstration import DemonstrationService
from zeep_secureconv.service.middleware import SecureConversationMiddleware
from zeep_secureconv.service.server import HttpServer

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
POLICY = files("zeep_secureconv.service").joinpath("demonstration-policy.xml").read_bytes()


@dataclass
class Posted:
    """A request that the service got, and the answer it gave."""

    action: str
    environ: Environ
    body: bytes
    answer: bytes = b""
    status: str = ""

    @property
    def kind(self) -> str:
        """What was asked: issue, cancel, or the name of the operation."""
        end = self.action.rpartition("/")[2].rpartition(":")[2].strip('"')
        return {"SCT": "issue", "Cancel": "cancel"}.get(end, end)


class Service:
    """The service of one test.

    Args:
        server: what it listens with.
        folder: where its WSDL is written.
        policy: the policy that it publishes.
    """

    def __init__(self, server: HttpServer, folder: Path, policy: bytes = POLICY) -> None:
        self.time = Time()
        self.url = f"{server.url}/peer"
        self.wsdl = folder / "service.wsdl"
        self.document = demonstration_wsdl(policy, address=self.url)
        self.wsdl.write_bytes(self.document)
        self.posted: list[Posted] = []
        self.events: list[Event] = []
        #: Answers in the service's place where it is set: gets the request, gives status, headers and body, or None.
        self.interfere: Callable[[Posted], tuple[str, dict[str, str], bytes] | None] | None = None
        self.application = DemonstrationService()
        self.restart()
        server.app = _closing(Published(self._record, self.document))

    def restart(self, **options: Any) -> None:
        """Forget every context, and go on with further options of the middleware."""
        self._app: Application = SecureConversationMiddleware(
            self.application,
            policy=self.wsdl,
            identity=identity("server"),
            trust=trust(),
            clock=self.time.clock,
            **options,
        )

    def execute(self, posted: Posted) -> None:
        """Do what a request asks, whatever is answered to it."""
        b"".join(self._app(posted.environ, lambda *_: None))

    def kinds(self) -> list[str]:
        """What was asked, in order."""
        return [posted.kind for posted in self.posted]

    def conversation(self, **options: Any) -> SecureConversation:
        """The client's side, with everything it needs unless *options* say otherwise."""
        usual: dict[str, Any] = {
            "identity": identity("client"),
            "trust": trust(),
            "peer": identity("server").certificate,
            "clock": self.time.clock,
            "on_event": self.events.append,
        }
        return SecureConversation(**(usual | options))

    def told(self) -> list[str]:
        """Kinds of the events, without those of ordinary replies."""
        return [event.kind for event in self.events if event.kind != "verified"]

    def _record(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        posted = Posted(environ.get("HTTP_SOAPACTION", ""), environ, b"")
        length = int(environ.get("CONTENT_LENGTH") or 0)
        posted.body = environ["wsgi.input"].read(length)
        self.posted.append(posted)
        environ["wsgi.input"] = _Again(posted.body)
        instead = self.interfere(posted) if self.interfere is not None else None
        if instead is not None:
            status, headers, body = instead
            start_response(status, [("Content-Length", str(len(body))), *headers.items()])
            return [body]
        started: list[Any] = []
        posted.answer = b"".join(self._app(environ, lambda *arguments: started.append(arguments)))
        posted.status = started[0][0]
        start_response(*started[0])
        return [posted.answer]


def _closing(app: Any) -> Any:
    """The same, and every connection ends with its answer, so that no session keeps a socket beyond its test."""

    def answer(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            return start_response(status, [*headers, ("Connection", "close")], *more)

        chunks: Iterable[bytes] = app(environ, start)
        return chunks

    return answer


class _Again:
    """wsgi.input with what was read already."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def read(self, size: int = -1) -> bytes:
        piece = self._body if size < 0 else self._body[:size]
        self._body = self._body[len(piece) :]
        return piece


@pytest.fixture(scope="session")
def server() -> Iterator[HttpServer]:
    """A server that every test gives an application of its own."""
    with HttpServer() as running:
        yield running


@pytest.fixture
def service(server: HttpServer, tmp_path: Path) -> Service:
    """A service that knows no context yet."""
    return Service(server, tmp_path)
