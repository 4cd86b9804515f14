"""The API of what IT decides: units, plugins and their switches, configuration versions, quarantines."""

from __future__ import annotations

from typing import Any

from core.host.plugin import Plugin
from core.host.settings import Configuration, PluginSetting, UnitSettings
from core.model.errors import Conflict, NotFound, did_you_mean
from core.pipeline.listening import hooks_implemented
from core.store.reading.configuration import active_quarantine, list_quarantines, list_versions, show_version
from core.web import requests, schemas
from core.web import schemas_configuration as shapes
from core.web.auth import actor, allowed_units, check_unit, require, require_all_units
from core.web.idempotency import idempotent
from core.web.parsing import Blueprint
from core.web.services import services

units = Blueprint("units", __name__, url_prefix="/units", description="Business units and their plugins.")
plugins = Blueprint("plugins", __name__, url_prefix="/plugins", description="Installed plugins.")
versions = Blueprint("config", __name__, url_prefix="/config/versions", description="Configuration versions.")
quarantines = Blueprint("quarantines", __name__, url_prefix="/quarantines", description="Plugins that crashed.")


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
@units.response(200, schemas.items_of(shapes.PluginInUnit))
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
    """Show one plugin in one unit."""
    configuration = services().configuration()
    return _setting(_known_setting(configuration, unit, plugin), configuration)


@units.route("/<unit>/plugins/<plugin>", methods=["PATCH"])
@require("admin")
@idempotent
@units.arguments(requests.SwitchBody)
@units.response(200, shapes.PluginInUnit)
def switch_plugin(body: dict[str, Any], unit: str, plugin: str) -> dict[str, Any]:
    """Switch a plugin on or off in a unit: a new configuration version with who, when and why."""
    parts = services()
    setting = _known_setting(parts.configuration(), unit, plugin)
    if parts.switch is None:
        raise Conflict("This process cannot switch plugins; use `outrigger plugins enable` or `disable`.")
    number = parts.switch(
        unit=unit, plugin=setting.plugin, enabled=body["enabled"], reason=body["reason"], actor=actor()
    )
    # This process may pick the new version up a moment later; the answer already speaks of it.
    configuration = parts.configuration()
    after = _setting(_known_setting(configuration, unit, plugin), configuration)
    return {**after, "enabled": body["enabled"], "config_version": number}


@plugins.route("")
@require("reader")
@plugins.response(200, schemas.items_of(shapes.PluginInfo))
def plugin_list() -> dict[str, Any]:
    """List the installed plugins, those that cannot run included, with the reason."""
    return {"items": [_plugin(item) for _, item in sorted(services().plugins().items())]}


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
    if not number.isascii() or not number.isdigit() or len(number) > 9:
        raise NotFound(f'There is no configuration version "{number[:80]}".')
    with services().database.read() as connection:
        return show_version(connection, int(number))


@quarantines.route("")
@require("reader")
@quarantines.response(200, schemas.items_of(shapes.Quarantine))
def quarantine_list() -> dict[str, Any]:
    """List the plugins that crashed in a unit; the active quarantines first."""
    with services().database.read() as connection:
        return {"items": list_quarantines(connection, allowed_units())}


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
        "error": plugin.error,
    }
