"""Works out each plugin's switch and settings in each unit, and where every value came from.

A unit's value stands over the plugin's own section, which stands over the plugin's defaults; tables are merged key by
key, everything else is replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import marshmallow as ma

from core.host.faults import Faults, key_faults, unknown_key
from core.host.plugin import Plugin
from core.host.plugin_schema import plain
from core.model.errors import did_you_mean
from core.model.schemas import canonical_json

DEFAULT = "default"


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one table over another, key by key; only tables are merged, lists and single values are replaced."""
    result = dict(below)
    for key, value in above.items():
        under = result.get(key)
        both = isinstance(under, Mapping) and isinstance(value, Mapping)
        result[key] = merged(under, value) if both else value  # type: ignore[arg-type]
    return result


def leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the dotted path of every value that is no table; an empty table counts as a value."""
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


class PluginSections:
    """The plugins' sections of one document, resolved for every unit."""

    def __init__(
        self,
        document: Mapping[str, Any],
        plugins: Mapping[str, Plugin],
        faults: Faults,
        place: Callable[[str], str],
        origin: Callable[[str], str],
    ) -> None:
        self._plugins = plugins
        self._faults = faults
        self._place = place
        self._origin = origin
        self._defaults = self._sections(document.get("plugins", {}), "plugins")
        self._configs: dict[str, dict[str, int]] = {}
        self.configs: dict[str, list[dict[str, Any]]] = {}

    def unit(self, slug: str, table: Any) -> dict[str, dict[str, Any]]:
        """Return what each plugin is in a unit: `enabled`, its origin, and the number of its settings in `configs`."""
        prefix = f"units.{slug}.plugins"
        own = self._sections(table, prefix)
        result = {}
        for name, plugin in self._plugins.items():
            enabled, origin = self._enabled(plugin, own.get(name, {}), prefix)
            given, origins = self._given(plugin, own.get(name, {}), prefix)
            number = self._number(plugin, given, origins, is_needed=enabled or bool(given))
            result[name] = {"enabled": enabled, "origin": origin, "config": number}
        return result

    def _sections(self, tables: Any, where: str) -> dict[str, dict[str, Any]]:
        """Check the shape of `[plugins.X]` or `[units.U.plugins.X]` tables and return them by plugin."""
        if not isinstance(tables, Mapping):
            self._faults.add(self._place(where), f"must be a table: [{where}.<plugin>]")
            return {}
        sections: dict[str, dict[str, Any]] = {}
        for name, table in tables.items():
            path = f"{where}.{name}"
            if name not in self._plugins:
                self._faults.add(self._place(where), f'there is no plugin "{name}".{did_you_mean(name, self._plugins)}')
            elif not isinstance(table, Mapping):
                self._faults.add(self._place(path), f"must be a table: [{path}]")
            else:
                self._check_section(path, table)
                sections[name] = dict(table)
        return sections

    def _check_section(self, path: str, table: Mapping[str, Any]) -> None:
        for key in table:
            if key not in ("enabled", "config"):
                message = unknown_key(key, ("enabled", "config"))
                inside = " Settings of the plugin stand inside `config`." if "Did" not in message else ""
                self._faults.add(self._place(path), message + inside)
        if not isinstance(table.get("enabled", True), bool):
            self._faults.add(self._place(f"{path}.enabled"), "must be true or false")
        if not isinstance(table.get("config", {}), Mapping):
            self._faults.add(self._place(f"{path}.config"), f"must be a table: [{path}.config]")

    def _enabled(self, plugin: Plugin, own: Mapping[str, Any], prefix: str) -> tuple[bool, str]:
        name = plugin.name
        if "enabled" in own:
            return own["enabled"] is True, self._origin(f"{prefix}.{name}.enabled")
        if "enabled" in self._defaults.get(name, {}):
            return self._defaults[name]["enabled"] is True, self._origin(f"plugins.{name}.enabled")
        return plugin.manifest.default_enabled, DEFAULT

    def _given(self, plugin: Plugin, own: Mapping[str, Any], prefix: str) -> tuple[dict[str, Any], dict[str, str]]:
        """Return the settings that plugins.toml gives for a unit, merged, with the origin of each value."""
        given: dict[str, Any] = {}
        origins: dict[str, str] = {}
        for section, path in ((self._defaults.get(plugin.name, {}), "plugins"), (own, prefix)):
            config = section.get("config", {})
            if isinstance(config, Mapping):
                given = merged(given, config)
                origins |= {leaf: self._origin(f"{path}.{plugin.name}.config.{leaf}") for leaf in leaves(config)}
        for key, known in plugin.config_keys.items():
            # A table that the schema fills as a whole keeps the members that nobody named.
            if isinstance(given.get(key), Mapping) and isinstance(known["default"], Mapping):
                given[key] = merged(known["default"], given[key])
        kept = set(leaves(given))
        return given, {leaf: origin for leaf, origin in origins.items() if leaf in kept}

    def _number(self, plugin: Plugin, given: dict[str, Any], origins: dict[str, str], *, is_needed: bool) -> int | None:
        """Return the number of these settings, checking them the first time; None for faulty or needless ones."""
        key = canonical_json([given, origins, is_needed])
        numbers = self._configs.setdefault(plugin.name, {})
        if key in numbers:
            return numbers[key] if numbers[key] >= 0 else None
        values = self._checked(plugin, given, origins, is_needed=is_needed)
        if values is None:
            numbers[key] = -1
            return None
        stored = self.configs.setdefault(plugin.name, [])
        numbers[key] = len(stored)
        every = {leaf: _origin_at(leaf, origins) for leaf in leaves(values)}
        stored.append({"given": given, "values": values, "origins": {**every, **origins}})
        return numbers[key]

    def _checked(
        self, plugin: Plugin, given: dict[str, Any], origins: dict[str, str], *, is_needed: bool
    ) -> dict[str, Any] | None:
        """Return the effective values, or None when the settings do not load; their faults are then noted."""
        if plugin.load_config is None:
            return given  # a plugin that cannot be loaded keeps its settings unchecked, and does not run
        try:
            config = plugin.load_config(given)
        except ma.ValidationError as error:
            if is_needed:
                for where, message, key in key_faults(error.messages, known=plugin.config_keys):
                    self._note(plugin.name, where, message, _origin_of(key, origins))
            return None
        except Exception as error:
            # A schema that fails on these values is the plugin's fault, but the settings cannot be used all the same.
            if is_needed:
                message = f"the plugin cannot read its settings: {type(error).__name__}: {error}"
                self._note(plugin.name, "", message, None)
            return None
        return effective(plain(config), given)

    def _note(self, plugin: str, where: str, message: str, origin: str | None) -> None:
        section = (origin or f"file: plugins.{plugin}.config").partition(": ")[2]
        path = f"{section}.{where}" if where and not section.startswith("OUTRIGGER_") else section
        self._faults.add(self._place(path), message)


