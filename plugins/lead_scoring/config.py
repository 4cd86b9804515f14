"""Reads and checks the settings on top of the built-in ones in `defaults.toml`; faults name their path."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import marshmallow as ma

from core.api import OneOf
from plugins.lead_scoring.facts import plain, record_fields
from plugins.lead_scoring.rule_schema import OPTION_KEYS, TEST_KEYS, RuleSchema
from plugins.lead_scoring.settings import (
    GRADES,
    AssignmentConfig,
    Config,
    Grades,
    Grid,
    Group,
    NotifyConfig,
    Rule,
)
from plugins.lead_scoring.strict import CURRENCY_CODE, Strict, Switch, Table, Word, number, whole, words

__all__ = ["Config", "ConfigSchema"]

STARTS = ("aluminium", "nothing")
_ALWAYS_WATCHED = frozenset({"owner", "region", "city", "status", "customer_id"})


def _are_grades(names: list[str]) -> None:
    """Refuse a list with a name that is no grade."""
    strange = [name for name in names if name not in GRADES]
    if strange:
        raise ma.ValidationError(f"{strange[0]} is no grade; the grades are A to F.")


class GradesSchema(Strict):
    """The lowest score of every grade."""

    A = whole(1, 100, "lowest score of grade A")
    B = whole(1, 100, "lowest score of grade B")
    C = whole(1, 100, "lowest score of grade C")
    D = whole(1, 100, "lowest score of grade D")
    E = whole(1, 100, "lowest score of grade E; below it is F")

    @ma.validates_schema
    def _descending(self, data: Mapping[str, int], **_: Any) -> None:
        for better, worse in itertools.pairwise(GRADES[:-1]):
            if data[better] <= data[worse]:
                raise ma.ValidationError(
                    f"{better} is {data[better]}, which is not above {worse} ({data[worse]}); "
                    "the thresholds must fall from A to E.",
                    better,
                )


class GroupSchema(Strict):
    """A group of rules with the bounds of its sum."""

    title = Word(metadata={"description": "the group's name for people"})
    cap = whole(0, 100, "the group adds no more than this", required=True)
    floor = whole(-100, 0, "the group takes away no more than this, a negative number", required=True)
    rules = Table(RuleSchema, metadata={"description": "the rules, each under a name"})


class GridSchema(Strict):
    """A piece of sales territory and its reps."""

    title = Word(metadata={"description": "the grid's name for people"})
    regions = words("regions and provinces that belong to it")
    cities = words("cities that belong to it; a city is more telling than a region")
    senior = words("senior reps, who take grade A by turns")
    reps = words("reps, who take the other grades by turns")


class AssignmentSchema(Strict):
    """Who takes which lead."""

    respect_owner = Switch("an owner set in the CRM keeps the lead (首问负责制)")
    senior_grades = words("grades that go to senior reps first", validate=_are_grades)
    nurture_grades = words("grades that go to the nurture pool (培育池)", validate=_are_grades)
    nurture_owner = Word(metadata={"description": "who holds the nurture pool"})
    fallback_owner = Word(metadata={"description": "who takes a lead that no grid and no rep can take"})
    not_owners = words("owners in the CRM that stand for nobody, such as its own user for imports")
    senior = words("senior reps of the whole unit, when the grid has none")
    reps = words("reps of the whole unit, when the grid has none")
    grids = Table(GridSchema, metadata={"description": "the grids, each under a name"})

    @ma.validates_schema
    def _consistent(self, data: Mapping[str, Any], **_: Any) -> None:
        both = set(data["senior_grades"]) & set(data["nurture_grades"])
        if both:
            raise ma.ValidationError(f"{min(both)} goes to senior reps already.", "nurture_grades")
        for key in ("regions", "cities"):
            taken: dict[str, str] = {}
            for name, grid in data["grids"].items():
                for place in grid.get(key, []):
                    other = taken.setdefault(plain(place), name)
                    if other != name:
                        fault = f'"{place}" belongs to the grid {other} too; a place is in one grid.'
                        raise ma.ValidationError({name: {key: [fault]}}, "grids")


class NotifySchema(Strict):
    """Who is told what."""

    hot_grades = words("the owner is told when a lead reaches one of these grades", validate=_are_grades)
    unassigned = Switch("the fallback owner is told of every lead that nobody else could take")


class ConfigSchema(Strict):
    """All settings; what is not given is as in the built-in rules."""

    start_from = ma.fields.String(
        validate=OneOf(STARTS),
        metadata={"description": "the built-in rules to start from: aluminium, or nothing for your own only"},
    )
    base = whole(0, 100, "what every lead starts with")
    near_points = whole(0, 20, "how close to a grade's line counts as a near miss")
    currency = ma.fields.String(
        validate=ma.validate.Regexp(CURRENCY_CODE, error="Must be a currency code such as CNY."),
        metadata={"description": "the currency that budgets are compared in (ISO 4217)"},
    )
    exchange_rates = Table(
        number("one unit in `currency`", above=0),
        keys=CURRENCY_CODE,
        metadata={"description": "what one unit of a currency is worth; without a rate a budget is unknown"},
    )
    closed_statuses = words("a closed lead is graded again when its status changes to none of these")
    grades = ma.fields.Nested(GradesSchema, metadata={"description": "the lowest score of every grade"})
    groups = Table(GroupSchema, metadata={"description": "the groups of rules"})
    assignment = ma.fields.Nested(AssignmentSchema, metadata={"description": "who takes which lead"})
    notify = ma.fields.Nested(NotifySchema, metadata={"description": "who is told"})

    @ma.pre_load
    def _on_top_of_defaults(self, data: Any, **_: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        defaults = deepcopy(built_in())
        if data.get("start_from") == "nothing":
            defaults["groups"] = {}
            defaults["assignment"]["grids"] = {}
        return _merged(defaults, data)

    @ma.post_load
    def _build(self, data: dict[str, Any], **_: Any) -> Config:
        groups = tuple(_group(name, values) for name, values in data["groups"].items())
        fields = sorted({rule.field for group in groups for rule in group.rules})
        assignment = data["assignment"]
        grids = tuple(Grid(name=name, **_tuples(values)) for name, values in assignment.pop("grids").items())
        return Config(
            base=data["base"],
            near_points=data["near_points"],
            currency=data["currency"],
            closed_statuses=tuple(plain(status) for status in data["closed_statuses"]),
            grades=Grades(**data["grades"]),
            groups=groups,
            assignment=AssignmentConfig(grids=grids, **_tuples(assignment)),
            notify=NotifyConfig(**_tuples(data["notify"])),
            exchange_rates=MappingProxyType(dict(data["exchange_rates"])),
            fields=tuple(fields),
            watched=_ALWAYS_WATCHED.union(*(record_fields(field) for field in fields)),
        )


@cache
def built_in() -> dict[str, Any]:
    """Return the built-in settings as they stand in `defaults.toml`; do not change what is returned."""
    return tomllib.loads(Path(__file__).with_name("defaults.toml").read_text(encoding="utf-8"))


def _merged(below: Any, above: Any) -> Any:
    """Lay one table over another, key by key; a rule that brings its own test loses the built-in one."""
    if not isinstance(below, dict) or not isinstance(above, Mapping):
        return above
    if "points" in below and any(key in above for key in TEST_KEYS):
        below = {key: value for key, value in below.items() if key not in TEST_KEYS + OPTION_KEYS}
    return {**below, **{key: _merged(below.get(key), value) for key, value in above.items()}}


def _group(name: str, values: Mapping[str, Any]) -> Group:
    rules = tuple(
        _rule(key, rule) for key, rule in sorted(values.get("rules", {}).items()) if rule.get("enabled", True)
    )
    return Group(name=name, title=values.get("title", name), cap=values["cap"], floor=values["floor"], rules=rules)


def _rule(name: str, values: Mapping[str, Any]) -> Rule:
    given = {key: value for key, value in _tuples(values).items() if key not in ("enabled", "equals", "in")}
    one_of = tuple(values.get("in", ())) or ((values["equals"],) if "equals" in values else ())
    given.setdefault("reason", _reason(values))
    return Rule(name=name, one_of=one_of, **given)


def _reason(values: Mapping[str, Any]) -> str:
    """Make a terse reason from the rule's test, for rules that bring none."""
    told = [
        f"{key} {'/'.join(map(str, value)) if isinstance(value, list) else value}"
        for key, value in values.items()
        if key in (*TEST_KEYS, "types", "within_days") and not isinstance(value, bool) and value != []
    ]
    if values.get("present"):
        told.append("已知 is known")
    if values.get("missing"):
        told.append("缺失 is missing")
    return f"{values['field']}: {', '.join(told) or '有活动 any activity'}"


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
