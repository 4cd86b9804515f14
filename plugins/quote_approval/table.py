"""The decision table: rows of conditions over facts, read from the top in three-valued logic; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

CHOICES = ("tier", "currency", "unit")
"""Columns with names in them; only `tier` can be unknown."""

NUMBERS = ("amount", "discount", "margin", "payment_days", "lead_time_days")
WHOLE = ("payment_days", "lead_time_days")
COLUMNS = CHOICES + NUMBERS
UNKNOWN = "unknown"
OTHER = "other"


class Condition(Protocol):
    """One cell of the table."""

    def test(self, value: Any) -> bool | None:
        """Whether a value fits; None when it is unknown and the condition does not speak of that."""
        ...

    def __str__(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some names; `others` are the names the whole column knows, so that `other` can mean none of them."""

    values: frozenset[str]
    others: frozenset[str] = frozenset()

    def test(self, value: Any) -> bool | None:
        """See Condition."""
        if value is None:
            return True if UNKNOWN in self.values else None
        return value in self.values or (OTHER in self.values and value not in self.others)

    def __str__(self) -> str:
        return "one of " + ", ".join(sorted(self.values))


@dataclass(frozen=True, slots=True)
class Range:
    """A range of numbers, open where a bound is None; `unknown` lets a fact that is not known fit as well."""

    low: Decimal | None = None
    high: Decimal | None = None
    low_open: bool = False
    high_open: bool = False
    unknown: bool = False

    def test(self, value: Any) -> bool | None:
        """See Condition."""
        if value is None:
            return True if self.unknown else None
        if self.low is None and self.high is None:
            return False  # only what is unknown fits
        if self.low is not None and (value < self.low or (self.low_open and value == self.low)):
            return False
        return not (self.high is not None and (value > self.high or (self.high_open and value == self.high)))

    def __str__(self) -> str:
        words = []
        if self.low is not None:
            words.append(f"{'above' if self.low_open else 'at least'} {self.low}")
        if self.high is not None:
            words.append(f"{'below' if self.high_open else 'at most'} {self.high}")
        known = " and ".join(words)
        return known if not self.unknown else f"{known} or unknown" if known else UNKNOWN


@dataclass(frozen=True, slots=True)
class Level:
    """One level of approval: the roles or persons asked at once, and how many of them must agree."""

    who: tuple[str, ...]
    need: int


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: when all conditions hold, the quote is approved (no levels) or goes to the levels in their order."""

    name: str
    conditions: Mapping[str, Condition]
    levels: tuple[Level, ...]
    reason: str

    @property
    def approves(self) -> bool:
        """Whether the row approves by itself."""
        return not self.levels


@dataclass(frozen=True, slots=True)
class Answer:
    """What the table says: the row (None for a gap), and which rows nearly decided otherwise and by what."""

    rule: Rule | None
    near_misses: tuple[str, ...]
    unclear: tuple[str, ...]  # rows above that a missing fact kept from being checked


def decide(rules: Sequence[Rule], facts: Any) -> Answer:
    """Read the table from the top; the first row whose conditions all hold decides.

    A row that a missing fact keeps from being checked neither decides nor is forgotten: no row below it approves by
    itself, since the row above might have asked a person.
    """
    near: list[str] = []
    unclear: list[str] = []
    for rule in rules:
        failed, unknown = _check(rule, facts)
        if failed:
            if len(failed) == 1 and not unknown:
                near.append(_near(rule, failed[0], facts))
        elif unknown:
            unclear.append(f"{rule.name}: {' and '.join(unknown)} unknown")
        elif rule.approves and unclear:
            near.append(f"{rule.name}: could not approve, since rows above could not be checked")
        else:
            return Answer(rule, tuple(near), tuple(unclear))
    return Answer(None, tuple(near), tuple(unclear))


def _check(rule: Rule, facts: Any) -> tuple[list[str], list[str]]:
    failed: list[str] = []
    unknown: list[str] = []
    for column, condition in rule.conditions.items():
        fits = condition.test(getattr(facts, column))
        if fits is None:
            unknown.append(column)
        elif not fits:
            failed.append(column)
    return failed, unknown


def _near(rule: Rule, column: str, facts: Any) -> str:
    value = getattr(facts, column)
    told = "unknown" if value is None else format(value, "f") if isinstance(value, Decimal) else value
    return f"{rule.name}: {column} is {told}, not {rule.conditions[column]}"
