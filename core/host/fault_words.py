"""Says what marshmallow found wrong with a value as a letter to whoever wrote it: what it must be, and what it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

ABSENT: Final = object()
"""Stands for a value that is not there."""

MISSING = "Missing data for required field."
_MUST: Mapping[str, str] = {
    "Not a valid integer.": "must be a whole number, such as 5",
    "Not a valid number.": "must be a number",
    "Not a valid boolean.": "must be true or false",
    "Not a valid string.": 'must be text in quotes, such as "a"',
    "Not a valid list.": 'must be a list in brackets, such as ["a", "b"]',
    "Not a valid mapping type.": "must be a table",
    "Invalid input type.": "must be a table",
    "Invalid type.": "must be a table",
    "Not a valid email address.": "must be an e-mail address",
    "Not a valid date.": "must be a date, such as 2026-10-01",
    "Not a valid time.": "must be a time, such as 08:30",
}
_LONGEST = 60


def worded(message: str, value: Any = ABSENT) -> str:
    """Return the message with what the value must be and what it is; a message with words of its own stays."""
    if message == MISSING:
        return "is missing"
    must = _MUST.get(message)
    if must is None:
        return message
    return must if value is ABSENT else f"{must}; it is {_shown(value)}"


def value_at(table: Any, path: Sequence[str]) -> Any:
    """Return what stands at a path of a table, or ABSENT."""
    for key in path:
        if isinstance(table, Mapping) and key in table:
            table = table[key]
        elif isinstance(table, list) and key.isdigit() and int(key) < len(table):
            table = table[int(key)]
        else:
            return ABSENT
    return table


def _shown(value: Any) -> str:
    """Return a value as it is written in TOML, as far as one line shows it."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list):
        return "a list"
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool | int | float) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
