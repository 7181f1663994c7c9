"""Every preset between a client and a service of this library."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from zeep_secureconv import Identity, LtpaToken, SecureConversation, Trust, UsernameToken
from zeep_secureconv.errors import PolicyError
from zeep_secureconv.policy.presets import PRESETS, preset
from zeep_secureconv.service.contract import Published, demonstration_wsdl
from zeep_secureconv.service.demonstration import DemonstrationService
from zeep_secureconv.service.middleware import SecureConversationMiddleware
from zeep_secureconv.service.server import HttpServer
from zeep_secureconv.wss.credentials import ReceivedToken


class _Users:
    """Accepts alice with her password, and any token."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def check(self, name: str, password: str) -> bool:
        self.seen.append(name)
        return (name, password) == ("alice", "secret")

    def token(self, token: ReceivedToken) -> str | None:
        self.seen.append(token.kind)
        return "alice of the cell"


@pytest.fixture
def session(pki: Path) -> Iterator[requests.Session]:
    """An HTTP session that trusts the server's CA."""
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(pki / "ca.pem")
        yield session


def _tls(pki: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pki / "server.pem", pki / "server.key")
    return context


def _converse(name: str, pki: Path, session: requests.Session, *, https: bool, policy: str | None) -> _Users:
    """One call under a preset, and its end; what the service was asked to check."""
    users = _Users()
    trust = Trust.from_pem(pki / "ca.pem")
    with HttpServer(tls=_tls(pki) if https else None) as server:
        url = server.url + "/peer"
        application = SecureConversationMiddleware(
            DemonstrationService(),
            policy=name,
            identity=Identity.from_pkcs12(pki / "server.p12", "changeit"),
            trust=trust,
            authenticate=users,
            endpoint=url,
        )
        server.app = Published(application, demonstration_wsdl(preset(name).document(), address=url))
        with SecureConversation(
            policy=policy,
            identity=Identity.from_pkcs12(pki / "client.p12", "changeit"),
            trust=trust,
            peer=pki / "server.pem",
            username=UsernameToken("alice", "secret"),
            tokens=[LtpaToken("c2FtcGxl")],
        ) as sc:
            client = sc.client(url + "?wsdl", transport=sc.transport(session=session))
            assert client.service.echo("hello") == "hello"
            assert client.service.sum([1, 2, 39]) == 42
            assert [context.dialect for context in sc.contexts()] == [
                preset(name).dialect if policy else _of_wsdl(name)
            ]
            assert sc.cancel() == 1
    return users


def _of_wsdl(name: str) -> str:
    """The dialect that the policy leads to where nothing says whose it is."""
    return "draft200502" if name.endswith("(draft)") else "oasis13"


@pytest.mark.parametrize("name", PRESETS)
def test_client_and_service_under_a_preset(name: str, pki: Path, session: requests.Session) -> None:
    """Both sides given the same name understand each other: calls, and the end of the context."""
    users = _converse(name, pki, session, https=name.startswith("WCF"), policy=name)
    checked = {
        "Username": ["alice"],
        "LTPA": ["{http://www.ibm.com/websphere/appserver/tokentype}LTPAv2"],
        "WCF": [] if "Certificate" in name else ["alice"],
    }.get(name.split(maxsplit=1)[0], [])
    assert list(dict.fromkeys(users.seen)) == checked


@pytest.mark.parametrize(
    "name",
    [
        "LTPA SecureConversation",
        "Username SecureConversation (draft)",
        "WCF TransportWithMessageCredential Certificate",
        "WCF TransportWithMessageCredential UserName (draft)",
    ],
)
def test_a_client_that_knows_only_the_wsdl(name: str, pki: Path, session: requests.Session) -> None:
    """The published document says everything, but for the algorithms of the SHA256 presets."""
    _converse(name, pki, session, https=name.startswith("WCF"), policy=None)


def test_wcf_presets_are_refused_over_http(pki: Path, session: requests.Session) -> None:
    """What leaves protection to TLS is used over https only; no request is sent otherwise."""
    name = "WCF TransportWithMessageCredential"
    with pytest.raises(PolicyError, match="TLS"):
        _converse(name, pki, session, https=False, policy=name)
