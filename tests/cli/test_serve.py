from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from lxml import etree

from zeep_secureconv.service import contract

CommandLine = Callable[..., Any]
#: Far more than any of this takes: ends a test that would hang.
_TOO_LONG = 60


@contextmanager
def _serving(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A ``serve --json`` in a process of its own, and its ready line."""
    command = [sys.executable, "-m", "zeep_secureconv", "serve", "--json", *map(str, arguments)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    with process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


@pytest.fixture
def service_options(pki: Path, policy_file: Path) -> list[object]:
    """The options that every service needs; of one given again the last counts."""
    identity = ["--identity", pki / "server.p12", "--identity-password", "changeit"]
    return ["--policy", policy_file, *identity, "--trust", pki / "ca.pem"]


def test_serves_the_policy_until_sigterm(
    cli: CommandLine, policy_file: Path, service_options: list[object], credentials: list[object]
) -> None:
    """The ready line says where it is, its WSDL is enough to call it, and SIGTERM ends it with status 0."""
    with _serving(*service_options) as (process, ready):
        assert set(ready) == {"ready", "url", "wsdl", "policy"}
        assert (ready["ready"], ready["policy"]) == (True, str(policy_file))
        called = cli("call", ready["wsdl"], "echo", "text=hello", *credentials, "--json").json
        assert (called["result"], called["cancelled"]) == ("hello", True)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=_TOO_LONG)[0] == ""
        assert process.returncode == 0


def test_parent_ends_it_by_closing_standard_input(service_options: list[object]) -> None:
    """With --parent the service ends when its standard input is closed."""
    with _serving(*service_options, "--parent") as (process, _):
        assert process.poll() is None
        process.communicate(timeout=_TOO_LONG)
        assert process.returncode == 0


def test_without_parent_standard_input_means_nothing(service_options: list[object]) -> None:
    """Without --parent the service goes on when its standard input is closed."""
    with _serving(*service_options) as (process, ready):
        assert process.stdin is not None
        process.stdin.close()
        assert requests.get(ready["wsdl"], timeout=_TOO_LONG).status_code == 200
        assert process.poll() is None


def test_serves_a_wsdl_with_its_own_address(
    cli: CommandLine,
    policy_file: Path,
    service_options: list[object],
    credentials: list[object],
    tmp_path: Path,
) -> None:
    """A WSDL saved elsewhere is published with the address of this service, and honoured."""
    saved = tmp_path / "saved.wsdl"
    saved.write_bytes(
        contract.demonstration_wsdl(policy_file.read_bytes(), address="http://elsewhere.invalid/", soap="1.2")
    )
    with _serving(*service_options, "--policy", saved, "--lifetime", 60) as (_, ready):
        published = requests.get(ready["wsdl"], timeout=_TOO_LONG).content
        assert b"elsewhere.invalid" not in published
        assert ready["url"].encode() in published
        assert cli("call", ready["wsdl"], "sum", "values=1", *credentials, "--json").json["result"] == 1


def test_publishes_the_wsdl_as_it_was_given(
    policy_file: Path, service_options: list[object], tmp_path: Path
) -> None:
    """Every element, attribute, comment and declaration of a WSDL comes back, but for the addresses of the service."""
    reference = (
        b'<a:EndpointReference xmlns:a="http://www.w3.org/2005/08/addressing"><a:Address>http://second.invalid/'
        b"</a:Address></a:EndpointReference></wsdl:port>"
    )
    given = contract.demonstration_wsdl(policy_file.read_bytes(), address="http://first.invalid/")
    given = given.replace(b"</wsdl:port>", b"<!-- more -->" + reference) + b"<!-- the end -->"
    assert b"second" in given
    saved = tmp_path / "saved.wsdl"
    saved.write_bytes(given)
    with _serving(*service_options, "--policy", saved) as (_, ready):
        published = requests.get(ready["wsdl"], timeout=_TOO_LONG).content
    for address in (b"first", b"second"):
        given = given.replace(b"http://" + address + b".invalid/", ready["url"].encode())
    assert _canonical(published) == _canonical(given)


def _canonical(document: bytes) -> bytes:
    return etree.tostring(etree.fromstring(document).getroottree(), method="c14n", with_comments=True)


def test_another_address_is_published(service_options: list[object]) -> None:
    """With --address the WSDL and the ready line name the address of a proxy."""
    with _serving(*service_options, "--port", 0, "--address", "https://example.invalid/service") as (
        _,
        ready,
    ):
        assert ready["url"] == "https://example.invalid/service"
        assert ready["wsdl"] == "https://example.invalid/service?wsdl"


def test_address_must_be_one(cli: CommandLine, service_options: list[object]) -> None:
    """What is no URL of http or https is wrong usage."""
    assert cli("serve", *service_options, "--address", "example.invalid").status == 2


def test_tells_its_health(service_options: list[object]) -> None:
    """GET /health is answered in clear while the service can work."""
    with _serving(*service_options) as (_, ready):
        answer = requests.get(ready["url"].replace("/peer", "/health"), timeout=_TOO_LONG)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_a_store_that_is_away_is_not_healthy(service_options: list[object], tmp_path: Path) -> None:
    """GET /health says 503 while the store does not answer."""
    key = tmp_path / "store.key"
    key.write_text("correct horse battery staple\n")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        nobody = listening.getsockname()[1]
    store = ["--store", f"redis://127.0.0.1:{nobody}/0", "--store-key", key]
    with _serving(*service_options, *store) as (_, ready):
        answer = requests.get(ready["url"].replace("/peer", "/health"), timeout=_TOO_LONG)
        assert (answer.status_code, answer.json()) == (503, {"status": "unavailable"})


def test_answers_what_is_under_way_before_it_ends(service_options: list[object]) -> None:
    """A request that is half sent when SIGTERM comes is read to its end and answered."""
    body = b"<a/>"
    with _serving(*service_options) as (process, ready):
        port = int(ready["url"].rpartition(":")[2].partition("/")[0])
        with socket.create_connection(("127.0.0.1", port), timeout=_TOO_LONG) as one:
            one.sendall(b"POST /peer HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n" % len(body))
            one.sendall(b"Content-Type: text/xml\r\nExpect: 100-continue\r\n\r\n")
            assert one.recv(1024).startswith(b"HTTP/1.1 100")
            process.send_signal(signal.SIGTERM)
            while _is_listening(port):
                pass
            one.sendall(body)
            assert one.recv(1024).startswith(b"HTTP/1.1 500")
        assert process.wait(_TOO_LONG) == 0


def _is_listening(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_TOO_LONG):
            return True
    except ConnectionError:
        return False


@pytest.fixture(params=["p12", "pem"])
def tls_options(request: pytest.FixtureRequest, pki: Path, tmp_path: Path) -> list[object]:
    """The options for https, with a PKCS#12 file or with certificate and key in one PEM file."""
    if request.param == "p12":
        return ["--tls-identity", pki / "server.p12", "--tls-identity-password", "changeit"]
    both = tmp_path / "tls.pem"
    both.write_bytes((pki / "server.pem").read_bytes() + (pki / "server.key").read_bytes())
    return ["--tls-identity", both]


def test_serves_over_tls(
    cli: CommandLine,
    pki: Path,
    service_options: list[object],
    tls_options: list[object],
    credentials: list[object],
) -> None:
    """--tls-identity makes it https, from a PKCS#12 or a PEM file."""
    with _serving(*service_options, *tls_options) as (_, ready):
        assert ready["url"].startswith("https://")
        called = cli(
            "call", ready["wsdl"], "echo", "text=a", *credentials, "--tls-ca", pki / "ca.pem", "--json"
        )
        assert called.json["result"] == "a"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--policy", "missing"], "no preset of that name"),
        (["--policy", "server.key"], "cannot be read"),
        (["--policy", "html.xml"], "neither a WSDL nor a wsp:Policy"),
        (["--policy", "clear.wsdl"], "does not ask for secure conversation"),
        (["--policy", "other.wsdl"], "another contract"),
        (["--identity-password", "wrong"], "password"),
        (["--trust", "missing.pem"], "missing.pem"),
        (["--tls-identity", "server.key"], "TLS identity"),
        (["--tls-identity", "server.p12", "--tls-identity-password", "wrong"], "TLS identity"),
        (["--host", "192.0.2.1"], "Cannot listen"),
    ],
)
def test_bad_options_are_failures_with_hints(
    cli: CommandLine, policy_file: Path, service_folder: Path, options: list[object], said: str
) -> None:
    """Nothing is served when an option is wrong: one line says why, another what to change."""
    good = ["--identity", "server.p12", "--identity-password", "changeit", "--trust", "ca.pem"]
    assert service_folder.is_dir()
    result = cli("serve", "--policy", policy_file, *good, *options)
    assert (result.status, result.out) == (1, "")
    assert said in result.err
    assert "Hint: " in result.err


