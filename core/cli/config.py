"""`outrigger config`: check and apply plugins.toml, and look at and go back to earlier versions."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable
from typing import Any, Literal

import click

from core.cli.changing import change_and_lift
from core.cli.output import done
from core.cli.parts import person
from core.cli.pending_tables import missing_tables, tables_note
from core.cli.printing import command, print_fields, print_json, print_table, safe
from core.cli.session import Session, plugin_name
from core.host import versions
from core.host.applying import Applied, apply, drift, refuse_emptied, rollback
from core.host.configuration import resolve
from core.host.environment import toml_value
from core.host.plugin_schema import plain
from core.host.toml_document import dotted, keys, parse, read_text, value_at
from core.model.errors import DatabaseNotReady, NotFound, did_you_mean
from core.model.instants import format_instant

config = click.Group("config", help="plugins.toml as desired state: check, apply, change single keys, go back.")

BY = click.option("--by", default=None, help="Who does it.  [default: you]")


@command(config, "check")
@click.pass_obj
def check(session: Session, as_json: bool) -> None:
    """Check plugins.toml as a whole, without applying it. Every fault is told at once."""
    path = session.environment.config_path
    before, text = _in_force(session), read_text(path)
    refuse_emptied(path, text, before)
    resolved = resolve(text, session.surroundings(), before=before.resolved if before else None)
    broken = {name: plugin.error for name, plugin in session.plugins().items() if plugin.error}
    if as_json:
        print_json({"file": str(path), "faults": [], "plugins_with_errors": broken, "absent": resolved["absent"]})
        return
    click.echo(f"{path} is right: {len(resolved['sources'])} sources, {len(resolved['units'])} units.")
    for name, error in broken.items():
        click.echo(f"Its settings could not be checked, because the plugin cannot be loaded: {name}: {error}")
    if resolved["absent"]:
        click.echo(_absent(resolved["absent"]))


def _in_force(session: Session) -> versions.Version | None:
    """Return the version in force; None where there is none, or no database to look into yet."""
    try:
        with session.database.read() as connection:
            return versions.newest(connection)
    except DatabaseNotReady:
        return None


def _absent(names: Iterable[str]) -> str:
    return f"Not installed any more, so kept as it was and not checked: {', '.join(names)}."


@command(config, "apply")
@click.option("--reason", default="", help="Why; kept with the version.")
@click.option("--wins", type=click.Choice(["file", "server"]), help="Which counts when newer changes say otherwise.")
@BY
@click.pass_obj
def apply_file(
    session: Session, reason: str, wins: Literal["file", "server"] | None, by: str | None, as_json: bool
) -> None:
    """Make plugins.toml a new configuration version; running processes pick it up within two seconds."""
    applied = apply(
        session.database, session.environment.config_path, session.surroundings(),
        clock=session.clock, by=by or person(), reason=reason, wins=wins,
    )  # fmt: skip
    _tell(session, applied, as_json)


@command(config, "show")
@click.pass_obj
def show(session: Session, as_json: bool) -> None:
    """Show the version in force and whether the file agrees with it."""
    with session.database.read() as connection:
        found = versions.newest(connection)
        difference = drift(connection, session.environment.config_path)
    if found is None:
        raise versions.nothing_applied()
    if as_json:
        resolved = {
            key: found.resolved[key] for key in ("server", "dispatch", "sources", "units", "endpoints", "plugins")
        }
        print_json({**found.outline(), "in_step": difference.in_step, "drift": difference.text, **resolved})
        return
    print_fields(
        [
            ("version", found.number),
            ("applied", f"{format_instant(found.applied_at)} by {found.applied_by}"),
            ("origin", found.origin),
            ("reason", found.reason),
            ("file", difference.text),
            ("sources", ", ".join(found.resolved["sources"])),
            ("units", ", ".join(unit["slug"] for unit in found.resolved["units"])),
            ("endpoints", ", ".join(found.resolved["endpoints"])),
            ("from the environment", ", ".join(found.resolved["environment"])),
        ]
    )


@command(config, "diff")
@click.pass_obj
def diff(session: Session, as_json: bool) -> None:
    """Show how the file differs from the version in force; exit code 0 also when it does."""
    path = session.environment.config_path
    with session.database.read() as connection:
        found = versions.newest(connection)
    before = found.document if found is not None else ""
    name = f"version {found.number}" if found is not None else "nothing applied"
    text = "".join(difflib.unified_diff(before.splitlines(True), read_text(path).splitlines(True), name, str(path)))
    if as_json:
        print_json({"differs": bool(text), "diff": text})
    else:
        click.echo(text or f"{path} is {name}.", nl=not text)


@command(config, "export")
@click.option("--number", type=int, help="Which version.  [default: the one in force]")
@click.pass_obj
def export(session: Session, number: int | None, as_json: bool) -> None:
    """Print a version's document, changes included, as plugins.toml would say it."""
    with session.database.read() as connection:
        found = versions.newest(connection) if number is None else versions.version(connection, number)
    if found is None:
        raise versions.nothing_applied()
    if as_json:
        print_json({**found.outline(), "document": found.document})
    else:
        sys.stdout.write(found.document)


