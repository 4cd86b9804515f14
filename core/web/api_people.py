"""The API of the directory: people, roles, who is asked and why, and changes of absences and deputies."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

from core.host.sections import DEFAULT_UNIT
from core.host.settings import Configuration
from core.model.errors import InvalidRequest, NotAllowed, NotFound, did_you_mean
from core.model.people import Person
from core.people.directory import MANAGER_OF, local_day
from core.people.entries import Entry
from core.people.shown import holders_of, show_person, show_role
from core.web import requests, schemas
from core.web import schemas_people as shapes
from core.web.auth import actor, allowed_units, caller, check_unit, require
from core.web.changing import expected_version, tag_version
from core.web.idempotency import idempotent
from core.web.parsing import Blueprint
from core.web.services import changer, services

people = Blueprint("people", __name__, url_prefix="/people", description="The directory of people.")
roles = Blueprint("roles", __name__, url_prefix="/roles", description="Roles and who holds them.")


@people.route("")
@require("reader")
@people.arguments(shapes.PeopleQuery, location="query")
@people.response(200, schemas.items_of(shapes.Person))
def people_list(query: dict[str, Any]) -> dict[str, Any]:
    """List the people of the key's units and of the whole company, leavers included."""
    configuration = services().configuration()
    unit, role, grid = query.get("unit"), query.get("role"), query.get("grid")
    if unit is not None:
        _check_known_unit(configuration, unit)
    day = query.get("on") or _today(configuration, unit)
    found: Iterable[Entry] = configuration.directory.entries.values()
    if role is not None:
        found = _holders(configuration, role, unit, day)
    elif unit is not None:
        found = [entry for entry in found if entry.person.is_of(unit)]
    chosen = [entry for entry in found if _sees(entry.person) and (grid is None or grid in entry.person.grids)]
    return {"items": [_shown(entry, day) for entry in chosen]}


@people.route("/resolve")
@require("reader")
@people.arguments(shapes.ResolveQuery, location="query")
@people.response(200, shapes.Resolution)
def people_resolve(query: dict[str, Any]) -> dict[str, Any]:
    """Say who is asked for a role, a person or a person's manager, with every step; `person` may be null."""
    configuration = services().configuration()
    directory = configuration.directory
    who, unit = query["who"], query.get("unit") or _own_unit()
    _check_known_unit(configuration, unit)
    if who not in directory.roles:
        _visible(configuration, who.removeprefix(MANAGER_OF), directory.roles)
    exclude = [_visible(configuration, query["excluded"]).person.slug] if "excluded" in query else []
    day = query.get("on") or _today(configuration, unit)
    return {**directory.resolve(who, unit, day, exclude).as_json(), "on": day}


@people.route("/<who>")
@require("reader")
@people.arguments(shapes.PersonQuery, location="query")
@people.response(200, shapes.Person)
def people_detail(query: dict[str, Any], who: str) -> dict[str, Any]:
    """Show a person, by slug or CRM id; the ETag goes into `If-Match` when you change it."""
    configuration = services().configuration()
    entry = _visible(configuration, who)
    tag_version(configuration.number)
    return _shown(entry, query.get("on") or _today(configuration, None))


@people.route("/<who>", methods=["PATCH"])
@require("admin")
@idempotent
@people.arguments(requests.IfMatch, location="headers")
@people.arguments(shapes.PersonPatch)
@people.response(200, shapes.Person)
def people_change(match: dict[str, Any], body: dict[str, Any], who: str) -> dict[str, Any]:
    """Change a person's absences or standing deputy: a new configuration version with who, when and why."""
    configuration = services().configuration()
    entry = _visible(configuration, who)
    _check_may_change(entry)
    _check_deputies(configuration, body)
    slug = entry.person.slug
    changes: dict[tuple[str, ...], Any] = {}
    if "deputy" in body:
        changes["people", slug, "deputy"] = body["deputy"]
    if "absences" in body:
        tables = [{key: value for key, value in item.items() if value is not None} for item in body["absences"]]
        changes["people", slug, "absences"] = tables or None
    changer()(changes=changes, reason=body["reason"], actor=actor(), expected=expected_version(match))
    configuration = services().configuration()
    tag_version(configuration.number)
    return _shown(_visible(configuration, slug), _today(configuration, None))


