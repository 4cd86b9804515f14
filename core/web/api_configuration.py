"""The API of what IT decides: units, plugins and their switches, configuration versions, quarantines."""

from __future__ import annotations

import difflib
from typing import Any

from core.host.plugin import Plugin
from core.host.settings import Configuration, PluginSetting, UnitSettings
from core.host.versions import current_number
from core.model.errors import Conflict, NotFound, did_you_mean
from core.pipeline.listening import hooks_implemented
from core.store.reading.configuration import active_quarantine, list_quarantines, list_versions, show_version
from core.web import requests, schemas
from core.web import schemas_configuration as shapes
from core.web.auth import actor, allowed_units, check_unit, require, require_all_units
from core.web.changing import expected_version, make_change, tag_version
from core.web.idempotency import idempotent
from core.web.parsing import Blueprint
from core.web.services import services

units = Blueprint("units", __name__, url_prefix="/units", description="Business units and their plugins.")
plugins = Blueprint("plugins", __name__, url_prefix="/plugins", description="Installed plugins.")
versions = Blueprint("config", __name__, url_prefix="/config/versions", description="Configuration versions.")
quarantines = Blueprint("quarantines", __name__, url_prefix="/quarantines", description="Plugins that crashed.")

PLUGINS_IN_UNITS = schemas.items_of(shapes.PluginInUnit)


@units.route("")
@require("reader")
@units.response(200, schemas.items_of(shapes.Unit))
def unit_list() -> dict[str, Any]:
    """List the business units this key may see, in the order in which their rules are tried."""
    configuration, allowed = services().configuration(), allowed_units()
    found = [unit for unit in configuration.units.values() if allowed is None or unit.slug in allowed]
    return {"items": [_unit(unit, configuration) for unit in found]}


@units.route("/<unit>")
@require("reader")
@units.response(200, shapes.Unit)
def unit_detail(unit: str) -> dict[str, Any]:
    """Show one business unit."""
    configuration = services().configuration()
    return _unit(_known_unit(configuration, unit), configuration)


@units.route("/<unit>/plugins")
@require("reader")
@units.response(200, PLUGINS_IN_UNITS)
def unit_plugins(unit: str) -> dict[str, Any]:
    """List every plugin in a unit: on or off, its values, and where each came from."""
    configuration = services().configuration()
    _known_unit(configuration, unit)
    found = [setting for (slug, _), setting in sorted(configuration.plugins.items()) if slug == unit]
    return {"items": [_setting(setting, configuration) for setting in found]}


@units.route("/<unit>/plugins/<plugin>")
@require("reader")
@units.response(200, shapes.PluginInUnit)
def unit_plugin(unit: str, plugin: str) -> dict[str, Any]:
    """Show one plugin in one unit; its ETag goes into `If-Match` when you change it."""
    configuration = services().configuration()
    setting = _known_setting(configuration, unit, plugin)
    tag_version(configuration.number)
    return _setting(setting, configuration)


@units.route("/<unit>/plugins/<plugin>", methods=["PATCH"])
@require("admin")
@idempotent
@units.arguments(requests.IfMatch, location="headers")
@units.arguments(requests.PluginBody)
@units.response(200, shapes.PluginInUnit)
def change_unit_plugin(match: dict[str, Any], body: dict[str, Any], unit: str, plugin: str) -> dict[str, Any]:
    """Switch a plugin in a unit or change its settings there: a new configuration version with who, when and why."""
    name = _changeable(unit, plugin)
    make_change(("units", unit, "plugins", name), body, match)
    configuration = services().configuration()
    tag_version(configuration.number)
    return _setting(_known_setting(configuration, unit, name), configuration)


@plugins.route("")
@require("reader")
@plugins.response(200, schemas.items_of(shapes.PluginInfo))
def plugin_list() -> dict[str, Any]:
    """List the plugins, those that cannot run and those that are missing included, with the reason."""
    found = services().plugins()
    missing = {name for _, name in services().configuration().plugins} - set(found)
    items = [*map(_plugin, found.values()), *map(_missing, missing)]
    return {"items": sorted(items, key=lambda item: str(item["name"]))}


@plugins.route("/<plugin>", methods=["PATCH"])
@require("admin")
@idempotent
@plugins.arguments(requests.IfMatch, location="headers")
@plugins.arguments(requests.PluginBody)
@plugins.response(200, PLUGINS_IN_UNITS)
def change_plugin(match: dict[str, Any], body: dict[str, Any], plugin: str) -> dict[str, Any]:
    """Switch a plugin in every unit, or change its settings where a unit has none of its own. Needs all units.

    Answers with the plugin in every unit, as it is afterwards.
    """
    require_all_units()
    name = _changeable(None, plugin)
    make_change(("plugins", name), body, match)
    configuration = services().configuration()
    found = [setting for (_, other), setting in sorted(configuration.plugins.items()) if other == name]
    return {"items": [_setting(setting, configuration) for setting in found]}


@versions.route("")
@require("reader")
@versions.arguments(requests.PageQuery, location="query")
@versions.response(200, schemas.page_of(shapes.ConfigVersion))
def version_list(query: dict[str, Any]) -> dict[str, Any]:
    """List the configuration versions, newest first. Needs a key of all units."""
    require_all_units()
    with services().database.read() as connection:
        return list_versions(connection, cursor=query.get("cursor"), limit=query["limit"]).as_dict()


