"""Changes single keys of a TOML text: sets and removes them, with comments and order kept.

Public: `edit(text, changes, name)`. What comes out is read again and compared with what was meant, so that a text that
cannot be changed safely is refused and never damaged.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

import tomlkit
import tomlkit.items

from core.host.toml_document import dotted, drop, parse, put, read, same, value_at
from core.host.toml_sections import CANNOT, edit_sections, header_of
from core.model.errors import ConfigurationRefused

Path = tuple[str, ...]

LONG_LIST = 80
"""A list that would be longer than this in one line is written with one member a line."""


def edit(text: str, changes: Mapping[Path, Any], name: str) -> str:
    """Return the TOML text with these keys set, or removed where the value is None; the rest stays as it is.

    A value is what TOML knows: text, numbers, booleans, dates, lists, tables. Raises ConfigurationRefused when a key
    stands inside something that is no table, and when the text cannot be changed without touching something else.
    """
    before = read(text, name)
    wanted = dict(before)
    for path, value in changes.items():
        _own_tables(wanted, path)
        _change(wanted, path, value)
    quick = edit_sections(text, changes, _set, _remove, _append)
    if quick is not None and _says(quick, wanted, before, changes):
        return quick
    for path, value in changes.items():
        text = _edit_one(text, path, value, name)
    return text


def _change(document: dict[str, Any], path: Path, value: Any) -> None:
    if value is None:
        drop(document, path)
    else:
        put(document, path, copy.deepcopy(value))


def _own_tables(document: dict[str, Any], path: Path) -> None:
    """Put copies in the place of the tables on a path, so that they can be changed in a document that is shared."""
    table = document
    for key in path[:-1]:
        inner = table.get(key)
        if not isinstance(inner, dict):
            return
        table[key] = table = dict(inner)


def _edit_one(text: str, path: Path, value: Any, name: str) -> str:
    before, wanted = parse(text, name), parse(text, name)
    _change(wanted, path, value)
    for edited in _ways(text, wanted, path, value):
        if _says(edited, wanted, before, [path]):
            return edited
    raise ConfigurationRefused(f"{name} cannot be changed automatically; set `{dotted(path)}` by hand.")


def _ways(text: str, wanted: Mapping[str, Any], path: Path, value: Any) -> Iterator[str]:
    """Yield the text changed in one way after another, the gentlest first; not every one says what is wanted."""
    if value is None:
        yield from _tried(_remove, text, path)
    else:
        yield from _tried(_set, text, path, value)
        yield from _below_header(text, path, value)
        yield from _tried(_append, text, path, value)
        for rest in _tried(_remove, text, path):
            yield from _tried(_set, rest, path, value)
            yield from _below_header(rest, path, value)
    for depth in range(len(path) if value is not None else len(path) - 1, 0, -1):
        # The table, or one that holds it, is written anew, where it is or at the end: comments inside of it are lost.
        table = path[:depth]
        yield from _tried(_set, text, table, value_at(wanted, table))
        for rest in _tried(_remove, text, table):
            yield from _tried(_append, rest, table, value_at(wanted, table))


def _tried(way: Callable[..., str], *given: Any) -> Iterator[str]:
    try:
        yield way(*given)
    except CANNOT:
        return  # the library cannot change such a text in this way


def _says(text: str, wanted: dict[str, Any], before: Mapping[str, Any], paths: Iterable[Path]) -> bool:
    found = _parsed(text)
    if found is None:
        return False
    # A table that was there only for the sake of a removed key may be gone with it.
    is_same = same(_without_empty(found, paths), _without_empty(wanted, paths))
    return is_same and all(_in_order(before[key], found[key]) for key in before.keys() & found.keys())


def _without_empty(document: Mapping[str, Any], paths: Iterable[Path]) -> dict[str, Any]:
    found = dict(document)
    for path in paths:
        _own_tables(found, path)
        for depth in range(len(path) - 1, 0, -1):
            if value_at(found, path[:depth]) == {}:
                drop(found, path[:depth])
    return found


def _in_order(before: Any, after: Any) -> bool:
    """Whether the tables stand in the same order: of the units, the first that fits a record takes it."""
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return True
    both = {key for key in before if isinstance(before[key], Mapping) and isinstance(after.get(key), Mapping)}
    kept = [key for key in before if key in both] == [key for key in after if key in both]
    return kept and all(_in_order(before[key], after[key]) for key in both)


def _set(text: str, path: Path, value: Any) -> str:
    """Set a key where it is, or at the end of its table; a table that is not there yet is not made."""
    document = tomlkit.parse(text)
    table: Any = document
    for key in path[:-1]:
        table = table[key]
    old = table.get(path[-1])
    if isinstance(old, tomlkit.items.AoT) and isinstance(value, list) and value:
        table[path[-1]] = value
    elif isinstance(value, Mapping) and (_has_headers(table) if old is None else _has_headers(old)):
        raise ValueError("a table is appended, with a header of its own")
    else:
        table[path[-1]] = _item(value)
    return tomlkit.dumps(document)


def _has_headers(old: Any) -> bool:
    is_table = isinstance(old, Mapping) and not isinstance(old, tomlkit.items.InlineTable)
    return is_table or isinstance(old, tomlkit.items.AoT)


def _remove(text: str, path: Path) -> str:
    document = tomlkit.parse(text)
    table: Any = document
    for key in path[:-1]:
        table = table[key]
    del table[path[-1]]
    return tomlkit.dumps(document)


def _below_header(text: str, path: Path, value: Any) -> Iterator[str]:
    """Yield the text with the key right below its table's header; a key of no table stands before everything."""
    if isinstance(value, Mapping):
        return
    lines = text.splitlines(keepends=True)
    said = f"{_key(path[-1])} = {_text(value)}\n"
    if len(path) == 1:
        yield said + text
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("[") and header_of(line) == path[:-1]:
            end = "" if line.endswith("\n") else "\n"
            yield "".join(lines[:number]) + end + said + "".join(lines[number:])


def _parsed(text: str) -> Mapping[str, Any] | None:
    try:
        return read(text, "the text")
    except ConfigurationRefused:
        return None


def _append(text: str, path: Path, value: Any) -> str:
    """Add the key under its table's header at the end of the text, or a whole table under headers of its own."""
    lines: list[str] = []
    if isinstance(value, Mapping):
        _write_table(path, value, lines)
    else:
        _write_table(path[:-1], {path[-1]: value}, lines)
    gap = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
    return f"{text}{gap}" + "\n".join(lines) + "\n"


def _write_table(path: Path, table: Mapping[str, Any], lines: list[str]) -> None:
    inner = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    own = {key: _text(value) for key, value in table.items() if key not in inner}
    if path and (own or not inner):
        lines.append(f"[{'.'.join(map(_key, path))}]")
    lines += [f"{_key(key)} = {said}" for key, said in own.items()]
    for key, value in inner.items():
        _write_table((*path, key), value, lines)


def _key(key: str) -> str:
    return tomlkit.key(key).as_string()


def _item(value: Any) -> tomlkit.items.Item:
    return cast(tomlkit.items.Item, tomlkit.parse(f"value = {_text(value)}").item("value"))


def _text(value: Any) -> str:
    """Write a value as people like to read it: a list of tables has one in each line, and so has a long list."""
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(key)} = {_text(inner)}" for key, inner in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list):
        members = [_text(member) for member in value]
        if any(isinstance(member, Mapping) for member in value) or sum(map(len, members)) > LONG_LIST:
            return "[\n" + "".join(f"    {member},\n" for member in members) + "]"
        return f"[{', '.join(members)}]"
    return str(tomlkit.item(value).as_string())
