"""``name=value`` arguments of a call."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import click


def read_values(arguments: Iterable[str]) -> dict[str, Any]:
    """The values of a call by their names.

    ``name=value`` gives a text, which zeep writes as the type of the schema; ``name:=JSON`` gives what the
    JSON says. A name that is there again makes a list of its values, in their order.

    Raises:
        click.UsageError: when an argument is neither.
    """
    given: dict[str, list[Any]] = {}
    for argument in arguments:
        name, value = _read(argument)
        given.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in given.items()}


def _read(argument: str) -> tuple[str, Any]:
    name, equals, text = argument.partition("=")
    plain = name.removesuffix(":")
    if not equals or not plain:
        raise click.UsageError(f"{argument!r} is no value: write name=value, or name:=JSON")
    if plain == name:
        return name, text
    try:
        return plain, json.loads(text)
    except json.JSONDecodeError as error:
        raise click.UsageError(f"{plain}:= is not followed by JSON: {error}") from error
