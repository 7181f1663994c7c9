"""Real stacks as servers and as clients of secure conversations, run from the folders beside this file.

Knows nothing of pytest, so that benchmarks and scripts can use it too. Whatever goes wrong with a peer
itself, and not with the conversation that is to be tested, is a :class:`PeerError`.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import queue
import re
import shutil
import ssl
import subprocess
import tempfile
import threading
import urllib.request
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

_HERE = Path(__file__).parent
_JAVA_RELEASE = 17

#: For tests: a small heap, and no time spent on optimizing what runs for seconds.
SMALL_JVM = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
#: For measurements: the defaults of the JVM, with a heap of known size.
FAST_JVM = ("-Xmx1g",)

_BUILD_SECONDS = 1200
_START_SECONDS = 120
_STOP_SECONDS = 20
_ADMIN_SECONDS = 30
#: How many lines of what Java or Maven said are worth showing.
_TAIL = 30


class PeerError(Exception):
    """The peer could not be built, started, asked or stopped."""


@dataclass(frozen=True)
class Stack:
    """One of the stacks: its sources, and what is built from them.

    Args:
        name: its folder beside this file, and "NAME-peer.jar".
        title: as people call it.
    """

    name: str
    title: str

    @property
    def policies(self) -> Path:
        """The folder with its variants."""
        return self._project / "src" / "main" / "resources" / "policies"

    @property
    def variants(self) -> list[str]:
        """The names of its variants."""
        return sorted(path.stem for path in self.policies.glob("*.xml"))

    @property
    def _project(self) -> Path:
        return _HERE / self.name

    @property
    def _target(self) -> Path:
        return self._project / "target"

    @functools.cached_property
    def jar(self) -> Path:
        """Where the jar of the sources as they are now is, or will be; its libraries are beside it."""
        digest = hashlib.sha256()
        sources = [
            self._project / "pom.xml",
            *(path for path in (self._project / "src").rglob("*") if path.is_file()),
        ]
        for path in sorted(sources):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(self._project).as_posix()}\0{len(content)}\0".encode())
            digest.update(content)
        return self._target / f"built-{digest.hexdigest()[:16]}" / f"{self.name}-peer.jar"

    def missing(self) -> str | None:
        """What this machine lacks to run the peer, in one sentence, or None."""
        java = shutil.which("java")
        if java is None:
            return "no Java runtime: `java` is not on the PATH"
        if _java_release(java) < _JAVA_RELEASE:
            return f"`java` is older than release {_JAVA_RELEASE}"
        if self.jar.exists():
            return None
        absent = [tool for tool in ("javac", "mvn") if shutil.which(tool) is None]
        return (
            f"the peer is not built yet, and to build it {' and '.join(absent)} is missing"
            if absent
            else None
        )

    def build(self, announce: Callable[[str], object] = lambda _: None) -> Stack:
        """The peer with its jar, built by Maven if that was not done before.

        Maven is asked to work without network first. It works on a copy of the sources, and its result is moved
        into place at once under their hash: sessions that build at the same time do not disturb each other.

        Args:
            announce: told in a sentence when there is something to wait for.

        Returns:
            This stack.

        Raises:
            PeerError: Maven failed; the text holds what it said last.
        """
        if self.jar.exists():
            return self
        announce(f"building the {self.title} peer with Maven: once, minutes if its libraries must be fetched")
        self._target.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="building-", dir=self._target) as folder:
            shutil.copy(self._project / "pom.xml", folder)
            shutil.copytree(self._project / "src", Path(folder, "src"))
            _maven(folder)
            for name in ("classes", "maven-status", "maven-archiver", "generated-sources"):
                shutil.rmtree(Path(folder, "target", name), ignore_errors=True)
            try:
                Path(folder, "target").rename(self.jar.parent)
            except OSError:
                if not self.jar.exists():
                    raise
                # another session was faster
        for older in set(self._target.glob("built-*")) - {self.jar.parent}:
            shutil.rmtree(older, ignore_errors=True)
        return self


CXF = Stack("cxf", "Apache CXF")
METRO = Stack("metro", "Metro")
RAMPART = Stack("rampart", "Axis2 and Rampart")
STACKS = {stack.name: stack for stack in (CXF, METRO, RAMPART)}


@functools.cache
def _java_release(java: str) -> int:
    done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=False)
    found = re.search(r'version "(\d+)', done.stderr)
    return int(found[1]) if found else 0


def _maven(folder: str) -> None:
    said = ""
    for offline in (["-o"], []):
        command = ["mvn", "-q", "-B", *offline, "package"]
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=_BUILD_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as e:
            raise PeerError(f"`{' '.join(command)}` did not end within {_BUILD_SECONDS} s") from e
        if done.returncode == 0:
            return
        said += f"$ {' '.join(command)}\n{_tail(done.stdout)}\n"
    raise PeerError(f"Maven cannot build the peer:\n{said}")


def _tail(text: str) -> str:
    return "\n".join(text.splitlines()[-_TAIL:])


class _Java:
    """A JVM that answers lines with lines; what it complains of is kept for messages.

    Args:
        title: what it is called there.
        command: to start it with.
    """

    def __init__(self, title: str, command: Sequence[str | Path]) -> None:
        self._title = title
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._complaints: deque[str] = deque(maxlen=_TAIL)
        self.process = subprocess.Popen(
            [os.fspath(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._readers = [
            threading.Thread(target=read, daemon=True) for read in (self._read_lines, self._read_complaints)
        ]
        for reader in self._readers:
            reader.start()

    def _read_lines(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def _read_complaints(self) -> None:
        assert self.process.stderr is not None
        self._complaints.extend(self.process.stderr)

    def write(self, line: str) -> None:
        """Send a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def read(self, timeout: float, waited_for: str) -> str:
        """The next line.

        Raises:
            PeerError: there is none within *timeout* seconds, or ever.
        """
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise PeerError(f"{self._title} was not {waited_for} within {timeout} s: {self.said()}") from None
        if not line:
            self._readers[1].join(_STOP_SECONDS)
            raise PeerError(f"{self._title} ended before it was {waited_for}: {self.said()}")
        return line

    def said(self) -> str:
        """What it complained of last."""
        return "".join(self._complaints) or "it said nothing"

    def stop(self) -> None:
        """End it; may be called twice."""
        if self.process.stdin is not None and not self.process.stdin.closed:
            # what it never read is lost with it
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(_STOP_SECONDS)
        for reader in self._readers:
            reader.join(_STOP_SECONDS)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


