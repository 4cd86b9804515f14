"""Checks changes before they are made: whose keys they are, what their values are, and which of them are needed.

The document that comes out is checked as a whole besides; here stands what needs a letter of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

from core.host.configuration import Surroundings
from core.host.environment import path_of
from core.host.toml_document import dotted, read, value_at
from core.host.versions import Version
from core.model.errors import ConfigurationRefused, InvalidRequest, NotFound, PluginRefused, did_you_mean

Path = tuple[str, ...]

LARGEST = 2**63 - 1
DEEPEST = 32


def check_changes(changes: Mapping[Path, Any], before: Version, around: Surroundings) -> None:
    """Refuse what cannot be changed. Raises InvalidRequest, NotFound, PluginRefused, ConfigurationRefused."""
    for path, value in changes.items():
        fault = _path_fault(path) or _value_fault(value)
        if fault:
            raise InvalidRequest(
                f"`{dotted(path)}` cannot be set: {fault}.", errors=[{"path": dotted(path), "message": fault}]
            )
        _check_environment(path, before)
        _check_names(path, value, before, around)


def _path_fault(path: Path) -> str | None:
    if "" in _owner(path):
        return "the name of its unit or plugin is empty"
    return "an empty path of keys" if not path or not all(path) else None


def _value_fault(value: Any, depth: int = 0) -> str | None:
    """Say why TOML cannot hold a value, or None when it can."""
    if depth > DEEPEST:
        return f"it is nested deeper than {DEEPEST}"
    if value is None and depth:
        return "there is no `null` in TOML; leave the key out"
    if isinstance(value, str):
        return None if _is_text(value) else "text that is no valid Unicode"
    if isinstance(value, float) and not math.isfinite(value):
        return "a number must be finite"
    if isinstance(value, int) and abs(value) > LARGEST:
        return "a whole number must fit into 64 bits"
    if isinstance(value, (list, tuple)):
        return next(filter(None, (_value_fault(item, depth + 1) for item in value)), None)
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) and key and _is_text(key) for key in value):
            return "a key is empty or no text"
        return next(filter(None, (_value_fault(item, depth + 1) for item in value.values())), None)
    known = value is None or isinstance(value, (bool, int, float, date, datetime, time))
    return None if known else f"a value of type {type(value).__name__}"


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_environment(path: Path, before: Version) -> None:
    here = tuple(key.lower() for key in path)
    for variable in before.resolved["environment"]:
        held = path_of(variable)
        if here[: len(held)] == held or held[: len(here)] == here:
            raise ConfigurationRefused(f"`{dotted(path)}` cannot be changed: the environment's {variable} holds it.")


def _check_names(path: Path, value: Any, before: Version, around: Surroundings) -> None:
    """Check the unit and the plugin whose key is changed."""
    unit, plugin = _owner(path)
    if unit is not None:
        units = [item["slug"] for item in before.resolved["units"]]
        if unit not in units:
            raise NotFound(f'There is no unit "{unit[:80]}".{did_you_mean(unit, units)}')
    if plugin is None:
        return
    found = around.plugins.get(plugin)
    if found is None:
        known = [name for of_unit in before.resolved["plugins"].values() for name in of_unit]
        if plugin not in known:
            raise NotFound(f'There is no plugin "{plugin[:80]}".{did_you_mean(plugin, around.plugins)}')
        if value is not None and not (is_switch(path) and value is False):
            raise PluginRefused(
                f"{plugin} is not installed here, so its settings cannot be checked. It can be switched off, and its "
                "keys can be removed."
            )
    elif found.error is not None and is_switch(path) and value is True:
        raise PluginRefused(f"{plugin} cannot be switched on, because it cannot be loaded: {found.error}")


def _owner(path: Path) -> tuple[str | None, str | None]:
    """Return the unit and the plugin whose key this is; None where the key is nobody's, or for every unit."""
    if path[:1] == ("plugins",):
        return None, path[1] if len(path) > 1 else None
    if path[:1] == ("units",) and len(path) > 2 and path[2] == "plugins":
        return path[1], path[3] if len(path) > 3 else None
    return None, None


def is_switch(path: Sequence[str]) -> bool:
    """Whether a key switches a plugin, in a unit or for all."""
    unit, plugin = _owner(tuple(path))
    return plugin is not None and path[-1] == "enabled" and len(path) == (3 if unit is None else 5)


def needed(changes: Mapping[Path, Any], before: Version, file_name: str) -> dict[Path, Any]:
    """Return the changes with switches decided by what is in force: none where it is so already.

    A switch for all units sets the plugin's default and every unit that says something of its own.
    """
    document = read(before.document, file_name)
    found: dict[Path, Any] = {}
    for path, value in changes.items():
        if not is_switch(path) or not isinstance(value, bool):
            found[path] = value
        else:
            found.update(dict.fromkeys(_switch_paths(path, value, before, document), value))
    return found


def _switch_paths(path: Path, value: bool, before: Version, document: Mapping[str, Any]) -> Iterator[Path]:
    unit, plugin = _owner(path)
    assert plugin is not None
    states = {slug: plugins.get(plugin, {}) for slug, plugins in before.resolved["plugins"].items()}
    if all(state.get("enabled") is value for slug, state in states.items() if unit in (None, slug)):
        return
    yield path
    if unit is None:
        for slug in document.get("units", {}):
            own = ("units", slug, "plugins", plugin, "enabled")
            if value_at(document, own) is not None:
                yield own
