from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from zeep_secureconv.cli.progress import progress

_PROGRAM = """
import threading
from zeep_secureconv.cli import progress
progress._PATIENCE = {patience}
with progress.progress("Working", 3) as step:
    for timer in threading.enumerate():
        if isinstance(timer, threading.Timer) and {wait}:
            timer.join()
    step()
print("done")
"""


def _on_a_terminal(program: str) -> str:
    """What a program writes to standard error, when that is a terminal."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        command = [sys.executable, "-c", program]
        ended = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=theirs, text=True, check=True, timeout=60
        )
        # so that there is something to read in any case
        os.write(theirs, b"|")
        os.close(theirs)
        assert ended.stdout == "done\n"
        return terminal.read(65_536).decode()


def test_long_work_is_shown_on_a_terminal() -> None:
    """What takes longer than the patience of a user is shown with its steps."""
    assert "Working" in _on_a_terminal(_PROGRAM.format(patience=0, wait=True))


def test_short_work_is_not_shown() -> None:
    """What is over before that leaves nothing on the terminal."""
    assert "Working" not in _on_a_terminal(_PROGRAM.format(patience=1_000, wait=False))


def test_nothing_is_shown_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Standard error that goes to a file stays clean, even where colours are wanted."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr("zeep_secureconv.cli.progress._PATIENCE", 0)
    with progress("Working", 1) as step:
        step()
    assert capsys.readouterr() == ("", "")
