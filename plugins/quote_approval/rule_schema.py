"""Reads the rows of the decision table from the settings and turns them into rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import marshmallow as ma

from core.api import OneOf, WhoList

from .fields import NAME, Number, Strict, Switch, Whole, names
from .gaps import DOMAIN, TooEntangled, check_table
from .settings import REVIEWER, TIERS
from .table import CHOICES, NUMBERS, OTHER, UNKNOWN, Choice, Condition, Level, Range, Rule

MAX_RULES = 100


class RangeSchema(Strict):
    """A condition on a number: bounds, and whether a fact that is not known fits."""

    at_least = Number()
    above = Number()
    at_most = Number()
    below = Number()
    unknown_too = Switch(load_default=False, data_key="unknown", attribute="unknown")

    @ma.validates_schema
    def _sensible(self, data: Mapping[str, Any], **_: Any) -> None:
        if "at_least" in data and "above" in data:
            raise ma.ValidationError("Either at_least or above, not both.", "above")
        if "at_most" in data and "below" in data:
            raise ma.ValidationError("Either at_most or below, not both.", "below")
        low, high = data.get("at_least", data.get("above")), data.get("at_most", data.get("below"))
        if low is None and high is None and not data["unknown"]:
            raise ma.ValidationError("Say at_least, above, at_most, below or unknown = true.")
        is_open = "above" in data or "below" in data
        if low is not None and high is not None and (low > high or (low == high and is_open)):
            raise ma.ValidationError(
                "No number lies between these bounds.", "at_most" if "at_most" in data else "below"
            )


class LevelSchema(Strict):
    """One level: whom to ask at once, and how many must agree."""

    who = WhoList(words=(REVIEWER,), required=True, validate=ma.validate.Length(1, 10))
    mode = ma.fields.String(validate=OneOf(("all", "any")), load_default="all")
    min_approvers = Whole(1, 10)

    @ma.validates_schema
    def _reachable(self, data: Mapping[str, Any], **_: Any) -> None:
        asked = data.get("who", [])
        if len(set(asked)) < len(asked):
            raise ma.ValidationError("Nobody is asked twice in one level.", "who")
        if data.get("min_approvers", 0) > len(asked):
            raise ma.ValidationError(f"Only {len(asked)} are asked in this level.", "min_approvers")

    @ma.post_load
    def _build(self, data: dict[str, Any], **_: Any) -> Level:
        need = data.get("min_approvers") or (len(data["who"]) if data["mode"] == "all" else 1)
        return Level(who=tuple(data["who"]), need=need)


class RuleSchema(Strict):
    """One row of the table."""

    name = ma.fields.String(
        required=True,
        validate=ma.validate.Regexp(NAME, error="Use lower-case letters, digits and _, beginning with a letter."),
    )
    tier = names((*TIERS, UNKNOWN), "the customer's tier")
    currency = names(None, "currency codes; other means none that the table names")
    unit = names(None, "business units; other means none that the table names")
    amount = ma.fields.Nested(RangeSchema)
    discount = ma.fields.Nested(RangeSchema)
    margin = ma.fields.Nested(RangeSchema)
    payment_days = ma.fields.Nested(RangeSchema)
    lead_time_days = ma.fields.Nested(RangeSchema)
    outcome = ma.fields.String(validate=OneOf(("approve", "ask")))
    levels = ma.fields.List(ma.fields.Nested(LevelSchema), validate=ma.validate.Length(max=6))
    reason = ma.fields.String(required=True, validate=ma.validate.Length(1, 300))

    @ma.validates_schema
    def _one_outcome(self, data: Mapping[str, Any], **_: Any) -> None:
        approves, levels = data.get("outcome") == "approve", data.get("levels")
        if approves and levels:
            raise ma.ValidationError("A row that approves asks nobody; leave out levels or the outcome.", "levels")
        if not approves and not levels:
            raise ma.ValidationError('A row has levels, or outcome = "approve".', "levels")
        for column in CHOICES:
            if data.get(column) == []:
                raise ma.ValidationError("An empty list fits nothing; leave the key out to take everything.", column)
        for column in NUMBERS:
            _within_domain(column, data.get(column))


def _within_domain(column: str, given: Mapping[str, Any] | None) -> None:
    low, high = DOMAIN[column]
    for key in ("at_least", "above", "at_most", "below"):
        bound: Decimal | None = (given or {}).get(key)
        if bound is None:
            continue
        if low is not None and bound < low:
            raise ma.ValidationError({key: [f"No {column} is below {low}."]}, column)
        if high is not None and bound > high:
            raise ma.ValidationError({key: [f"No {column} is above {high}; 0.05 is 5 %."]}, column)


def build_rules(rows: Sequence[Mapping[str, Any]], base_currency: str) -> tuple[Rule, ...]:
    """Return the rows as rules. Raises marshmallow.ValidationError for a table with gaps or rows never reached."""
    known = {
        column: frozenset(name for row in rows for name in row.get(column, ())) - {OTHER, UNKNOWN} for column in CHOICES
    }
    known["currency"] |= {base_currency}
    rules = tuple(_rule(row, known) for row in rows)
    _check(rules)
    return rules


def _rule(row: Mapping[str, Any], known: Mapping[str, frozenset[str]]) -> Rule:
    conditions: dict[str, Condition] = {}
    for column in CHOICES:
        if column in row:
            conditions[column] = Choice(frozenset(row[column]), known[column])
    for column in NUMBERS:
        if column in row:
            conditions[column] = _range(row[column])
    return Rule(name=row["name"], conditions=conditions, levels=tuple(row.get("levels", ())), reason=row["reason"])


def _range(given: Mapping[str, Any]) -> Range:
    return Range(
        low=given.get("at_least", given.get("above")),
        high=given.get("at_most", given.get("below")),
        low_open="above" in given,
        high_open="below" in given,
        unknown=given["unknown"],
    )


def _check(rules: Sequence[Rule]) -> None:
    listed = [rule.name for rule in rules]
    for number, name in enumerate(listed):
        if name in listed[:number]:
            raise ma.ValidationError({number: {"name": [f'There is a row "{name}" already.']}}, "rules")
    try:
        findings = check_table(rules)
    except TooEntangled:
        raise ma.ValidationError(
            "The table overlaps in too many ways to be checked for gaps; use fewer rows or fewer columns.", "rules"
        ) from None
    if findings.gap is not None:
        example = ", ".join(f"{column} {_word(value)}" for column, value in findings.gap.items()) or "any quote"
        raise ma.ValidationError(
            f"The table has a gap: no row takes {example}. Add a last row without conditions, or widen one.", "rules"
        )
    for number, rule in enumerate(rules):
        if rule.name in findings.unreachable:
            raise ma.ValidationError(
                {number: [f'The row "{rule.name}" is never reached: rows above it take all its quotes. Move it up.']},
                "rules",
            )


def _word(value: Any) -> str:
    if value is None:
        return UNKNOWN
    return format(value.normalize(), "f") if isinstance(value, Decimal) else str(value)