@roles.route("")
@require("reader")
@roles.arguments(shapes.PersonQuery, location="query")
@roles.response(200, schemas.items_of(shapes.Role))
def role_list(query: dict[str, Any]) -> dict[str, Any]:
    """List the roles, each with who holds it in the key's units; absent ones included."""
    configuration, allowed = services().configuration(), allowed_units()
    directory, day = configuration.directory, query.get("on") or _today(configuration, None)
    units = [unit for unit in configuration.units if allowed is None or unit in allowed]
    return {
        "items": [show_role(role, holders_of(directory, slug, units, day)) for slug, role in directory.roles.items()]
    }


def _shown(entry: Entry, day: date) -> dict[str, Any]:
    return show_person(entry, day, with_contact=caller().may("operator"))


def _sees(person: Person) -> bool:
    """Whether this key may see somebody: its units' people, and those of the whole company."""
    allowed = allowed_units()
    return allowed is None or not person.units or any(person.is_of(unit) for unit in allowed)


def _visible(configuration: Configuration, who: str, also: Iterable[str] = ()) -> Entry:
    """Return a person this key may see. Raises NotFound with the nearest such person, or the nearest of `also`."""
    seen = {name: entry for name, entry in configuration.directory.known.items() if _sees(entry.person)}
    if who not in seen:
        raise NotFound(f'Nobody is known as "{who[:80]}".{did_you_mean(who, [*also, *seen])}')
    return seen[who]


def _check_may_change(entry: Entry) -> None:
    """Refuse a key of some units for somebody who also works, or holds a role, elsewhere: deputies decide there too."""
    allowed, person = allowed_units(), entry.person
    held = {*person.units, *(unit for grant in entry.grants for unit in grant.units)}
    if allowed is not None and not (person.units and held <= allowed):
        raise NotAllowed(f"{person.slug} is not of this key's units alone; use a key of all units.")


def _check_deputies(configuration: Configuration, body: dict[str, Any]) -> None:
    """Refuse a key of some units that names a deputy it may not see, as if nobody were known by that name."""
    if allowed_units() is not None:
        for deputy in (body.get("deputy"), *(absence["deputy"] for absence in body.get("absences") or ())):
            if deputy is not None:
                _visible(configuration, deputy)


def _check_known_unit(configuration: Configuration, unit: str) -> None:
    check_unit(unit)
    if unit not in configuration.units:
        raise NotFound(f'There is no unit "{unit[:80]}".{did_you_mean(unit, configuration.units)}')


def _own_unit() -> str:
    """Return the unit that is meant when none is given."""
    allowed = allowed_units()
    if allowed is None:
        return DEFAULT_UNIT
    if len(allowed) != 1:
        raise InvalidRequest(errors=[{"path": "unit", "message": f"Say which: {', '.join(sorted(allowed))}."}])
    return next(iter(allowed))


def _holders(configuration: Configuration, role: str, unit: str | None, day: date) -> list[Entry]:
    directory, allowed = configuration.directory, allowed_units()
    if role not in directory.roles:
        raise NotFound(f'There is no role "{role[:80]}".{did_you_mean(role, directory.roles)}')
    units = [unit] if unit else [slug for slug in configuration.units if allowed is None or slug in allowed]
    held = holders_of(directory, role, units, day)
    return [directory.entries[slug] for slug in sorted({slug for slugs in held.values() for slug in slugs})]


def _today(configuration: Configuration, unit: str | None) -> date:
    return local_day(services().clock.now(), configuration.calendar_of(unit or DEFAULT_UNIT).zone)
