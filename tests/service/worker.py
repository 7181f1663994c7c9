"""One worker process of a cluster: ``python -m tests.service.worker WSDL FOLDER STORE``.

It serves the demonstration contract under the policy of a WSDL, with ``server.pem``, ``server.key`` and ``ca.pem`` of a
folder, and keeps contexts in the store at an address. It prints its port when it is ready, and ends when standard input
does.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from zeep_secureconv import Identity, Limits, Trust
from zeep_secureconv.conversation.store.opening import open_store
from zeep_secureconv.policy.reader import read_alternatives
from zeep_secureconv.service.demonstration import DemonstrationService
from zeep_secureconv.service.middleware import SecureConversationMiddleware
from zeep_secureconv.service.server import HttpServer
from zeep_secureconv.soap.envelope import parse

_ROOT = Path(__file__).parents[2]
_SECONDS = 60
#: Of the store, the same in every process.
KEY = bytes(range(32))


class Worker:
    """A worker process; it is ready once it is made.

    Args:
        wsdl: path of the WSDL with the policy.
        folder: that of the certificates.
        store: where contexts are kept.
    """

    def __init__(self, wsdl: Path, folder: Path, store: str) -> None:
        command = [sys.executable, "-m", "tests.service.worker", str(wsdl), str(folder), store]
        self._process = subprocess.Popen(
            command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.kill()
            raise RuntimeError("the worker did not start")
        self.port = int(line)

    def kill(self) -> None:
        """End it with SIGKILL, whatever it is doing."""
        self._process.kill()
        self._process.wait(_SECONDS)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()


def _main(wsdl: str, folder: str, store: str) -> None:
    certificates = Path(folder)
    middleware = SecureConversationMiddleware(
        DemonstrationService(),
        policy=read_alternatives(parse(Path(wsdl).read_bytes(), Limits()), location=wsdl),
        identity=Identity.from_pem(certificates / "server.pem", certificates / "server.key"),
        trust=Trust.from_pem(certificates / "ca.pem"),
        store=open_store(store, key=KEY),
    )
    with HttpServer(middleware) as server:
        sys.stdout.write(server.url.rpartition(":")[2] + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    _main(*sys.argv[1:])
