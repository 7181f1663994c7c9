"""Policies of the model that CXF's peer does not bring along, of every binding that CXF does: both directions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import requests
import zeep

from tests.peers.our_side import CLIENT, Users, our_client, our_service
from tests.peers.peer import PeerClients, PeerServer
from tests.peers.policy_writer import written
from tests.unit.messages import ADDRESSING, asymmetric, over_tls, path, symmetric, username, with_certificate
from zeep_secureconv.names import WSA_2005
from zeep_secureconv.policy import DerivedKeys, Include, Parts, Policy, ReferenceStyle, Wss, X509Token
from zeep_secureconv.policy.model import (
    Layout,
    SecureConversationToken,
    SupportingToken,
    TransportBinding,
    TrustOptions,
)
from zeep_secureconv.wss.credentials import UsernameToken

_USER = UsernameToken("alice", "secret")
_WSS = Wss(
    version="1.1",
    references=frozenset(
        {
            ReferenceStyle.ISSUER_SERIAL,
            ReferenceStyle.KEY_IDENTIFIER,
            ReferenceStyle.THUMBPRINT,
            ReferenceStyle.ENCRYPTED_KEY,
        }
    ),
)
_TRUST = TrustOptions(require_client_entropy=True, require_server_entropy=True)
_SERVER = X509Token(include=Include.NEVER, references=frozenset({ReferenceStyle.THUMBPRINT}))
_DERIVED = replace(_SERVER, derived_keys=DerivedKeys.EITHER)
_ENDORSER = SupportingToken(token=X509Token(include=Include.ALWAYS_TO_RECIPIENT), endorsing=True)
_ECHOED = path("text", inside="Body")


@dataclass(frozen=True, kw_only=True)
class _Made:
    """A policy, and whom a service takes a client for under it.

    Args:
        policy: of the endpoint.
        soap: "1.1" or "1.2".
        whoami: whom our service takes CXF's client for.
        renews: whether CXF's client can renew.
    """

    policy: Policy
    soap: str = "1.1"
    whoami: str = CLIENT
    renews: bool = True

    @property
    def names_user(self) -> bool:
        """Whether a user name is wanted."""
        return "UsernameToken" in written(self.policy)


def _application(suite: str = "Basic128", **changes: Any) -> Policy:
    usual = {"derived_keys": DerivedKeys.EITHER, "wss": _WSS, "trust": _TRUST, "addressing": WSA_2005}
    return symmetric(suite, **{**usual, **changes})


def _over_tls() -> Policy:
    bootstrap = replace(over_tls(username(signed=True)), wss=_WSS)
    token = SecureConversationToken(derived_keys=DerivedKeys.EITHER, bootstrap=bootstrap)
    endorsing = SupportingToken(token=token, endorsing=True, signed_parts=Parts(headers=ADDRESSING))
    return over_tls(endorsing, wss=_WSS, trust=_TRUST, addressing=WSA_2005)


# As in the peer's own variants: without signed parts of the endorsement, CXF's server takes no Cancel over TLS.
_MADE = {
    "certificate": _Made(
        policy=_application("Basic256", bootstrap=with_certificate("Basic256", token=_DERIVED, wss=_WSS)),
        whoami="anonymous",
        renews=False,
    ),
    "certificate-raw-endorsed": _Made(
        policy=_application(
            "Basic256Sha256",
            derived_keys=DerivedKeys.NONE,
            bootstrap=with_certificate(
                "Basic256Sha256", token=_SERVER, supporting=(_ENDORSER,), layout=Layout.STRICT, wss=_WSS
            ),
        ),
        soap="1.2",
    ),
    "user-hidden-signature": _Made(
        policy=_application(
            "TripleDes",
            encrypt_signature=True,
            bootstrap=asymmetric(
                "TripleDesRsa15", supporting=(username(signed=True, encrypted=True),), wss=_WSS
            ),
        ),
        whoami="alice",
    ),
    "user-under-certificate": _Made(
        policy=_application(
            bootstrap=with_certificate(
                token=_DERIVED, supporting=(username(signed=True, encrypted=True),), wss=_WSS
            ),
        ),
        whoami="alice",
    ),
    "context-over-tls": _Made(policy=_over_tls(), whoami="alice"),
    "elements-by-path": _Made(
        policy=_application(
            signed=Parts(body=True, elements=(_ECHOED,)),
            encrypted=Parts(elements=(_ECHOED,)),
            bootstrap=asymmetric(wss=_WSS),
        ),
        soap="1.2",
    ),
    "protected-tokens": _Made(
        policy=_application(bootstrap=asymmetric("Basic256", protect_tokens=True, wss=_WSS)),
    ),
    "application-user": _Made(
        policy=_application(
            encrypt_before_signing=True,
            supporting=(username(signed=True, encrypted=True),),
            bootstrap=asymmetric(encrypt_before_signing=True, wss=_WSS),
        ),
    ),
}


@pytest.fixture(scope="module")
def made(
    cxf_server: Callable[..., PeerServer], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PeerServer]:
    """A CXF server of the policies above."""
    folder = tmp_path_factory.mktemp("bindings")
    for name, one in _MADE.items():
        (folder / f"{name}.xml").write_text(written(one.policy, soap=one.soap), encoding="utf-8")
    with cxf_server("--policies", folder) as server:
        yield server


@pytest.mark.parametrize("name", _MADE)
def test_our_client(made: PeerServer, pki: Path, name: str) -> None:
    """Our client calls CXF's server under the policy, sees its fault, and cancels."""
    before, who = made.stats(), {"username": _USER} if _MADE[name].names_user else {}
    with requests.Session() as session, our_client(pki, **who) as sc:
        session.trust_env = False  # its own certificates count
        session.verify = str(pki / "ca.pem")
        service = sc.client(made.wsdl(name), transport=sc.transport(session=session)).service
        for text in ("hello", "ünï € 𝄞 ]]> \r\n", "x" * 50_000):
            assert service.echo(text) == text
        assert service.sum([1, 2, 39]) == 42
        with pytest.raises(zeep.exceptions.Fault, match="failed with E42"):
            service.fail("E42")
        assert sc.cancel() == 1
    after = made.stats()
    assert after["issued"] - before["issued"] == 1
    assert after["cancelled"] - before["cancelled"] == 1


@pytest.mark.parametrize("name", _MADE)
def test_our_service(made: PeerServer, cxf_client: PeerClients, pki: Path, tmp_path: Path, name: str) -> None:
    """CXF's client calls our service under the policy, sees its fault, and renews where it can."""
    one, wsdl = _MADE[name], tmp_path / f"{name}.wsdl"
    wsdl.write_text(made.wsdl_text(name), encoding="utf-8")
    options: dict[str, Any] = {"authenticate": Users()} if one.names_user else {}
    user: dict[str, Any] = {"username": "alice", "password": "secret"} if one.names_user else {}
    tls = isinstance(one.policy.binding, TransportBinding)
    with our_service(pki, wsdl, tls=tls, **options) as service:
        report = cxf_client(wsdl=service.wsdl, check=True, size=1_000, **user)
    assert report["ok"], (report, service.said)
    steps = report["steps"]
    assert (steps["echo1"], steps["echo2"], steps["sum"]) == ("one", "two ä€<&>", 42)
    assert (steps["fail"], steps["whoami"]) == ("E42", one.whoami)
    counted = service.counted()
    # Cancel comes secured by the bootstrap alone, which proves nothing, and is refused
    assert (counted["Renew"], counted["refused"]) == ((1, 1) if one.renews else (0, 2)), service.said
