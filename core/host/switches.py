"""Switches a plugin on or off for one unit or for all: a new configuration version with who, when and why."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy.engine import Connection

from core.host.applying import write_back
from core.host.configuration import Resolved, Surroundings, resolve
from core.host.plugin import Plugin
from core.host.toml_document import edit, parse, value_at
from core.host.versions import Version, newest, store_version
from core.model.errors import ConfigurationConflict, ConfigurationRefused, NotFound, PluginRefused, did_you_mean
from core.store.database import Database
from core.time.clock import Clock

ATTEMPTS = 5

_log = structlog.get_logger("outrigger.config")


@dataclass(frozen=True, slots=True)
class Switched:
    """What a switch did: the version in force, the units whose state changed, and whether the file followed."""

    number: int
    units: tuple[str, ...]
    written_back: bool = False
    not_written: str = ""


def switch(
    database: Database,
    path: Path,
    around: Surroundings,
    *,
    plugin: str,
    unit: str | None,
    enabled: bool,
    by: str,
    reason: str,
    clock: Clock,
    also: Callable[[Connection], object] | None = None,
) -> Switched:
    """Switch a plugin in a unit, or with `unit` None in all; switching to what is there already changes nothing.

    `also` runs in the transaction that commits the switch (a quarantine is lifted there). Raises NotFound for an
    unknown plugin or unit, PluginRefused for one that cannot run, ConfigurationRefused when the plugin's settings
    do not allow it.
    """
    for _ in range(ATTEMPTS):
        with database.read() as connection:
            before = newest(connection)
        if before is None:
            raise ConfigurationRefused("No configuration was applied yet; run `outrigger config apply`.")
        _check_names(before.resolved, around.plugins, plugin, unit, enabled=enabled)
        new = _next_version(before, around, plugin, unit, enabled, by, reason, clock.now(), path.name)
        try:
            with database.write() as connection:
                if new is not None:
                    store_version(connection, new)
                if also is not None:
                    also(connection)
        except ConfigurationConflict:
            continue  # somebody else made a version meanwhile: decide again on that one
        if new is None:
            return Switched(before.number, ())
        units = _changed_units(before.resolved, new.resolved, plugin)
        _log.info("plugin switched", plugin=plugin, units=list(units), enabled=enabled, by=by, reason=reason)
        fault = write_back(database, path, new, previous=before)
        _tell(around.plugins.get(plugin), units, enabled=enabled)
        return Switched(new.number, units, written_back=not fault, not_written=fault)
    raise ConfigurationConflict("The configuration keeps changing; nothing was switched. Try again.")


def _check_names(
    resolved: Resolved, plugins: Mapping[str, Plugin], plugin: str, unit: str | None, *, enabled: bool
) -> None:
    if plugin not in plugins:
        raise NotFound(f'There is no plugin "{plugin}".{did_you_mean(plugin, plugins)}')
    if enabled and plugins[plugin].error is not None:
        raise PluginRefused(f"{plugin} cannot be switched on, because it cannot be loaded: {plugins[plugin].error}")
    units = [item["slug"] for item in resolved["units"]]
    if unit is not None and unit not in units:
        raise NotFound(f'There is no unit "{unit}".{did_you_mean(unit, units)}')


def _next_version(
    before: Version,
    around: Surroundings,
    plugin: str,
    unit: str | None,
    enabled: bool,
    by: str,
    reason: str,
    now: datetime,
    file_name: str,
) -> Version | None:
    """Return the version that the switch makes, or None when everything is as asked already."""
    states = {slug: plugins.get(plugin, {}) for slug, plugins in before.resolved["plugins"].items()}
    if all(state.get("enabled") is enabled for slug, state in states.items() if unit in (None, slug)):
        return None
    document = parse(before.document, file_name)
    paths = _paths(document, plugin, unit)
    text = edit(before.document, dict.fromkeys(paths, enabled), file_name)
    origin = f'switched by {by}, {now.day} {now:%b %Y}, "{reason}"'
    made = {
        ".".join(path): {"enabled": enabled, "by": by, "at": now.isoformat(), "reason": reason, "origin": origin}
        for path in paths
    }
    stored = dataclasses.replace(around, overrides=before.resolved["environment"])
    resolved = resolve(text, stored, switches={**before.resolved["switches"], **made})
    stuck = [
        (slug, plugins[plugin]["origin"])
        for slug, plugins in resolved["plugins"].items()
        if unit in (None, slug) and plugins[plugin]["enabled"] is not enabled
    ]
    if stuck:
        raise ConfigurationRefused(f"{plugin} cannot be switched in {stuck[0][0]}: {stuck[0][1]} holds it.")
    return Version(
        number=before.number + 1,
        applied_at=now,
        applied_by=by,
        reason=reason,
        origin="switch",
        document=text,
        file_hash=before.file_hash,
        resolved=resolved,
    )


def _paths(document: Mapping[str, Any], plugin: str, unit: str | None) -> list[tuple[str, ...]]:
    """Return the keys to set: a unit's own, or the plugin's default and every unit that says something of its own."""
    if unit is not None:
        return [("units", unit, "plugins", plugin, "enabled")]
    paths: list[tuple[str, ...]] = [("plugins", plugin, "enabled")]
    for slug in document.get("units", {}):
        own = ("units", slug, "plugins", plugin, "enabled")
        if value_at(document, own) is not None:
            paths.append(own)
    return paths


def _changed_units(before: Resolved, after: Resolved, plugin: str) -> tuple[str, ...]:
    return tuple(
        slug
        for slug, plugins in after["plugins"].items()
        if before["plugins"].get(slug, {}).get(plugin, {}).get("enabled", False) is not plugins[plugin]["enabled"]
    )


def _tell(plugin: Plugin | None, units: tuple[str, ...], *, enabled: bool) -> None:
    """Tell the plugin about its own switch, where its code is loaded; what it answers or raises changes nothing."""
    hook = "plugin_enabled" if enabled else "plugin_disabled"
    if plugin is None or hook not in plugin.hooks:
        return
    for unit in units:
        try:
            plugin.hooks[hook](unit=unit)
        except Exception as error:
            # The switch is committed; a plugin that fails to take note of it must not make that look undone.
            _log.warning("a plugin failed to take note of its switch", plugin=plugin.name, unit=unit, error=str(error))
