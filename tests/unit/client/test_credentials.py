"""Credentials of a client: what a policy needs, what is missing for it, and which alternative they lead to."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.unit.client.conftest import Service
from tests.unit.messages import asymmetric
from tests.unit.parties import CA, CLIENT2, SERVER, identity, trust
from zeep_secureconv import (
    Algorithms,
    ConfigurationError,
    LtpaToken,
    PolicyError,
    SecureConversation,
    SecureConversationError,
    SuiteChanges,
    TokenFault,
    TransportError,
    Trust,
    UsernameToken,
    VerificationError,
    XmlToken,
)
from zeep_secureconv.client.parties import Parties, missing
from zeep_secureconv.client.policies import Policies
from zeep_secureconv.policy import Policy, TransportBinding
from zeep_secureconv.policy.model import SuppliedToken, SupportingToken
from zeep_secureconv.policy.model import UsernameToken as UsernamePolicy
from zeep_secureconv.policy.needs import needs
from zeep_secureconv.service.contract import Published, demonstration_wsdl
from zeep_secureconv.service.demonstration import DemonstrationService
from zeep_secureconv.service.middleware import SecureConversationMiddleware
from zeep_secureconv.service.users import DemoUsers

URL = "https://127.0.0.1:9/peer"
ALICE = UsernameToken("alice", "secret")

_SP = "http://docs.oasis-open.org/ws-sx/ws-securitypolicy/200702"
_ALWAYS = f'sp:IncludeToken="{_SP}/IncludeToken/AlwaysToRecipient"'
_NEVER = f'sp:IncludeToken="{_SP}/IncludeToken/Never"'


def _in_policy(name: str, content: str, attributes: str = "") -> str:
    return f"<sp:{name} {attributes}><wsp:Policy>{content}</wsp:Policy></sp:{name}>"


_SUITE = _in_policy("AlgorithmSuite", "<sp:Basic128/>")
_PARTS = (
    "<sp:SignedParts><sp:Body/><sp:Header Namespace='http://www.w3.org/2005/08/addressing'/></sp:SignedParts>"
)
_PARTS += "<sp:EncryptedParts><sp:Body/></sp:EncryptedParts>"
_USER = _in_policy("SignedEncryptedSupportingTokens", f"<sp:UsernameToken {_ALWAYS}/>")
_CERTIFICATES = (
    _in_policy(
        "AsymmetricBinding",
        _in_policy("InitiatorToken", f"<sp:X509Token {_ALWAYS}/>")
        + _in_policy("RecipientToken", f"<sp:X509Token {_NEVER}/>")
        + _SUITE
        + "<sp:IncludeTimestamp/>",
    )
    + _PARTS
)
_TLS = _in_policy(
    "TransportBinding",
    _in_policy("TransportToken", "<sp:HttpsToken><wsp:Policy/></sp:HttpsToken>")
    + _SUITE
    + "<sp:IncludeTimestamp/>",
)


def _token(bootstrap: str) -> str:
    return _in_policy("SecureConversationToken", _in_policy("BootstrapPolicy", bootstrap), _ALWAYS)


#: Contexts for certificates, with calls under them.
BY_CERTIFICATE = (
    _in_policy(
        "SymmetricBinding",
        _in_policy("ProtectionToken", _token(_CERTIFICATES)) + _SUITE + "<sp:IncludeTimestamp/>",
    )
    + _PARTS
)
#: Contexts for users, over TLS.
BY_USER = _TLS + _in_policy("EndorsingSupportingTokens", _token(_TLS + _USER))


def document(*alternatives: str) -> bytes:
    """A policy with these alternatives."""
    inside = "".join(f"<wsp:All>{one}</wsp:All>" for one in alternatives)
    return (
        f'<wsp:Policy xmlns:wsp="http://www.w3.org/ns/ws-policy" xmlns:sp="{_SP}">'
        f"<wsp:ExactlyOne>{inside}</wsp:ExactlyOne></wsp:Policy>"
    ).encode()


def written(folder: Path, *alternatives: str, address: str = URL) -> Path:
    """A WSDL of the demonstration contract under a policy with these alternatives."""
    path = folder / "service.wsdl"
    path.write_bytes(demonstration_wsdl(document(*alternatives), address=address))
    return path


def serving(service: Service, folder: Path, *alternatives: str, **options: Any) -> None:
    """Have *service* serve another policy, in the middleware's alternatives all at once."""
    path = written(folder, *alternatives, address=service.url)
    service.wsdl, service.document = path, path.read_bytes()
    usual: dict[str, Any] = {
        "identity": identity("server"),
        "trust": trust(),
        "authenticate": DemoUsers(),
        "clock": service.time.clock,
    }
    service._app = Published(
        SecureConversationMiddleware(DemonstrationService(), policy=path, **(usual | options)),
        service.document,
    )


