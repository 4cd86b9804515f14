"""`outrigger people`: who there is, who is asked for a role or a person and why, who is absent and who stands in."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

import click

from core.cli.output import done
from core.cli.parts import person as at_terminal
from core.cli.printing import command, print_fields, print_json, print_table, safe
from core.cli.session import Session
from core.host.changes import change
from core.host.sections import DEFAULT_UNIT
from core.host.settings import Configuration
from core.model.errors import NotFound, did_you_mean
from core.people.changing import Change, absent, present
from core.people.directory import MANAGER_OF, Directory, local_day
from core.people.entries import Entry, Period
from core.people.shown import show_absence, show_person, standing

people = click.Group("people", help="The directory of people: roles, deputies, absences, and who is asked.")

DAY = click.DateTime(formats=["%Y-%m-%d"])
ON = click.option("--on", type=DAY, help="As of this day, such as 2026-10-01.  [default: today]")
UNIT = click.option("--unit", help="In which unit.")
BY = click.option("--by", default=None, help="Who does it.  [default: you]")


@command(people, "list")
@UNIT
@click.option("--role", help="Only those who hold this role on that day.")
@ON
@click.pass_obj
def list_people(session: Session, unit: str | None, role: str | None, on: datetime | None, as_json: bool) -> None:
    """List the people of the directory, leavers included, or those of a unit or role."""
    configuration = session.configuration()
    directory, day = configuration.directory, _day(session, configuration, unit, on)
    _check(unit, configuration.units, "unit")
    _check(role, directory.roles, "role")
    found: Iterable[Entry] = directory.entries.values()
    if role is not None:
        units = [unit] if unit is not None else list(configuration.units)
        held = {entry.person.slug: entry for name in units for entry in directory.granted(role, name, day)}
        found = [entry for _, entry in sorted(held.items()) if entry.employed.holds(day)]
    elif unit is not None:
        found = [entry for entry in found if entry.person.is_of(unit)]
    rows = [show_person(entry, day, with_contact=True) for entry in found]
    if as_json:
        print_json({"on": day, "items": rows})
    elif rows:
        lines = [{**row, "units": ", ".join(row["units"]), "roles": _role_names(row)} for row in rows]
        print_table(lines, ("slug", "name", "standing", "units", "roles", "manager", "deputy"))
    else:
        click.echo("Nobody. People stand in plugins.toml as [people.<name>].")


@command(people, "show")
@click.argument("who")
@ON
@click.pass_obj
def show(session: Session, who: str, on: datetime | None, as_json: bool) -> None:
    """Show a person, by slug or CRM id: contact, roles, deputy and absences."""
    configuration = session.configuration()
    entry = _entry(configuration.directory, who)
    day = _day(session, configuration, None, on)
    shown = show_person(entry, day, with_contact=True)
    if as_json:
        print_json({"on": day, **shown})
        return
    fields = {**shown, "roles": [_told(grant) for grant in shown["roles"]]}
    fields["absences"] = [_told(absence) for absence in shown["absences"]]
    print_fields((name, "; ".join(value) if isinstance(value, list) else value) for name, value in fields.items())


@command(people, "resolve")
@click.argument("who")
@UNIT
@ON
@click.option("--exclude", multiple=True, help="Somebody who may not be asked, such as who made the request.")
@click.option("--language", type=click.Choice(["zh", "en"]), default="en", show_default=True)
@click.pass_obj
def resolve(
    session: Session, who: str, unit: str | None, on: datetime | None, exclude: tuple[str, ...], language: str,
    as_json: bool,
) -> None:  # fmt: skip
    """Say who is asked for a role, a person, or `manager_of:` a person, and how that was found.

    Exit code 1 when nobody is left to ask.
    """
    configuration = session.configuration()
    directory = configuration.directory
    _check(unit, configuration.units, "unit")
    for name in exclude:
        _entry(directory, name)
    day = _day(session, configuration, unit, on)
    found = directory.resolve(who, unit or DEFAULT_UNIT, day, exclude)
    if who not in directory.roles and who.removeprefix(MANAGER_OF) not in directory.known:
        raise NotFound(f"Nobody can be asked: {found.reason}")
    if as_json:
        print_json({"on": day, **found.as_json()})
    else:
        nobody = f"无人：{found.reason_zh}" if language == "zh" else f"Nobody: {found.reason}"
        click.echo(safe(f"{found.person}" if found.person else nobody))
        for step in found.path_zh if language == "zh" else found.path:
            click.echo(safe(f"  {step}"))
    if found.person is None:
        raise click.exceptions.Exit(1)


@command(people, "absences")
@ON
@click.pass_obj
def absences(session: Session, on: datetime | None, as_json: bool) -> None:
    """List the absences of that day and later, and who stands in."""
    configuration = session.configuration()
    day = _day(session, configuration, None, on)
    rows = [
        {
            "person": slug,
            "name": entry.person.name,
            **show_absence(item),
            "deputy": item.deputy or entry.deputy,
            "now": item.period.holds(day),
        }
        for slug, entry in configuration.directory.entries.items()
        for item in entry.absences
        if standing(entry, day) != "left" and (item.period.last is None or item.period.last >= day)
    ]
    rows.sort(key=lambda row: (row["from"], row["person"]))
    if as_json:
        print_json({"on": day, "items": rows})
    elif rows:
        lines = [{key: value if key == "now" else _text(value) for key, value in row.items()} for row in rows]
        print_table(lines, ("person", "name", "from", "until", "now", "deputy", "reason"))
    else:
        click.echo(f"Nobody is absent on {day} or later.")


@command(people, "absent")
@click.argument("who")
@click.option("--from", "first", type=DAY, help="First day.  [default: today]")
@click.option("--until", "last", type=DAY, help="Last day.  [default: until further notice]")
@click.option("--deputy", help="Who stands in.  [default: the standing deputy]")
@click.option("--reason", help="Why, such as 年假; everybody who sees a decision's path can read it.")
@BY
@click.pass_obj
def add_absence(
    session: Session, who: str, first: datetime | None, last: datetime | None, deputy: str | None,
    reason: str | None, by: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Note that a person is absent: a new configuration version, written to the file."""
    configuration = session.configuration()
    entry = _entry(configuration.directory, who)
    stands_in = _entry(configuration.directory, deputy).person.slug if deputy else None
    period = Period(_day(session, configuration, None, first), last.date() if last else None)
    text = f"{entry.person} is absent {period}" + (f": {reason}" if reason else "")
    _change(session, configuration, absent(entry, period, stands_in, reason), text, by, as_json)


