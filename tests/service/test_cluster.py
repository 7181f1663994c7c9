"""Several processes serve one conversation: they share contexts, and what they received, through a store."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.redis_server import RedisServer
from tests.service.round_robin import RoundRobin
from tests.service.worker import Worker
from zeep_secureconv import Event, Identity, SecureConversation, TransportError, Trust
from zeep_secureconv.service.contract import demonstration_wsdl
from zeep_secureconv.service.pki import make_pki

THREADS = 4
KILLS = 6
#: Calls that work between one kill and the next.
CALLS = 30
PATH = "/peer"


class Cluster:
    """Two workers behind a proxy.

    Args:
        folder: for certificates and WSDL.
        store: what the workers share.
        proxy: what is in front of them.
    """

    def __init__(self, folder: Path, store: str, proxy: RoundRobin) -> None:
        make_pki(folder)
        self.folder = folder
        self.wsdl = folder / "service.wsdl"
        policy = files("zeep_secureconv.service").joinpath("demonstration-policy.xml").read_bytes()
        self.wsdl.write_bytes(demonstration_wsdl(policy, address=proxy.url + PATH))
        self._store = store
        self._proxy = proxy
        self.workers = [self._start(), self._start()]
        self._tell()

    def _start(self) -> Worker:
        return Worker(self.wsdl, self.folder, self._store)

    def _tell(self) -> None:
        self._proxy.serve(*(worker.port for worker in self.workers))

    def exchange(self, number: int) -> None:
        """Kill a worker, and put a new one in its place."""
        self.workers[number].kill()
        self.workers[number] = self._start()
        self._tell()

    def stop(self) -> None:
        """End all."""
        for worker in self.workers:
            worker.kill()


@pytest.fixture(params=["redis", "file"])
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    """Two workers on Redis, or on one file."""
    redis = RedisServer(tmp_path) if request.param == "redis" else None
    try:
        with RoundRobin() as proxy:
            made = Cluster(tmp_path, redis.url if redis else str(tmp_path / "contexts"), proxy)
            try:
                yield made
            finally:
                made.stop()
    finally:
        if redis is not None:
            redis.stop()


class Caller:
    """A client whose every request goes to the next worker."""

    def __init__(self, cluster: Cluster) -> None:
        self.events: Counter[str] = Counter()
        self.bodies: list[requests.PreparedRequest] = []
        self.sc = SecureConversation(
            identity=Identity.from_pem(cluster.folder / "client.pem", cluster.folder / "client.key"),
            trust=Trust.from_pem(cluster.folder / "ca.pem"),
            peer=cluster.folder / "server.pem",
            on_event=self._note,
        )
        session = requests.Session()
        session.headers["Connection"] = "close"
        session.hooks["response"].append(lambda answer, **_: self.bodies.append(answer.request))
        self.echo: Any = self.sc.client(
            str(cluster.wsdl), transport=self.sc.transport(session=session)
        ).service.echo

    def _note(self, event: Event) -> None:
        self.events[event.kind] += 1


class Score:
    """Calls that worked and that failed, counted by threads."""

    def __init__(self) -> None:
        self.worked = 0
        self.failed: list[str] = []
        self._changed = threading.Condition()
        self._over = False

    def work(self, echo: Any, thread: int) -> None:
        """Call until told to stop."""
        turn = 0
        while not self._over:
            turn += 1
            text = f"thread {thread} call {turn}"
            try:
                right = echo(text) == text
            except TransportError:
                right = False
            except BaseException as error:
                self._count("wrong error: " + repr(error))
                raise
            self._count(None if right else "in flight")

    def _count(self, failure: str | None) -> None:
        with self._changed:
            self.worked += failure is None
            self.failed += [failure] if failure is not None else []
            self._changed.notify_all()

    def wait_for(self, more: int) -> None:
        """Until so many more calls worked, or a thread gave up."""
        with self._changed:
            end = self.worked + more
            assert self._changed.wait_for(lambda: self.worked >= end or self._wrong(), 120)
            assert not self._wrong(), self.failed

    def _wrong(self) -> bool:
        return any(failure != "in flight" for failure in self.failed)

    def stop(self) -> None:
        """No more calls."""
        self._over = True


def test_a_conversation_outlives_its_nodes(cluster: Cluster) -> None:
    """Workers are killed one after the other under load: only what was in flight fails, and one context serves all."""
    caller, score = Caller(cluster), Score()
    with caller.sc:
        assert caller.echo("first") == "first"
        (context,) = caller.sc.contexts()
        with ThreadPoolExecutor(THREADS) as pool:
            futures = [pool.submit(score.work, caller.echo, number) for number in range(THREADS)]
            try:
                for kill in range(KILLS):
                    score.wait_for(CALLS)
                    cluster.exchange(kill % 2)
                score.wait_for(CALLS)
            finally:
                score.stop()
            for future in futures:
                future.result()
        assert score.worked >= KILLS * CALLS
        assert len(score.failed) <= KILLS * THREADS
        assert [one.identifier for one in caller.sc.contexts()] == [context.identifier]
    assert caller.events["issued"] == 1
    assert not caller.events.keys() & {"lost", "recovered", "renewed"}


def test_a_message_that_one_node_took_another_refuses(cluster: Cluster) -> None:
    """A replay is refused by both workers, and by one that was started later; a new message is taken."""
    caller = Caller(cluster)
    with caller.sc:
        assert caller.echo("once") == "once"
        asked, call = caller.bodies
        for replayed in (asked, call):
            assert [_post(worker, replayed) for worker in cluster.workers] == [500, 500]
        cluster.exchange(0)
        for replayed in (asked, call):
            assert _post(cluster.workers[0], replayed) == 500
        assert caller.echo("again") == "again"
        assert caller.echo("and again") == "and again"


def _post(worker: Worker, message: requests.PreparedRequest) -> int:
    """The status of what one worker answers to a message."""
    headers = {name: message.headers[name] for name in ("Content-Type", "SOAPAction")}
    url = f"http://127.0.0.1:{worker.port}{PATH}"
    return requests.post(url, data=message.body, headers=headers, timeout=60).status_code
