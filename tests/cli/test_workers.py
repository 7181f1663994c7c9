"""``serve --workers``: several processes behind one address."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest
import requests
from lxml import etree

from tests.redis_server import RedisServer
from zeep_secureconv import ConfigurationError, Identity, SecureConversation, Trust
from zeep_secureconv.cli.deployment import Deployment
from zeep_secureconv.cli.options import Credentials
from zeep_secureconv.cli.workers import Workers, next_pause
from zeep_secureconv.service.server import bound_socket

CommandLine = Callable[..., Any]
#: Far more than any of this takes: ends a test that would hang.
_TOO_LONG = 60


@dataclass
class _Service:
    """A ``serve --workers`` that runs."""

    process: subprocess.Popen[str]
    ready: dict[str, Any]
    log: IO[str]

    def workers_of(self, count: int) -> dict[int, int]:
        """The processes of the next workers that the log tells of, by their numbers."""
        found: dict[int, int] = {}
        for text in self.log:
            line = json.loads(text)
            if line["message"].endswith("is ready"):
                found[int(line["message"].split()[1])] = line["process"]
            if len(found) == count:
                break
        return found


@contextmanager
def _serving(*arguments: object) -> Iterator[_Service]:
    command = [sys.executable, "-m", "zeep_secureconv", "serve", "--json", "--log", "json"]
    process = subprocess.Popen(
        [*command, "--log-level", "info", *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            yield _Service(process, json.loads(process.stdout.readline()), process.stderr)
        finally:
            process.terminate()


@pytest.fixture
def options(pki: Path, policy_file: Path, tmp_path: Path, key: Path) -> list[object]:
    """The options of a service with two workers."""
    identity = [
        "--identity",
        pki / "server.p12",
        "--identity-password",
        "changeit",
        "--trust",
        pki / "ca.pem",
    ]
    store = ["--store", f"file:{tmp_path / 'contexts'}", "--store-key", key]
    return ["--policy", policy_file, *identity, *store, "--workers", 2]


def _is_gone(process_id: int) -> bool:
    """Whether a process is no more, or only waits for somebody to take notice of its end."""
    try:
        os.kill(process_id, 0)
        status = Path(f"/proc/{process_id}/stat").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


def _conversation(pki: Path) -> SecureConversation:
    return SecureConversation(
        identity=Identity.from_pkcs12(pki / "client.p12", "changeit"),
        trust=Trust.from_pem(pki / "ca.pem"),
        peer=pki / "server.pem",
    )


def test_conversations_go_on_when_a_worker_dies(
    options: list[object], pki: Path, redis_server: RedisServer
) -> None:
    """A worker that is killed takes no conversation along, and another one takes its place; SIGTERM ends them all."""
    redis = ["--store", redis_server.url]
    with _serving(*options, *redis) as service, _conversation(pki) as sc:
        first = service.workers_of(2)
        assert set(first) == {1, 2}
        client = sc.client(service.ready["wsdl"])
        assert client.service.echo("before") == "before"
        (context,) = sc.contexts()
        client.transport.session.close()
        os.kill(first[1], signal.SIGKILL)
        assert client.service.echo("after") == "after"
        assert service.workers_of(1).keys() == {1}
        client.transport.session.close()
        os.kill(first[2], signal.SIGKILL)
        assert client.service.echo("at the end") == "at the end"
        assert [one.identifier for one in sc.contexts()] == [context.identifier]
        last = service.workers_of(1)
        sc.cancel()
        client.transport.session.close()
        service.process.send_signal(signal.SIGTERM)
        service.process.communicate(timeout=_TOO_LONG)
        assert service.process.returncode == 0
    assert all(map(_is_gone, [*first.values(), *last.values()]))


def test_workers_share_tls(options: list[object], pki: Path) -> None:
    """With --tls-identity every worker serves https."""
    tls = ["--tls-identity", pki / "server.p12", "--tls-identity-password", "changeit"]
    with _serving(*options, *tls) as service, requests.Session() as session:
        assert service.ready["url"].startswith("https://")
        session.trust_env = False
        answer = session.get(service.ready["wsdl"], verify=str(pki / "ca.pem"), timeout=_TOO_LONG)
        assert service.ready["url"] in answer.text


def test_no_orphans(options: list[object]) -> None:
    """Workers end by themselves when the process that looks after them is killed."""
    with _serving(*options) as service:
        workers = service.workers_of(2)
        service.process.kill()
        # each of them holds an end of this pipe
        service.log.read()
        service.process.wait(_TOO_LONG)
    assert all(map(_is_gone, workers.values()))


def test_parent_ends_all_of_them(options: list[object]) -> None:
    """With --parent all end when standard input is closed."""
    with _serving(*options, "--parent") as service:
        workers = service.workers_of(2)
        service.process.communicate(timeout=_TOO_LONG)
        assert service.process.returncode == 0
    assert all(map(_is_gone, workers.values()))


def test_a_message_is_taken_once_by_all_of_them(options: list[object], pki: Path) -> None:
    """What one worker took, none takes again, not even one that was not there yet: their memory is in the store."""
    with _serving(*options) as service, _conversation(pki) as sc:
        workers = service.workers_of(2)
        client = sc.client(service.ready["wsdl"])
        client.service.echo("a")
        client.transport.session.close()
        message = etree.tostring(client.create_message(client.service, "sum", values=[20, 22]))

        def send() -> int:
            headers = {"Content-Type": "text/xml; charset=utf-8", "Connection": "close"}
            url = service.ready["url"]
            return requests.post(url, data=message, headers=headers, timeout=_TOO_LONG).status_code

        assert send() == 200
        for worker in workers.values():
            os.kill(worker, signal.SIGKILL)
        assert service.workers_of(2).keys() == {1, 2}
        assert send() == 500
        refused = next(line for line in map(json.loads, service.log) if "check" in line)
        assert refused["check"] == "replay"
        assert client.service.echo("b") == "b"


@pytest.mark.parametrize("option", ["--store", "--store-key"])
def test_contexts_must_be_shared(
    cli: CommandLine, options: list[object], option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a store several workers are refused, with a hint; half of one is wrong usage."""
    for name in ("ZEEP_SECURECONV_STORE", "ZEEP_SECURECONV_STORE_KEY"):
        monkeypatch.delenv(name, raising=False)
    at = options.index("--store")
    without = options[:at] + options[at + 4 :]
    result = cli("serve", *without)
    assert (result.status, result.out) == (1, "")
    assert "in the memory of one" in result.err
    assert "--store redis://" in result.err
    at = options.index(option)
    assert cli("serve", *options[:at], *options[at + 2 :]).status == 2