@command(config, "history")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.pass_obj
def history(session: Session, limit: int, as_json: bool) -> None:
    """List the versions, newest first: when, who, and why."""
    with session.database.read() as connection:
        found = versions.history(connection, limit)
    if as_json:
        print_json({"items": found})
    elif found:
        print_table(found, ("number", "applied_at", "applied_by", "origin", "reason"))
    else:
        click.echo("Nothing was applied yet; run `outrigger config apply`.")


@command(config, "rollback")
@click.argument("number", type=int)
@click.option("--reason", required=True, help="Why; kept with the version.")
@BY
@click.pass_obj
def roll_back(session: Session, number: int, reason: str, by: str | None, as_json: bool) -> None:
    """Make an earlier version the newest one, checked against today's plugins, and write it to the file."""
    applied = rollback(
        session.database, session.environment.config_path, session.surroundings(), number,
        clock=session.clock, by=by or person(), reason=reason,
    )  # fmt: skip
    _tell(session, applied, as_json, said=f"version {number}")


def _tell(session: Session, applied: Applied, as_json: bool, said: str = "plugins.toml") -> None:
    if not applied.is_new:
        text = f"Version {applied.number} says this already; nothing changed."
        if applied.written_back:
            text = f"Version {applied.number} stays in force, and its changes were written into the file."
    else:
        text = f"Version {applied.number} is in force; it says what {said} says."
    if applied.not_written:
        text += f" The file was not changed: {applied.not_written}."
    if applied.absent:
        text += f" {_absent(applied.absent)}"
    missing = missing_tables(session)
    if missing:
        text += f" {tables_note(missing)}"
    done(
        as_json, text, number=applied.number, is_new=applied.is_new, not_written=applied.not_written or None,
        absent=list(applied.absent), pending=missing,
    )  # fmt: skip


PLUGIN = click.option("--plugin", help="KEY is one of this plugin's settings.")
UNIT = click.option("--unit", help="KEY is of this business unit; with --plugin, the plugin's setting there alone.")
REASON = click.option("--reason", required=True, help="Why; shown wherever the value is.")


@command(config, "set")
@click.argument("key")
@click.argument("value")
@PLUGIN
@UNIT
@REASON
@BY
@click.pass_obj
def set_key(
    session: Session, key: str, value: str, plugin: str | None, unit: str | None, reason: str, by: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Set a key on the running server: a new version, also written to the file.

    KEY is a path such as `dispatch.max_attempts`; with --plugin or --unit it starts there, such as `grades.A`. VALUE is
    taken as TOML (75, true, ["east"], 2026-12-01) where it reads as that, else as text. One that begins with a minus
    stands after `--`.
    """
    path = _path(key, plugin, unit)
    _change(session, path, toml_value(value), reason, by, as_json)


@command(config, "unset")
@click.argument("key")
@PLUGIN
@UNIT
@REASON
@BY
@click.pass_obj
def unset_key(
    session: Session, key: str, plugin: str | None, unit: str | None, reason: str, by: str | None, as_json: bool
) -> None:
    """Remove a key on the running server, so that what stands below it counts again: a new version.

    KEY is a path as for `config set`.
    """
    path = _path(key, plugin, unit)
    before = _in_force(session)
    document = parse(before.document, f"version {before.number}") if before is not None else {}
    if value_at(document, path) is None:
        siblings = value_at(document, path[:-1])
        near = did_you_mean(path[-1], siblings if isinstance(siblings, dict) else ())
        raise NotFound(f"`{dotted(path)}` is not set, so nothing was removed.{near}")
    _change(session, path, None, reason, by, as_json)


def _path(key: str, plugin: str | None, unit: str | None) -> tuple[str, ...]:
    of_unit = ("units", unit) if unit is not None else ()
    of_plugin = ("plugins", plugin_name(plugin), "config") if plugin is not None else ()
    return (*of_unit, *of_plugin, *keys(key))


def _change(session: Session, path: tuple[str, ...], value: Any, reason: str, by: str | None, as_json: bool) -> None:
    made, lifted = change_and_lift(
        session.database, session.environment.config_path, session.surroundings(), changes={path: value},
        by=by or person(), reason=reason, clock=session.clock,
    )  # fmt: skip
    said = "is removed" if value is None else f"is {safe(plain(value))}"
    text = f"`{dotted(path)}` {said} (version {made.number})." if made.is_new else f"`{dotted(path)}` {said} already."
    if lifted:
        text += f" Its quarantine is lifted in {', '.join(lifted)}."
    if made.not_written:
        text += f" The file does not say so: {made.not_written}; `outrigger config diff` shows the difference."
    done(
        as_json, text, number=made.number, is_new=made.is_new, key=dotted(path), quarantine_lifted=lifted,
        written_back=made.written_back, not_written=made.not_written or None,
    )  # fmt: skip
