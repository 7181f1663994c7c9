"""A real Redis server for tests: on a free port of this machine, without any file."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

_SECONDS = 30
_SWITCH = "ZEEP_SECURECONV_PEERS"
_LOG = "redis.log"


def need_redis() -> str:
    """The program; where there is none the test is skipped, or fails if the peers are required."""
    program = shutil.which("redis-server")
    if program is None and os.environ.get(_SWITCH) == "required":
        pytest.fail("the peers are required: `redis-server` is not on the PATH", pytrace=False)
    if program is None:
        pytest.skip("no Redis: `redis-server` is not on the PATH")
    return program


class RedisServer:
    """A server that can be stopped and started again; what it held is lost then.

    Args:
        folder: where it writes its log.
    """

    def __init__(self, folder: Path) -> None:
        self._program = need_redis()
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self._port = int(listening.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = {
            "bind": "127.0.0.1",
            "port": str(self._port),
            "save": "",
            "appendonly": "no",
            "daemonize": "no",
            "dir": str(self._folder),
            "logfile": str(self._folder / _LOG),
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        self._process = subprocess.Popen([self._program, *arguments], stdin=subprocess.DEVNULL)
        with redis.Redis.from_url(self.url, retry=Retry(NoBackoff(), 0)) as client:
            while not self._answers(client):
                if self._process.poll() is not None:
                    pytest.fail((self._folder / _LOG).read_text(errors="replace"), pytrace=False)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_SECONDS)
            self._process = None

    def _answers(self, client: redis.Redis) -> bool:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False