_Error = TypeVar("_Error", bound=SecureConversationError)


def refused(sc: SecureConversation, wsdl: object, kind: type[_Error], said: str) -> _Error:
    """The error that a call is refused with."""
    with sc, pytest.raises(kind, match=said) as caught:
        sc.client(str(wsdl)).service.echo("hello")
    return caught.value


# -------------------------------------------------------------------------------------------- parties


def test_tokens_are_part_of_who_we_are() -> None:
    """Every token changes whose a context is, by its cache_key; the same user has the same contexts."""
    parties = [
        Parties.of(None, None, None),
        Parties.of(None, None, None, ALICE),
        Parties.of(None, None, None, UsernameToken("bob", "secret")),
        Parties.of(None, None, None, UsernameToken("alice", "secret", leg="bootstrap")),
        Parties.of(None, None, None, ALICE, [LtpaToken("AAAA")]),
        Parties.of(None, None, None, ALICE, [LtpaToken("BBBB")]),
        Parties.of(None, None, None, ALICE, [XmlToken(lambda: "<a/>", cache_key="one")]),
        Parties.of(None, None, None, ALICE, [XmlToken(lambda: "<a/>", cache_key="two")]),
    ]
    assert len({one.fingerprint(URL) for one in parties}) == len(parties)
    again = Parties.of(None, None, None, tokens=[UsernameToken("alice", lambda: "secret")])
    assert again.fingerprint(URL) == parties[1].fingerprint(URL)
    assert "secret" not in repr(parties[1])


@pytest.mark.parametrize("options", [{"username": ("alice", "secret")}, {"tokens": ["alice"]}])
def test_what_is_no_token_is_told(options: dict[str, Any]) -> None:
    """A name and password in a tuple, or a text, is a ConfigurationError that names the class."""
    with pytest.raises(ConfigurationError) as caught:
        SecureConversation(**options)
    assert "UsernameToken" in str(caught.value.hint)
    SecureConversation(username=ALICE, tokens=[LtpaToken("AAAA")])


_LTPA = SuppliedToken(
    assertion="{urn:sp}LTPA", accepts=frozenset({"{http://www.ibm.com/websphere/appserver/tokentype}LTPAv2"})
)


@pytest.mark.parametrize(
    ("tokens", "lacking"),
    [
        ([], ["user name", "password", "token"]),
        ([ALICE, LtpaToken("AAAA")], []),
        ([UsernameToken("alice"), LtpaToken("AAAA")], ["password"]),
        ([UsernameToken("alice", "secret", leg="bootstrap"), LtpaToken("AAAA")], ["user name", "password"]),
        ([UsernameToken("alice", "secret", leg="application"), LtpaToken("AAAA")], []),
        ([ALICE, LtpaToken("AAAA", version=1)], ["token"]),
        ([ALICE, LtpaToken("AAAA", leg="bootstrap")], ["token"]),
        ([ALICE, XmlToken("<a/>")], ["token"]),
    ],
)
def test_what_is_missing_is_found(tokens: list[Any], lacking: list[str]) -> None:
    """A need is met by a token of its kind and for its leg, and by no other."""
    policy = Policy(
        binding=asymmetric().binding,
        supporting=(SupportingToken(token=UsernamePolicy()), SupportingToken(token=_LTPA)),
    )
    ring = Parties.of(identity("client"), trust(), SERVER.make(), tokens=tokens).keyring(URL)
    assert [need.kind for need in missing(needs(policy, None), ring)] == lacking


# ----------------------------------------------------------------------------------- before any traffic


def test_missing_credentials_are_told_before_any_traffic(service: Service, tmp_path: Path) -> None:
    """A policy that wants a user is not tried without one; the assertion and its line are told."""
    serving(service, tmp_path, BY_CERTIFICATE + _USER)
    for username, said in ((None, "user name"), (UsernameToken("alice"), "no password")):
        error = refused(service.conversation(username=username), service.wsdl, ConfigurationError, said)
        assert "sp:UsernameToken in sp:SignedEncryptedSupportingTokens, line" in error.message
        assert "username=" in str(error.hint)
    assert service.posted == []
    with service.conversation(username=ALICE) as sc:
        assert sc.client(str(service.wsdl)).service.echo("hello") == "hello"


