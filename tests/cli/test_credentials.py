"""User names, tokens and presets on the command line, over TLS and without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import CommandLine
from tests.cli.test_serve import _serving

WCF = "WCF TransportWithMessageCredential UserName"


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """A file with a user."""
    path = tmp_path / "users"
    path.write_text("alice:wonderland\n")
    return path


@pytest.fixture
def over_tls(pki: Path, users: Path) -> Iterator[dict[str, Any]]:
    """The ready line of a service for users over TLS, which has no certificate for messages."""
    tls = ["--tls-identity", pki / "server.p12", "--tls-identity-password", "changeit"]
    with _serving("--policy", WCF, "--soap", "1.2", *tls, "--users", users) as (_, ready):
        yield ready


def test_a_preset_over_tls_with_a_user(cli: CommandLine, pki: Path, over_tls: dict[str, Any]) -> None:
    """A preset by its name, a file of users, and a user name are enough: no certificates are needed."""
    assert over_tls["url"].startswith("https://")
    assert over_tls["policy"] == WCF
    call = ["call", over_tls["wsdl"], "whoami", "--tls-ca", pki / "ca.pem", "--json", "--dialect", "wcf"]
    good = cli(*call, "--username", "alice", "--password", "wonderland").json
    assert (good["ok"], good["result"]) == (True, "alice")
    bad = cli(*call, "--username", "alice", "--password", "hunter2").json
    assert (bad["ok"], bad["error"]["type"]) == (False, "TokenFault")
    none = cli(*call).json
    assert none["error"]["type"] == "ConfigurationError"
    assert "user name" in none["error"]["message"]
    assert cli(*call[:3], "--dialect", "klingon").status == 2


def test_the_password_may_be_in_the_environment(
    cli: CommandLine, pki: Path, over_tls: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """ZEEP_SECURECONV_PASSWORD is the password of --username, and means nothing without."""
    monkeypatch.setenv("ZEEP_SECURECONV_PASSWORD", "wonderland")
    call = ["call", over_tls["wsdl"], "whoami", "--tls-ca", pki / "ca.pem", "--json"]
    assert cli(*call, "--username", "alice").json["result"] == "alice"
    assert not cli(*call).json["ok"]


def test_ltpa_and_demo_users(
    cli: CommandLine, service_keys: list[object], credentials: list[object], tmp_path: Path
) -> None:
    """--demo-users takes any token and the one password; --ltpa gives a token, --policy a preset."""
    token = tmp_path / "token"
    token.write_text("QUJD\n")
    preset = "LTPA SecureConversation"
    with _serving("--policy", preset, *service_keys, "--demo-users") as (_, ready):
        call = ["call", ready["wsdl"], "whoami", *credentials, "--json"]
        assert cli(*call, "--ltpa", token).json["result"].startswith("CN=client")
        assert cli(*call, "--ltpa", token, "--policy", preset).json["ok"]
        assert "LTPA" in cli(*call).json["error"]["message"]
        assert "cannot be read" in cli(*call, "--ltpa", tmp_path / "missing").json["error"]["message"]


@pytest.fixture
def service_keys(pki: Path) -> list[object]:
    """The options of a service with certificates."""
    identity = ["--identity", pki / "server.p12", "--identity-password", "changeit"]
    return [*identity, "--trust", pki / "ca.pem"]


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--policy", WCF], 1, "--tls-identity"),
        (["--policy", "Username SecureConversation"], 1, "--users"),
        (["--policy", "LTPA SecureConversation", "--users", "users"], 1, "--demo-users"),
        (["--policy", "SecureConversation", "--users", "missing"], 1, "file of users"),
        (["--policy", "SecureConversation", "--users", "users", "--demo-users"], 2, "exclude"),
    ],
)
def test_what_a_service_lacks_is_told(
    serve: CommandLine, options: list[object], status: int, said: str
) -> None:
    """Nothing is served under a policy whose users, tokens or TLS are missing; the option is named."""
    result = serve(*options)
    assert (result.status, result.out) == (status, "")
    assert said in result.err


@pytest.fixture
def serve(
    cli: CommandLine, service_keys: list[object], users: Path, monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    """Runs ``serve`` in the folder of the users."""
    monkeypatch.chdir(users.parent)
    return lambda *options: cli("serve", *service_keys, *options)
