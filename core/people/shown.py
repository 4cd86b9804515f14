"""What the API and the commands show of people and roles, as JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from core.people.directory import Directory
from core.people.entries import Absence, Entry, Grant, Period, Role

CONTACT = ("email", "phone", "wecom")
"""What only those who have to reach people are shown."""


def show_person(entry: Entry, day: date, *, with_contact: bool) -> dict[str, Any]:
    """Return a person as of a day, `standing` being one of there, absent, left and not_joined."""
    person = entry.person
    shown: dict[str, Any] = {
        "slug": person.slug,
        "name": person.name,
        "standing": standing(entry, day),
        "units": list(person.units),
        "roles": [_grant(grant) for grant in entry.grants],
        "grids": list(person.grids),
        "manager": person.manager,
        "deputy": entry.deputy,
        "absences": [show_absence(absence) for absence in entry.absences],
        "joined": entry.employed.first,
        "left": entry.employed.last,
        "language": person.language,
        "crm_ids": list(person.crm_ids),
        "channels": list(person.channels),
    }
    return shown | {name: getattr(person, name) for name in CONTACT} if with_contact else shown


def show_absence(absence: Absence) -> dict[str, Any]:
    """Return an absence by the keys it has in plugins.toml."""
    return {**_days(absence.period), "deputy": absence.deputy, "reason": absence.reason}


def show_role(role: Role, holders: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return a role with its holders by unit; one of the whole company has them under `*`."""
    return {
        "slug": role.slug,
        "title": dict(role.titles),
        "scope": "company" if role.of_company else "unit",
        "fallback": role.fallback,
        "holders": dict(holders),
    }


def holders_of(directory: Directory, role: str, units: list[str], day: date) -> dict[str, list[str]]:
    """Return who holds a role on a day, absent ones included, by unit."""
    places = ["*"] if directory.roles[role].of_company else units
    return {
        unit: [entry.person.slug for entry in directory.granted(role, unit, day) if entry.employed.holds(day)]
        for unit in places
    }


def standing(entry: Entry, day: date) -> str:
    """Return in a word whether somebody is there on a day."""
    if entry.employed.holds(day):
        return "absent" if entry.absence(day) else "there"
    return "left" if entry.employed.last is not None and day > entry.employed.last else "not_joined"


def _grant(grant: Grant) -> dict[str, Any]:
    return {"role": grant.role, "units": list(grant.units), **_days(grant.period)}


def _days(period: Period) -> dict[str, date | None]:
    return {"from": period.first, "until": period.last}
