"""Works out each plugin's switch and settings in each unit, and where every value came from.

A unit's value stands over the plugin's own section, which stands over the plugin's defaults; tables are merged key by
key, everything else is replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any

from core.host.checked_settings import CheckedBefore
from core.host.every_fault import Loaded, load_every_fault
from core.host.faults import Faults, unknown_key
from core.host.packed_settings import packed
from core.host.plugin import Manifest, Plugin
from core.host.plugin_schema import plain
from core.host.toml_document import dotted
from core.model.errors import did_you_mean
from core.model.schemas import canonical_json
from core.model.who_field import CheckName, checking_names

DEFAULT = "default"
NOT_INSTALLED = "the plugin is not installed here"

Path = tuple[str, ...]


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one table over another, key by key; only tables are merged, lists and single values are replaced."""
    result = dict(below)
    for key, value in above.items():
        under = result.get(key)
        both = isinstance(under, Mapping) and isinstance(value, Mapping)
        result[key] = merged(under, value) if both else value  # type: ignore[arg-type]
    return result


def leaves(table: Mapping[str, Any], before: Path = ()) -> Iterator[Path]:
    """Yield the path of every value that is no table; an empty table counts as a value."""
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, (*before, key))
        else:
            yield (*before, key)


def stand_ins(
    document: Mapping[str, Any], installed: Mapping[str, Plugin], before: Mapping[str, Any] | None
) -> dict[str, Plugin]:
    """Return stand-ins for the plugins that the version before has, that are not installed and may not get lost.

    Such a plugin stays while the document names it, or while it is on without being named; its events are kept.
    """
    units = (before or {}).get("plugins", {}).values()
    tables = [document.get("plugins"), *_of_units(document)]
    named = {name for table in tables if isinstance(table, Mapping) for name in table}
    gone: dict[str, bool] = {}  # name -> whether it is on by its own default
    for name, item in (pair for unit in units for pair in unit.items() if pair[0] not in installed):
        gone[name] = gone.get(name, False) or (item["enabled"] and item["origin"] == DEFAULT)
    return {name: _absent(name, is_on) for name, is_on in gone.items() if is_on or name in named}


def _of_units(document: Mapping[str, Any]) -> Iterator[Any]:
    units = document.get("units")
    for unit in units.values() if isinstance(units, Mapping) else ():
        yield unit.get("plugins") if isinstance(unit, Mapping) else None


def _absent(name: str, is_on: bool) -> Plugin:
    manifest = Manifest(name, "", name, "", "", "", (), default_enabled=is_on)
    return Plugin(manifest, folder=FilePath(name), module=name, error=NOT_INSTALLED)