def test_a_worker_that_cannot_start_is_an_error(tmp_path: Path) -> None:
    """When none of the workers can serve the start fails, and nothing is left."""
    deployment = Deployment(
        policy=str(tmp_path / "missing.wsdl"),
        soap="1.1",
        address="http://127.0.0.1/peer",
        credentials=Credentials(),
        users=None,
        demo_users=False,
        tls_identity=None,
        lifetime=60,
        store=None,
        store_key=(),
        threads=1,
        log="text",
        log_level="warning",
        tls_identity_password=None,
    )
    with (
        bound_socket("127.0.0.1", 0) as listening,
        pytest.raises(ConfigurationError, match="could not start"),
        Workers(deployment, listening, 2),
    ):
        pass


@pytest.mark.parametrize(
    ("before", "lived", "pause"),
    [(0, 3600, 0), (30, 2, 0), (0, 0, 0.5), (0.5, 1.9, 1), (8, 0, 16), (16, 0, 30), (30, 0, 30)],
)
def test_who_dies_at_once_has_to_wait(before: float, lived: float, pause: float) -> None:
    """The pause doubles for those that end at once, up to half a minute, and is none for those that lived."""
    assert next_pause(before, lived) == pause


def test_takes_the_socket_that_systemd_passes(options: list[object]) -> None:
    """A socket that was passed is served, whatever --port says, and workers are not told of it a second time."""
    with socket.create_server(("127.0.0.1", 0)) as passed:
        port, number = passed.getsockname()[1], passed.fileno()
        script = f'exec 3<&{number} {number}<&-; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"'
        command = [sys.executable, "-m", "zeep_secureconv", "serve", "--json", *map(str, options)]
        process = subprocess.Popen(
            ["bash", "-c", script, "bash", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=[number],
            text=True,
        )
    with process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert ready["url"] == f"http://127.0.0.1:{port}/peer"
        assert requests.get(ready["wsdl"], timeout=_TOO_LONG).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(_TOO_LONG) == 0


def test_refusals_are_in_the_log_of_whoever_refused(options: list[object]) -> None:
    """With --log json a refusal is one object, with the check and the number that the fault carries."""
    with _serving(*options) as service:
        answer = requests.post(
            service.ready["url"],
            data=b'<S:Envelope xmlns:S="http://schemas.xmlsoap.org/soap/envelope/"><S:Body/></S:Envelope>',
            headers={"Content-Type": "text/xml"},
            timeout=_TOO_LONG,
        )
        assert answer.status_code == 500
        refusal = next(line for line in map(json.loads, service.log) if "correlation" in line)
    assert f"[{refusal['correlation']}]" in answer.text
    assert refusal["check"]
    assert refusal["level"] == "WARNING"
    assert refusal["process"] != service.process.pid
