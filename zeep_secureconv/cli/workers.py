"""Several processes that serve one socket, and the one that looks after them.

They are fresh interpreters, not forks: nothing of the threads, locks and connections of the process that starts them
goes with them. Each holds the end of a pipe. What comes through it, or its end because that process is gone, even by
``kill -9``, tells it to finish what is under way and to end.
"""

from __future__ import annotations

import logging
import multiprocessing
import queue
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from ..errors import ConfigurationError
from .deployment import GRACE, Deployment
from .failures import EXPLAINED, explain, report

log = logging.getLogger("zeep_secureconv.cli.workers")

#: What a process has besides to end by itself, before it is killed.
_OVERTIME = 5.0
#: Who ended this soon after it was ready would end again: the next one has to wait, each longer than the one before.
_SOON = 2.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0


def next_pause(before: float, lived: float) -> float:
    """How long to wait with the successor of a process that ended, in seconds.

    Args:
        before: how long was waited before that process.
        lived: how long it was ready.
    """
    return 0.0 if lived >= _SOON else min(max(2 * before, _FIRST_PAUSE), _LONGEST_PAUSE)


@dataclass(frozen=True)
class _Worker:
    """A process, and our end of its pipe."""

    process: BaseProcess
    pipe: Connection

    def is_ready(self) -> bool:
        """Wait until it serves; False when it ended before."""
        try:
            return bool(self.pipe.recv())
        except (EOFError, OSError):
            return False

    def end(self) -> None:
        """Tell it to end."""
        try:
            self.pipe.send(None)
        except OSError:
            # it is gone
            return


class Workers:
    """Serves with several processes while its block runs; one that ends is followed by another.

    Entering waits until all of them are ready.

    Args:
        deployment: what to serve, with its address.
        listening: the socket that they share.
        count: how many.

    Raises:
        ConfigurationError: on entering, when one of them cannot serve.
    """

    def __init__(self, deployment: Deployment, listening: socket.socket, count: int) -> None:
        self._deployment = deployment
        self._listening = listening
        self._first: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._running: dict[int, _Worker] = {}
        self._keepers = [
            threading.Thread(target=self._keep, args=(number,), daemon=True) for number in range(1, count + 1)
        ]

    def __enter__(self) -> Workers:
        for keeper in self._keepers:
            keeper.start()
        if not all(self._first.get() for _ in self._keepers):
            self.stop()
            raise ConfigurationError("A worker could not start", hint="what it says above tells why")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Let every process finish what is under way, and kill those that take too long."""
        with self._lock:
            self._stopping.set()
            running = list(self._running.values())
        for worker in running:
            worker.end()
        until = time.monotonic() + GRACE + _OVERTIME
        for keeper in self._keepers:
            keeper.join(max(0.0, until - time.monotonic()))
        for worker in running:
            worker.process.kill()
        for keeper in self._keepers:
            keeper.join()

    def _keep(self, number: int) -> None:
        """See to it that there is a process of this number, until all of them end."""
        pause, is_first = 0.0, True
        while not self._stopping.is_set():
            try:
                worker = self._start(number)
            except OSError as error:
                # no descriptors or no memory left, maybe for a moment only
                log.error("worker %d cannot be started: %s", number, error)
                if is_first:
                    self._first.put(False)
                    return
                pause = next_pause(pause, 0.0)
                self._stopping.wait(pause)
                continue
            if worker is None:
                return
            is_ready, since = worker.is_ready(), time.monotonic()
            if is_first:
                self._first.put(is_ready)
            worker.process.join()
            worker.pipe.close()
            if self._stopping.is_set() or (is_first and not is_ready):
                return
            is_first = False
            pause = next_pause(pause, time.monotonic() - since if is_ready else 0.0)
            log.error(
                "worker %d ended with status %s; another one starts in %g seconds",
                number,
                worker.process.exitcode,
                pause,
            )
            self._stopping.wait(pause)

    def _start(self, number: int) -> _Worker | None:
        with self._lock:
            if self._stopping.is_set():
                return None
            context = multiprocessing.get_context("spawn")
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_work,
                args=(self._deployment, self._listening, theirs, number),
                name=f"zeep_secureconv-worker-{number}",
                daemon=True,
            )
            process.start()
            theirs.close()
            self._running[number] = worker = _Worker(process, ours)
            return worker


def _work(deployment: Deployment, listening: socket.socket, pipe: Connection, number: int) -> None:
    """What a worker does."""
    ended = threading.Event()
    # Ctrl-C goes to all processes of a terminal: the one that looks after us says what follows from it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    deployment.set_up_log()
    try:
        with deployment.served(listening):
            pipe.send(True)
            threading.Thread(target=_await_end, args=(pipe, ended), daemon=True).start()
            log.info("worker %d is ready", number)
            ended.wait()
    except EXPLAINED as error:
        report(explain(error))
        sys.exit(1)
    except BrokenPipeError:
        # nobody looks after us any more
        sys.exit(1)


def _await_end(pipe: Connection, ended: threading.Event) -> None:
    try:
        pipe.recv()
    except (EOFError, OSError):
        pass
    finally:
        ended.set()
