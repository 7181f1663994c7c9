"""Two nodes of the greeting service, one Redis, and a proxy in front that sends requests to them in turn.

    zeep-secureconv pki keys
    python cluster/cluster.py --keys keys --port 8000

Every node continues the conversations of the other one, since both keep contexts in Redis: kill one of them, and calls
go on. It is started again. All of it is on this machine and ends with Ctrl-C.
"""
# ruff: noqa: INP001, T201, S603 - a script, which prints, and starts programs

from __future__ import annotations

import argparse
import http.client
import itertools
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from zeep_secureconv.service.server import HttpServer

SERVICE = Path(__file__).resolve().parents[1] / "wsgi_service.py"
PATH = "/greeting"
NODES = 2
PATIENCE = 30
PAUSE = 0.5
#: Of one connection and not of the message on it (RFC 9110, section 7.6.1).
HOP_BY_HOP = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "content-length"}

StartResponse = Callable[..., Any]


class Node:
    """A process of the service, which is started again when it ends.

    Args:
        number: what it is called here.
        options: of wsgi_service.py.
        ended: set when everything is to end.
    """

    def __init__(self, number: int, options: list[str], ended: threading.Event) -> None:
        self.number = number
        self.port = 0
        self._options = options
        self._ended = ended
        self._process = self._start()
        self._keeper = threading.Thread(target=self._keep)
        self._keeper.start()

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._keeper.join()

    def _start(self) -> subprocess.Popen[str]:
        command = [sys.executable, str(SERVICE), *self._options, "--port", str(self.port)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        words = process.stdout.readline().split()
        if words:
            # another start is at the same port, where the proxy finds it
            self.port = urlsplit(words[1]).port or 0
            print(f"Node {self.number} is process {process.pid} at port {self.port}", flush=True)
        return process

    def _keep(self) -> None:
        while not self._ended.is_set():
            self._process.wait()
            if not self._ended.wait(PAUSE):
                self._process = self._start()
        self._process.terminate()
        self._process.wait()


class Proxy:
    """Sends each request to the next node, and to the one after it where nobody listens there.

    A request that a node has got is never sent again: it may have been carried out.

    Args:
        nodes: who answers.
    """

    def __init__(self, nodes: list[Node]) -> None:
        self._nodes = nodes
        self._turns = itertools.count()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        length = environ.get("CONTENT_LENGTH")
        body = environ["wsgi.input"].read(*([int(length)] if length else []))
        headers = {"Content-Type": environ.get("CONTENT_TYPE", "")}
        if "HTTP_SOAPACTION" in environ:
            headers["SOAPAction"] = environ["HTTP_SOAPACTION"]
        query = environ.get("QUERY_STRING")
        path = environ["PATH_INFO"] + (f"?{query}" if query else "")
        connection = self._connection()
        if connection is None:
            start_response("503 Service Unavailable", [("Content-Length", "0")])
            return []
        with closing(connection):
            try:
                connection.request(environ["REQUEST_METHOD"], path, body or None, headers)
                answer = connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException):
                start_response("502 Bad Gateway", [("Content-Length", "0")])
                return []
        kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in HOP_BY_HOP]
        start_response(f"{answer.status} {answer.reason}", [*kept, ("Content-Length", str(len(content)))])
        return [content]

    def _connection(self) -> http.client.HTTPConnection | None:
        """A connection to a node that listens, the next one in turn first; None where there is none."""
        first = next(self._turns)
        for number in range(first, first + len(self._nodes)):
            port = self._nodes[number % len(self._nodes)].port
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            try:
                connection.connect()
            except OSError:
                continue
            return connection
        return None


@contextmanager
def redis() -> Iterator[str]:
    """The URL of a Redis of our own, which keeps nothing on disk."""
    program = shutil.which("redis-server")
    if program is None:
        sys.exit("There is no redis-server on the PATH: install it, or give --redis redis://HOST:6379/0")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""], stdout=subprocess.DEVNULL
    )
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    """Serve until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(description="Two nodes of the greeting service behind a proxy.")
    parser.add_argument(
        "--keys", type=Path, default=Path("keys"), help="folder made by 'zeep-secureconv pki'"
    )
    parser.add_argument("--port", type=int, default=8000, help="0 takes any free one (default: %(default)s)")
    parser.add_argument("--redis", metavar="URL", help="a Redis that runs already")
    arguments = parser.parse_args()
    ended = threading.Event()
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda *_: ended.set())
    with ExitStack() as stack:
        key = Path(stack.enter_context(TemporaryDirectory())) / "store.key"
        key.write_bytes(secrets.token_bytes(32))
        store = arguments.redis or stack.enter_context(redis())
        server = stack.enter_context(HttpServer(port=arguments.port))
        options = ["--keys", str(arguments.keys), "--address", server.url + PATH]
        options += ["--store", store, "--store-key", str(key)]
        nodes = []
        for number in range(1, NODES + 1):
            nodes.append(Node(number, options, ended))
            stack.callback(nodes[-1].stop)
        server.app = Proxy(nodes)
        print(f"Serving {server.url}{PATH}?wsdl; Ctrl-C ends it", flush=True)
        ended.wait()


if __name__ == "__main__":
    main()
