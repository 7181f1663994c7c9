"""The code blocks of README.md, CONTRIBUTING.md and docs/: all Python compiles, and what is marked runs.

A comment on the line before a block marks it; readers of the rendered page do not see it:

``<!-- run -->``
    Run the block: ``python``, ``sh`` (under ``bash -eu``), or ``console`` (lines after ``$ `` are commands;
    other lines, if any, are what they print). The blocks of a page run from top to bottom in one empty
    folder, its Python blocks in one namespace; ``await`` is allowed outside of functions.
``<!-- run background -->``
    Start the block's one command and go on when it has printed a line; it is ended after the last block of
    the page. With ``port=8080``, that number becomes a free port, here and in all later blocks of the page.
``<!-- output -->``
    The block is what the Python block before it prints.

In all output ``...`` stands for anything, and white space is not compared.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import difflib
import doctest
import inspect
import io
import os
import queue
import re
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.redis_server import need_redis

_ROOT = Path(__file__).parents[2]
_PAGES = [
    path
    for path in [_ROOT / "README.md", _ROOT / "CONTRIBUTING.md", *sorted((_ROOT / "docs").rglob("*.md"))]
    if path.exists()
]

_BLOCK = re.compile(
    r"^(?:[ \t]*<!--[ ]*(?P<marker>(?:run|output)\b[^>]*?)[ ]*-->[ \t]*\n)?"
    r"^(?P<indent>[ \t]*)```(?P<language>[\w-]+)[^\n]*\n(?P<text>.*?)^(?P=indent)```[ \t]*$",
    re.MULTILINE | re.DOTALL,
)
_COMMENT = re.compile(r"^[ \t]*<!--[ ]*(?:run|output)\b", re.MULTILINE)
_MARKER = re.compile(r"run|run background(?: port=(?P<port>\d+))?|output")
_LANGUAGES = {"run": {"python", "sh", "console"}, "run background": {"sh", "console"}, "output": {"text"}}
_LOOSE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
_SECONDS = 120


@dataclass(frozen=True)
class _Block:
    place: str
    language: str
    marker: str | None
    text: str

    @property
    def verb(self) -> str | None:
        return None if self.marker is None else self.marker.partition(" port=")[0]

    @property
    def port(self) -> str | None:
        found = _MARKER.fullmatch(self.marker or "")
        return found["port"] if found else None


def _blocks(page: Path) -> list[_Block]:
    text = page.read_text(encoding="utf-8")
    name = page.relative_to(_ROOT).as_posix() if page.is_relative_to(_ROOT) else page.name
    return [
        _Block(
            place=f"{name}:{text.count(chr(10), 0, found.start('language')) + 1}",
            language=found["language"],
            marker=found["marker"],
            text=textwrap.dedent(found["text"]),
        )
        for found in _BLOCK.finditer(text)
    ]


def _compiled(block: _Block) -> Any:
    return compile(block.text, block.place, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)


@dataclass
class _Run:
    """One page while its blocks run."""

    folder: Path
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})
    ports: dict[str, str] = field(default_factory=dict)
    started: list[tuple[subprocess.Popen[str], threading.Thread]] = field(default_factory=list)
    printed: str = ""

    def page(self, blocks: list[_Block]) -> None:
        for block in blocks:
            self._block(block)

    def _block(self, block: _Block) -> None:
        if block.port is not None:
            self.ports[block.port] = _free_port()
        for written, real in self.ports.items():
            block = replace(block, text=re.sub(rf"\b{written}\b", real, block.text))
        match (block.verb, block.language):
            case ("run", "python"):
                self._python(block)
            case ("run", _):
                self._commands(block)
            case ("run background", _):
                self._start(block)
            case ("output", _):
                _compare(block.place, block.text, self.printed)

    def _python(self, block: _Block) -> None:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            code = _compiled(block)
            if code.co_flags & inspect.CO_COROUTINE:
                asyncio.run(eval(code, self.names))  # noqa: S307 - our own documentation
            else:
                exec(code, self.names)  # noqa: S102
        self.printed = printed.getvalue()

    def _commands(self, block: _Block) -> None:
        for command, expected in _parsed(block):
            done = subprocess.run(
                _shell(command),
                cwd=self.folder,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=_SECONDS,
                check=False,
            )
            assert done.returncode == 0, f"{block.place}: {command}\n{done.stdout}"
            if expected:
                _compare(block.place, expected, done.stdout)

    def _start(self, block: _Block) -> None:
        ((command, _),) = _parsed(block)
        process = subprocess.Popen(
            _shell(f"exec {command}"),
            cwd=self.folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        reader = threading.Thread(target=_read, args=(process, lines), daemon=True)
        reader.start()
        self.started.append((process, reader))
        first = lines.get(timeout=_SECONDS)
        assert first, f"{block.place}: {command} printed nothing, status {process.wait(_SECONDS)}"

    def stop(self) -> None:
        for process, _ in self.started:
            process.terminate()
        for process, reader in self.started:
            try:
                process.wait(_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(_SECONDS)
            reader.join(_SECONDS)
            if process.stdout is not None:
                process.stdout.close()


def _read(process: subprocess.Popen[str], lines: queue.SimpleQueue[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put("")


def _parsed(block: _Block) -> list[tuple[str, str]]:
    """The commands of a block, each with what it prints."""
    if block.language == "sh":
        return [(block.text, "")]
    commands: list[tuple[str, str]] = []
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines(keepends=True)
        end = next(i for i, line in enumerate(lines, 1) if not line.endswith("\\\n"))
        commands.append(("".join(lines[:end]), "".join(lines[end:])))
    assert commands, f"{block.place}: no line starts with '$ '"
    return commands


def _shell(command: str) -> list[str]:
    return ["bash", "-euo", "pipefail", "-c", command]


def _environment() -> dict[str, str]:
    # the interpreter's own folder comes first: there is the zeep-secureconv that these tests are about
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "NO_COLOR": "1", "COLUMNS": "110", "PYTHONUNBUFFERED": "1"}


def _free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return str(listening.getsockname()[1])


def _compare(place: str, expected: str, printed: str) -> None:
    same = doctest.OutputChecker().check_output(expected, printed, _LOOSE)
    lines = difflib.ndiff(expected.splitlines(), printed.splitlines())
    assert same, f"{place}: not what it prints\n" + "\n".join(lines)


@pytest.fixture
def page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Run]:
    """An empty folder, and the end of what was started in the background."""
    monkeypatch.chdir(tmp_path)
    run = _Run(tmp_path)
    yield run
    run.stop()


_ALL = [block for page in _PAGES for block in _blocks(page)]
_RUNNABLE = [page for page in _PAGES if any(block.verb for block in _blocks(page))]


@pytest.mark.parametrize(
    "block", [b for b in _ALL if b.language == "python"], ids=lambda block: str(block.place)
)
def test_python_compiles(block: _Block) -> None:
    """A Python block of the documentation is Python."""
    assert _compiled(block)


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.name))
def test_markers_are_understood(page: Path) -> None:
    """Every marker of a page stands right before a block that it fits."""
    marked = [block for block in _blocks(page) if block.marker]
    assert len(marked) == len(_COMMENT.findall(page.read_text(encoding="utf-8")))
    for block in marked:
        assert _MARKER.fullmatch(block.marker or ""), f"{block.place}: {block.marker}"
        assert block.language in _LANGUAGES[block.verb or ""], f"{block.place}: {block.language}"


@pytest.mark.parametrize("page", _RUNNABLE, ids=lambda page: str(page.name))
def test_page_runs(page: Path, page_run: _Run) -> None:
    """The marked blocks of a page run, one after the other, and print what the page says."""
    blocks = _blocks(page)
    if any(block.verb and "redis-server" in block.text for block in blocks):
        need_redis()
    page_run.page(blocks)


def test_readme_shows_code_that_runs() -> None:
    """The README has Python that is run here, so that its first example cannot rot."""
    assert ("run", "python") in [(block.verb, block.language) for block in _blocks(_ROOT / "README.md")]


_SAMPLE = """
Text.

