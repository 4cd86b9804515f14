"""Loads a table so that all its faults are found at once, not only those of the first kind that a schema looks for.

marshmallow checks relations between values only when every value by itself is sound. So what is at fault is taken out
and the rest is loaded again, until nothing new is found: a person mends all of it in one go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import marshmallow as ma

from core.host.fault_words import MISSING, value_at, worded
from core.host.faults import flatten, key_faults

Load = Callable[[Mapping[str, Any], tuple[str, ...]], Any]
"""Loads a table; the second argument names required keys of it that may be missing, for marshmallow's `partial`."""

Path = tuple[str, ...]

_ROUNDS = 40  # more than anybody's file has faults one behind the other


@dataclass(slots=True)
class Loaded:
    """What came of a table: its value, or that of its sound part, and the faults as `key_faults` words them."""

    value: Any = None  # None when not even a part can be loaded
    faults: list[tuple[str, str, str]] = field(default_factory=list)  # place, message, key
    missing: tuple[str, ...] = ()  # the keys that were left out of the sound part


def load_table(schema: ma.Schema, table: Any, *, known: Iterable[str] = ()) -> Loaded:
    """Load a table by its schema; `known` are names for keys that are not the schema's own."""
    names = [*schema.fields, *known]
    return load_every_fault(lambda rest, missing: schema.load(rest, partial=missing), table, known=names)


def load_every_fault(load: Load, table: Any, *, known: Iterable[str]) -> Loaded:
    """Load a table and, when it has faults, its sound part, gathering the faults of every round."""
    found, gone, lost = Loaded(), set[Path](), set[str]()
    rest = deepcopy(table) if isinstance(table, Mapping) else table
    for _ in range(_ROUNDS):
        try:
            found.value = load(rest, found.missing)
        except ma.ValidationError as error:
            fresh = [(path, text) for path, text in flatten(error.messages) if not _follows(path, text, gone, lost)]
            for path, text in fresh:
                found.faults += key_faults(_nested(path, worded(text, value_at(rest, path))), known=known)
            if not _take_out(rest, fresh, found, gone, lost):
                return found
        else:
            break
    found.missing = tuple(sorted({*found.missing, *(path[0] for path in gone)}))
    return found


def _follows(path: Path, message: str, gone: set[Path], lost: set[str]) -> bool:
    """Whether a fault is only there since something was taken out."""
    for other in gone:
        is_beside = other[:-1] in (path[:-1], path)  # a relation to what was taken out names it
        if path[: len(other)] == other or other[: len(path)] == path:
            return True
        if is_beside and re.search(rf"\b{re.escape(other[-1])}\b", message):
            return True
    return any(f'"{name}"' in message for name in lost)


def _take_out(rest: Any, fresh: list[tuple[Path, str]], found: Loaded, gone: set[Path], lost: set[str]) -> bool:
    """Take out what is at fault; return whether anything was."""
    before = len(gone)
    for path, message in fresh:
        if len(path) == 1 and message == MISSING and path[0] not in found.missing:
            found.missing = (*found.missing, path[0])
            gone.add(path)
            continue
        place = _removable(rest, path)
        if place:
            inner = rest
            for key in place[:-1]:
                inner = inner[int(key)] if isinstance(inner, list) else inner[key]
            value = inner.pop(place[-1])
            gone.add(place)
            if isinstance(value, (Mapping, list)):
                lost.add(place[-1])
    return len(gone) > before


def _removable(rest: Any, path: Path) -> Path:
    """Return the place nearest to a fault that can be left out: a key of a table, not an item of a list."""
    best: Path = ()
    inner = rest
    for depth, key in enumerate(path):
        if isinstance(inner, dict) and key in inner:
            best, inner = path[: depth + 1], inner[key]
        elif isinstance(inner, list) and key.isdigit() and int(key) < len(inner):
            inner = inner[int(key)]
        else:
            break
    return best


def _nested(path: Path, message: str) -> Any:
    result: Any = [message]
    for key in reversed(path):
        result = {key: result}
    return result
