"""What a service logs, as lines that neither people nor machines can misread."""

from __future__ import annotations

import json
import logging
import re
from datetime import datetime, timezone
from typing import Any

#: What the log of a service says besides its text: the number that a refusal has in its fault, the check that
#: refused, the endpoint, the action, and the context and principal concerned.
FIELDS = ("correlation", "check", "endpoint", "action", "context", "principal")

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class JsonFormatter(logging.Formatter):
    """One JSON object on one line for each record.

    It has ``time`` (UTC, RFC 3339), ``level``, ``logger``, ``process`` and ``message``, those of ``FIELDS`` that
    the record has, and ``traceback`` where there is one. It works for records of any logger.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line for a record."""
        line: dict[str, Any] = {
            "time": _time(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        for name in FIELDS:
            value = getattr(record, name, None)
            if value is not None:
                line[name] = str(value)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True)


class TextFormatter(logging.Formatter):
    """A line for people for each record, and the lines of its traceback.

    What a peer wrote cannot look like a line of its own: control characters of the text are written as escapes.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line for a record."""
        text = _CONTROL.sub(_escaped, record.getMessage())
        line = f"{_time(record):%Y-%m-%d %H:%M:%SZ} {record.levelname} {text}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, timezone.utc)
