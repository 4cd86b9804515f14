"""Finds inputs that no row of a decision table takes, and rows that no input reaches; exact, not by samples.

The columns are walked one after the other. In each only the bounds of rows that can still decide cut its values into
pieces, within which every row answers alike; paths that leave the rows in the same state are walked once.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from .table import CHOICES, COLUMNS, OTHER, UNKNOWN, WHOLE, Choice, Range, Rule

MAX_NODES = 20_000

State = tuple[bool | None, ...]
"""For each row: True while all its conditions hold so far, None while one is unknown and none fails, False after."""

DOMAIN: dict[str, tuple[Decimal | None, Decimal | None]] = {
    "amount": (Decimal(0), None),
    "discount": (Decimal(0), Decimal(1)),
    "margin": (None, Decimal(1)),
    "payment_days": (Decimal(0), None),
    "lead_time_days": (Decimal(0), None),
}
"""What values can be at all; others are faults of the quote, which comes back before it is routed."""


class TooEntangled(Exception):
    """The table has so many overlapping rows that it cannot be checked."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What is wrong with a table: an input that no row takes, and the names of rows that are never reached."""

    gap: dict[str, Any] | None
    unreachable: tuple[str, ...]


def check_table(rules: Sequence[Rule]) -> Findings:
    """Check a table. Raises TooEntangled when that takes too long."""
    walk = _Walk(rules)
    winners, gap = walk.visit(0, (True,) * len(rules))
    example = dict(zip(walk.columns, gap, strict=True)) if gap is not None else None
    return Findings(example, tuple(rule.name for number, rule in enumerate(rules) if number not in winners))


def pieces(column: str, rules: Sequence[Rule]) -> Iterator[Any]:
    """Yield one value of every piece into which the rows' conditions cut a column, None for unknown among them."""
    conditions = [rule.conditions[column] for rule in rules if column in rule.conditions]
    if column in CHOICES:
        names = {name for item in conditions if isinstance(item, Choice) for name in (*item.values, *item.others)}
        yield from sorted(names - {UNKNOWN, OTHER})
        if column != "tier":
            yield _strange(names)
        else:
            yield from (tier for tier in ("A", "B", "C") if tier not in names)
            yield None
        return
    ranges = [item for item in conditions if isinstance(item, Range)]
    bounds = {bound for item in ranges for bound in (item.low, item.high) if bound is not None}
    yield from (_whole_pieces(bounds) if column in WHOLE else _pieces(bounds, *DOMAIN[column]))
    yield None


def _strange(names: set[str]) -> str:
    """Return a name that no row knows."""
    name = OTHER
    while name in names - {OTHER}:
        name += "_"
    return name


def _whole_pieces(bounds: set[Decimal]) -> list[int]:
    near = {0}
    for bound in bounds:
        floor = int(bound.to_integral_value(ROUND_FLOOR))
        near |= {floor - 1, floor, floor + 1}
    return sorted(number for number in near if number >= 0)


def _pieces(bounds: set[Decimal], low: Decimal | None, high: Decimal | None) -> list[Decimal]:
    points = sorted(bounds | {end for end in (low, high) if end is not None})
    if not points:
        return [Decimal(0)]
    between = [(one + other) / 2 for one, other in itertools.pairwise(points)]
    outside = [points[0] - 1] * (low is None) + [points[-1] + 1] * (high is None)
    return sorted({*points, *between, *outside})


class _Walk:
    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = rules
        used = {column for rule in rules for column in rule.conditions}
        self.columns = [column for column in COLUMNS if column in used]
        self.open_after = [
            max((self.columns.index(column) + 1 for column in rule.conditions), default=0) for rule in rules
        ]
        self._seen: dict[tuple[int, State], tuple[frozenset[int], tuple[Any, ...] | None]] = {}

    def visit(self, place: int, states: State) -> tuple[frozenset[int], tuple[Any, ...] | None]:
        """Return which rows decide somewhere from here on, and the values of a gap in the columns from here on."""
        states = self._settled(place, states)
        key = (place, states)
        if key in self._seen:
            return self._seen[key]
        if len(self._seen) >= MAX_NODES:
            raise TooEntangled
        self._seen[key] = found = self._look(place, states)
        return found

    def _look(self, place: int, states: State) -> tuple[frozenset[int], tuple[Any, ...] | None]:
        if place == len(self.columns):
            winner = next((number for number, state in enumerate(states) if state), None)
            return (frozenset(), ()) if winner is None else (frozenset({winner}), None)
        first = next((number for number, state in enumerate(states) if state is not False), None)
        if first is not None and states[first] and self.open_after[first] <= place:
            return frozenset({first}), None
        column = self.columns[place]
        alive = [rule for rule, state in zip(self.rules, states, strict=True) if state is not False]
        winners: frozenset[int] = frozenset()
        gap: tuple[Any, ...] | None = None
        for value in pieces(column, alive):
            below, missing = self.visit(place + 1, self._after(column, value, states))
            winners |= below
            if gap is None and missing is not None:
                gap = (value, *missing)
        return winners, gap

    def _after(self, column: str, value: Any, states: State) -> State:
        after: list[bool | None] = []
        for rule, state in zip(self.rules, states, strict=True):
            fits = rule.conditions[column].test(value) if state is not False and column in rule.conditions else True
            after.append(False if state is False or fits is False else None if state is None or fits is None else True)
        return tuple(after)

    def _settled(self, place: int, states: State) -> State:
        """Strike out rows that can no longer decide nor keep another from it, so that equal states look equal."""
        settled: list[bool | None] = []
        is_decided = is_blocked = False
        for number, state in enumerate(states):
            is_done = self.open_after[number] <= place
            approves = self.rules[number].approves
            if is_decided or (approves and is_blocked):
                settled.append(False)
                continue
            settled.append(state)
            if state is None and is_done:
                is_blocked = True
            elif state and is_done and (not approves or not any(earlier is not False for earlier in settled[:-1])):
                is_decided = True
        last = max((number for number, state in enumerate(settled) if state), default=-1)
        return tuple(settled[: last + 1]) + (False,) * (len(states) - last - 1)