@pytest.fixture
def service_folder(pki: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with keys and documents that are no policies."""
    for name in ("server.p12", "server.key", "ca.pem"):
        (tmp_path / name).write_bytes((pki / name).read_bytes())
    clear = contract.demonstration_wsdl(None, address="http://127.0.0.1/")
    (tmp_path / "clear.wsdl").write_bytes(clear)
    (tmp_path / "other.wsdl").write_bytes(clear.replace(contract.NAMESPACE.encode(), b"urn:other"))
    (tmp_path / "html.xml").write_text("<html/>")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("option", ["--identity", "--trust"])
def test_without_keys_the_hint_names_the_command_that_makes_them(
    cli: CommandLine, pki: Path, policy_file: Path, option: str
) -> None:
    """A service without certificate or trust refuses to start and names ``zeep-secureconv pki``."""
    given = {"--identity": pki / "server.p12", "--trust": pki / "ca.pem"}
    del given[option]
    others = [part for pair in given.items() for part in pair]
    result = cli("serve", "--policy", policy_file, "--identity-password", "changeit", *others)
    assert result.status == 1
    assert "zeep-secureconv pki DIR" in result.err


def test_environment_has_the_password(policy_file: Path, pki: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The password of the identity may come from the environment."""
    monkeypatch.setenv("ZEEP_SECURECONV_IDENTITY_PASSWORD", "changeit")
    options = ["--identity", pki / "server.p12", "--trust", pki / "ca.pem"]
    with _serving("--policy", policy_file, *options) as (_, ready):
        assert ready["ready"] is True
    assert os.environ["ZEEP_SECURECONV_IDENTITY_PASSWORD"] == "changeit"


def test_a_service_with_a_store_remembers(
    cli: CommandLine, service_options: list[object], credentials: list[object], tmp_path: Path
) -> None:
    """A service that is killed and started again at its address goes on with the contexts in its store."""
    key = tmp_path / "store.key"
    key.write_text("correct horse battery staple\n")
    service_store, client_store = (
        ["--store", f"file:{tmp_path / name}", "--store-key", key] for name in ("service", "client")
    )
    events, port = [], "0"
    for _ in range(2):
        with _serving(*service_options, *service_store, "--port", port) as (process, ready):
            port = ready["url"].rpartition(":")[2].partition("/")[0]
            told = cli("call", ready["wsdl"], "whoami", *credentials, *client_store, "--json").json
            events.append(told["events"])
            process.kill()
    assert events == [["issued"], []]
    (listed,) = cli("sessions", *service_store, "--json").json["contexts"]
    assert (listed["role"], listed["identifier"]) == ("service", told["context"]["identifier"])
    assert listed["principal"].startswith("CN=client")


@pytest.fixture
def revocations(pki: Path, tmp_path: Path) -> Path:
    """A list of the CA by which the client's certificate is revoked."""
    authority = x509.load_pem_x509_certificate((pki / "ca.pem").read_bytes())
    client = x509.load_pem_x509_certificate((pki / "client.pem").read_bytes())
    key = serialization.load_pem_private_key((pki / "ca.key").read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    now = datetime.now(timezone.utc)
    revoked = x509.RevokedCertificateBuilder(client.serial_number, now - timedelta(hours=1)).build()
    made = (
        x509.CertificateRevocationListBuilder(
            authority.subject, now - timedelta(hours=1), now + timedelta(days=1)
        )
        .add_revoked_certificate(revoked)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "ca.crl"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.mark.parametrize("is_given", [False, True])
def test_revoked_clients_get_no_context(
    cli: CommandLine,
    service_options: list[object],
    credentials: list[object],
    revocations: Path,
    *,
    is_given: bool,
) -> None:
    """With --crl a client whose certificate is revoked is refused; without it nobody knows."""
    crl = ["--crl", revocations] if is_given else []
    with _serving(*service_options, *crl) as (_, ready):
        called = cli("call", ready["wsdl"], "echo", "text=a", *credentials, "--json").json
    assert called["ok"] is not is_given


def test_revocations_of_nobody(cli: CommandLine, policy_file: Path, revocations: Path) -> None:
    """A list of revoked certificates without the CA that made it is a mistake."""
    result = cli("serve", "--policy", policy_file, "--crl", revocations)
    assert result.status == 1
    assert "--trust" in result.err


@pytest.mark.parametrize(("option", "outcome"), [([], "failed"), (["--renew-after-expiry"], "renewed")])
def test_contexts_that_are_over_are_renewed_where_told(
    cli: CommandLine,
    service_options: list[object],
    credentials: list[object],
    tmp_path: Path,
    *,
    option: list[object],
    outcome: str,
) -> None:
    """A context that is over is renewed with --renew-after-expiry, and not without it."""
    key = tmp_path / "store.key"
    key.write_text("correct horse battery staple\n")
    store = ["--store", f"file:{tmp_path / 'contexts'}", "--store-key", key]
    with _serving(*service_options, *option, "--lifetime", 4) as (_, ready):
        assert cli("call", ready["wsdl"], "echo", "text=a", *credentials, *store, "--json").json["ok"]
        while not cli("sessions", *store, "--json").json["contexts"][0]["over"]:
            pass
        wsdl = tmp_path / "service.wsdl"
        wsdl.write_bytes(requests.get(ready["wsdl"], timeout=_TOO_LONG).content)
        renewed = cli("sessions", "renew", "--policy", wsdl, *credentials, *store, "--json").json
    assert [one["outcome"] for one in renewed["contexts"]] == [outcome]