class PeerServer:
    """A running server: one endpoint per variant, as the README.md of the stack lists them.

    It listens on free ports of 127.0.0.1 and ends when this object is stopped, or this process ends.

    Args:
        stack: what to run; it must have been built.
        pki: folder as the fixture ``pki`` makes it.
        arguments: further options of the server, for example ``"--lifetime-ms", "3000"``.
        java_options: options of the JVM.

    Raises:
        PeerError: it did not start within two minutes, or could not publish one of its variants.
    """

    def __init__(
        self, stack: Stack, pki: Path, *arguments: str | Path, java_options: Sequence[str] = SMALL_JVM
    ) -> None:
        self.stack = stack
        self._title = f"the {stack.title} server"
        self._tls = ssl.create_default_context(cafile=pki / "ca.pem")
        self._java = _Java(
            self._title, ["java", *java_options, "-jar", stack.jar, "server", "--pki", pki, *arguments]
        )
        try:
            self._ready = self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def _wait_until_ready(self) -> dict[str, Any]:
        ready: dict[str, Any] = json.loads(self._java.read(_START_SECONDS, "ready"))
        if ready.get("broken"):
            raise PeerError(f"{self._title} could not publish {ready['broken']}: {self._java.said()}")
        return ready

    @property
    def names(self) -> list[str]:
        """The variants it serves."""
        return list(self._ready["endpoints"])

    @property
    def version(self) -> str:
        """The version of the stack."""
        return str(self._ready["version"])

    @property
    def admin_url(self) -> str:
        """URL of the plain administrative port, for the client's option ``admin``."""
        return str(self._ready["admin"])

    @property
    def process_id(self) -> int:
        """Of the server's JVM."""
        return self._java.process.pid

    def url(self, name: str) -> str:
        """URL of the endpoint of a variant; https where it is one over TLS."""
        return str(self._ready["endpoints"][name]["url"])

    def wsdl(self, name: str) -> str:
        """URL of the WSDL of a variant; CXF's are always http."""
        return str(self._ready["endpoints"][name]["wsdl"])

    def wsdl_text(self, name: str) -> str:
        """The WSDL of a variant, for tests that save or change it."""
        return self._get(self.wsdl(name)).decode()

    def admin(self, path: str) -> Any:
        """What the administrative port answers, for example on ``/stats``."""
        return json.loads(self._get(self.admin_url + path))

    def _get(self, url: str) -> bytes:
        # no proxy of the environment stands between two processes of this machine
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._tls)
        )
        try:
            with opener.open(url, timeout=_ADMIN_SECONDS) as answer:
                content: bytes = answer.read()
                return content
        except OSError as e:
            raise PeerError(f"{self._title} does not answer {url}: {e}; {self._java.said()}") from e

    def stats(self) -> dict[str, int]:
        """Counters since its start: issued, renewed, cancelled, calls, faults."""
        return dict(self.admin("/stats"))

    def sessions(self) -> list[dict[str, Any]]:
        """The contexts it holds: endpoint, identifier, instance, secretHex, created, expires, principal."""
        return list(self.admin("/sessions"))

    def forget(self) -> int:
        """Makes it lose all contexts; returns how many."""
        return int(self.admin("/forget")["tokens"])

    def expire(self) -> int:
        """Makes all its contexts expired; returns how many."""
        return int(self.admin("/expire")["tokens"])

    def timings(self, *, reset: bool = False) -> dict[str, Any]:
        """How long it worked on requests since the last reset; CXF only."""
        return dict(self.admin("/timings/reset" if reset else "/timings"))

    def stop(self) -> None:
        """Ends it; may be called twice."""
        self._java.stop()

    def __enter__(self) -> PeerServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class PeerClient:
    """The client of a stack.

    Args:
        stack: what to run; it must have been built.
        pki: folder as the fixture ``pki`` makes it.
        java_options: options of the JVM.
    """

    def __init__(self, stack: Stack, pki: Path, *, java_options: Sequence[str] = SMALL_JVM) -> None:
        self._title = f"the {stack.title} client"
        self._command = ["java", *java_options, "-jar", str(stack.jar), "client", "--pki", str(pki)]

    def __call__(
        self, *, wsdl: str | Path, endpoint: str | None = None, timeout: float = 180, **options: Any
    ) -> dict[str, Any]:
        """Lets it call a service.

        Args:
            wsdl: URL or path.
            endpoint: URL to call instead of the one in the WSDL.
            timeout: seconds until it is given up.
            options: further options with ``_`` for ``-``: ``calls=10``, ``check=True``, ``op="sum"``, and for CXF
                ``set={"ws-security.is-bsp-compliant": "false"}``.

        Returns:
            What it reported. ``["ok"]`` says whether all went well, ``["error"]`` what did not: a call that
            was refused is a result.

        Raises:
            PeerError: it did not end in time, or reported nothing.
        """
        try:
            done = subprocess.run(
                self._command + _as_arguments({"wsdl": wsdl, "endpoint": endpoint, **options}),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as e:
            raise PeerError(f"{self._title} did not end within {timeout} s") from e
        try:
            report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        except (IndexError, ValueError):
            said = f"{_tail(done.stdout)}\n{_tail(done.stderr)}"
            raise PeerError(f"{self._title} gave no report, but status {done.returncode}:\n{said}") from None
        return report


class PeerClients:
    """Clients of a stack, one after the other in one JVM; called as :class:`PeerClient` is.

    The JVM starts with the first of them and ends when this object is stopped, or this process ends.

    Args:
        stack: what to run; it must have been built.
        pki: folder as the fixture ``pki`` makes it.
        java_options: options of the JVM.
    """

    def __init__(self, stack: Stack, pki: Path, *, java_options: Sequence[str] = SMALL_JVM) -> None:
        self._title = f"the {stack.title} client"
        self._command: list[str | Path] = ["java", *java_options, "-jar", stack.jar, "clients", "--pki", pki]
        self._java: _Java | None = None

    def __call__(
        self, *, wsdl: str | Path, endpoint: str | None = None, timeout: float = 180, **options: Any
    ) -> dict[str, Any]:
        """Lets one call a service; arguments, result and errors are those of :class:`PeerClient`."""
        if self._java is None:
            self._java = _Java(self._title, self._command)
        arguments = _as_arguments({"wsdl": wsdl, "endpoint": endpoint, **options})
        try:
            self._java.write("\t".join(arguments))
            line = self._java.read(timeout, "done")
            while not line.startswith("{"):
                line = self._java.read(timeout, "done")  # what a stack prints besides
        except (PeerError, OSError):
            self.stop()
            raise
        report: dict[str, Any] = json.loads(line)
        return report

    def stop(self) -> None:
        """Ends the JVM; the next call starts another one."""
        if self._java is not None:
            self._java.stop()
            self._java = None


def _as_arguments(options: Mapping[str, Any]) -> list[str]:
    arguments: list[str] = []
    for name, value in options.items():
        if value is None or value is False:
            continue
        arguments.append(f"--{name.replace('_', '-')}")
        if isinstance(value, Mapping):
            arguments.append(",".join(f"{key}={item}" for key, item in value.items()))
        elif value is not True:
            arguments.append(str(value))
    return arguments
