"""The command line, ``zeep-secureconv``: an extra, since it needs click and rich."""

from __future__ import annotations

import sys

_NEEDS = frozenset({"click", "rich"})


def main() -> None:
    """Run the command line and exit with its status: 0 done, 1 failed, 2 wrong usage."""
    try:
        from .application import run
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _NEEDS:
            raise
        sys.stderr.write(
            f"The command line needs {missing}, which is not installed: pip install zeep_secureconv[cli]\n"
        )
        sys.exit(2)
    sys.exit(run(sys.argv[1:]))