@versions.route("/<number>")
@require("reader")
@versions.response(200, shapes.ConfigVersion)
def version_detail(number: str) -> dict[str, Any]:
    """Show one configuration version with its document. Needs a key of all units."""
    require_all_units()
    with services().database.read() as connection:
        return show_version(connection, _number(number))


@versions.route("/<number>/diff")
@require("reader")
@versions.arguments(requests.VersionDiffQuery, location="query")
@versions.response(200, shapes.VersionDiff)
def version_diff(query: dict[str, Any], number: str) -> dict[str, Any]:
    """Compare one configuration version with another, or with the one in force. Needs a key of all units."""
    require_all_units()
    with services().database.read() as connection:
        one = show_version(connection, _number(number))
        other = show_version(connection, query.get("to") or current_number(connection))
    before, after = (item["document"].splitlines(keepends=True) for item in (one, other))
    text = "".join(difflib.unified_diff(before, after, f"version {one['number']}", f"version {other['number']}"))
    return {"number": one["number"], "to": other["number"], "differs": bool(text), "diff": text}


@versions.route("/<number>/rollback", methods=["POST"])
@require("admin")
@idempotent
@versions.arguments(requests.IfMatch, location="headers")
@versions.arguments(requests.ReasonBody)
@versions.response(200, shapes.ConfigVersion)
def version_rollback(match: dict[str, Any], body: dict[str, Any], number: str) -> dict[str, Any]:
    """Make an earlier version the newest one, checked against today's plugins. Needs a key of all units.

    Answers with the version now in force; it is a new one unless the newest said the same already.
    """
    require_all_units()
    roll_back = services().roll_back
    if roll_back is None:
        raise Conflict("This process cannot go back to a version; use `outrigger config rollback`.")
    made = roll_back(_number(number), reason=body["reason"], actor=actor(), expected=expected_version(match))
    with services().database.read() as connection:
        return show_version(connection, made)


@quarantines.route("")
@require("reader")
@quarantines.response(200, schemas.items_of(shapes.Quarantine))
def quarantine_list() -> dict[str, Any]:
    """List the plugins that crashed in a unit; the active quarantines first."""
    with services().database.read() as connection:
        return {"items": list_quarantines(connection, allowed_units())}


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise NotFound(f'There is no configuration version "{text[:80]}".')
    return int(text)


def _changeable(unit: str | None, plugin: str) -> str:
    """Return the name of a plugin that may be changed: one of the configuration, or one that was installed since."""
    configuration, name = services().configuration(), plugin.replace("-", "_")
    if unit is not None:
        _known_unit(configuration, unit)
    known = {*services().plugins(), *(other for _, other in configuration.plugins)}
    if name not in known:
        raise NotFound(f'There is no plugin "{plugin[:80]}".{did_you_mean(name, known)}')
    return name


def _known_unit(configuration: Configuration, slug: str) -> UnitSettings:
    check_unit(slug)
    found = configuration.units.get(slug)
    if found is None:
        allowed = allowed_units()
        near = did_you_mean(slug, [name for name in configuration.units if allowed is None or name in allowed])
        raise NotFound(f'There is no unit "{slug[:80]}".{near}')
    return found


def _known_setting(configuration: Configuration, unit: str, plugin: str) -> PluginSetting:
    _known_unit(configuration, unit)
    # URLs write a plugin's name with hyphens, its folder has underscores.
    found = configuration.plugins.get((unit, plugin.replace("-", "_")))
    if found is None:
        names = [name for slug, name in configuration.plugins if slug == unit]
        raise NotFound(f'There is no plugin "{plugin[:80]}" in {unit}.{did_you_mean(plugin, names)}')
    return found


def _unit(unit: UnitSettings, configuration: Configuration) -> dict[str, Any]:
    return {
        "slug": unit.slug,
        "title": unit.title,
        "match": {name: list(values) for name, values in unit.match.items()},
        "calendar": unit.calendar,
        "plugins": list(configuration.enabled_plugins(unit.slug)),
    }


def _setting(setting: PluginSetting, configuration: Configuration) -> dict[str, Any]:
    with services().database.read() as connection:
        quarantine = active_quarantine(connection, setting.unit, setting.plugin)
    return {
        "unit": setting.unit,
        "plugin": setting.plugin,
        "enabled": setting.enabled,
        "config": dict(setting.values),
        "origins": dict(setting.origins),
        "quarantine": shapes.Quarantine().dump(quarantine) if quarantine else None,
        "config_version": configuration.number,
    }


def _plugin(plugin: Plugin) -> dict[str, Any]:
    about = plugin.manifest
    return {
        "name": about.name,
        "version": about.version,
        "title": about.title,
        "summary": about.summary,
        "owner": about.owner,
        "api": about.api,
        "tier": about.tier,
        "effects": list(about.effects),
        "hooks": list(hooks_implemented(plugin)),
        "installed": True,
        "error": plugin.error,
    }


def _missing(name: str) -> dict[str, Any]:
    nothing = dict.fromkeys(("version", "title", "summary", "owner", "api", "tier"), "")
    why = "not installed here; where it is on its events are kept until it is, or until plugins.toml is without it"
    return {"name": name, **nothing, "effects": [], "hooks": [], "installed": False, "error": why}