<!-- run -->
```sh
printf 'from the shell' > told.txt
```

1. In a list:

    <!-- run background port=8080 -->
    ```console
    $ python -u -c "print('ready 8080'); import signal; signal.pause()"
    ```

<!-- run -->
```console
$ cat told.txt \\
    told.txt
from the ...shell
$ echo 8080 | grep -v "^80""80$"
```

```python
not_run()
```

<!-- run -->
```python
import asyncio
from pathlib import Path
await asyncio.sleep(0)
told = Path("told.txt").read_text()
```

<!-- run -->
```python
print(told, 8080)
```

<!-- output -->
```text
from ... 8080
```
"""


def _sample(folder: Path, text: str) -> list[_Block]:
    page = folder / "page.md"
    page.write_text(text, encoding="utf-8")
    return _blocks(page)


def test_convention_works(page_run: _Run) -> None:
    """A page with every kind of marker runs, and what it started in the background lives until its end."""
    page_run.page(_sample(page_run.folder, _SAMPLE))
    ((background, _),) = page_run.started
    assert background.poll() is None
    page_run.stop()
    assert background.poll() is not None


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("from ... 8080", "from nowhere"),
        ("from the ...shell", "from the sea"),
        ("print(told, 8080)", "print(untold, 8080)"),
        ("printf 'from", "exit 3 'from"),
        ("print('ready 8080')", "raise SystemExit(1)"),
    ],
)
def test_wrong_pages_fail(right: str, wrong: str, page_run: _Run) -> None:
    """A page whose code fails, or prints something else than the page says, does not pass."""
    assert right in _SAMPLE
    blocks = _sample(page_run.folder, _SAMPLE.replace(right, wrong))
    with pytest.raises((AssertionError, NameError)):
        page_run.page(blocks)
