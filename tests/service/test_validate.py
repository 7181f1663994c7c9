"""Validation of contexts between a client and a service of this library, over HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import requests

from zeep_secureconv import (
    ConfigurationError,
    Event,
    Identity,
    MemoryStore,
    SecureConversation,
    TokenFault,
    TransportError,
    Trust,
    UnsecuredFault,
)
from zeep_secureconv.clock import Clock
from zeep_secureconv.names import SOAP11
from zeep_secureconv.service.contract import Published, demonstration_wsdl
from zeep_secureconv.service.demonstration import DemonstrationService
from zeep_secureconv.service.middleware import SecureConversationMiddleware
from zeep_secureconv.service.server import HttpServer
from zeep_secureconv.soap.envelope import serialize
from zeep_secureconv.soap.faults import make_fault

_POLICY = files("zeep_secureconv.service").joinpath("demonstration-policy.xml").read_bytes()

_Answer = Callable[[str], "tuple[str, bytes] | None"]


class _Service:
    """A service on a real socket.

    Args:
        server: what it listens with.
        pki: the certificates.
    """

    def __init__(self, server: HttpServer, pki: Path) -> None:
        self.url = f"{server.url}/peer"
        self.wsdl = f"{self.url}?wsdl"
        self.actions: list[str] = []
        self.bodies: list[bytes] = []
        self.events: list[Event] = []
        #: Answers in the service's place where it gives something: (HTTP status, body) to an action.
        self.instead: _Answer = lambda _: None
        self._pki = pki
        self._document = demonstration_wsdl(_POLICY, address=self.url)
        self._published = Published(self._answer, self._document)
        self.restart()
        server.app = self._published

    def restart(self) -> None:
        """Forget every context."""
        path = self._pki / "service.wsdl"
        path.write_bytes(self._document)
        self._app: Any = SecureConversationMiddleware(
            DemonstrationService(),
            policy=path,
            identity=Identity.from_pkcs12(self._pki / "server.p12", "changeit"),
            trust=Trust.from_pem(self._pki / "ca.pem"),
            endpoint=self.url,
        )

    def conversation(self, name: str = "client", **options: Any) -> SecureConversation:
        """A client."""
        return SecureConversation(
            identity=Identity.from_pkcs12(self._pki / f"{name}.p12", "changeit"),
            trust=Trust.from_pem(self._pki / "ca.pem"),
            peer=self._pki / "server.pem",
            on_event=self.events.append,
            **options,
        )

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        action = environ.get("HTTP_SOAPACTION", "").strip('"')
        self.actions.append(action.rpartition("/ws-trust/")[2])
        instead = self.instead(action)
        if instead is None:
            answer: Iterable[bytes] = self._app(environ, start_response)
            return answer
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        status, body = instead
        headers = [("Content-Length", str(len(body))), ("Content-Type", "text/xml")]
        start_response(status, headers)
        return [body]


@pytest.fixture
def service(pki: Path) -> Iterator[_Service]:
    """A service that knows no context yet."""
    with HttpServer() as server:
        yield _Service(server, pki)


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """An HTTP session that is closed in the end."""
    with requests.Session() as session:
        yield session


@pytest.mark.parametrize("dialect", ["auto", "websphere13", "wcf"])
def test_the_service_says_that_a_context_is_valid(
    service: _Service, session: requests.Session, dialect: str
) -> None:
    """A context is valid after its issue and after its renewal, asked once each time."""
    with service.conversation(dialect=dialect) as sc:
        client = sc.client(service.wsdl, transport=sc.transport(session=session))
        client.service.echo("hello")
        (first,) = sc.contexts()
        assert sc.validate(first) is True
        second = sc.renew(first)
        assert (sc.validate(first), sc.validate(second)) == (True, True)
        assert client.service.echo("still") == "still"
        assert service.actions.count("200512/RST/Validate") == 3
        assert [event.kind for event in service.events if event.kind != "verified"] == ["issued", "renewed"]
        assert sc.cancel() == 1


def test_a_context_that_the_service_forgot_is_not_valid(service: _Service, session: requests.Session) -> None:
    """After a restart of the service the answer is no; the context stays here, and the next call replaces it."""
    with service.conversation() as sc:
        client = sc.client(service.wsdl, transport=sc.transport(session=session))
        client.service.echo("hello")
        (context,) = sc.contexts()
        assert sc.validate(context) is True
        service.restart()
        assert sc.validate(context) is False
        assert sc.contexts() == [context]
        new = sc.issue(service.url)
        assert sc.validate(new) is True
        with pytest.raises(ConfigurationError):
            sc.validate(context)


def test_a_context_of_somebody_else_is_not_asked_about(service: _Service, session: requests.Session) -> None:
    """Through a shared store another client's context is seen by nobody else."""
    store = MemoryStore()
    with service.conversation(store=store) as sc, service.conversation("client2", store=store) as other:
        for one in (sc, other):
            one.client(service.wsdl, transport=one.transport(session=session)).service.echo("hello")
        (context,) = sc.contexts()
        asked = len(service.actions)
        with pytest.raises(ConfigurationError):
            other.validate(context)
        assert len(service.actions) == asked
        assert sc.validate(context) is True


