"""Reads plugins.toml with kind errors, and changes single keys of it with comments and order kept."""

from __future__ import annotations

import hashlib
import os
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit
import tomlkit.exceptions

from core.model.errors import ConfigurationRefused

MAX_FILE = 4 * 1024 * 1024


def read_text(path: Path) -> str:
    """Return the file's text. Raises ConfigurationRefused saying what to do."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise ConfigurationRefused(
            f"There is no configuration file {path}. Set OUTRIGGER_CONFIG, or run in the folder that holds it."
        ) from None
    except OSError as error:
        raise ConfigurationRefused(f"The configuration file {path} cannot be read: {error.strerror}.") from None
    if len(raw) > MAX_FILE:
        raise ConfigurationRefused(f"The configuration file {path} is larger than {MAX_FILE} bytes.")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigurationRefused(f"The configuration file {path} is no UTF-8 text: byte {error.start}.") from None


def parse(text: str, name: str) -> dict[str, Any]:
    """Parse TOML text. Raises ConfigurationRefused with line and column."""
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationRefused(
            f"{name} is no TOML: {error}", errors=[{"path": name, "message": str(error)}]
        ) from None


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
            raise ConfigurationRefused(f"`{'.'.join(path)}` cannot be set, because `{key}` is no table.")
    table[path[-1]] = value


def edit(text: str, changes: Mapping[tuple[str, ...], Any], name: str) -> str:
    """Return the TOML text with these keys set; comments, order and everything else stay as they are.

    Raises ConfigurationRefused when the text cannot be changed without touching something else.
    """
    expected = parse(text, name)
    for path, value in changes.items():
        put(expected, path, value)
    edited = text
    for path, value in changes.items():
        edited = _edit_one(edited, path, value)
    if edited and _parsed(edited) == expected:
        return edited
    raise ConfigurationRefused(
        f"{name} cannot be changed automatically; set `{'`, `'.join('.'.join(path) for path in changes)}` by hand."
    )


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _edit_one(text: str, path: tuple[str, ...], value: Any) -> str:
    """Set one key, in the place where it is or at the end of its table; a new table goes to the end of the file."""
    document = tomlkit.parse(text)
    table: Any = document
    for key in path[:-1]:
        if key not in table:
            return _append_table(text, path, value)
        table = table[key]
    try:
        table[path[-1]] = value
        edited = tomlkit.dumps(document)
    except (tomlkit.exceptions.TOMLKitError, TypeError, ValueError):
        return _append_table(text, path, value)
    wanted = tomllib.loads(text)
    put(wanted, path, value)
    return edited if _parsed(edited) == wanted else _append_table(text, path, value)


def _append_table(text: str, path: tuple[str, ...], value: Any) -> str:
    """Add `[table] key = value` as text; used where the table does not exist yet."""
    header = tomlkit.dumps({path[-1]: value}).strip()
    name = ".".join(tomlkit.key(part).as_string() for part in path[:-1])
    gap = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
    return f"{text}{gap}[{name}]\n{header}\n"


def write_text(path: Path, text: str) -> None:
    """Replace the file in one step, so that no reader ever sees half of it. Raises OSError."""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
