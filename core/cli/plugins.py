"""`outrigger plugins`: which plugins there are, what they are set to and why, switching, checking, and new ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from core.cli.changing import change_and_lift
from core.cli.output import done
from core.cli.parts import person
from core.cli.pending_tables import missing_tables, tables_note
from core.cli.printing import command, print_fields, print_json, print_table, safe
from core.cli.session import Session, plugin_name
from core.host.plugin import Plugin
from core.host.settings import Configuration, PluginSetting
from core.host.switches import switch_path
from core.host.toml_document import dotted
from core.host.versions import newest
from core.model.errors import ConfigurationRefused, NotFound, did_you_mean
from core.store.reading.configuration import list_quarantines

plugins = click.Group("plugins", help="Plugins: list, show, switch on and off per unit, check, make new ones.")

UNIT = click.option("--unit", help="Only this business unit.  [default: all]")


@command(plugins, "list")
@UNIT
@click.pass_obj
def list_(session: Session, unit: str | None, as_json: bool) -> None:
    """List every plugin with its state in each unit, and where that state came from."""
    configuration = _configuration(session, unit)
    quarantined = _quarantined(session)
    rows = []
    for name, plugin in session.plugins().items():
        settings: list[PluginSetting | None] = [*_settings(configuration, name, unit)]
        for setting in settings or [None]:
            rows.append(_row(name, plugin, setting, session, quarantined, is_applied=configuration is not None))
    rows += _missing(configuration, session, unit)
    if as_json:
        print_json({"config_version": configuration.number if configuration else None, "items": rows})
        return
    if not rows:
        click.echo("There are no plugins; make one with `outrigger plugins new NAME`.")
        return
    print_table(rows, ("plugin", "version", "unit", "state", "origin", "effects"), widest=60)
    for row in rows:
        if row["problem"]:
            click.echo(f"! {row['plugin']}{' in ' + row['unit'] if row['unit'] else ''}: {safe(row['problem'])}")


def _row(
    name: str, plugin: Plugin, setting: PluginSetting | None, session: Session,
    quarantined: dict[tuple[str, str], str], *, is_applied: bool,
) -> dict[str, Any]:  # fmt: skip
    problem = plugin.error
    if setting is None:
        installed_since = "installed since; `outrigger plugins enable` switches it on"
        state, origin = "not applied", installed_since if is_applied else "no configuration was applied yet"
    else:
        state, origin = "on" if setting.enabled else "off", setting.origins.get("enabled", "")
        problem = problem or session.configurations.faults.get((setting.unit, name))
        held = quarantined.get((setting.unit, name))
        if held:
            state, problem = "quarantined", problem or f"{held}; `outrigger plugins enable` lifts it"
    if problem and state == "on":
        state = "cannot run"
    return {
        "plugin": name,
        "version": plugin.manifest.version,
        "unit": setting.unit if setting else "",
        "state": state,
        "origin": origin,
        "effects": ", ".join(plugin.manifest.effects),
        "problem": problem,
    }


def _missing(configuration: Configuration | None, session: Session, unit: str | None) -> list[dict[str, Any]]:
    """Return a row for every plugin that is switched on in the version in force and is not installed."""
    found = configuration.plugins.values() if configuration is not None else ()
    return [
        {
            "plugin": item.plugin,
            "version": "",
            "unit": item.unit,
            "state": "missing",
            "origin": item.origins.get("enabled", ""),
            "effects": "",
            "problem": "not installed here; its events are kept until it is, or until plugins.toml is without it",
        }
        for item in found
        if item.enabled and item.plugin not in session.plugins() and unit in (None, item.unit)
    ]


@command(plugins, "show")
@click.argument("name")
@UNIT
@click.pass_obj
def show(session: Session, name: str, unit: str | None, as_json: bool) -> None:
    """Show one plugin: what it may do, the hooks it has, and every setting with where it came from."""
    plugin = _known(session, name)
    configuration = _configuration(session, unit)
    settings = _settings(configuration, plugin.name, unit)
    quarantined = _quarantined(session)
    facts = {
        "name": plugin.name,
        "title": plugin.manifest.title,
        "version": plugin.manifest.version,
        "summary": plugin.manifest.summary,
        "owner": plugin.manifest.owner,
        "tier": plugin.manifest.tier,
        "folder": str(plugin.folder),
        "effects": list(plugin.manifest.effects),
        "hooks": list(plugin.hooks),
        "error": plugin.error,
    }
    if as_json:
        units = {
            item.unit: {
                "enabled": item.enabled,
                "quarantine": quarantined.get((item.unit, plugin.name)),
                "values": dict(item.values),
                "origins": dict(item.origins),
            }
            for item in settings
        }
        print_json({**facts, "units": units, "settings": dict(plugin.config_keys)})
        return
    print_fields([(key, ", ".join(value) if isinstance(value, list) else value) for key, value in facts.items()])
    for setting in settings:
        state = "on" if setting.enabled else "off"
        held = quarantined.get((setting.unit, plugin.name))
        click.echo(f"\n{setting.unit}: {state} ({safe(setting.origins.get('enabled', ''))})")
        if held:
            click.echo(f"! quarantined: {safe(held)}; `outrigger plugins enable` lifts it")
        rows = [{"setting": key, "value": value, "origin": setting.origins.get(key, "default")}
                for key, value in _flat(setting.values)]  # fmt: skip
        if rows:
            print_table(rows, ("setting", "value", "origin"), widest=60)


def _flat(values: Any, before: tuple[str, ...] = ()) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in values.items():
        if isinstance(value, dict) and value:
            found += _flat(value, (*before, key))
        else:
            found.append((dotted((*before, key)), value))
    return found


def _switch_options(function: Any) -> Any:
    function = click.option("--by", default=None, help="Who does it.  [default: you]")(function)
    function = click.option("--reason", required=True, help="Why; shown wherever the switch is.")(function)
    return click.argument("name")(UNIT(function))


@command(plugins, "enable")
@_switch_options
@click.pass_obj
def enable(session: Session, name: str, unit: str | None, reason: str, by: str | None, as_json: bool) -> None:
    """Switch a plugin on in a unit, or in all; this also lifts its quarantine there."""
    _switch(session, name, unit, reason, by, as_json, enabled=True)


@command(plugins, "disable")
@_switch_options
@click.pass_obj
def disable(session: Session, name: str, unit: str | None, reason: str, by: str | None, as_json: bool) -> None:
    """Switch a plugin off in a unit, or in all; it has no effect there from this moment."""
    _switch(session, name, unit, reason, by, as_json, enabled=False)


def _switch(
    session: Session, name: str, unit: str | None, reason: str, by: str | None, as_json: bool, *, enabled: bool
) -> None:
    plugin = plugin_name(name)
    is_new = plugin not in _in_force(session)
    result, lifted = change_and_lift(
        session.database, session.environment.config_path, session.surroundings(),
        changes={switch_path(plugin, unit): enabled}, by=by or person(), reason=reason, clock=session.clock,
    )  # fmt: skip
    units = [slug for slug, switched, _ in result.switched if switched == plugin]
    word = "on" if enabled else "off"
    text = f"{plugin} is {word} in {', '.join(units)} (version {result.number})."
    if not units:
        text = f"{plugin} is {word} there already."
    missing = missing_tables(session, [plugin]) if enabled else []
    if missing:
        text += f" {tables_note(missing)}"
    elif units and is_new:
        text += " It is new here: restart the server to load its code, if that was started before."
    if lifted:
        text += f" Its quarantine is lifted in {', '.join(lifted)}."
    if result.not_written:
        text += f" The file does not say so: {result.not_written}; `outrigger config diff` shows the difference."
    done(
        as_json, text, number=result.number, units=units, enabled=enabled, quarantine_lifted=lifted, pending=missing,
        written_back=result.written_back, not_written=result.not_written or None,
    )  # fmt: skip


@command(plugins, "check")
@click.argument("name", required=False)
@click.pass_obj
def check(session: Session, name: str | None, as_json: bool) -> None:
    """Check a plugin, or all, against the house rules: each is done, todo or exempt, with the reason."""
    from core.testing.quality import check_plugin

    found = [_known(session, name)] if name else list(session.plugins().values())
    reports = [check_plugin(plugin) for plugin in found]
    if as_json:
        print_json({"items": [report.as_json() for report in reports]})
    else:
        for report in reports:
            click.echo(f"{report.plugin}: claims {report.claimed}, reaches {report.reached or 'no tier'}")
            for finding in report.findings:
                click.echo(f"  {finding.state:<6} {finding.tier:<6} {finding.rule}{_because(finding.reason)}")
    if not all(report.holds for report in reports):
        raise click.exceptions.Exit(1)


def _because(reason: str) -> str:
    return f": {safe(reason)}" if reason else ""


@command(plugins, "new")
@click.argument("name")
@click.option(
    "--dir", "directory", type=click.Path(path_type=Path), help="Where.  [default: the server's plugins folder]"
)
@click.option("--title", default="", help="The plugin's title for people.")
@click.option("--owner", default="", help="Who looks after it: a person or a mailbox.")
@click.pass_obj
def new(session: Session, name: str, directory: Path | None, title: str, owner: str, as_json: bool) -> None:
    """Write a new plugin that already passes `plugins check`; change it from there."""
    from core.host.scaffold import write_plugin

    root = directory or session.assembly.plugin_roots[0]
    folder = write_plugin(root, plugin_name(name), title=title, owner=owner or person().partition(" ")[0])
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    next_ = f"`outrigger plugins check {name}`, then change rules.py and its tests."
    if root.resolve() not in (path.resolve() for path in session.assembly.roots(session.environment)):
        next_ = f"set OUTRIGGER_PLUGIN_DIRS={root.resolve()}, for the server too, so that it is found; {next_}"
    text = f"{folder} is written. Next: {next_}"
    done(as_json, text, folder=str(folder), files=files)


def _in_force(session: Session) -> set[str]:
    """Return the names of the plugins of the version in force, without loading anybody's settings."""
    with session.database.read() as connection:
        found = newest(connection)
    return {name for of_unit in found.resolved["plugins"].values() for name in of_unit} if found is not None else set()