_FAULTS = {
    # what CXF says of an action that is not its own
    "soap": (f"{{{SOAP11}}}Server", UnsecuredFault),
    "trust": ("{http://docs.oasis-open.org/ws-sx/ws-trust/200512}InvalidRequest", TokenFault),
}


@pytest.mark.parametrize("name", _FAULTS)
def test_a_service_that_does_not_validate_is_told(
    service: _Service, session: requests.Session, name: str
) -> None:
    """A fault in both forms is an error that says which services know the question; the context goes on working."""
    code, kind = _FAULTS[name]
    fault = serialize(make_fault(SOAP11, code=code, text="does not match an operation").envelope)
    service.instead = lambda action: (
        ("500 Internal Server Error", fault) if action.endswith("/Validate") else None
    )
    with service.conversation() as sc:
        client = sc.client(service.wsdl, transport=sc.transport(session=session))
        client.service.echo("hello")
        (context,) = sc.contexts()
        with pytest.raises(kind) as caught:
            sc.validate(context)
        assert isinstance(caught.value, (TokenFault, UnsecuredFault))
        assert not caught.value.verified
        assert "WebSphere" in (caught.value.hint or "")
        assert caught.value.context == context.identifier
        assert service.actions.count("200512/RST/Validate") == 2
        assert client.service.echo("still") == "still"
        service.instead = lambda _: None
        assert sc.validate(context) is True


def test_no_answer_is_an_error(service: _Service, session: requests.Session) -> None:
    """A service that answers nothing is asked once, and the error is one of transport."""
    service.instead = lambda action: ("500 Error", b"") if action.endswith("/Validate") else None
    with service.conversation() as sc:
        sc.client(service.wsdl, transport=sc.transport(session=session)).service.echo("hello")
        (context,) = sc.contexts()
        with pytest.raises(TransportError):
            sc.validate(context)
        assert service.actions.count("200512/RST/Validate") == 1


def test_a_context_that_is_over_is_not_asked_about(service: _Service, session: requests.Session) -> None:
    """What is over by its own lifetime is not valid, without any traffic."""
    later = 0.0
    clock = Clock(monotonic=lambda: time.monotonic() + later)
    with service.conversation(clock=clock) as sc:
        sc.client(service.wsdl, transport=sc.transport(session=session)).service.echo("hello")
        (context,) = sc.contexts()
        asked = len(service.actions)
        later = 3 * 3600.0
        assert sc.validate(context) is False
        assert len(service.actions) == asked
        later = 0.0
        assert sc.validate(context) is True


def test_renewals_and_validations_do_not_meet(service: _Service, session: requests.Session) -> None:
    """While one thread renews without end, every answer to another is that the context is valid."""
    with service.conversation() as sc:
        sc.client(service.wsdl, transport=sc.transport(session=session)).service.echo("hello")
        (context,) = sc.contexts()
        done = threading.Event()
        renewed: list[str | None] = []

        def renew() -> None:
            while not done.is_set():
                renewed.append(sc.renew(context).instance)

        thread = threading.Thread(target=renew)
        thread.start()
        try:
            answers = [sc.validate(context) for _ in range(10)]
        finally:
            done.set()
            thread.join()
        assert answers == [True] * 10
        assert len(set(renewed)) == len(renewed) > 0
