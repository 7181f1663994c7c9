from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import zeep_secureconv

CommandLine = Callable[..., Any]


@pytest.mark.parametrize("command", ["demo", "call", "serve", "pki"])
def test_help_has_examples(cli: CommandLine, command: str) -> None:
    """Each command's help shows how it is used."""
    result = cli(command, "--help")
    assert result.status == 0
    assert f"zeep-secureconv {command}" in result.out.partition("Examples:")[2]


def test_help_names_the_environment(cli: CommandLine) -> None:
    """The help tells how to keep a password off the command line."""
    assert "ZEEP_SECURECONV_IDENTITY_PASSWORD" in cli("call", "--help").out


def test_version(cli: CommandLine) -> None:
    """--version gives the version of the package."""
    assert zeep_secureconv.__version__ in cli("--version").out


@pytest.mark.parametrize("arguments", [["no-such-command"], ["pki"], ["serve"], ["demo", "extra"]])
def test_wrong_usage_has_status_2(cli: CommandLine, arguments: list[str]) -> None:
    """Wrong usage says how it is right, on standard error."""
    result = cli(*arguments)
    assert (result.status, result.out) == (2, "")
    assert "Usage:" in result.err


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_the_extra_there_is_one_line(missing: str) -> None:
    """Without click or rich the command line says what to install, with status 2 and no traceback."""
    program = f"import sys; sys.modules[{missing!r}] = None; from zeep_secureconv.cli import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines() == [
        f"The command line needs {missing}, which is not installed: pip install zeep_secureconv[cli]"
    ]


def test_without_cheroot_serving_is_a_failure_with_a_hint() -> None:
    """Without cheroot the command line says what to install, with status 1 and no traceback."""
    program = "import sys; sys.modules['cheroot'] = None; from zeep_secureconv.cli import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", program, "demo"], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 1
    assert "pip install zeep_secureconv[service]" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_runs_as_a_module() -> None:
    """``python -m zeep_secureconv`` is the same command line."""
    command = [sys.executable, "-m", "zeep_secureconv", "--version"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert zeep_secureconv.__version__ in ended.stdout
