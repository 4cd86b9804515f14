"""The directory of one configuration version, and its view from a unit at an instant, which plugins get.

Public: `Directory.from_json(people, roles)`; `directory.at(now, unit, zone)` is `ctx.people`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, datetime
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from core.model.errors import did_you_mean
from core.model.people import People, Person, Resolution
from core.people.entries import Entry, Grant, Role, read_entry, read_role
from core.people.search import Search

MANAGER_OF = "manager_of:"
"""What stands before a person's slug or CRM id to name that person's manager."""


def local_day(now: datetime, zone: str) -> date:
    """Return the day that an instant belongs to in an IANA time zone."""
    return now.astimezone(ZoneInfo(zone)).date()


class Directory:
    """Every person and role of one configuration version; it never changes."""

    __slots__ = ("_grants", "entries", "known", "roles")

    def __init__(self, entries: Mapping[str, Entry] | None = None, roles: Mapping[str, Role] | None = None) -> None:
        entries, roles = entries or {}, roles or {}
        self.entries: Mapping[str, Entry] = MappingProxyType(dict(sorted(entries.items())))
        self.roles: Mapping[str, Role] = MappingProxyType(dict(sorted(roles.items())))
        by_crm_id = {crm_id: entry for entry in self.entries.values() for crm_id in entry.person.crm_ids}
        self.known: Mapping[str, Entry] = MappingProxyType({**by_crm_id, **self.entries})  # by every slug and CRM id
        self._grants: dict[str, list[tuple[Entry, Grant]]] = {}
        for entry in self.entries.values():
            for grant in entry.grants:
                self._grants.setdefault(grant.role, []).append((entry, grant))

    @classmethod
    def from_json(cls, resolved_people: Mapping[str, Any], resolved_roles: Mapping[str, Any]) -> Directory:
        """Make it of what `core.host.people_sections.check_people` returned and a version stores."""
        return cls(
            {slug: read_entry(slug, item) for slug, item in resolved_people.items()},
            {slug: read_role(slug, item) for slug, item in resolved_roles.items()},
        )

    def at(self, now: datetime, unit: str, zone: str) -> People:
        """Return the view from a unit at an instant, whose day is that of the IANA time zone; costs nothing yet."""
        return _View(self, now, unit, zone)

    def granted(self, role: str, unit: str, day: date) -> tuple[Entry, ...]:
        """Return who was given a role for a unit on a day, leavers included: the unit's own first, then by slug."""
        of_company = role in self.roles and self.roles[role].of_company
        found: dict[str, tuple[bool, str, Entry]] = {}
        for entry, grant in self._grants.get(role, ()):
            if grant.period.holds(day) and (of_company or grant.holds_in(unit)):
                slug = entry.person.slug
                order = (unit not in grant.units, slug, entry)
                found[slug] = min(found.get(slug, order), order, key=lambda item: item[:2])
        return tuple(entry for _, _, entry in sorted(found.values(), key=lambda item: item[:2]))

    def where(self, role: str, unit: str) -> str:
        """Name a role with the unit it is asked in, `bu_manager@new_energy`; one of the company has none."""
        return role if self.roles[role].of_company else f"{role}@{unit}"

    def titled(self, role: str, unit: str) -> str:
        """Name a role by its Chinese title with the unit it is asked in: 事业部经理（bu_manager@new_energy）."""
        title, where = self.roles[role].title("zh"), self.where(role, unit)
        return where if title == role else f"{title}（{where}）"

    def resolve(self, who: str, unit: str, day: date, exclude: Collection[str]) -> Resolution:
        """Find who is asked; see `People.resolve`."""
        search = Search(
            self, day, unit, frozenset(self.known[item].person.slug for item in exclude if item in self.known)
        )
        is_manager = who.startswith(MANAGER_OF)
        entry = self.known.get(who.removeprefix(MANAGER_OF))
        if who in self.roles:
            asked, asked_zh = f"role:{self.where(who, unit)}", self.titled(who, unit)
            found = search.role(who)
        elif entry is None:
            return self._unknown(who)
        else:
            slug = entry.person.slug
            asked = f"{MANAGER_OF if is_manager else 'person:'}{slug}"
            asked_zh = f"{entry.person} 的上级" if is_manager else str(entry.person)
            found = search.manager_of(slug) if is_manager else search.someone(slug)
        reason = None if found else f"nobody is left to ask for {asked} on {day}"
        reason_zh = None if found else f"{day} 找不到可以询问的人：{asked_zh}"
        return Resolution(found, asked, tuple(search.path), reason, tuple(search.path_zh), reason_zh, asked_zh)

    def _unknown(self, who: str) -> Resolution:
        name = who.removeprefix(MANAGER_OF)
        is_manager = name != who
        near = did_you_mean(name, self.known if is_manager else (*self.roles, *self.known))
        reason = f'there is no {"" if is_manager else "role, "}person or CRM id "{name}".{near}'
        noun = "员工或 CRM 编号" if is_manager else "角色、员工或 CRM 编号"
        reason_zh = f"没有名为“{name}”的{noun}。"
        return Resolution(None, who, (reason,), reason, (reason_zh,), reason_zh, f"“{who}”")


class _View:
    """The directory from a unit at an instant."""

    __slots__ = ("_day", "_directory", "_now", "_unit", "_zone")

    def __init__(self, directory: Directory, now: datetime, unit: str, zone: str) -> None:
        self._directory = directory
        self._now = now
        self._unit = unit
        self._zone = zone
        self._day: date | None = None

    def person(self, who: str) -> Person | None:
        entry = self._directory.known.get(who)
        return None if entry is None else entry.person

    def holders(self, role: str, *, unit: str | None = None) -> tuple[Person, ...]:
        day = self._today()
        found = self._directory.granted(role, unit or self._unit, day)
        return tuple(entry.person for entry in found if entry.employed.holds(day))

    def resolve(
        self, who: str, *, unit: str | None = None, on: date | None = None, exclude: Collection[str] = ()
    ) -> Resolution:
        return self._directory.resolve(who, unit or self._unit, on or self._today(), exclude)

    def is_available(self, who: str, *, on: date | None = None) -> bool:
        entry = self._directory.known.get(who)
        return entry is not None and entry.is_available(on or self._today())

    def team(self, *, unit: str | None = None, grid: str | None = None) -> tuple[Person, ...]:
        day, where = self._today(), unit or self._unit
        return tuple(
            entry.person
            for entry in self._directory.entries.values()
            if entry.person.is_of(where) and entry.employed.holds(day) and (grid is None or grid in entry.person.grids)
        )

    def title(self, role: str, language: str) -> str:
        found = self._directory.roles.get(role)
        return found.title(language) if found else role

    def _today(self) -> date:
        if self._day is None:
            self._day = local_day(self._now, self._zone)
        return self._day
