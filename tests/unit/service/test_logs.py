from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any

import pytest

from zeep_secureconv.service.logs import FIELDS, JsonFormatter, TextFormatter

_AT = 1795244400.25  # 2026-11-21 07:00:00.25 UTC


def _record(message: str, *arguments: object, exc_info: Any = None, **fields: object) -> logging.LogRecord:
    made = logging.makeLogRecord(
        {
            "name": "zeep_secureconv.service",
            "levelno": logging.WARNING,
            "levelname": "WARNING",
            "msg": message,
            "args": arguments,
            "exc_info": exc_info,
            **fields,
        }
    )
    made.created = _AT
    return made


def _failure() -> Any:
    try:
        raise KeyError("defect")
    except KeyError:
        return sys.exc_info()


def test_json_has_what_is_known() -> None:
    """A line has time, level, logger, process and text, and the fields of the record in their place."""
    record = _record(
        "refused [%s] %s", "0a1b2c3d", "replay", correlation="0a1b2c3d", check="replay", endpoint=None
    )
    assert json.loads(JsonFormatter().format(record)) == {
        "time": "2026-11-21T07:00:00.250Z",
        "level": "WARNING",
        "logger": "zeep_secureconv.service",
        "process": os.getpid(),
        "message": "refused [0a1b2c3d] replay",
        "correlation": "0a1b2c3d",
        "check": "replay",
    }


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_is_told(name: str) -> None:
    """Each field that a record may have is in the line under its name."""
    assert json.loads(JsonFormatter().format(_record("text", **{name: "value"})))[name] == "value"


def test_nothing_else_is_told() -> None:
    """What a record has besides stays out: it may be anything."""
    assert "hunter2" not in JsonFormatter().format(_record("text", password="hunter2"))


_FORGED = "text\n2026-11-21 07:00:00Z WARNING refused\r\x1b[2J\u2028more"


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_nobody_writes_a_line_of_his_own(formatter: logging.Formatter) -> None:
    """What a peer says cannot begin a line, or steer a terminal."""
    line = formatter.format(_record("%s", _FORGED))
    assert len(line.splitlines()) == 1
    assert "\x1b" not in line
    assert "text\\n2026" in line


def test_tracebacks_are_told() -> None:
    """A failure of the application has its traceback: in JSON in the line, in text below it."""
    record = _record("failed", exc_info=_failure())
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert "KeyError: 'defect'" in json.loads(line)["traceback"]
    text = TextFormatter().format(record)
    assert text.startswith("2026-11-21 07:00:00Z WARNING failed\nTraceback")
