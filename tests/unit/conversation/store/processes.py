"""Starts processes that use a store; see user.py."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_ROOT = Path(__file__).parents[4]
_SECONDS = 60


class User:
    """A process that uses a store; it waits for :meth:`begin`."""

    def __init__(self, place: str, act: str, argument: str) -> None:
        command = [sys.executable, "-m", "tests.unit.conversation.store.user", place, act, argument]
        self._process = subprocess.Popen(
            command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def line(self) -> str:
        """The next line that it prints, empty at its end."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def begin(self) -> None:
        """Let it act."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        self._process.kill()

    def end(self) -> int:
        """Wait for its end; its status."""
        status = self._process.wait(_SECONDS)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        return status


@contextmanager
def users(place: str, act: str, arguments: Sequence[str]) -> Iterator[list[User]]:
    """Processes that act at once, one for each argument."""
    started = [User(place, act, argument) for argument in arguments]
    try:
        for user in started:
            assert user.line() == "ready"
        for user in started:
            user.begin()
        yield started
    finally:
        for user in started:
            user.kill()
        for user in started:
            user.end()
