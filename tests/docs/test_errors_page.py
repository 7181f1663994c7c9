"""docs/errors.md and docs/security.md name what the code has: every check, every exception, every limit."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import zeep_secureconv
from zeep_secureconv import Limits, SecureConversationError

_ROOT = Path(__file__).parents[2]
_PACKAGE = Path(zeep_secureconv.__file__).parent
_RAISED = {"VerificationError", "LimitExceeded"}
#: Functions that raise a VerificationError with the check that is their last argument.
_HELPERS = {"only", "octets_of", "text_of"}


def _page(name: str) -> str:
    return (_ROOT / "docs" / name).read_text(encoding="utf-8")


def _checks_in_code() -> Iterator[str]:
    for path in _PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                argument = {**dict.fromkeys(_RAISED, node.args[0]), **dict.fromkeys(_HELPERS, node.args[-1])}
                given = argument.get(node.func.id)
                if isinstance(given, ast.Constant) and isinstance(given.value, str):
                    yield given.value


def _first_cells(page: str) -> set[str]:
    return set(re.findall(r"^\| `([\w-]+)` \|", page, flags=re.MULTILINE))


def test_every_check_is_explained() -> None:
    """The page explains every check that the code has, and no other."""
    checks = set(_checks_in_code())
    assert {"signature", "replay", "token-reference"} <= checks
    tables = _page("errors.md").partition("## The checks")[2]
    assert _first_cells(tables) == checks


def test_every_exception_is_explained() -> None:
    """The page explains every exception of the public API."""
    public = {name: getattr(zeep_secureconv, name) for name in zeep_secureconv.__all__}
    errors = {
        name
        for name, value in public.items()
        if isinstance(value, type) and issubclass(value, SecureConversationError)
    } - {"SecureConversationError"}
    assert "TokenFault" in errors
    assert errors <= _first_cells(_page("errors.md"))


def test_every_limit_is_listed_with_its_default() -> None:
    """The page about security lists every limit with the default that the code has."""
    rows = re.findall(r"^\| `(\w+)` \| ([\d,]+)", _page("security.md"), flags=re.MULTILINE)
    written = {name: int(value.replace(",", "")) for name, value in rows}
    assert written == {field.name: field.default for field in dataclasses.fields(Limits)}
