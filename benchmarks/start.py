"""Times fresh processes from their start to the first secured response: ours, plain zeep's, and CXF's client's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import click

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.cxf import PLAIN, SECURED, Peers, conversation, grid, machine, peers
from tests.peers.peer import PeerError

_ROOT = Path(__file__).resolve().parents[1]
_SECONDS = 120
_WARMUP = 1000
_OURS = """
from zeep_secureconv import Identity, SecureConversation, Trust

with SecureConversation(
    identity=Identity.from_pkcs12("client.p12", "changeit"),
    trust=Trust.from_pem("ca.pem"),
    peer="server.pem",
) as sc:
    client = sc.client({wsdl!r})
    print(client.service.echo("hello"), flush=True)
"""
_PLAIN = """
import zeep

client = zeep.Client({wsdl!r})
print(client.service.echo("hello"), flush=True)
"""


@click.command(help=__doc__)
@click.option("--runs", default=5, show_default=True, help="Processes of each kind, in turn.")
@click.option("--json", "as_json", is_flag=True, help="Print every single time as JSON instead of the table.")
def main(*, runs: int, as_json: bool) -> None:
    """Measure, and print what was asked for."""
    try:
        with peers(lambda text: click.echo(text, err=True)) as running:
            times = _measure(running, runs)
            about = machine(running.server)
    except PeerError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps({"machine": about, "unit": "milliseconds", "times": times}, indent=2))
        return
    rows = [
        [name, *(f"{value:.0f}" for value in (median(some), min(some), max(some)))]
        for name, some in times.items()
    ]
    click.echo("\n".join([about, "", *grid(["milliseconds", "median", "min", "max"], rows)]))


def _measure(running: Peers, runs: int) -> dict[str, list[float]]:
    """Start the processes in turn; the first of each kind does not count, for its files are not cached yet."""
    _warm(running)
    times: dict[str, list[float]] = {
        "ours: process start to first secured response": [],
        "CXF client: JVM start to first secured response": [],
        "CXF client: whole process, for comparison": [],
        "plain zeep: process start to first response": [],
    }
    for number in range(runs + 1):
        ours = _python(running, _OURS.format(wsdl=running.server.wsdl(SECURED)))
        plain = _python(running, _PLAIN.format(wsdl=running.server.wsdl(PLAIN)))
        start = time.perf_counter()
        report = running.client(wsdl=running.server.wsdl(SECURED), calls=0)
        process = (time.perf_counter() - start) * 1e3
        if not report["ok"]:
            raise PeerError(f"CXF's client failed: {report['error']}")
        if number:
            ended = (ours, report["jvm_start_to_first_response_ms"], process, plain)
            for some, one in zip(times.values(), ended, strict=True):
                some.append(one)
    return times


def _warm(running: Peers) -> None:
    with conversation(running.pki) as sc:
        client = sc.client(running.server.wsdl(SECURED))
        for _ in range(_WARMUP):
            client.service.echo("hello")


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(_ROOT)}


def _python(running: Peers, program: str) -> float:
    """Milliseconds from the start of a process to the line that it prints when the response is there."""
    start = time.perf_counter()
    with subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", program],
        cwd=running.pki,
        env=_environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        took = (time.perf_counter() - start) * 1e3
        process.wait(_SECONDS)
    if line != "hello\n":
        raise PeerError("our own process got no response; what it says is above")
    return took


if __name__ == "__main__":
    main()
