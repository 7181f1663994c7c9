"""Lets CXF's client wait for its turn.

CXF's client is one process with a warm JVM that works off a plan of rounds. Before and after each timed round it
asks the server's administrative port to reset its timings. The gate stands in between: it holds the first of the
two until the benchmark has measured its own round, so that both sides' rounds alternate and noise of the machine
hits both.
"""

from __future__ import annotations

import json
import queue
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from tests.peers.peer import PeerError

from .cxf import SECURED, Figures, Peers

_HOURS = 7200


class Rounds:
    """CXF's client, warm, working off a plan one round at a time.

    Args:
        peers: the server and the client.
        plan: (size, calls) of each round.
        warmup: calls before the first round.
    """

    def __init__(self, peers: Peers, plan: list[tuple[int, int]], warmup: int) -> None:
        self._peers = peers
        self._plan = plan
        self._warmup = warmup
        self._arrived: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._turns: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def __enter__(self) -> Rounds:
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        self._thread.start()
        self._pool = ThreadPoolExecutor(1)
        self._report: Future[dict[str, Any]] = self._pool.submit(
            self._peers.client,
            wsdl=self._peers.server.wsdl(SECURED),
            warmup=self._warmup,
            plan=",".join(f"echo:{size}:{calls}" for size, calls in self._plan),
            admin=f"http://127.0.0.1:{self._http.server_port}",
            timeout=_HOURS,
        )
        self._report.add_done_callback(lambda _: self._arrived.put(False))
        return self

    def wait(self) -> None:
        """Until the client stands before its next round, warm and idle; or until it has done all of them.

        Raises:
            PeerError: it failed.
        """
        if not self._arrived.get(timeout=_HOURS):
            self._arrived.put(False)
            self._result()

    def let_pass(self) -> None:
        """Let it do its round."""
        self._turns.put(True)

    def figures(self) -> list[tuple[Figures, Figures]]:
        """(whole calls, the server's share) of each round, when all are done."""
        return [
            (
                Figures.of_report(item["per_call_us"], item["process_cpu_us_per_call"]),
                Figures.of_report(
                    json.loads(item["server_us"])[SECURED], item["server_process_cpu_us_per_call"]
                ),
            )
            for item in self._result()["plan"]
        ]

    def _result(self) -> dict[str, Any]:
        report = self._report.result()
        if not report["ok"]:
            raise PeerError(f"CXF's client failed: {report['error']}")
        return report

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        asked = iter(range(2 * len(self._plan)))

        class Handler(BaseHTTPRequestHandler):
            def do_GET(handler) -> None:  # noqa: N805 - `self` are the rounds
                before_round = next(asked) % 2 == 0
                if before_round:
                    self._arrived.put(True)
                if before_round and not self._turns.get():
                    handler.send_error(503)
                    return
                # the client looks for numbers in the text, and expects no spaces
                answer = self._peers.server.admin(handler.path)
                content = json.dumps(answer, separators=(",", ":")).encode()
                handler.send_response(200)
                handler.send_header("Content-Length", str(len(content)))
                handler.end_headers()
                handler.wfile.write(content)

            def log_message(handler, *arguments: object) -> None:  # noqa: N805
                """Nothing: only figures are printed."""

        return Handler

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _ in self._plan:
            self._turns.put(False)
        self._pool.shutdown()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
