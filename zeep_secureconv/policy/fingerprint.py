"""A name for a policy that is the same in every process."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
from typing import Any


def fingerprint(*values: Any) -> str:
    """16 hexadecimal digits that differ for different values.

    Args:
        values: values of the policy model, strings, or None. What does not count in a comparison does not count here.
    """
    return hashlib.sha256(_canonical(values).encode()).hexdigest()[:16]


def _canonical(value: Any) -> str:
    if dataclasses.is_dataclass(value):
        fields = (f for f in dataclasses.fields(value) if f.compare)
        inner = ",".join(f"{f.name}={_canonical(getattr(value, f.name))}" for f in fields)
        return f"{type(value).__name__}({inner})"
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, frozenset):
        return "{" + ",".join(sorted(_canonical(item) for item in value)) + "}"
    if isinstance(value, tuple):
        return "[" + ",".join(_canonical(item) for item in value) + "]"
    return repr(value)
