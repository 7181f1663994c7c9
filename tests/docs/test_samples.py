"""The scripts of samples/, run as a reader runs them."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.redis_server import RedisServer
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


@contextmanager
def _started(
    script: str, *options: object, log: Path
) -> Iterator[tuple[subprocess.Popen[str], str, list[str]]]:
    """A script that serves on a free port: its process, the address of its WSDL, and what it said before."""
    command = [sys.executable, str(_SAMPLES / script), "--port", "0", *map(str, options)]
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            if line.startswith("Serving http://127.0.0.1:"):
                break
            said.append(line)
        else:
            pytest.fail(log.read_text(), pytrace=False)
        try:
            yield process, line.split()[1].rstrip(";"), said
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=_TOO_LONG)
        assert process.returncode == 0


@pytest.fixture(scope="module", params=["wsgi_service.py", "flask_service.py"])
def wsdl(
    request: pytest.FixtureRequest, keys: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of the WSDL of a sample service, which runs on a free port."""
    log = tmp_path_factory.mktemp("service") / "log"
    with _started(request.param, "--keys", keys, log=log) as (_, address, _):
        yield address


def _call(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(_SAMPLES / "call_service.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=_TOO_LONG, check=False)


def test_calls_share_one_conversation(wsdl: str, keys: Path) -> None:
    """Two calls are answered, know the caller, and share one context, which is cancelled at the end."""
    done = _call("--keys", keys, "--wsdl", wsdl, "World", "Wörld")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    greetings = [line for line in lines if line.startswith("Hello")]
    assert [re.sub("the service|Flask", "it", line) for line in greetings] == [
        "Hello World, says it to CN=client",
        "Hello Wörld, says it to CN=client",
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


def test_services_tell_their_health(wsdl: str) -> None:
    """Beside the service is an address that says whether it can work."""
    answer = requests.get(wsdl.partition("/greeting")[0] + "/health", timeout=_TOO_LONG)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.fixture
def cluster(
    keys: Path, redis_server: RedisServer, tmp_path: Path
) -> Iterator[tuple[subprocess.Popen[str], str, list[int]]]:
    """The cluster: its process, the address of its WSDL, and the processes of its nodes."""
    options = ("--keys", keys, "--redis", redis_server.url)
    with _started("cluster/cluster.py", *options, log=tmp_path / "log") as (process, address, said):
        nodes = [int(number) for line in said for number in re.findall(r"Node \d is process (\d+)", line)]
        yield process, address, nodes


def test_cluster_goes_on_when_a_node_dies(
    cluster: tuple[subprocess.Popen[str], str, list[int]], keys: Path
) -> None:
    """Calls of one conversation reach both nodes, and one of them is enough while the other is started again."""
    process, wsdl, nodes = cluster
    assert len(nodes) == 2
    before = _call("--keys", keys, "--wsdl", wsdl, "one", "two", "three")
    assert (before.returncode, before.stdout.count("Hello")) == (0, 3), before.stderr
    assert before.stdout.count("[issued") == 1
    os.kill(nodes[0], signal.SIGKILL)
    after = _call("--keys", keys, "--wsdl", wsdl, "one", "two", "three")
    assert (after.returncode, after.stdout.count("Hello")) == (0, 3), after.stderr
    assert process.stdout is not None
    assert process.stdout.readline().startswith("Node 1 is process ")


def test_cluster_starts_a_redis_of_its_own(keys: Path, redis_server: RedisServer, tmp_path: Path) -> None:
    """Without --redis it starts one, and takes it along at the end."""
    assert redis_server.url
    with _started("cluster/cluster.py", "--keys", keys, log=tmp_path / "log") as (_, wsdl, _):
        done = _call("--keys", keys, "--wsdl", wsdl, "World")
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "script", ["call_service.py", "wsgi_service.py", "flask_service.py", "cluster/cluster.py"]
)
def test_options_are_explained(script: str) -> None:
    """Each script explains its options."""
    command = [sys.executable, str(_SAMPLES / script), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TOO_LONG, check=False)
    assert done.returncode == 0
    assert "--keys" in done.stdout
