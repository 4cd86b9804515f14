"""Reads and checks the settings on top of the built-in ones in `defaults.toml`; faults name their path."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import marshmallow as ma

from core.api import OneOf, SpanField, Who

from .checks import FIELDS
from .fields import Number, Strict, Switch, Whole, names
from .rule_schema import MAX_RULES, RuleSchema, build_rules
from .settings import Config, Rung, TierLimits

__all__ = ["Config", "ConfigSchema", "built_in"]


class TierLimitsSchema(Strict):
    """Yearly purchases that make the tier of a customer without one."""

    a_above = Number(0, required=True)
    b_from = Number(0, required=True)

    @ma.validates_schema
    def _ascending(self, data: Mapping[str, Any], **_: Any) -> None:
        if data["b_from"] > data["a_above"]:
            raise ma.ValidationError("Must not be above a_above.", "b_from")


class ReviewersSchema(Strict):
    """Who reviews quotes of each tier."""

    A = Who(required=True)
    B = Who(required=True)
    C = Who(required=True)
    unknown_tier = Who(required=True, data_key="unknown", attribute="unknown")


class RungSchema(Strict):
    """One rung of the ladder."""

    after = SpanField(required=True)
    to = ma.fields.String(required=True, validate=OneOf(("approver", "manager", "fallback")))

    @ma.post_load
    def _build(self, data: dict[str, Any], **_: Any) -> Rung:
        return Rung(**data)


def _climbs(ladder: list[Rung]) -> None:
    """Refuse a ladder that goes down, as far as its spans can be compared: working time with working time."""
    for number, rung in enumerate(ladder):
        for earlier in ladder[:number]:
            alike = (earlier.after.working, earlier.after.unit) == (rung.after.working, rung.after.unit)
            if alike and earlier.after.amount >= rung.after.amount:
                raise ma.ValidationError({number: {"after": ["Must be later than the rungs before it."]}})


class ConfigSchema(Strict):
    """All settings; what is not given is as in `defaults.toml`."""

    base_currency = ma.fields.String(
        validate=ma.validate.Regexp(r"^[A-Z]{3}\Z", error="Must be a currency code such as CNY."),
        metadata={"description": "The currency of amounts in the table and of yearly purchases (ISO 4217)."},
    )
    tier_field = ma.fields.String(
        validate=ma.validate.Regexp(r"^(tier|extra\..{1,100})\Z", error="Must be tier or extra.<name>."),
        metadata={"description": "The customer's field with the tier: tier, or extra.<name>."},
    )
    tier_limits = ma.fields.Nested(
        TierLimitsSchema, metadata={"description": "Yearly purchases that make the tier of a customer without one."}
    )
    required = names(FIELDS, "What a quote must have, else it is returned.")
    product_stands_for_specification = Switch(
        about="Whether product and family together stand for a missing material specification."
    )
    amount_tolerance = Number(0, 1, about="How far the amount may be from the sum of the lines: 0.01 is 1 %.")
    tax_rates = ma.fields.List(
        Number(0, 1), metadata={"description": "Rates of value-added tax that the amount may contain."}
    )
    reviewers = ma.fields.Nested(
        ReviewersSchema, metadata={"description": "Whom `reviewer` in a row means, by the customer's tier."}
    )
    rules = ma.fields.List(
        ma.fields.Nested(RuleSchema),
        validate=ma.validate.Length(1, MAX_RULES),
        metadata={"description": "The decision table, read from the top; the first row that fits decides."},
    )
    ladder = ma.fields.List(
        ma.fields.Nested(RungSchema),
        validate=[ma.validate.Length(max=10), _climbs],
        metadata={"description": "Who is told when a level is not decided in time: approver, manager, fallback."},
    )
    cycle = SpanField(metadata={"description": "How long a quote may take from handing in to the decision."})
    fallback = Who(metadata={"description": "Who is asked when nobody else can be, or nobody answers."})
    link_valid_hours = Whole(1, 72, about="How long a link in a message can be used.")

    @ma.pre_load
    def _on_top_of_defaults(self, data: Any, **_: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        result = deepcopy(built_in())
        for key, value in data.items():
            below = result.get(key)
            both = isinstance(below, dict) and isinstance(value, Mapping)
            result[key] = {**result[key], **value} if both else value
        return result

    @ma.post_load
    def _build(self, data: dict[str, Any], **_: Any) -> Config:
        return Config(
            base_currency=data["base_currency"],
            tier_field=data["tier_field"],
            tier_limits=TierLimits(**data["tier_limits"]),
            required=tuple(data["required"]),
            product_stands_for_specification=data["product_stands_for_specification"],
            amount_tolerance=data["amount_tolerance"],
            tax_rates=tuple(data["tax_rates"]),
            reviewers=MappingProxyType(dict(data["reviewers"])),
            rules=build_rules(data["rules"], data["base_currency"]),
            ladder=tuple(data["ladder"]),
            cycle=data["cycle"],
            fallback=data["fallback"],
            link_valid_hours=data["link_valid_hours"],
        )


@cache
def built_in() -> dict[str, Any]:
    """Return the built-in settings as they stand in `defaults.toml`; do not change what is returned."""
    return tomllib.loads(Path(__file__).with_name("defaults.toml").read_text(encoding="utf-8"))
