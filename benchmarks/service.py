"""Measures a service with thousands of live contexts under many connections, beside Apache CXF's server.

Both servers have the policy asym-dk, the same certificates, and the same client: ours asks for the contexts and
secures the messages beforehand, so that while it is measured the client has little more to do than to send them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from lxml import etree

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import load
from benchmarks.cxf import SECURED, machine, parties, peers, text_of
from tests.peers.peer import PeerError
from zeep_secureconv import MemoryStore, SecureConversation

_STOP_SECONDS = 20


@dataclass(frozen=True)
class _Server:
    """A server under test.

    Args:
        name: for the table.
        url: of the endpoint.
        wsdl: of its description.
        process_id: whose processor time counts.
    """

    name: str
    url: str
    wsdl: str
    process_id: int


@dataclass(frozen=True)
class _Result:
    """What one round at one server came to."""

    calls: int
    wall: float
    cpu: float
    median: float
    p99: float


@click.command(help=__doc__)
@click.option("--contexts", default=10_000, show_default=True, help="Contexts that are alive.")
@click.option("--called", default=1_000, show_default=True, help="How many of them are called in a round.")
@click.option("--calls", default=4, show_default=True, help="Calls of each of these in a round.")
@click.option("--connections", default=64, show_default=True)
@click.option("--rounds", default=3, show_default=True, help="At each server; the first only warms it up.")
@click.option("--threads", default=10, show_default=True, help="Of our service.")
@click.option("--size", default=20, show_default=True, help="Characters echoed.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON instead of the table.")
def main(*, contexts: int, threads: int, as_json: bool, **plan: int) -> None:
    """Measure one server after the other, and print what came out."""
    try:
        with peers(_say) as running:
            cxf = running.server
            theirs = _Server("CXF", cxf.url(SECURED), cxf.wsdl(SECURED), cxf.process_id)
            results = {"CXF": _measure(theirs, running.pki, contexts, **plan)}
            with _ours(running.pki, cxf.wsdl_text(SECURED), threads) as ours:
                results["ours"] = _measure(ours, running.pki, contexts, **plan)
            about = machine(cxf)
    except PeerError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(
            json.dumps({name: [vars(one) for one in rounds] for name, rounds in results.items()}, indent=2)
        )
    else:
        click.echo(_table(results, f"{contexts} contexts, {plan['connections']} connections; {about}"))


def _say(text: str) -> None:
    click.echo(text, err=True)


@contextmanager
def _ours(pki: Path, wsdl: str, threads: int) -> Iterator[_Server]:
    """Our service under the WSDL of CXF's, in a process of its own."""
    saved = pki / "service.wsdl"
    saved.write_text(wsdl, encoding="utf-8")
    command: list[object] = [sys.executable, "-m", "zeep_secureconv", "serve", "--policy", saved]
    command += ["--identity", pki / "server.p12", "--identity-password", "changeit"]
    command += ["--trust", pki / "ca.pem", "--threads", threads, "--json", "--parent"]
    process = subprocess.Popen(  # noqa: S603
        [str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        ready: dict[str, Any] = json.loads(process.stdout.readline())
        yield _Server("ours", ready["url"], ready["wsdl"], process.pid)
    finally:
        process.communicate(timeout=_STOP_SECONDS)


def _measure(
    server: _Server,
    pki: Path,
    contexts: int,
    *,
    called: int,
    calls: int,
    connections: int,
    rounds: int,
    size: int,
) -> list[_Result]:
    """The rounds at one server, each with messages under contexts of its own."""
    results = []
    store = MemoryStore()
    with SecureConversation(**parties(pki), store=store) as sc:
        client = sc.client(server.wsdl)
        if client.service.echo("a") != "a":
            raise click.ClickException(f"{server.name} does not echo")

        def issue(count: int, each: Callable[[], object]) -> None:
            for _ in range(count):
                # forgotten here and alive there: sc.issue() would cancel the one before
                for key, context in list(store.items("client")):
                    store.drop(key, context)
                sc.context(server.url)
                each()

        idle = max(0, contexts - called * rounds)
        _say(f"{server.name}: {idle} contexts that are only there")
        issue(idle, lambda: None)
        for number in range(rounds):
            _say(f"{server.name}: round {number + 1} of {rounds}, {called * calls} messages")
            messages: list[bytes] = []

            def secure(messages: list[bytes] = messages) -> None:
                for _ in range(calls):
                    envelope = client.create_message(client.service, "echo", text=text_of(size))
                    messages.append(etree.tostring(envelope))

            issue(called, secure)
            # the first calls of all contexts, then the second ones
            turns = [message for turn in range(calls) for message in messages[turn::calls]]
            results.append(_round(server, turns, connections))
    return results


def _round(server: _Server, messages: list[bytes], connections: int) -> _Result:
    before = _processor_time(server.process_id)
    found = load.send(server.url, messages, action=_action_of(messages[0]), connections=connections)
    spent = _processor_time(server.process_id) - before
    ordered = sorted(found.latencies)
    return _Result(
        calls=len(messages),
        wall=found.wall,
        cpu=spent,
        median=ordered[len(ordered) // 2] * 1e3,
        p99=ordered[int(len(ordered) * 0.99)] * 1e3,
    )


def _action_of(message: bytes) -> str:
    found = etree.fromstring(message).find(".//{http://www.w3.org/2005/08/addressing}Action")
    assert found is not None
    return found.text or ""


def _processor_time(process_id: int) -> float:
    """Seconds that a process and the children that it waited for spent on processors (Linux)."""
    fields = Path(f"/proc/{process_id}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _table(results: dict[str, list[_Result]], about: str) -> str:
    lines = [about, "", "| server | calls/s | calls per second of a core | median ms | p99 ms |"]
    lines.append("|---|--:|--:|--:|--:|")
    best: dict[str, float] = {}
    for name, rounds in results.items():
        for number, one in enumerate(rounds[1:] or rounds):
            per_core = one.calls / one.cpu
            best[name] = max(best.get(name, 0.0), per_core)
            lines.append(
                f"| {name}, round {number + 1} | {one.calls / one.wall:.0f} | {per_core:.0f} "
                f"| {one.median:.1f} | {one.p99:.1f} |"
            )
    lines.append(
        f"| **ours : CXF, per core, best rounds (aim 2)** | | **{best['ours'] / best['CXF']:.2f}** | | |"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
