"""Reads one scoring rule: exactly one test, of a kind that fits the fact it looks at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import marshmallow as ma

from core.api import did_you_mean
from plugins.lead_scoring.facts import FIELDS, FactKind, fact_kind
from plugins.lead_scoring.strict import Strict, Switch, Word, number, whole, words

TEST_KEYS = ("in", "equals", "contains", "at_least", "at_most", "present", "missing", "per")
OPTION_KEYS = ("without", "max", "types", "within_days", "half_life_days")
_ONLY_WITH = {
    "without": ("contains", "`contains`"),
    "max": ("per", "`per`, or on activities"),
    "types": ("", "on activities"),
    "within_days": ("", "on activities"),
    "half_life_days": ("", "on activities"),
}


class RuleSchema(Strict):
    """One rule of a group."""

    enabled = Switch("false leaves the rule out")
    field = Word(required=True, metadata={"description": "the fact the rule looks at"})
    points = whole(-100, 100, "points when the rule holds; negative ones count against it", required=True)
    reason = Word(metadata={"description": "what people read; by default made from the test"})
    in_ = words("holds when the fact is one of these", data_key="in", attribute="in")
    equals = Word(metadata={"description": "holds when the fact is this"})
    contains = words("holds when one of these words occurs; Latin ones only as whole words")
    without = words("with `contains`: does not hold when one of these words occurs")
    at_least = number("holds when the number is this or more")
    at_most = number("holds when the number is this or less; with at_least, a range")
    present = Switch("true: holds when the fact is known")
    missing = Switch("true: holds when the fact is not known")
    per = number("counts: points for every so many", above=0)
    max = whole(1, 100, "with `per` or activities: no more points than this, whatever the count")
    types = words("activities: only these types")
    within_days = whole(1, 3650, "activities: only those not older than this")
    half_life_days = whole(1, 3650, "activities: points are halved for every so many days of age")

    @ma.validates_schema
    def _one_test(self, data: Mapping[str, Any], **_: Any) -> None:
        if data.get("enabled") is False:
            return
        kind = fact_kind(data["field"])
        if kind is None:
            known = [*FIELDS, "counters.", "extra."]
            raise ma.ValidationError(
                f'There is no fact "{data["field"]}".{did_you_mean(data["field"], known)} '
                "Counters are counters.<name>, unmapped fields extra.<name>.",
                "field",
            )
        if data["points"] == 0:
            raise ma.ValidationError("A rule gives points; to leave it out, say enabled = false.", "points")
        tests = sorted({key.replace("at_most", "at_least") for key in TEST_KEYS if _given(data, key)})
        _check_options(data, kind, tests)
        if kind is FactKind.ACTIVITIES and tests in ([], ["present"], ["missing"]):
            return
        if len(tests) != 1:
            found = f"this one has {' and '.join(tests)}" if tests else "this one has none"
            raise ma.ValidationError(f"A rule has exactly one test; {found}.", "field")
        _check_kind(data["field"], kind, tests[0])
        low, high = data.get("at_least"), data.get("at_most")
        if low is not None and high is not None and low > high:
            raise ma.ValidationError("Is below at_least, so nothing can ever fit.", "at_most")


def _given(data: Mapping[str, Any], key: str) -> bool:
    """A test is given unless it is absent, an empty list or a switch that is off."""
    value = data.get(key)
    return value is not None and value is not False and value != []


def _check_options(data: Mapping[str, Any], kind: FactKind, tests: list[str]) -> None:
    for key in OPTION_KEYS:
        test, words_for_it = _ONLY_WITH[key]
        if not _given(data, key) or (test and test in tests):
            continue
        if kind is FactKind.ACTIVITIES and key != "without" and not tests:
            continue
        raise ma.ValidationError(f"`{key}` is only used {'with ' if test else ''}{words_for_it}.", key)


def _check_kind(field: str, kind: FactKind, test: str) -> None:
    if test in ("present", "missing") or kind is FactKind.ANY:
        return
    is_number_test = test in ("at_least", "per")
    if is_number_test != (kind is FactKind.NUMBER) or kind is FactKind.ACTIVITIES:
        fitting = {
            FactKind.NUMBER: "at_least, at_most or per",
            FactKind.TEXT: "in, equals or contains",
            FactKind.ACTIVITIES: "types, within_days and half_life_days",
        }[kind]
        raise ma.ValidationError(f"{field} is of kind {kind}; it takes {fitting}, present or missing.", test)
