"""The people and calendars that a plugin's tests give its handlers, read as a server reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from core.host.calendar_sections import build_calendars, check_calendars
from core.host.faults import Faults
from core.host.people_sections import check_people
from core.host.toml_document import parse
from core.model.calendar import Calendar
from core.model.errors import ConfigurationRefused, NotFound, did_you_mean
from core.model.people import ALL_UNITS
from core.people.directory import Directory


def _place(path: str, key: str = "") -> str:
    return path


def directory_of(text: str, *, unit: str = "default") -> Directory:
    """Return the directory that these [people] and [roles] make. Raises ConfigurationRefused with every fault.

    The units there are `unit` and those that people name; a role must be held in each, as on a server.
    """
    document = parse(text, "people")
    faults = Faults()
    everyone = [person for person in document.get("people", {}).values() if isinstance(person, Mapping)]
    units = {unit, *(name for person in everyone for name in _units_of(person))} - {ALL_UNITS}
    channels = {name for person in everyone for name in _words(person.get("channels"))}
    found = check_people(document, faults, _place, units=units, channels=channels)
    if faults:
        raise ConfigurationRefused(faults.letter(), errors=faults.as_errors())
    return Directory.from_json(found["people"], found["roles"])


def _units_of(person: Mapping[str, Any]) -> Iterator[str]:
    yield from _words(person.get("units"))
    roles = person.get("roles")
    for grant in roles if isinstance(roles, list) else [roles]:
        if isinstance(grant, Mapping):
            yield from _words(grant.get("units"))


def _words(value: Any) -> list[str]:
    """Return one text or several as a list; what is neither is told by the check itself."""
    values = value if isinstance(value, list) else [value]
    return [item for item in values if isinstance(item, str)]


def calendar_of(slug: str, text: str = "") -> Calendar:
    """Return a working calendar: `cn`, `always`, or one of the [calendars.<slug>] in `text`.

    Raises ConfigurationRefused with every fault of the text, NotFound for a calendar that is not there.
    """
    faults = Faults()
    found = check_calendars(parse(text, "calendars"), faults, _place)
    if faults:
        raise ConfigurationRefused(faults.letter(), errors=faults.as_errors())
    if slug not in found:
        raise NotFound(f'There is no calendar "{slug[:80]}".{did_you_mean(slug, found)}')
    return build_calendars(found)[slug]
