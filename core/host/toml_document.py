"""Reads plugins.toml with kind errors, writes it in one step, and knows paths of keys in it.

A path is a tuple of keys, since a key may hold a dot; `dotted` and `keys` are its form for people.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.model.errors import ConfigurationRefused

MAX_FILE = 4 * 1024 * 1024
DEEPEST = 64
"""So many tables and lists may stand in one another."""

_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")  # how UTF-16 begins

_PLAIN_KEY = re.compile(r"[\w-]+")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'|[^.\s"\']+')


def read_text(path: Path) -> str:
    """Return the file's text. Raises ConfigurationRefused saying what to do."""
    if path.is_fifo():
        raise ConfigurationRefused(f"The configuration file {path} is a pipe, which can be read once only. Use a file.")
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE + 1)
    except FileNotFoundError:
        raise ConfigurationRefused(
            f"There is no configuration file {path}. Set OUTRIGGER_CONFIG, or run in the folder that holds it."
        ) from None
    except OSError as error:
        raise ConfigurationRefused(f"The configuration file {path} cannot be read: {error.strerror}.") from None
    if len(raw) > MAX_FILE:
        raise ConfigurationRefused(f"The configuration file {path} is larger than {MAX_FILE} bytes.")
    if raw.startswith(b"\xef\xbb\xbf"):
        raise ConfigurationRefused(
            f"The configuration file {path} begins with a byte order mark (BOM), which TOML does not know. Save it as "
            '"UTF-8" without "BOM".'
        )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        where = "it is UTF-16" if raw.startswith(_BYTE_ORDER_MARKS) else f"line {line} is not (is the file GBK?)"
        raise ConfigurationRefused(
            f"The configuration file {path} is no UTF-8 text: {where}. Save it with the encoding UTF-8."
        ) from None


def parse(text: str, name: str) -> dict[str, Any]:
    """Parse TOML text. Raises ConfigurationRefused with line and column."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationRefused(
            f"{name} is no TOML: {error}", errors=[{"path": name, "message": str(error)}]
        ) from None
    except RecursionError:
        raise _too_deep(name) from None
    if _is_too_deep(document):
        raise _too_deep(name)
    return document


def _too_deep(name: str) -> ConfigurationRefused:
    message = f"more than {DEEPEST} tables and lists stand in one another"
    return ConfigurationRefused(f"{name}: {message}.", errors=[{"path": name, "message": message}])


def _is_too_deep(document: Mapping[str, Any]) -> bool:
    inside: list[Any] = [document]
    for _ in range(DEEPEST + 1):
        inside = [
            item
            for table in inside
            for item in (table.values() if isinstance(table, dict) else table)
            if isinstance(item, (dict, list))
        ]
        if not inside:
            return False
    return True


def read(text: str, name: str) -> Mapping[str, Any]:
    """Parse TOML text that is only looked at: the answer is shared, so nobody may change it. Raises like `parse`."""
    try:
        return _shared(text)
    except ConfigurationRefused:
        return parse(text, name)  # which says the name of this text


@functools.lru_cache(maxsize=2)  # what was there before a change and what is there after
def _shared(text: str) -> Mapping[str, Any]:
    return parse(text, "the text")


def digest(text: str) -> str:
    """Return the hash by which a changed file is noticed."""
    return hashlib.sha256(text.encode()).hexdigest()


def value_at(document: Mapping[str, Any], path: Sequence[str]) -> Any:
    """Return the value at a path of keys, or None."""
    value: Any = document
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def put(document: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Set the value at a path of keys, making tables on the way. Raises ConfigurationRefused where that fails."""
    table = document
    for key in path[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise ConfigurationRefused(f"`{dotted(path)}` cannot be set, because `{key}` is no table.")
    table[path[-1]] = value


def drop(document: dict[str, Any], path: Sequence[str]) -> None:
    """Remove the value at a path of keys, where there is one; the tables on the way stay."""
    table = value_at(document, path[:-1])
    if isinstance(table, dict):
        table.pop(path[-1], None)


def same(one: Any, other: Any) -> bool:
    """Whether two TOML values are the same, in type too: 1, 1.0 and true are three values."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and repr(one) == repr(other)  # by its text, since nan is not equal to itself


def dotted(path: Sequence[str]) -> str:
    """Write a path of keys for people: with dots, and a key that has one itself in quotes. `keys` reads it again."""
    return ".".join(key if _PLAIN_KEY.fullmatch(key) else _in_quotes(key) for key in path)


def _in_quotes(key: str) -> str:
    return json.dumps(key, ensure_ascii=False).replace("\x7f", "\\u007f")  # which TOML wants escaped and JSON does not


def keys(text: str) -> tuple[str, ...]:
    """Read a dotted path of keys, such as `grades.A` or `match."extra.channel"`. Raises ConfigurationRefused."""
    parts = tuple(text.split("."))
    if all(_PLAIN_KEY.fullmatch(part) for part in parts):
        return parts
    try:
        table: Any = tomllib.loads(f"{_QUOTED.sub(_quoted, text)} = true")
    except (tomllib.TOMLDecodeError, RecursionError):
        table = {}
    found = []
    while isinstance(table, dict) and len(table) == 1:
        ((key, table),) = table.items()
        found.append(key)
    if not found or table is not True:
        raise ConfigurationRefused(
            f"`{text[:200]}` is no path of keys. Write it like `grades.A`; a key with a dot in it stands in quotes."
        )
    return tuple(found)


def _quoted(found: re.Match[str]) -> str:
    """Quote a key that TOML wants quoted, such as a Chinese one; what is quoted stays."""
    return found[0] if found[0][0] in "\"'" else _in_quotes(found[0])


def write_text(path: Path, text: str) -> None:
    """Replace the file in one step, so that no reader ever sees half of it. Raises OSError.

    Its owner and mode stay, or the server could no longer read what an administrator changed; a link stays one.
    """
    path = path.resolve()
    before = path.stat() if path.exists() else None
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if before is not None:
            with contextlib.suppress(PermissionError):  # only root may give a file to somebody else
                os.chown(temporary, before.st_uid, before.st_gid)
        os.chmod(temporary, before.st_mode & 0o777 if before is not None else 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