def test_tls_is_needed_where_the_policy_leaves_security_to_it(service: Service, tmp_path: Path) -> None:
    """Over http, or without verified certificates, nothing is sent: a PolicyError names the binding."""
    serving(service, tmp_path, BY_USER)
    error = refused(SecureConversation(username=ALICE), service.wsdl, PolicyError, "TransportBinding, line")
    assert error.assertion == "TransportBinding"
    assert service.posted == []
    with requests.Session() as session, SecureConversation(username=ALICE) as sc:
        session.verify = False
        client = sc.client(str(written(tmp_path, BY_USER)), transport=sc.transport(session=session))
        with pytest.raises(PolicyError, match="verified"):
            client.service.echo("hello")


def test_a_policy_over_tls_needs_neither_certificates_nor_trust(tmp_path: Path) -> None:
    """A user name is all: what fails is that nobody listens there."""
    with SecureConversation(username=ALICE) as sc:
        client = sc.client(str(written(tmp_path, BY_USER)))
        with pytest.raises(TransportError, match="not reached"):
            client.service.echo("hello")
    with SecureConversation() as sc, pytest.raises(ConfigurationError, match="user name"):
        sc.client(str(written(tmp_path, BY_USER))).service.echo("hello")


def test_algorithms_below_the_minimum_are_told_before_any_traffic(service: Service) -> None:
    """The suite and the algorithm are named; what both sides agreed on besides the policy works."""
    strict = service.conversation(algorithms=Algorithms(minimum="sha256"))
    assert refused(strict, service.wsdl, PolicyError, "Basic128").hint
    assert service.posted == []


def test_both_sides_may_agree_on_other_algorithms(service: Service, tmp_path: Path) -> None:
    """With the same changes on both sides a conversation works, with them on one side it does not."""
    changes = SuiteChanges(
        digest="sha256",
        symmetric_signature="hmac-sha256",
        asymmetric_signature="rsa-sha256",
        encryption="aes256-gcm",
        key_transport="rsa-oaep",
        oaep_digest="sha256",
        oaep_mgf="mgf1-sha256",
    )
    agreed = Algorithms(bootstrap=changes, application=changes, minimum="strong")
    serving(service, tmp_path, BY_CERTIFICATE, algorithms=agreed)
    with service.conversation(algorithms=agreed) as sc:
        assert sc.client(str(service.wsdl)).service.echo("hello") == "hello"
    with service.conversation() as sc, pytest.raises(TokenFault):
        sc.client(str(service.wsdl)).service.echo("hello")


# ----------------------------------------------------------------------------------------- alternatives


def test_the_alternative_is_chosen_by_what_we_have(service: Service, tmp_path: Path) -> None:
    """A user without certificates passes over the alternative for certificates, and the reverse."""
    serving(service, tmp_path, BY_CERTIFICATE + _USER, BY_CERTIFICATE)
    for username, principal in ((None, "CN=client,O=Test"), (ALICE, "CN=client,O=Test")):
        with service.conversation(username=username) as sc:
            assert sc.client(str(service.wsdl)).service.whoami() == principal
    path = written(tmp_path, BY_CERTIFICATE, BY_USER)
    assert isinstance(_chosen(path, Parties.of(None, None, None, ALICE), over_tls=True), TransportBinding)
    everything = Parties.of(identity("client"), trust(), SERVER.make(), ALICE)
    assert not isinstance(_chosen(path, everything, over_tls=True), TransportBinding)
    other_way = written(tmp_path, BY_USER, BY_CERTIFICATE)
    assert isinstance(_chosen(other_way, everything, over_tls=True), TransportBinding)
    assert not isinstance(_chosen(other_way, everything, over_tls=False), TransportBinding)


def _chosen(path: Path, parties: Parties, *, over_tls: bool) -> object:
    policies = Policies(path, against=parties.against)
    endpoint = URL if over_tls else URL.replace("https", "http")
    found = policies.given(endpoint)
    assert found is not None
    return found.endpoint.binding


