"""Checks [roles] and [people] of plugins.toml as a whole, and whether a name in a plugin's settings can be asked.

Public: `check_people(...)` returns canonical JSON for `Directory.from_json`; `check_who(name, people)`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

import marshmallow as ma

from core.host.every_fault import load_table
from core.host.faults import Faults
from core.host.people_schema import AbsenceSchema, GrantSchema, PersonSchema, RoleSchema
from core.model.errors import did_you_mean
from core.model.people import ALL_UNITS
from core.people.circles import circles, dated_circles, uncovered
from core.people.directory import MANAGER_OF, Directory

_SLUG = re.compile(r"^[a-z0-9][a-z0-9_-]{0,62}$")
_MOST_UNCOVERED = 20  # faults told of absences that nobody covers; one mistake in a long chain makes many
_LISTS = {"absences": AbsenceSchema(), "roles": GrantSchema()}


def check_people(
    document: Mapping[str, Any],
    faults: Faults,
    place: Callable[..., str],
    *,
    units: Collection[str],
    channels: Collection[str],
) -> dict[str, Any]:
    """Return `{"people": …, "roles": …}` as canonical JSON; every fault goes to `faults` with its place.

    `units` and `channels` are the slugs that may be named. Of a table with faults only the slug is returned.
    """
    found = _Checker(document, units, channels).check()
    for path, key, message in found.faults:
        faults.add(place(path, key), message)
    return {"people": found.people, "roles": found.roles}


def check_who(name: str, people: Mapping[str, Any]) -> str | None:
    """Say why a name in a plugin's settings can never be asked, or None when it can, in whichever unit.

    `people` is what `check_people` returned. That every role is held, or has another that stands in, in every unit
    was seen to there.
    """
    entries, roles = people["people"], people["roles"]
    known = {crm_id: slug for slug, item in entries.items() for crm_id in item.get("crm_ids", ())}
    known |= dict(zip(entries, entries, strict=True))
    bare = name.removeprefix(MANAGER_OF)
    if bare not in known and (bare != name or name not in roles):
        names = known if bare != name else [*roles, *known]
        what = "person or CRM id" if bare != name else "role, person or CRM id"
        return f'there is no {what} "{bare[:80]}".{did_you_mean(bare, names)}'
    if bare != name and entries[known[bare]] and entries[known[bare]]["manager"] is None:
        return f"{known[bare]} has no `manager`, who is asked here"
    return None


class _Checker:
    """Checks both sections; `faults` holds (path, key the fault is about, message)."""

    def __init__(self, document: Mapping[str, Any], units: Collection[str], channels: Collection[str]) -> None:
        self._document = document
        self._units = list(units)
        self._channels = list(channels)
        self.faults: list[tuple[str, str, str]] = []
        self.people: dict[str, dict[str, Any]] = {}
        self.roles: dict[str, dict[str, Any]] = {}
        self._missing: dict[str, tuple[str, ...]] = {}  # what tables with faults lack, now that these are left out

    def check(self) -> _Checker:
        """Check the tables, then the names they use, and once those are right what goes round or is missing."""
        self.roles = self._tables("roles", RoleSchema())
        self.people = self._tables("people", PersonSchema())
        for slug, role in self.roles.items():
            self._check_names(f"roles.{slug}.fallback", [role.get("fallback")], self.roles, "role")
        for slug, person in self.people.items():
            if person:
                self._check_person(f"people.{slug}", slug, person)
        self._check_same_names()
        if not self.faults:
            directory = Directory.from_json(self.people, self.roles)
            self._check_circles(directory)
            self._check_roles_are_held(directory)
        self.roles = {slug: {} if f"roles.{slug}" in self._missing else role for slug, role in self.roles.items()}
        self.people = {slug: {} if f"people.{slug}" in self._missing else item for slug, item in self.people.items()}
        return self

    def _fault(self, path: str, message: str, key: str = "") -> None:
        self.faults.append((path, key or path, message))

    def _tables(self, section: str, schema: ma.Schema) -> dict[str, dict[str, Any]]:
        """Return the section's tables as the schema loads them; of one with faults what of it is sound."""
        tables = self._document.get(section, {})
        if not isinstance(tables, Mapping):
            self._fault(section, f"must be a table: [{section}.<name>]")
            return {}
        found: dict[str, dict[str, Any]] = {}
        for slug, table in tables.items():
            if not _SLUG.match(slug):
                message = f'"{slug[:80]}" is no name: lower-case letters, digits, `_` and `-`, at most 63 of them'
                self._fault(section, message)
            elif not isinstance(table, Mapping):
                self._fault(f"{section}.{slug}", f"must be a table: [{section}.{slug}]")
                found[slug] = {}
            else:
                found[slug] = self._load(schema, table, f"{section}.{slug}")
        return found

    def _load(self, schema: ma.Schema, table: Mapping[str, Any], where: str) -> dict[str, Any]:
        known = []
        for key, inner in _LISTS.items():
            items = table.get(key)
            for index in range(len(items) if isinstance(items, list) else 1):
                known += [f"{key}.{index}.{name}" for name in inner.fields]
        loaded = load_table(schema, table, known=known)
        for path, message, key in loaded.faults:
            self._fault(f"{where}.{path}" if path else where, message, f"{where}.{key}")
        if loaded.value is None:
            return {}
        if loaded.faults:
            self._missing[where] = loaded.missing
        return dict.fromkeys(loaded.missing) | dict(loaded.value)

    def _check_person(self, where: str, slug: str, person: dict[str, Any]) -> None:
        self._check_names(f"{where}.units", person["units"], [*self._units, ALL_UNITS], "unit")
        self._check_names(f"{where}.channels", person["channels"], self._channels, "channel")
        self._check_names(f"{where}.manager", [person["manager"]], self.people, "person")
        self._check_names(f"{where}.deputy", [person["deputy"]], self.people, "person")
        for index, absence in enumerate(person["absences"]):
            at = f"{where}.absences.{index}"
            self._check_names(f"{at}.deputy", [absence["deputy"]], self.people, "person")
            for earlier, other in enumerate(person["absences"][:index]):
                if _overlap(absence, other):
                    until = other["until"] or "until further notice"
                    self._fault(at, f"overlaps absences.{earlier}, which is from {other['from']} to {until}")
        for index, grant in enumerate(person["roles"]):
            self._check_grant(f"{where}.roles.{index}", slug, person, grant)

    def _check_grant(self, at: str, slug: str, person: Mapping[str, Any], grant: dict[str, Any]) -> None:
        """Check a role that a person holds, and put the units in that it is for."""
        self._check_names(at, [grant["role"]], self.roles, "role")
        own = grant["units"]
        self._check_names(f"{at}.units", own or [], [*self._units, ALL_UNITS], "unit")
        role = self.roles.get(grant["role"])
        if not role or self._lacks(f"roles.{grant['role']}", "scope") or self._lacks(f"people.{slug}", "units"):
            return
        if role["scope"] == "company":
            if own is not None:
                self._fault(f"{at}.units", f"{grant['role']} is a role of the whole company and takes no units")
            grant["units"] = [ALL_UNITS]
            return
        grant["units"] = person["units"] if own is None else own
        if not grant["units"]:
            self._fault(
                at,
                f"{grant['role']} is held in units, and none is named: give {slug} its `units`, or write "
                f'{{ role = "{grant["role"]}", units = ["…"] }}',
            )

    def _lacks(self, where: str, key: str) -> bool:
        """Whether a table's key was left out for its faults, so that nothing can be said of it."""
        return key in self._missing.get(where, ())

    def _check_names(self, path: str, names: Collection[str | None], known: Collection[str], noun: str) -> None:
        for name in names:
            if name is not None and name not in known:
                near = self._slug_of(name) if noun == "person" else ""
                self._fault(path, f'there is no {noun} "{name[:80]}".{near or did_you_mean(name, known)}')

    def _slug_of(self, name: str) -> str:
        """Return a hint for who is named by a name or CRM id where the slug belongs."""
        for slug, person in self.people.items():
            if person and name in (person["name"], *person["crm_ids"]):
                return f' Did you mean "{slug}"?'
        return ""

    def _check_same_names(self) -> None:
        """See to it that no name can mean two: roles, slugs and CRM ids are asked for in the same places."""
        for slug in self.people:
            if slug in self.roles:
                self._fault(f"people.{slug}", f"{slug} is a role too ([roles.{slug}]); give one of them another name")
        owners: dict[str, str] = {}
        for slug, person in self.people.items():
            at = f"people.{slug}.crm_ids"
            for crm_id in person.get("crm_ids", ()):
                other = owners.setdefault(crm_id, slug)
                if other != slug:
                    self._fault(at, f'"{crm_id}" is a CRM id of {other} too (people.{other}.crm_ids)')
                if crm_id != slug and crm_id in self.people:
                    self._fault(at, f'"{crm_id}" is another person ([people.{crm_id}])')
                if crm_id in self.roles:
                    self._fault(at, f'"{crm_id}" is a role too ([roles.{crm_id}]); give the role another name')

    def _check_circles(self, directory: Directory) -> None:
        entries = directory.entries
        standing = circles({slug: entry.deputy for slug, entry in entries.items()})
        for circle in standing:
            self._fault(f"people.{circle[0]}.deputy", f"the deputies go round in a circle: {_arrows(circle)}")
        for circle in circles({slug: entry.person.manager for slug, entry in entries.items()}):
            self._fault(f"people.{circle[0]}.manager", f"the managers go round in a circle: {_arrows(circle)}")
        for circle in circles({slug: role.fallback for slug, role in directory.roles.items()}):
            self._fault(f"roles.{circle[0]}.fallback", f"the fallbacks go round in a circle: {_arrows(circle)}")
        dated = [found for found in dated_circles(entries) if found.members not in standing]
        for found in dated:
            slug, index = found.at
            message = f"the deputies go round in a circle {found.period}: {_arrows(found.members)}"
            self._fault(f"people.{slug}.absences.{index}", message)
        if not standing and not dated:
            for slug, index, why in itertools.islice(uncovered(directory), _MOST_UNCOVERED):
                own = f"absences.{index}.deputy" if entries[slug].absences[index].deputy else "deputy"
                self._fault(f"people.{slug}.{own}", f"nobody stands in {entries[slug].absences[index].period}: {why}")

    def _check_roles_are_held(self, directory: Directory) -> None:
        """Refuse a role that, in some unit, nobody ever holds and no other role stands in for."""
        held: dict[str, set[str]] = {slug: set() for slug in directory.roles}
        for entry in directory.entries.values():
            for grant in entry.grants:
                if grant.period.meet(entry.employed) is not None:
                    held[grant.role].update(self._units if ALL_UNITS in grant.units else grant.units)
        for slug, role in directory.roles.items():
            missing = [unit for unit in self._units if unit not in held[slug]]
            if role.fallback is None and missing:
                where = "" if len(missing) == len(self._units) else f" in {', '.join(missing)}"
                advice = (
                    f'give it to somebody, "*" in the units of a person being all of them, or set roles.{slug}.fallback'
                )
                self._fault(f"roles.{slug}", f"nobody holds this role{where}: {advice}")


def _overlap(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two absences share a day; days are text that sorts as they do."""
    return (other["until"] is None or one["from"] <= other["until"]) and (
        one["until"] is None or other["from"] <= one["until"]
    )


def _arrows(circle: tuple[str, ...]) -> str:
    return " → ".join((*circle, circle[0]))