def _origin_at(leaf: str, origins: Mapping[str, str]) -> str:
    """Return where a value came from: a list may have been given as a table, whose members have the origins then."""
    if leaf in origins:
        return origins[leaf]
    below = [origin for given, origin in origins.items() if given.startswith(f"{leaf}.")]
    return max(below, key=lambda origin: "units." in origin, default=DEFAULT)


def _origin_of(key: str, origins: Mapping[str, str]) -> str | None:
    """Return the origin of a key, of what it holds, or of the table it stands in, the unit's own before others."""
    parents = [".".join(key.split(".")[:count]) for count in range(key.count(".") + 1, 0, -1)]
    for parent in parents:
        found = [origin for leaf, origin in origins.items() if leaf == parent or leaf.startswith(f"{parent}.")]
        if found:
            return max(found, key=lambda origin: "units." in origin)
    return None


def effective(config: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Show a typed configuration as values; where a value was given it is shown as it was written."""
    values = dict(config) if isinstance(config, Mapping) else {}
    for key, value in given.items():
        known = values.get(key)
        if isinstance(known, Mapping) and isinstance(value, Mapping):
            values[key] = effective(known, value)
        elif key not in values or not isinstance(known, (list, Mapping)) or isinstance(value, list):
            values[key] = value
    return values
