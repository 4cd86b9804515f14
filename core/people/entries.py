"""What the directory holds of each person and role, read from the canonical JSON of a configuration version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from core.model.people import ALL_UNITS, Person


@dataclass(frozen=True, slots=True)
class Period:
    """Days from the first to the last, both included; None is an open end."""

    first: date | None
    last: date | None

    def holds(self, day: date) -> bool:
        """Whether a day lies in it."""
        return (self.first is None or self.first <= day) and (self.last is None or day <= self.last)

    def meet(self, other: Period) -> Period | None:
        """Return the days that lie in both, or None when there are none."""
        first = max((day for day in (self.first, other.first) if day is not None), default=None)
        last = min((day for day in (self.last, other.last) if day is not None), default=None)
        return None if first is not None and last is not None and first > last else Period(first, last)

    def __str__(self) -> str:
        if self.first is None:
            return "at all times" if self.last is None else f"until {self.last}"
        if self.first == self.last:
            return f"on {self.first}"
        return f"from {self.first} on" if self.last is None else f"from {self.first} to {self.last}"


@dataclass(frozen=True, slots=True)
class Absence:
    """Days on which somebody is away; without a deputy of its own the standing one stands in."""

    period: Period
    deputy: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """A role that a person holds in units on days."""

    role: str
    units: tuple[str, ...]
    period: Period

    def holds_in(self, unit: str) -> bool:
        """Whether it is for a unit."""
        return ALL_UNITS in self.units or unit in self.units


@dataclass(frozen=True, slots=True)
class Entry:
    """A person with everything that depends on the day."""

    person: Person
    employed: Period
    deputy: str | None
    absences: tuple[Absence, ...]
    grants: tuple[Grant, ...]

    def absence(self, day: date) -> Absence | None:
        """Return the absence of a day, or None."""
        return next((item for item in self.absences if item.period.holds(day)), None)

    def is_available(self, day: date) -> bool:
        """Whether the person is employed and not absent on a day."""
        return self.employed.holds(day) and self.absence(day) is None

    def deputies(self, day: date) -> tuple[str, ...]:
        """Return who stands in on a day: the deputy of the absence first, then the standing one."""
        absence = self.absence(day)
        named = (absence.deputy if absence else None, self.deputy)
        return tuple(dict.fromkeys(slug for slug in named if slug is not None))


@dataclass(frozen=True, slots=True)
class Role:
    """A role: its titles by language, whether every unit has its own holder, and which role stands in for it."""

    slug: str
    titles: Mapping[str, str]
    of_company: bool
    fallback: str | None

    def title(self, language: str) -> str:
        """Return the title in a language, or in the one there is."""
        return self.titles.get(language) or next(iter(self.titles.values()), self.slug)


def read_entry(slug: str, item: Mapping[str, Any]) -> Entry:
    """Return a person's entry from its JSON."""
    return Entry(
        person=Person(
            slug=slug,
            name=item["name"],
            email=item["email"],
            phone=item["phone"],
            wecom=item["wecom"],
            language=item["language"],
            manager=item["manager"],
            crm_ids=tuple(item["crm_ids"]),
            units=tuple(item["units"]),
            channels=tuple(item["channels"]),
            grids=tuple(item["grids"]),
        ),
        employed=_period(item["joined"], item["left"]),
        deputy=item["deputy"],
        absences=tuple(
            Absence(_period(absence["from"], absence["until"]), absence["deputy"], absence["reason"])
            for absence in item["absences"]
        ),
        grants=tuple(
            Grant(grant["role"], tuple(grant["units"]), _period(grant["from"], grant["until"]))
            for grant in item["roles"]
        ),
    )


def read_role(slug: str, item: Mapping[str, Any]) -> Role:
    """Return a role from its JSON."""
    return Role(slug, dict(item["title"]), item["scope"] == "company", item["fallback"])


def _period(first: str | None, last: str | None) -> Period:
    return Period(date.fromisoformat(first) if first else None, date.fromisoformat(last) if last else None)
