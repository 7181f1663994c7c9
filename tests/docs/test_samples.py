"""The scripts of samples/, run as a reader runs them."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from zeep_secureconv.service.pki import make_pki

_SAMPLES = Path(__file__).parents[2] / "samples"
#: Far more than any of this takes: ends a test that would hang.
_TOO_LONG = 60


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that ``zeep-secureconv pki`` makes."""
    folder = tmp_path_factory.mktemp("samples") / "keys"
    make_pki(folder)
    return folder


@pytest.fixture(scope="module")
def wsdl(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the WSDL of the sample service, which runs on a free port."""
    command = [sys.executable, str(_SAMPLES / "wsgi_service.py"), "--keys", str(keys), "--port", "0"]
    log = tmp_path_factory.mktemp("service") / "log"
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Serving http://127.0.0.1:"), log.read_text()
        yield line.split()[1].rstrip(";")
        process.terminate()
        assert process.wait(_TOO_LONG) == 0


def _call(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(_SAMPLES / "call_service.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=_TOO_LONG, check=False)


def test_calls_share_one_conversation(wsdl: str, keys: Path) -> None:
    """Two calls are answered, know the caller, and share one context, which is cancelled at the end."""
    done = _call("--keys", keys, "--wsdl", wsdl, "World", "Wörld")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("Hello")] == [
        "Hello World, says the service to CN=client",
        "Hello Wörld, says the service to CN=client",
    ]
    events = [line.split() for line in lines if line.startswith("  [")]
    assert [event[0] for event in events] == ["[issued", "[verified", "[verified", "[cancelled"]
    assert len({event[1].rstrip("]") for event in events}) == 1


def test_fault_of_the_service_is_told(wsdl: str, keys: Path) -> None:
    """The service's own fault ends the script with status 1 and its text, and the context is cancelled all the same."""
    done = _call("--keys", keys, "--wsdl", wsdl, "")
    assert done.returncode == 1
    assert done.stderr == "The service answers with a fault: There is nobody to greet\n"
    assert "  [cancelled " in done.stdout


def test_foreign_keys_are_refused_with_a_hint(wsdl: str, tmp_path: Path) -> None:
    """With certificates of another CA the service refuses, and the script tells so with a hint, not a traceback."""
    others = tmp_path / "others"
    make_pki(others)
    done = _call("--keys", others, "--wsdl", wsdl, "World")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("TokenFault: ")
    assert "\nHint: " in done.stderr
    assert "Traceback" not in done.stderr


def test_service_that_does_not_run_is_told(keys: Path) -> None:
    """Where nobody listens the script says so in one line."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    done = _call("--keys", keys, "--wsdl", f"http://127.0.0.1:{port}/greeting?wsdl", "World")
    assert done.returncode == 1
    assert done.stderr.startswith("TransportError: http://127.0.0.1:")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("script", ["call_service.py", "wsgi_service.py"])
def test_options_are_explained(script: str) -> None:
    """Each script explains its options."""
    command = [sys.executable, str(_SAMPLES / script), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TOO_LONG, check=False)
    assert done.returncode == 0
    assert "--keys" in done.stdout
