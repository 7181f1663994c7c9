"""The commands put together, and the one place where errors become messages."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import click

from .. import __version__
from .call import call
from .demo import demo
from .explain import explain as explain_policy
from .failures import EXPLAINED, Failure, explain, printable, report
from .outcome import Outcome
from .pki import pki
from .serve import serve
from .sessions import sessions

_NAME = "zeep-secureconv"
_FAILED = 1
_WRONG_USAGE = 2
#: As shells report a program that ended on Ctrl-C.
_INTERRUPTED = 130


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  zeep-secureconv demo
  zeep-secureconv pki keys
  zeep-secureconv call http://localhost:8080/peer?wsdl echo text=hello --identity keys/client.p12 ...
  zeep-secureconv explain http://localhost:8080/peer?wsdl
""",
)
@click.version_option(__version__, prog_name=_NAME)
def _commands() -> None:
    """WS-SecureConversation: call SOAP services that demand it, and serve one."""


for _command in (demo, call, serve, sessions, explain_policy, pki):
    _commands.add_command(_command)


def run(arguments: Sequence[str]) -> int:
    """Carry out a command line.

    Args:
        arguments: without the program's name.

    Returns:
        The exit status: 0 done, 1 failed, 2 wrong usage.
    """
    for stream in (sys.stdout, sys.stderr):
        # what a peer says may have characters that this terminal does not
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        return int(_commands.main(list(arguments), prog_name=_NAME, standalone_mode=False) or 0)
    except click.UsageError as error:
        error.show()
        _tell_json(arguments, error)
        return _WRONG_USAGE
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        click.echo("Interrupted", err=True)
        return _INTERRUPTED
    except EXPLAINED as error:
        report(explain(error))
        return _FAILED


def _tell_json(arguments: Sequence[str], error: click.UsageError) -> None:
    """Whoever reads the object of ``call --json`` finds one for wrong usage too."""
    if "--json" in arguments and arguments[0] == call.name:
        hint = f"{_NAME} call --help"
        outcome = Outcome(error=Failure(type(error).__name__, printable(error.format_message()), hint))
        click.echo(json.dumps(outcome.as_dict()))
