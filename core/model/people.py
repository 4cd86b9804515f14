"""People as plugins see them: who somebody is, who holds a role, and who is asked in the end, with every step told."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

ALL_UNITS = "*"
"""What stands for every business unit, in a person's units and in an API key's."""


@dataclass(frozen=True, slots=True)
class Person:
    """One person of the directory.

    `units` holds `*` for somebody of every unit, and nothing for somebody of none; `channels` are in the order in which
    the person wants to be reached; `manager` is a slug.
    """

    slug: str
    name: str
    crm_ids: tuple[str, ...] = ()
    email: str | None = None
    phone: str | None = None
    wecom: str | None = None
    language: str = "zh"
    units: tuple[str, ...] = ()
    manager: str | None = None
    channels: tuple[str, ...] = ()
    grids: tuple[str, ...] = ()

    def is_of(self, unit: str) -> bool:
        """Whether the person works in a unit."""
        return ALL_UNITS in self.units or unit in self.units

    def __str__(self) -> str:
        return f"{self.name} ({self.slug})"


@dataclass(frozen=True, slots=True)
class Resolution:
    """Who is asked in the end, and how that was found.

    `asked` is `role:bu_manager@new_energy` (without a unit for a role of the whole company), `person:zhang_wei`,
    `manager_of:zhang_wei`, or the name as given when nobody knows it. `path` is never empty.
    """

    person: Person | None
    asked: str
    path: tuple[str, ...]
    reason: str | None = None  # why nobody, when `person` is None
    path_zh: tuple[str, ...] = ()  # the same steps in Chinese
    reason_zh: str | None = None
    asked_zh: str = ""  # `asked` as people say it in Chinese

    def steps(self) -> list[dict[str, str]]:
        """Return the path in both languages, as a plugin keeps it with what it decided: `{"zh": …, "en": …}` a step."""
        return [{"zh": zh, "en": en} for zh, en in zip(self.path_zh, self.path, strict=True)]

    def as_json(self) -> dict[str, Any]:
        """Return it as a decision stores it among its inputs; without contact data."""
        return {
            "asked": self.asked,
            "asked_zh": self.asked_zh,
            "person": self.person.slug if self.person else None,
            "name": self.person.name if self.person else None,
            "path": list(self.path),
            "path_zh": list(self.path_zh),
            "reason": self.reason,
            "reason_zh": self.reason_zh,
        }


class People(Protocol):
    """The directory as it stands at `ctx.now` in the unit of the event; days are those of the unit's calendar.

    `unit` is the event's own unless another is given; `on` is the day of `ctx.now`.
    """

    def person(self, who: str) -> Person | None:
        """Return the person with this slug or CRM id, also one who left; None when nobody is known by it."""
        ...

    def holders(self, role: str, *, unit: str | None = None) -> tuple[Person, ...]:
        """Return who holds a role in a unit today: the unit's own before those of all units, then by slug.

        Those who left or have not joined yet are left out, those who are absent are not.
        """
        ...

    def resolve(
        self, who: str, *, unit: str | None = None, on: date | None = None, exclude: Collection[str] = ()
    ) -> Resolution:
        """Find who is asked: `who` is a role, a person's slug or CRM id, or `manager_of:` before one of a person.

        An absent person's deputy is asked, then that deputy's deputy, and so on; nobody is asked twice. Leavers and
        those in `exclude` (slugs or CRM ids, such as the one who made the request) are passed over, and nobody decides
        in the name of one who is excluded. After a role's holders come the role's fallback and then the managers of
        those passed over, upwards. Always answers; never with somebody who is absent, left, or excluded.
        """
        ...

    def is_available(self, who: str, *, on: date | None = None) -> bool:
        """Whether a person is known, employed and not absent."""
        ...

    def team(self, *, unit: str | None = None, grid: str | None = None) -> tuple[Person, ...]:
        """Return who works in a unit, and in one of its grids (区域网格) when given, by slug; absent ones included."""
        ...

    def title(self, role: str, language: str) -> str:
        """Return a role's title in a language, or in the one it has; the name itself for an unknown role."""
        ...
