"""The settings as typed, frozen values; `config.py` reads and checks them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType

GRADES = ("A", "B", "C", "D", "E", "F")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grades:
    """The lowest score of every grade; below E is F."""

    A: int
    B: int
    C: int
    D: int
    E: int

    def steps(self) -> tuple[tuple[str, int], ...]:
        """Return the grades from the best down, each with its lowest score."""
        return (("A", self.A), ("B", self.B), ("C", self.C), ("D", self.D), ("E", self.E))

    def of(self, total: int) -> str:
        """Return the grade of a score."""
        return next((name for name, threshold in self.steps() if total >= threshold), "F")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: a fact, one test of it, and the points it gives when it holds."""

    name: str
    field: str
    points: int
    reason: str
    one_of: tuple[str, ...] = ()
    contains: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    at_least: Decimal | None = None
    at_most: Decimal | None = None
    present: bool = False
    missing: bool = False
    per: Decimal | None = None
    max: int | None = None
    types: tuple[str, ...] = ()
    within_days: int | None = None
    half_life_days: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rules that are counted together: their sum stays between `floor` and `cap`."""

    name: str
    title: str
    cap: int
    floor: int
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A piece of sales territory (网格) and the reps who share its customers."""

    name: str
    title: str = ""
    regions: tuple[str, ...] = ()
    cities: tuple[str, ...] = ()
    senior: tuple[str, ...] = ()
    reps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentConfig:
    """Who takes a lead of which grade from where, and who when there is nobody."""

    respect_owner: bool
    senior_grades: tuple[str, ...]
    nurture_grades: tuple[str, ...]
    nurture_owner: str
    fallback_owner: str
    not_owners: tuple[str, ...] = ()
    senior: tuple[str, ...] = ()
    reps: tuple[str, ...] = ()
    grids: tuple[Grid, ...] = ()

    def band(self, grade: str) -> str:
        """Return who works on leads of this grade: `senior`, `reps` or `nurture`."""
        if grade in self.senior_grades:
            return "senior"
        return "nurture" if grade in self.nurture_grades else "reps"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyConfig:
    """Who is told what."""

    hot_grades: tuple[str, ...]
    unassigned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings of lead scoring in one unit."""

    base: int
    near_points: int
    currency: str
    closed_statuses: tuple[str, ...]
    grades: Grades
    groups: tuple[Group, ...]
    assignment: AssignmentConfig
    notify: NotifyConfig
    exchange_rates: Mapping[str, Decimal] = field(default_factory=lambda: MappingProxyType({}))
    fields: tuple[str, ...] = ()  # the facts that rules look at, sorted
    watched: frozenset[str] = frozenset()  # the lead's fields whose change asks for a new grade
