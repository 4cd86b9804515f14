"""Changes keys of a TOML text section by section, so that the cost is that of the sections and not of the whole text.

A section is a header such as `[units.packaging]` with what stands below it. It is found by looking at the lines alone,
which a text of several lines may lead astray; so whoever uses this reads what comes out and compares it with what was
meant.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

import tomlkit.exceptions

Path = tuple[str, ...]

_PLAIN_HEADER = re.compile(r"[ \t]*\[([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)\][ \t]*\r?\n?")

CANNOT = (tomlkit.exceptions.TOMLKitError, AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What editing raises for a text that the library cannot change in a way."""


def edit_sections(
    text: str,
    changes: Mapping[Path, Any],
    put: Callable[[str, Path, Any], str],
    remove: Callable[[str, Path], str],
    append: Callable[[str, Path, Any], str],
) -> str | None:
    """Return the text with these keys set, or removed where the value is None; None where that is not so simple.

    Each change is made by the deepest section that can hold it; what is in none of them is appended to the text.
    """
    sections = _split(text)
    places = {header: number for number, (header, _) in enumerate(sections)}
    parts = [_without_tail(section, is_top=header == ()) for header, section in sections]
    texts = [own for own, _ in parts]
    appended = []
    for path, value in changes.items():
        for depth in range(len(path) - 1, -1, -1):
            number = places.get(path[:depth])
            if number is None:
                continue
            try:
                edited = remove(texts[number], path) if value is None else put(texts[number], path, value)
            except CANNOT:
                continue
            ends = texts[number].endswith("\n") and not edited.endswith("\n")
            texts[number] = edited + "\n" if ends else edited
            break
        else:
            if value is None:
                return None
            appended.append(path)
    made = "".join(own + tail for own, (_, tail) in zip(texts, parts, strict=True))
    try:
        for path in appended:
            made = append(made, path, changes[path])
    except CANNOT:
        return None
    return made


def _split(text: str) -> list[tuple[Path | None, str]]:
    """Return the sections in their order, each with its header's keys; () is what stands before every header.

    A table of an array has None.
    """
    found: list[tuple[Path | None, list[str]]] = [((), [])]
    for line in text.splitlines(keepends=True):
        if line.lstrip(" \t").startswith("["):
            header = header_of(line)
            if header is not None or line.lstrip(" \t").startswith("[["):
                found.append((header, []))
        found[-1][1].append(line)
    return [(header, "".join(lines)) for header, lines in found]


def _without_tail(section: str, *, is_top: bool) -> tuple[str, str]:
    """Split off the blank lines and comments at a section's end: they stand above what comes next, and belong to it.

    Comments right below the last key, with a blank line behind them, are the section's own.
    """
    lines = section.splitlines(keepends=True)
    end = len(lines)
    while end > 0 and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
        end -= 1
    if is_top or not end:
        return section, ""
    while any(not line.strip() for line in lines[end:]) and lines[end].strip():
        end += 1
    return "".join(lines[:end]), "".join(lines[end:])


def header_of(line: str) -> Path | None:
    """Return the keys of a line that is a table's header, or None."""
    plain = _PLAIN_HEADER.fullmatch(line)
    if plain is not None:
        return tuple(plain[1].split("."))
    try:
        table: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return None
    found = []
    while isinstance(table, dict) and len(table) == 1:
        ((key, table),) = table.items()
        found.append(key)
    return tuple(found) if table == {} and isinstance(table, dict) else None