@command(people, "present")
@click.argument("who")
@click.option("--on", type=DAY, help="First day back.  [default: today]")
@BY
@click.pass_obj
def end_absence(session: Session, who: str, on: datetime | None, by: str | None, as_json: bool) -> None:
    """Note that a person is back: the absence of that day ends the day before, later ones stay."""
    configuration = session.configuration()
    entry, day = _entry(configuration.directory, who), _day(session, configuration, None, on)
    changes = present(entry, day)
    if changes is None:
        raise NotFound(f"{entry.person} is not absent on {day}; nothing was changed.")
    _change(session, configuration, changes, f"{entry.person} is back on {day}", by, as_json)


def _change(
    session: Session, configuration: Configuration, changes: Change, text: str, by: str | None, as_json: bool
) -> None:
    """Make the change, unless somebody made another since the absences were read that it replaces."""
    made = change(
        session.database, session.environment.config_path, session.surroundings(), changes=changes,
        by=by or at_terminal(), reason=text, clock=session.clock, expected=configuration.number,
    )  # fmt: skip
    told = f"{text}. Version {made.number} is in force."
    if made.not_written:
        told += f" The file was not changed: {made.not_written}."
    done(as_json, told, number=made.number, not_written=made.not_written or None)


def _day(session: Session, configuration: Configuration, unit: str | None, on: datetime | None) -> date:
    """Return the day that was asked for, or today by the unit's calendar."""
    if on is not None:
        return on.date()
    return local_day(session.clock.now(), configuration.calendar_of(unit or DEFAULT_UNIT).zone)


def _check(name: str | None, known: Iterable[str], noun: str) -> None:
    if name is not None and name not in known:
        raise NotFound(f'There is no {noun} "{name}".{did_you_mean(name, known)}')


def _entry(directory: Directory, who: str) -> Entry:
    found = directory.known.get(who)
    if found is None:
        raise NotFound(f'There is no person or CRM id "{who}".{did_you_mean(who, directory.known)}')
    return found


def _role_names(row: dict[str, Any]) -> str:
    return ", ".join(dict.fromkeys(grant["role"] for grant in row["roles"]))


def _told(item: dict[str, Any]) -> str:
    """Tell a role or an absence in one line, without what it does not say."""
    return " ".join(f"{key} {_text(value)}" for key, value in item.items() if value)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return "" if value is None else str(value)
