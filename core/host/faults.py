"""Gathers every fault of a file with its place, so that a person can mend all of them in one go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from core.model.errors import did_you_mean

ALIKE = 3
"""In so many places a fault is told once."""

UNKNOWN_KEY = "Unknown field."  # marshmallow's words, turned into a letter here


class Faults:
    """Faults in the order they were found, each place and message once."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], None] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, path: str, message: str) -> None:
        """Keep a fault: where it is, and what is wrong there."""
        self._found[path, message] = None

    def as_errors(self) -> list[dict[str, str]]:
        """Return the faults as `errors` of an OutriggerError."""
        return [{"path": path, "message": message} for path, message in self._found]

    def letter(self) -> str:
        """Return all faults as text, one a line; what is wrong alike in many places is said once, with the places."""
        places: dict[str, list[str]] = {}
        for path, message in self._found:
            places.setdefault(message, []).append(path)
        lines = []
        for message, paths in places.items():
            if len(paths) < ALIKE:
                lines += [f"{path}: {message}" for path in paths]
            else:
                lines.append(f"{paths[0]}: {message} The same in {len(paths) - 1} more places, such as {paths[1]}.")
        return "\n".join(lines)


def unknown_key(key: str, known: Iterable[str]) -> str:
    """Return the message for a key that does not exist, with the nearest one that does."""
    return f"unknown key `{key}`.{did_you_mean(key, known)}".replace('"', "`")


def key_faults(messages: Any, *, known: Iterable[str] = ()) -> Iterator[tuple[str, str, str]]:
    """Yield (place, message, key) for marshmallow's `messages`; unknown keys get the nearest known one.

    `known` holds dotted keys, such as `grades.A`. An unknown key is reported at the table that holds it; every other
    fault at the key itself, so place and key differ for unknown keys alone.
    """
    names = list(known)
    for path, message in flatten(messages):
        if message == UNKNOWN_KEY and path:
            table = ".".join(path[:-1])
            prefix = f"{table}." if table else ""
            siblings = [name.removeprefix(prefix).partition(".")[0] for name in names if name.startswith(prefix)]
            yield table, unknown_key(path[-1], siblings), ".".join(path)
        else:
            yield ".".join(path), message, ".".join(path)


def flatten(messages: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield (path, message) for every fault in marshmallow's `messages`."""
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            # marshmallow puts the faults of a Dict's members below `key` and `value`, of a schema below `_schema`.
            hidden = key == "_schema" or (key in ("key", "value") and isinstance(inner, list) and path)
            yield from flatten(inner, path if hidden else (*path, str(key)))
    elif isinstance(messages, list):
        for inner in messages:
            yield from flatten(inner, path)
    else:
        yield path, str(messages)