def test_where_none_can_be_satisfied_the_first_says_what_is_missing(service: Service, tmp_path: Path) -> None:
    """What is missing is told of the first alternative, with the argument that supplies it."""
    serving(service, tmp_path, BY_CERTIFICATE, BY_USER)
    with SecureConversation() as sc, pytest.raises(ConfigurationError, match="AsymmetricBinding") as caught:
        sc.client(str(service.wsdl)).service.echo("hello")
    assert "identity=" in str(caught.value.hint)
    assert service.posted == []


def test_a_weak_alternative_is_passed_over(service: Service, tmp_path: Path) -> None:
    """With a minimum the first alternative that keeps to it is taken."""
    strong = BY_CERTIFICATE.replace("<sp:Basic128/>", "<sp:Basic256Sha256/>")
    serving(service, tmp_path, BY_CERTIFICATE, strong, algorithms=Algorithms(sha256="wcf"))
    with service.conversation(algorithms=Algorithms(sha256="wcf", minimum="sha256")) as sc:
        assert sc.client(str(service.wsdl)).service.echo("hello") == "hello"


# ------------------------------------------------------------------------- the certificate in the WSDL


@pytest.fixture
def naming(service: Service, tmp_path: Path) -> Callable[[x509.Certificate], str]:
    """Writes the service's WSDL with a certificate in its port, as Metro and WCF publish it."""

    def write(certificate: x509.Certificate) -> str:
        content = base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()
        reference = (
            '<a:EndpointReference xmlns:a="http://www.w3.org/2005/08/addressing"><a:Address>urn:x</a:Address>'
            '<Identity xmlns="http://schemas.xmlsoap.org/ws/2006/02/addressingidentity">'
            '<KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data>'
            f"<X509Certificate>{content[:64]}\n{content[64:]}</X509Certificate></X509Data></KeyInfo></Identity>"
            "</a:EndpointReference></wsdl:port>"
        )
        path = tmp_path / "naming.wsdl"
        path.write_bytes(service.document.replace(b"</wsdl:port>", reference.encode()))
        assert path.read_bytes() != service.document
        return str(path)

    return write


def test_the_wsdl_may_name_the_certificate_of_the_service(service: Service, naming: Any) -> None:
    """Without peer= the certificate in the port is the service's, where trust= vouches for it."""
    wsdl = naming(SERVER.make())
    with service.conversation(peer=None) as sc:
        assert sc.client(wsdl).service.echo("hello") == "hello"
    assert refused(
        service.conversation(peer=None, trust=None), wsdl, ConfigurationError, "whom to trust"
    ).hint
    with (
        service.conversation(peer=None) as sc,
        pytest.raises(ConfigurationError, match="certificate is not known"),
    ):
        sc.client(str(service.wsdl)).service.echo("hello")


def test_a_certificate_in_the_wsdl_is_not_believed(service: Service, naming: Any) -> None:
    """One that trust= does not vouch for is refused before any traffic; peer= wins over it."""
    stranger = SERVER.but(issuer=CA.but(name="other-ca"), name="stranger").make()
    wsdl = naming(stranger)
    with service.conversation(peer=None) as sc, pytest.raises(VerificationError) as caught:
        sc.client(wsdl).service.echo("hello")
    assert caught.value.check == "certificate"
    assert service.posted == []
    with service.conversation() as sc:
        assert sc.client(wsdl).service.echo("hello") == "hello"
    pinned = Trust(anchors=trust().anchors, pins=(CLIENT2.make(), SERVER.make()))
    with service.conversation(peer=None, trust=pinned) as sc, pytest.raises(VerificationError):
        sc.client(wsdl).service.echo("hello")


# ------------------------------------------------------------------------------------------------- weak


def test_weak_algorithms_are_told_once(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """What is weak works, and is logged once for an endpoint."""
    caplog.set_level(logging.INFO, "zeep_secureconv.client")
    with service.conversation() as sc:
        client = sc.client(str(service.wsdl))
        for _ in range(2):
            client.service.echo("hello")
    told = [record for record in caplog.records if "weak algorithms" in record.getMessage()]
    assert len(told) == 1
    assert "#sha1" in told[0].getMessage()


def test_a_preset_brings_its_dialect() -> None:
    """With policy= a preset, its stack's dialect is spoken unless another is asked for."""
    policies = Policies({URL: "SecureConversation", "https://other/": Path("SecureConversation")})
    assert policies.dialect(URL) == "websphere13"
    assert policies.dialect("https://other/") is None
    assert policies.dialect("https://unknown/") is None
