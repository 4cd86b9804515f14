"""Writes whole columns as PostgreSQL array literals: the driver's own way looks at each value by itself, in Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def array_literal(values: Sequence[Any]) -> str:
    """Return the literal of an array of texts, numbers, booleans and nulls, for a parameter that is cast to its type.

    No text may hold a NUL character, which PostgreSQL refuses in any case; it stands between the values meanwhile.
    """
    if not values:
        return "{}"
    first = type(values[0])
    if first is str and None not in values:
        return _quoted(values)
    if first is int and None not in values:
        return "{" + ",".join(map(str, values)) + "}"
    return "{" + ",".join(map(_element, values)) + "}"


def _quoted(texts: Sequence[str]) -> str:
    joined = "\0".join(texts)
    if joined.count("\0") != len(texts) - 1:
        raise ValueError("A text has a NUL character, which no column holds.")
    if "\\" in joined:
        joined = joined.replace("\\", "\\\\")
    if '"' in joined:
        joined = joined.replace('"', '\\"')
    return '{"' + joined.replace("\0", '","') + '"}'


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "t" if value else "f"
    return _quoted([value])[1:-1] if isinstance(value, str) else str(value)