def _known(session: Session, name: str) -> Plugin:
    found = session.plugins()
    plugin = found.get(plugin_name(name))
    if plugin is None:
        folders = ", ".join(str(path) for path in session.assembly.roots(session.environment))
        raise NotFound(
            f'There is no plugin "{name}".{did_you_mean(plugin_name(name), found)} Looked in {folders} and the '
            "installed distributions; OUTRIGGER_PLUGIN_DIRS names further folders."
        )
    return plugin


def _configuration(session: Session, unit: str | None) -> Configuration | None:
    """Return the version in force, or None before the first; a unit that does not exist is refused."""
    try:
        configuration = session.configuration()
    except ConfigurationRefused:
        return None
    if unit is not None and unit not in configuration.units:
        raise NotFound(f'There is no unit "{unit}".{did_you_mean(unit, configuration.units)}')
    return configuration


def _settings(configuration: Configuration | None, name: str, unit: str | None) -> list[PluginSetting]:
    if configuration is None:
        return []
    slugs = [unit] if unit is not None else list(configuration.units)
    return [configuration.plugins[slug, name] for slug in slugs if (slug, name) in configuration.plugins]


def _quarantined(session: Session) -> dict[tuple[str, str], str]:
    with session.database.read() as connection:
        return {(row["unit"], row["plugin"]): row["reason"] for row in list_quarantines(connection) if row["active"]}
