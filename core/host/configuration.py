"""Resolves plugins.toml as a whole: checked, merged for every unit, and made into an immutable Configuration.

Public: `resolve(text, …)` gives plain JSON values that any process can store and load, or raises
ConfigurationRefused with every fault; `build(number, resolved, plugins)` makes the Configuration of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from core.host.calendar_overlays import stored_overlays
from core.host.calendar_sections import build_calendars, check_calendars
from core.host.channel_sections import channel_settings, check_channels
from core.host.checked_settings import CheckedBefore
from core.host.environment import SECTIONS, path_of
from core.host.faults import Faults, unknown_key
from core.host.packed_settings import unpacked
from core.host.people_sections import check_people, check_who
from core.host.plugin import Plugin
from core.host.plugin_schema import plain
from core.host.plugin_settings import NOT_INSTALLED, PluginSections, stand_ins
from core.host.sections import CheckSource, SectionChecker, source_settings
from core.host.settings import (
    Configuration,
    DispatchSettings,
    EndpointSettings,
    PluginSetting,
    RetentionSettings,
    UnitSettings,
)
from core.host.toml_document import dotted, put, read, same, value_at
from core.model.errors import ConfigurationRefused
from core.model.schemas import canonical_json
from core.people.directory import Directory

_UNIT_HEADER = re.compile(r"""^[ \t]*\[[ \t]*units[ \t]*\.[ \t]*["']?([a-z0-9_-]+)["']?[ \t]*\]""", re.MULTILINE)

Resolved = dict[str, Any]
"""A configuration version as JSON values: what the table keeps and what processes without plugins read."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What plugins.toml is checked against: the plugins there are, what adapters say of a source, the environment."""

    plugins: Mapping[str, Plugin]
    check_source: CheckSource
    overrides: Mapping[str, Any] = field(default_factory=dict)  # variable -> value, of environment.overrides()
    file_name: str = "plugins.toml"
    folder: Path | None = None  # of plugins.toml, from which the files it names are found


def resolve(
    text: str, around: Surroundings, *, before: Resolved | None = None, files_of: Resolved | None = None
) -> Resolved:
    """Check the document as a whole and return it resolved. Raises ConfigurationRefused with every fault.

    `before` is the version it follows on. Its `changes` tell who changed which key and why; those that the document
    still agrees with are kept. A plugin it has that is not installed any more may stay, unchecked; none may come.
    `files_of` is the version whose overlay files count as it read them, whatever became of them; others are read.
    """
    document = plain(read(text, around.file_name))
    absent = stand_ins(document, around.plugins, before)
    faults = Faults()
    overridden = _override(document, around.overrides)

    def place(path: str, key: str = "") -> str:
        """Name the place of a fault; `key` is the key it is about, where that is not the place itself."""
        for keys, variable in overridden.items():
            if path == dotted(keys) or f"{key or path}.".startswith(f"{dotted(keys)}."):
                return f"environment variable {variable}"
        return f"{around.file_name}, {path}" if path else around.file_name

    for key in document:
        if key not in SECTIONS:
            faults.add(around.file_name, unknown_key(key, SECTIONS))
    _take_out_unusable(document, (), faults, place)
    kept = [item for item in (before or {}).get("changes", ()) if same(value_at(document, item["path"]), item["value"])]
    origins = {tuple(item["path"]): str(item["origin"]) for item in kept}

    def origin(path: tuple[str, ...]) -> str:
        if path in overridden:
            return f"environment: {overridden[path]}"
        section = path[:3] if path[0] == "plugins" else path[:5]  # [plugins.X.config], [units.U.plugins.X.config]
        return origins.get(path) or f"file: {dotted(section if section[-1] == 'config' else section[:-1])}"

    checker = SectionChecker(document, faults, place, with_header=set(_UNIT_HEADER.findall(text)))
    overlays = stored_overlays(files_of)
    calendars = check_calendars(document, faults, place, around.folder, overlays)
    named = {file["path"] for calendar in calendars.values() for file in calendar.get("files", ())}
    channels = check_channels(document, faults, place)
    units = checker.units(calendars)
    people = check_people(document, faults, place, units=units, channels=channels)
    checked = CheckedBefore(before, around.plugins, people)
    sections = PluginSections(
        document, {**around.plugins, **absent}, faults, place, origin, lambda name: check_who(name, people), checked
    )
    of_units = document.get("units", {})
    plugins = {slug: sections.unit(slug, value_at(of_units, (slug, "plugins")) or {}) for slug in units}
    resolved: Resolved = {
        "server": checker.server(),
        "dispatch": checker.dispatch(),
        "retention": checker.retention(),
        "sources": checker.sources(units, around.check_source),
        "units": [{"slug": slug, **unit} for slug, unit in units.items()],
        "endpoints": checker.endpoints(),
        "calendars": calendars,
        "overlays": {name: {"sha256": overlays[name].digest, "days": overlays[name].days} for name in sorted(named)},
        "channels": channels,
        "people": people["people"],
        "roles": people["roles"],
        "plugins": plugins,
        "configs": sections.configs(),
        "checked": checked.by,
        "environment": plain(around.overrides),
        "changes": kept,
        "absent": sorted(absent),
    }
    if faults:
        raise ConfigurationRefused(faults.letter(), errors=faults.as_errors())
    return resolved


def _override(document: dict[str, Any], overrides: Mapping[str, Any]) -> dict[tuple[str, ...], str]:
    """Put the environment's values into the document; return which variable set which path."""
    overridden = {}
    for variable, value in overrides.items():
        path = _spelt_as_in(document, path_of(variable))
        put(document, path, plain(value))
        overridden[path] = variable
    return overridden


def _spelt_as_in(document: Mapping[str, Any], path: tuple[str, ...]) -> tuple[str, ...]:
    """Return the path in the document's own spelling: variables are upper case, keys such as `grades.A` are not."""
    found = []
    table: Any = document
    for key in path:
        names = list(table) if isinstance(table, Mapping) else []
        same = key if key in names else next((name for name in names if name.lower() == key), key)
        found.append(same)
        table = table.get(same) if isinstance(table, Mapping) else None
    return tuple(found)


def _take_out_unusable(value: Any, path: tuple[str, ...], faults: Faults, place: Any) -> None:
    """Note values that TOML can say and nothing here can hold, and take them out, so that the rest is checked too."""
    if isinstance(value, dict):
        inside = [(key, inner, (*path, key)) for key, inner in value.items()]
    elif isinstance(value, list):
        inside = [(number, inner, (*path, str(number))) for number, inner in enumerate(value)]
    else:
        return
    for key, inner, where in reversed(inside):
        fault = _unusable(inner) or (_unusable(key) and "the key holds U+0000, which is no character of a name")
        if fault:
            faults.add(place(dotted(where)), fault)
            del value[key]
        else:
            _take_out_unusable(inner, where, faults, place)


def _unusable(value: Any) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    # PostgreSQL holds no such text, so whatever carries it there would fail while events are dispatched.
    return "holds U+0000, which is no character of a text" if isinstance(value, str) and "\0" in value else None


ConfigFaults = dict[tuple[str, str], str]
"""Why a plugin cannot read its stored settings in a unit, by (unit, plugin)."""


LoadedConfigs = dict[tuple[str, str], tuple[Any, str | None]]
"""Typed settings by plugin and what was given: an earlier version's can be used again, since they never change."""


def build(
    number: int,
    resolved: Resolved,
    plugins: Mapping[str, Plugin] | None,
    known: LoadedConfigs | None = None,
) -> tuple[Configuration, ConfigFaults]:
    """Make the Configuration of a stored version. Without `plugins` every setting's `config` is None.

    Settings that a plugin's code no longer accepts leave its `config` None there and are returned as faults; the
    other plugins are not affected. A plugin that was installed after the version was applied is switched off.
    `known` holds settings that were loaded before, and afterwards those of this version.
    """
    before = dict(known or {})
    if known is not None:
        known.clear()
    faults: ConfigFaults = {}
    settings: dict[tuple[str, str], PluginSetting] = {}
    loaded: dict[tuple[str, int], Any] = {}
    configs = {name: unpacked(stored) for name, stored in resolved["configs"].items()}
    for unit, of_unit in resolved["plugins"].items():
        for name, item in of_unit.items():
            config, index = None, item["config"]
            stored = configs[name][index] if index is not None else {}
            if plugins is not None and index is not None:
                if (name, index) not in loaded:
                    key = (name, canonical_json(stored["given"]))
                    loaded[name, index] = before.get(key) or _load_config(plugins.get(name), stored["given"])
                    if known is not None:
                        known[key] = loaded[name, index]
                config, fault = loaded[name, index]
                if fault:
                    faults[unit, name] = fault
            settings[unit, name] = PluginSetting(
                plugin=name,
                unit=unit,
                enabled=item["enabled"],
                config=config,
                values=MappingProxyType(stored.get("values", {})),
                origins=MappingProxyType({"enabled": item["origin"], **stored.get("origins", {})}),
            )
    units = {
        unit["slug"]: UnitSettings(
            slug=unit["slug"],
            title=unit["title"],
            match={name: tuple(values) for name, values in unit["match"].items()},
            calendar=unit["calendar"],
        )
        for unit in resolved["units"]
    }
    return (
        Configuration(
            number=number,
            sources={slug: source_settings(slug, item) for slug, item in resolved["sources"].items()},
            units=units,
            endpoints={slug: EndpointSettings(slug=slug, **item) for slug, item in resolved["endpoints"].items()},
            dispatch=_dispatch(resolved["dispatch"]),
            plugins=settings,
            # A version that was stored before there was this section keeps by the defaults.
            retention=RetentionSettings(**resolved.get("retention", {})),
            calendars=build_calendars(resolved["calendars"]),
            channels={slug: channel_settings(slug, item) for slug, item in resolved["channels"].items()},
            directory=Directory.from_json(resolved["people"], resolved["roles"]),
        ),
        faults,
    )


def _load_config(plugin: Plugin | None, given: Mapping[str, Any]) -> tuple[Any, str | None]:
    if plugin is None:
        return None, NOT_INSTALLED
    if plugin.error is not None:
        return None, plugin.error
    if plugin.load_config is None:
        return None, None
    try:
        return plugin.load_config(given), None
    except Exception as error:
        # Any failure of a plugin's own schema makes that plugin unable to run, and nothing else.
        return None, f"the plugin no longer accepts its stored settings: {error}"


def _dispatch(item: Mapping[str, Any]) -> DispatchSettings:
    values = dict(item)
    wait = values.pop("max_wait")
    values["egress_allow"] = tuple(values["egress_allow"])
    return DispatchSettings(max_wait=None if wait is None else timedelta(seconds=wait), **values)
