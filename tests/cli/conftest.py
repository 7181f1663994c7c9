"""A running service, and the command line in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from zeep_secureconv import Identity, Trust, service
from zeep_secureconv.cli.application import run
from zeep_secureconv.cli.embedded import PATH, protected_service
from zeep_secureconv.service.server import HttpServer


@dataclass(frozen=True)
class Result:
    """What a command line led to."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Standard output, which must be one JSON object and nothing else."""
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value


CommandLine = Callable[..., Result]


@pytest.fixture(scope="session")
def policy_file() -> Path:
    """The policy of the demonstration service."""
    return Path(str(files(service).joinpath("demonstration-policy.xml")))


@pytest.fixture(scope="session")
def endpoint(pki: Path, policy_file: Path) -> Iterator[str]:
    """The URL of a demonstration service under its policy; ``?wsdl`` gives its WSDL."""
    with HttpServer() as server:
        url = server.url + PATH
        server.app = protected_service(
            policy_file.read_bytes(),
            location=str(policy_file),
            endpoint=url,
            soap="1.1",
            identity=Identity.from_pkcs12(pki / "server.p12", "changeit"),
            trust=Trust.from_pem(pki / "ca.pem"),
            lifetime=timedelta(minutes=5),
        )
        yield url


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """Runs a command line in this process."""

    def command_line(*arguments: object) -> Result:
        status = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return command_line


@pytest.fixture
def credentials(pki: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The options that make a call succeed; the password is in the environment."""
    monkeypatch.setenv("ZEEP_SECURECONV_IDENTITY_PASSWORD", "changeit")
    return ["--identity", pki / "client.p12", "--trust", pki / "ca.pem", "--peer", pki / "server.pem"]


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A file with the passphrase of a store."""
    file = tmp_path / "store.key"
    file.write_text("correct horse battery staple\n")
    return file
