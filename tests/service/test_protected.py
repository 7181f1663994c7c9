"""A client and a service of this library over HTTP, where the service refuses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import zeep.exceptions
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from zeep_secureconv import (
    Identity,
    Limits,
    SecureConversation,
    TokenFault,
    Trust,
    UnsecuredFault,
)
from zeep_secureconv.service.authorization import Access
from zeep_secureconv.service.contract import Published, demonstration_wsdl
from zeep_secureconv.service.demonstration import DemonstrationService
from zeep_secureconv.service.middleware import SecureConversationMiddleware
from zeep_secureconv.service.server import HttpServer

_POLICY = files("zeep_secureconv.service").joinpath("demonstration-policy.xml").read_bytes()

Start = Callable[..., str]


@pytest.fixture
def start(pki: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts the demonstration service with options of the middleware, and gives its address."""
    servers: list[HttpServer] = []

    def started(**options: Any) -> str:
        server = HttpServer().__enter__()
        servers.append(server)
        url = f"{server.url}/peer"
        path = tmp_path / "service.wsdl"
        path.write_bytes(demonstration_wsdl(_POLICY, address=url))
        usual: dict[str, Any] = {
            "identity": Identity.from_pkcs12(pki / "server.p12", "changeit"),
            "trust": Trust.from_pem(pki / "ca.pem"),
        }
        app = SecureConversationMiddleware(
            DemonstrationService(), policy=path, endpoint=url, **(usual | options)
        )
        server.app = Published(app, path.read_bytes())
        return f"{url}?wsdl"

    yield started
    for server in servers:
        server.stop()


@pytest.fixture
def calling(pki: Path) -> Callable[..., SecureConversation]:
    """Makes clients."""

    def client(name: str = "client", **options: Any) -> SecureConversation:
        return SecureConversation(
            identity=Identity.from_pkcs12(pki / f"{name}.p12", "changeit"),
            trust=Trust.from_pem(pki / "ca.pem"),
            peer=pki / "server.pem",
            **options,
        )

    return client


def test_a_call_that_is_not_permitted_is_a_proven_fault(
    start: Start, calling: Callable[..., SecureConversation]
) -> None:
    """It is raised by zeep as any fault of the application, and the context goes on."""
    refused = {"whoami"}

    def authorize(access: Access) -> bool:
        return access.operation not in refused and str(access.principal).startswith("CN=")

    wsdl = start(authorize=authorize)
    with calling() as sc:
        service = sc.client(wsdl).service
        assert service.echo("hello") == "hello"
        (before,) = sc.contexts()
        with pytest.raises(zeep.exceptions.Fault, match="not permitted") as caught:
            service.whoami()
        assert not isinstance(caught.value, (TokenFault, UnsecuredFault))
        assert service.echo("hello") == "hello"
        assert [one.identifier for one in sc.contexts()] == [before.identifier]
        refused.clear()
        assert service.whoami()


def test_a_context_that_is_not_permitted_is_a_proven_token_fault(
    start: Start, calling: Callable[..., SecureConversation]
) -> None:
    """The client learns from the service itself that it was recognised, and refused."""
    allowed = {"CN=client"}
    wsdl = start(authorize=lambda access: any(name in str(access.principal) for name in allowed))
    with calling() as sc:
        assert sc.client(wsdl).service.echo("hello") == "hello"
    allowed.clear()
    with calling() as sc, pytest.raises(TokenFault) as caught:
        sc.client(wsdl).service.echo("hello")
    assert (caught.value.name, caught.value.verified) == ("FailedAuthentication", True)


@pytest.mark.parametrize("kind", ["renew", "cancel", "validate"])
def test_the_life_of_a_context_may_be_in_other_hands(
    start: Start, calling: Callable[..., SecureConversation], kind: str
) -> None:
    """A client that may not renew, cancel or validate goes on with what it has."""
    asked: list[str] = []

    def authorize(access: Access) -> bool:
        asked.append(access.kind)
        return access.kind != kind

    wsdl = start(authorize=authorize)
    with calling() as sc:
        service = sc.client(wsdl).service
        assert service.echo("hello") == "hello"
        (context,) = sc.contexts()
        if kind == "cancel":
            # which is information only: the client forgets the context whatever the service says
            sc.cancel(context)
        else:
            with pytest.raises(TokenFault) as caught:
                _ = sc.validate(context) if kind == "validate" else sc.renew(context)
            assert (caught.value.name, caught.value.verified) == ("FailedAuthentication", True)
        assert kind in asked
        assert service.echo("hello") == "hello"


def test_a_revoked_client_gets_nothing(
    start: Start, calling: Callable[..., SecureConversation], pki: Path, tmp_path: Path
) -> None:
    """From a list in a file; another client of the same authority is served."""
    authority = x509.load_pem_x509_certificate((pki / "ca.pem").read_bytes())
    key = serialization.load_pem_private_key((pki / "ca.key").read_bytes(), None)
    now = datetime.now(timezone.utc)
    revoked = Identity.from_pkcs12(pki / "client.p12", "changeit").certificate.serial_number
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.subject)
        .last_update(now - timedelta(hours=1))
        .next_update(now + timedelta(hours=1))
        .add_revoked_certificate(
            x509.RevokedCertificateBuilder().serial_number(revoked).revocation_date(now).build()
        )
        .sign(key, hashes.SHA256())  # type: ignore[arg-type]
    )
    path = tmp_path / "ca.crl"
    path.write_bytes(crl.public_bytes(serialization.Encoding.PEM))
    wsdl = start(trust=Trust.from_pem(pki / "ca.pem", crl=path))
    with calling("client2") as sc:
        assert sc.client(wsdl).service.echo("hello") == "hello"
    with calling() as sc, pytest.raises(TokenFault) as caught:
        sc.client(wsdl).service.echo("hello")
    assert (caught.value.name, caught.value.verified) == ("InvalidSecurity", False)


def test_bootstraps_beyond_the_limit_are_told_to_come_back(
    start: Start, calling: Callable[..., SecureConversation]
) -> None:
    """While one is at work the next client gets HTTP 503; calls go on, and later it is its turn."""
    reached, opened = threading.Semaphore(0), threading.Event()
    opened.set()

    def authorize(access: Access) -> bool:
        if access.kind == "issue":
            reached.release()
            assert opened.wait(30)
        return True

    wsdl = start(authorize=authorize, limits=Limits(bootstraps=1, waiting_bootstraps=0))
    with calling() as held, calling() as first, calling() as second:
        busy = held.client(wsdl).service
        assert busy.echo("hello") == "hello"
        assert reached.acquire(timeout=30)
        opened.clear()
        service = first.client(wsdl).service
        answers: list[str] = []
        thread = threading.Thread(target=lambda: answers.append(service.echo("first")))
        thread.start()
        assert reached.acquire(timeout=30)
        client = second.client(wsdl).service
        with pytest.raises(UnsecuredFault, match="busy") as caught:
            client.echo("second")
        assert not caught.value.verified
        assert busy.echo("hello") == "hello"
        opened.set()
        thread.join(30)
        assert answers == ["first"]
        assert client.echo("second") == "second"
