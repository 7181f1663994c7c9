"""Clients of the stacks at our trust service: renewals in a row, Cancels without proof, and a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.peers.our_side import our_service
from tests.peers.peer import CXF, METRO, SMALL_JVM, PeerClients, Stack
from tests.peers.variants import Variant
from tests.redis_server import RedisServer
from tests.service.round_robin import RoundRobin
from tests.service.worker import KEY, Worker
from zeep_secureconv.conversation.store.opening import open_store

ClientOf = Callable[[Stack], PeerClients]

_RENEWALS = 3
#: How long contexts live that Metro's client is to renew: it does so once they are over, by its own clock.
_SHORT = timedelta(seconds=2)


@pytest.mark.parametrize("name", ["asym-dk", "asym-nodk", "draft-asym-dk", "soap12"])
def test_metro_renews_three_times(client_of: ClientOf, pki: Path, tmp_path: Path, name: str) -> None:
    """Each renewal is endorsed by the first key of the context and gives a new Instance; the context itself stays."""
    wsdl = Variant(METRO, name).write_wsdl(tmp_path)
    with our_service(pki, wsdl, lifetime=_SHORT, renew_after_expiry=True) as service:
        report = client_of(METRO)(
            wsdl=service.wsdl,
            renew=True,
            pause_ms=_SHORT // timedelta(milliseconds=1) + 500,
            pauses=_RENEWALS,
        )
        assert report["ok"], (report, service.said)
        assert dict(service.store.lived) == {"Issue": 1, "Renew": _RENEWALS, "Cancel": 1}
        # one before the pauses, one more by itself, and two after each
        assert service.app.calls == 2 + 2 * _RENEWALS
        assert service.counted()["refused"] == 0


def test_metro_cannot_renew_what_is_over(client_of: ClientOf, pki: Path, tmp_path: Path) -> None:
    """Unless the service says so a context that is over is not renewed, and Metro's client gives up."""
    wsdl = Variant(METRO, "asym-dk").write_wsdl(tmp_path)
    with our_service(pki, wsdl, lifetime=_SHORT) as service:
        report = client_of(METRO)(
            wsdl=service.wsdl, renew=True, pause_ms=_SHORT // timedelta(milliseconds=1) + 500, pauses=1
        )
        assert not report["ok"]
        assert service.store.lived["Renew"] == 0
        assert service.counted()["refused"] > 0


def test_cxf_cancels_where_it_is_tolerated(client_of: ClientOf, pki: Path, tmp_path: Path) -> None:
    """CXF's client secures Cancel with the bootstrap alone, and says that it worked whatever became of it."""
    wsdl = Variant(CXF, "asym-dk").write_wsdl(tmp_path)
    living = {}
    for tolerate in ((), ("cxf",)):
        with our_service(pki, wsdl, tolerate=tolerate) as service:
            report = client_of(CXF)(wsdl=service.wsdl, calls=2, cancel=True)
            assert report["ok"], (report, service.said)
            assert report["cancelled"] is True
            assert service.store.lived["Issue"] == 1
            living[tolerate] = (service.store.lived["Cancel"], len(service.living()))
    assert living == {(): (0, 1), ("cxf",): (1, 0)}


def test_a_tolerated_cancel_is_the_owner_s(client_of: ClientOf, pki: Path, tmp_path: Path) -> None:
    """Tolerance lets a client end its own context: that of another client lives on."""
    wsdl = Variant(CXF, "asym-dk").write_wsdl(tmp_path)
    with our_service(pki, wsdl, tolerate={"cxf"}) as service:
        assert client_of(CXF)(wsdl=service.wsdl, cert="client2")["ok"]
        (other,) = service.living()
        assert client_of(CXF)(wsdl=service.wsdl, cancel=True)["ok"]
        assert service.store.lived == {"Issue": 2, "Cancel": 1}
        assert service.living() == [other]


# ------------------------------------------------------------------------------------------------------ the cluster

_KILLS = 4
#: The HTTP client that CXF takes by default keeps its connections, whatever CXF is told.
_NO_KEEP_ALIVE = ("-Dorg.apache.cxf.transport.http.forceURLConnection=true", "-Dhttp.keepAlive=false")
#: Connections between one kill and the next.
_BETWEEN = 25
#: How many twentieths of a second that may take.
_PATIENCE = 1200


class _Cluster:
    """Two worker processes with one Redis behind a proxy."""

    def __init__(self, wsdl: Path, pki: Path, redis: RedisServer, proxy: RoundRobin) -> None:
        self.store = open_store(redis.url, key=KEY)
        self.proxy = proxy
        self._of_each = (wsdl, pki, redis.url)
        self._workers = [self._begin(), self._begin()]
        self._tell()

    def _begin(self) -> Worker:
        return Worker(*self._of_each)

    def _tell(self) -> None:
        self.proxy.serve(*(worker.port for worker in self._workers))

    def exchange(self, number: int) -> None:
        """Kill a worker, and put a new one in its place."""
        self._workers[number].kill()
        self._workers[number] = self._begin()
        self._tell()

    def wait_for(self, more: int, calling: Future[Any]) -> None:
        """Until so many more connections were made, or the client gave up."""
        end = self.proxy.connections.total() + more
        for _ in range(_PATIENCE):
            if self.proxy.connections.total() >= end:
                return
            assert not wait([calling], timeout=0.05).done, calling.result()
        pytest.fail(f"the client made no {more} connections")

    def stop(self) -> None:
        """End the workers."""
        for worker in self._workers:
            worker.kill()


@pytest.fixture
def restless_client(built: Callable[[Stack], Stack], pki: Path) -> Iterator[PeerClients]:
    """CXF's client with a connection of its own for each request."""
    client = PeerClients(built(CXF), pki, java_options=(*SMALL_JVM, *_NO_KEEP_ALIVE))
    yield client
    client.stop()


@pytest.fixture
def cluster(pki: Path, tmp_path: Path) -> Iterator[_Cluster]:
    """Two workers under a policy of CXF's."""
    wsdl, redis = Variant(CXF, "asym-dk").write_wsdl(tmp_path), RedisServer(tmp_path)
    try:
        with RoundRobin() as proxy:
            made = _Cluster(wsdl, pki, redis, proxy)
            try:
                yield made
            finally:
                made.stop()
    finally:
        redis.stop()


def test_cxf_outlives_the_nodes_of_a_cluster(
    restless_client: PeerClients, cluster: _Cluster, tmp_path: Path
) -> None:
    """Workers are killed one after the other while CXF's client calls: at most the call in flight fails each time."""
    wsdl, endpoint, end = tmp_path / "cxf-asym-dk.wsdl", f"{cluster.proxy.url}/peer", tmp_path / "end"
    with ThreadPoolExecutor(1) as pool:
        calling = pool.submit(restless_client, wsdl=wsdl, endpoint=endpoint, until=end)
        try:
            for kill in range(_KILLS):
                cluster.wait_for(_BETWEEN, calling)
                cluster.exchange(kill % 2)
            cluster.wait_for(_BETWEEN, calling)
        finally:
            end.touch()
        report = calling.result()
    assert report["ok"], report
    assert report["calls"] > _KILLS * _BETWEEN
    assert len(report["failed"]) <= _KILLS, report["failed"]
    assert not any("Fault" in failure for failure in report["failed"]), report["failed"]
    assert report["token"] == report["last"]
    assert {context.identifier for _, context in cluster.store.items("service")} == {report["token"]}