class PluginSections:
    """The plugins' sections of one document, resolved for every unit."""

    def __init__(
        self,
        document: Mapping[str, Any],
        plugins: Mapping[str, Plugin],
        faults: Faults,
        place: Callable[..., str],
        origin: Callable[[Path], str],
        check_name: CheckName,
        checked: CheckedBefore,
    ) -> None:
        self._plugins = plugins
        self._faults = faults
        self._place = place
        self._origin = origin
        self._check_name = check_name  # of people and roles that settings name
        self._checked_before = checked
        self._defaults = self._sections(document.get("plugins", {}), ("plugins",))
        self._configs: dict[str, dict[str, int]] = {}
        self._found: dict[str, list[dict[str, Any]]] = {}

    def unit(self, slug: str, table: Any) -> dict[str, dict[str, Any]]:
        """Return what each plugin is in a unit: `enabled`, its origin, and the number of its settings in `configs`."""
        prefix = ("units", slug, "plugins")
        own = self._sections(table, prefix)
        result = {}
        for name, plugin in self._plugins.items():
            enabled, origin = self._enabled(plugin, own.get(name, {}), prefix)
            given, places = self._given(plugin, own.get(name, {}), prefix)
            number = self._number(plugin, given, places, is_needed=enabled or bool(given))
            result[name] = {"enabled": enabled, "origin": origin, "config": number}
        return result

    def configs(self) -> dict[str, list[dict[str, Any]]]:
        """Return the settings that units were found to have, by plugin, as they are stored."""
        return {name: packed(items) for name, items in self._found.items()}

    def _sections(self, tables: Any, prefix: Path) -> dict[str, dict[str, Any]]:
        """Check the shape of `[plugins.X]` or `[units.U.plugins.X]` tables and return them by plugin."""
        where = dotted(prefix)
        if not isinstance(tables, Mapping):
            self._faults.add(self._place(where), f"must be a table: [{where}.<plugin>]")
            return {}
        sections: dict[str, dict[str, Any]] = {}
        for name, table in tables.items():
            path = dotted((*prefix, name))
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

    def _enabled(self, plugin: Plugin, own: Mapping[str, Any], prefix: Path) -> tuple[bool, str]:
        name = plugin.name
        if "enabled" in own:
            return own["enabled"] is True, self._origin((*prefix, name, "enabled"))
        if "enabled" in self._defaults.get(name, {}):
            return self._defaults[name]["enabled"] is True, self._origin(("plugins", name, "enabled"))
        return plugin.manifest.default_enabled, DEFAULT

    def _given(self, plugin: Plugin, own: Mapping[str, Any], prefix: Path) -> tuple[dict[str, Any], dict[Path, Path]]:
        """Return the settings that plugins.toml gives for a unit, merged, and where in it each value stands."""
        given: dict[str, Any] = {}
        places: dict[Path, Path] = {}
        for section, path in ((self._defaults.get(plugin.name, {}), ("plugins",)), (own, prefix)):
            config = section.get("config", {})
            if isinstance(config, Mapping):
                given = merged(given, config)
                places |= {leaf: (*path, plugin.name, "config", *leaf) for leaf in leaves(config)}
        for key, known in plugin.config_keys.items():
            # A table that the schema fills as a whole keeps the members that nobody named.
            if isinstance(given.get(key), Mapping) and isinstance(known["default"], Mapping):
                given[key] = merged(known["default"], given[key])
        kept = set(leaves(given))
        return given, {leaf: place for leaf, place in places.items() if leaf in kept}

    def _number(
        self, plugin: Plugin, given: dict[str, Any], places: dict[Path, Path], *, is_needed: bool
    ) -> int | None:
        """Return the number of these settings, checking them the first time; None for faulty or needless ones."""
        key = canonical_json([given, list(places.values()), is_needed])
        numbers = self._configs.setdefault(plugin.name, {})
        if key in numbers:
            return numbers[key] if numbers[key] >= 0 else None
        values = self._checked(plugin, given, places, is_needed=is_needed)
        if values is None:
            numbers[key] = -1
            return None
        stored = self._found.setdefault(plugin.name, [])
        numbers[key] = len(stored)
        every = {leaf: self._origin_at(leaf, places) for leaf in [*leaves(values), *places]}
        stored.append(
            {"given": given, "values": values, "origins": {dotted(leaf): origin for leaf, origin in every.items()}}
        )
        return numbers[key]

    def _checked(
        self, plugin: Plugin, given: dict[str, Any], places: dict[Path, Path], *, is_needed: bool
    ) -> dict[str, Any] | None:
        """Return the effective values, or None when the settings do not load; their faults are then noted."""
        load = plugin.load_config
        if load is None:
            return given  # a plugin that cannot be loaded keeps its settings unchecked, and does not run
        known = self._checked_before.values(plugin.name, given)
        if known is not None:
            return known
        try:
            loaded = self._loaded(plugin, load, given)
        except Exception as error:
            # A schema that fails on these values is the plugin's fault, but the settings cannot be used all the same.
            if is_needed:
                message = f"the plugin cannot read its settings: {type(error).__name__}: {error}"
                self._note(_section(plugin.name, "", places), "", message, "")
            return None
        if loaded.faults:
            for where, message, key in loaded.faults if is_needed else ():
                self._note(_section(plugin.name, key, places), where, message, key)
            return None
        return effective(plain(loaded.value), given)

    def _loaded(self, plugin: Plugin, load: Callable[[Mapping[str, Any]], Any], given: dict[str, Any]) -> Loaded:
        """Load settings with every name of a person or role looked up.

        Such a name may stand in the plugin's own defaults, where nothing can be left out to find what else is wrong;
        so faulty settings are loaded once more with any name taken.
        """
        with checking_names(self._check_name):
            loaded = load_every_fault(lambda rest, missing: load(rest), given, known=plugin.config_keys)
        if loaded.faults:
            others = load_every_fault(lambda rest, missing: load(rest), given, known=plugin.config_keys).faults
            loaded.faults = [*others, *(fault for fault in loaded.faults if fault not in others)]
        return loaded

    def _note(self, section: str, where: str, message: str, key: str) -> None:
        path = f"{section}.{where}" if where else section
        self._faults.add(self._place(path, f"{section}.{key}" if key else section), message)

    def _origin_at(self, leaf: Path, places: Mapping[Path, Path]) -> str:
        """Return where a value came from: a list may have been given as a table, whose members tell it then."""
        found = places.get(leaf) or _nearest(place for given, place in places.items() if given[: len(leaf)] == leaf)
        return self._origin(found) if found else DEFAULT


def _section(plugin: str, key: str, places: Mapping[Path, Path]) -> str:
    """Return the section to mend for a fault at a key: the one that holds it, or what it holds, or its table.

    `key` is marshmallow's own dotted name of the place.
    """
    path = tuple(key.split("."))
    for count in range(len(path), 0, -1):
        found = _nearest(place for leaf, place in places.items() if leaf[:count] == path[:count])
        if found:
            return dotted(found[: found.index("config", 2) + 1])
    return f"plugins.{plugin}.config"


def _nearest(places: Iterable[Path]) -> Path | None:
    """Return one of these places, the unit's own before the plugin's, which stand for every unit."""
    return max(places, key=lambda place: place[0] == "units", default=None)


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
