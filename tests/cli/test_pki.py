from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from zeep_secureconv import Identity, Trust
from zeep_secureconv.cli.deployment import Deployment
from zeep_secureconv.cli.options import Credentials
from zeep_secureconv.service.pki import is_for_trial
from zeep_secureconv.wss.certificates import load_certificates, subject_key_identifier

CommandLine = Callable[..., Any]

_FILES = {
    "ca.pem",
    "ca.key",
    *(f"{name}.{kind}" for name in ("server", "client") for kind in ("pem", "key", "p12")),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty place for a PKI."""
    return tmp_path_factory.mktemp("made") / "keys"


@pytest.fixture
def keys(cli: CommandLine, made: Path) -> Path:
    """A folder that the command filled, once for all tests."""
    if not made.exists():
        assert cli("pki", made).status == 0
    return made


def test_says_what_it_wrote(cli: CommandLine, tmp_path: Path) -> None:
    """The files are those that standard output names."""
    result = cli("pki", tmp_path / "new" / "keys")
    assert result.status == 0
    assert {Path(line).name for line in result.out.splitlines()} == _FILES
    assert {path.name for path in (tmp_path / "new" / "keys").iterdir()} == _FILES


@pytest.mark.parametrize(("name", "role"), [("server", "server"), ("client", "client")])
def test_identities_fit_and_are_trusted(keys: Path, name: str, role: str) -> None:
    """Both forms of each identity load and pass the CA for their role, and not for the other."""
    trust, now = Trust.from_pem(keys / "ca.pem"), datetime.now(timezone.utc)
    for identity in (
        Identity.from_pkcs12(keys / f"{name}.p12", "changeit"),
        Identity.from_pem(keys / f"{name}.pem", keys / f"{name}.key"),
    ):
        trust.check(identity.certificate, role=role, now=now)


def test_certificates_can_be_referred_to(keys: Path) -> None:
    """Every certificate has a SubjectKeyIdentifier, and an AuthorityKeyIdentifier that is the CA's."""
    authority = subject_key_identifier(load_certificates(keys / "ca.pem")[0])
    assert authority
    for path in keys.glob("*.pem"):
        certificate = load_certificates(path)[0]
        assert subject_key_identifier(certificate)
        issuer = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        assert issuer.key_identifier == authority


def test_certificates_are_known_again(keys: Path, pki: Path) -> None:
    """What the command made can be told from the certificates of others."""
    made = [load_certificates(path)[0] for path in keys.glob("*.pem")]
    assert len(made) == 3
    assert all(map(is_for_trial, made))
    assert not any(is_for_trial(load_certificates(pki / name)[0]) for name in ("ca.pem", "server.pem"))


@pytest.mark.parametrize(
    ("interface", "warned"),
    [
        ("127.0.0.1", False),
        ("127.8.8.8", False),
        ("::1", False),
        ("0.0.0.0", True),  # noqa: S104 - nothing is bound to it
        ("::", True),
        ("192.0.2.1", True),
        ("fe80::1%eth0", True),
    ],
)
def test_warned_about_where_others_reach_it(keys: Path, pki: Path, interface: str, *, warned: bool) -> None:
    """A service on more than the loopback interface is told which of its certificates are for trying things out."""
    ours = _deployment(keys, tls_identity=keys / "server.p12")
    said = ours.doubts(interface)
    assert [one.partition(" is from ")[0].partition(" are from ")[0] for one in said] == (
        [
            "the certificate of --identity",
            "certificates of --trust",
            "the certificate of --tls-identity",
            "--demo-users lets everybody in who can reach this service",
        ]
        if warned
        else []
    )
    theirs = replace(_deployment(pki, tls_identity=pki / "server.p12"), demo_users=False)
    assert theirs.doubts(interface) == ()


def _deployment(folder: Path, *, tls_identity: Path) -> Deployment:
    return Deployment(
        policy="SecureConversation",
        soap="1.1",
        address="",
        credentials=Credentials(
            identity=folder / "server.p12", identity_password="changeit", trust=(folder / "ca.pem",)
        ),
        users=None,
        demo_users=True,
        tls_identity=tls_identity,
        tls_identity_password="changeit",
        lifetime=60,
        store=None,
        store_key=(),
        threads=1,
        log="text",
        log_level="warning",
    )


def test_keys_are_for_their_owner_alone(keys: Path) -> None:
    """No one else may read a file with a private key."""
    for path in (*keys.glob("*.key"), *keys.glob("*.p12")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_overwrites_only_when_told(cli: CommandLine, keys: Path) -> None:
    """What is there stays as it is without --force, and is made anew with it."""
    before = (keys / "ca.pem").read_bytes()
    refused = cli("pki", keys)
    assert refused.status == 1
    assert "--force" in refused.err
    assert (keys / "ca.pem").read_bytes() == before
    assert cli("pki", keys, "--force").status == 0
    assert (keys / "ca.pem").read_bytes() != before


def test_folder_that_cannot_be_written(cli: CommandLine, tmp_path: Path) -> None:
    """A file where the folder should be is a failure with a hint."""
    (tmp_path / "file").write_text("")
    result = cli("pki", tmp_path / "file")
    assert result.status == 1
    assert "Hint: " in result.err
