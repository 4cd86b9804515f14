"""The decision table: three-valued conditions, the first row that fits, near misses, and the built-in table."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.quote_approval.table import Choice, Level, Range, Rule, decide
from plugins.quote_approval.tests.scene import config, facts

BUILT_IN = config().rules
ASK = (Level(("reviewer",), 1),)


def rule(name, levels=ASK, **conditions):
    return Rule(name=name, conditions=conditions, levels=levels, reason=name)


def row_of(rules, **values) -> Rule:
    found = decide(rules, facts(**values)).rule
    assert found is not None
    return found


def taken(rules, **values):
    return row_of(rules, **values).name


@pytest.mark.parametrize(
    ("condition", "value", "fits"),
    [
        (Range(low=Decimal(5)), 5, True),
        (Range(low=Decimal(5), low_open=True), 5, False),
        (Range(high=Decimal(5)), 5, True),
        (Range(high=Decimal(5), high_open=True), 5, False),
        (Range(low=Decimal(5), high=Decimal(7)), 6, True),
        (Range(low=Decimal(5)), None, None),
        (Range(low=Decimal(5), unknown=True), None, True),
        (Range(unknown=True), None, True),
        (Range(unknown=True), 6, False),
        (Choice(frozenset({"A"})), "A", True),
        (Choice(frozenset({"A"})), "B", False),
        (Choice(frozenset({"A"})), None, None),
        (Choice(frozenset({"unknown"})), None, True),
        (Choice(frozenset({"other"}), frozenset({"CNY"})), "CNY", False),
        (Choice(frozenset({"other"}), frozenset({"CNY"})), "USD", True),
    ],
)
def test_a_condition_says_yes_no_or_unknown(condition, value, fits):
    assert condition.test(value) is fits


def test_the_first_row_that_fits_decides():
    rules = [rule("low", amount=Range(high=Decimal(10))), rule("all"), rule("never")]
    assert taken(rules, amount=5) == "low"
    assert taken(rules, amount=50) == "all"


def test_a_missing_fact_never_fits_silently_and_is_told():
    answer = decide([rule("thin", margin=Range(high=Decimal("0.1"))), rule("rest")], facts(margin=None))
    assert answer.rule and answer.rule.name == "rest"
    assert answer.unclear == ("thin: margin unknown",)


def test_no_row_approves_by_itself_below_one_that_could_not_be_checked():
    rules = [rule("thin", margin=Range(high=Decimal("0.1"))), rule("pass", levels=()), rule("rest")]
    answer = decide(rules, facts(margin=None))
    assert answer.rule and answer.rule.name == "rest"
    assert answer.near_misses == ("pass: could not approve, since rows above could not be checked",)
    assert taken(rules, margin=Decimal("0.5")) == "pass"


def test_a_near_miss_names_the_row_the_value_and_the_bound():
    answer = decide(BUILT_IN, facts(discount=Decimal("0.06"), margin=Decimal("0.2")))
    assert answer.rule and answer.rule.name == "everything_else"
    assert "low_risk: discount is 0.06, not at most 0.05" in answer.near_misses


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({}, "low_risk"),
        ({"tier": "C"}, "low_risk"),
        ({"tier": "A"}, "tier_a"),
        ({"tier": None}, "everything_else"),
        ({"amount": 500_000}, "low_risk"),
        ({"amount": 500_001}, "everything_else"),
        ({"amount": 5_000_001}, "very_large"),
        ({"amount": 5_000_001, "payment_days": 91}, "large_on_credit"),
        ({"amount": 5_000_001, "payment_days": None}, "large_on_credit"),
        ({"payment_days": 31}, "everything_else"),
        ({"payment_days": 91}, "long_credit"),
        ({"payment_days": None}, "long_credit"),
        ({"discount": Decimal("0.051")}, "everything_else"),
        ({"discount": Decimal("0.201")}, "deep_discount"),
        ({"discount": None}, "everything_else"),
        ({"margin": Decimal("0.099")}, "everything_else"),
        ({"margin": Decimal("0.049")}, "hardly_any_margin"),
        ({"margin": Decimal("-0.1"), "tier": "A"}, "hardly_any_margin"),
        ({"margin": None}, "everything_else"),
        ({"currency": "USD", "amount": None}, "foreign_currency"),
        ({"amount": None}, "everything_else"),
    ],
)
def test_the_built_in_table_routes_by_tier_amount_discount_margin_and_terms(values, name):
    assert taken(BUILT_IN, **values) == name


fractions = st.one_of(st.none(), st.integers(0, 100).map(lambda number: Decimal(number) / 100))
inputs = st.fixed_dictionaries(
    {
        "tier": st.sampled_from(["A", "B", "C", None]),
        "currency": st.sampled_from(["CNY", "USD"]),
        "amount": st.one_of(st.none(), st.integers(0, 10_000_000)),
        "discount": fractions,
        "margin": st.one_of(fractions, st.integers(-50, 20).map(lambda number: Decimal(number) / 100)),
        "payment_days": st.one_of(st.none(), st.integers(0, 200)),
        "lead_time_days": st.one_of(st.none(), st.integers(0, 200)),
    }
).map(lambda values: {**values, "amount": values["amount"] if values["currency"] == "CNY" else None})


@given(inputs)
def test_a_missing_fact_never_leads_to_an_approval_by_rule(values):
    found = row_of(BUILT_IN, **values)
    needed = ("tier", "amount", "discount", "margin", "payment_days")
    assert not (found.approves and any(values[name] is None for name in needed))


def roles(values):
    return {who for level in row_of(BUILT_IN, **values).levels for who in level.who}


@given(inputs, st.sampled_from(["amount", "discount", "payment_days"]), st.integers(1, 10_000_000))
def test_more_money_discount_or_credit_never_takes_an_approver_away(values, column, more):
    if values[column] is None:
        return
    step = Decimal(more) / 10_000_000 if column == "discount" else more
    assert roles(values) <= roles({**values, column: values[column] + step})


@given(inputs, st.integers(1, 100))
def test_less_margin_never_takes_an_approver_away(values, less):
    if values["margin"] is not None:
        assert roles(values) <= roles({**values, "margin": values["margin"] - Decimal(less) / 100})


@given(inputs)
def test_a_row_added_at_the_end_changes_nothing_that_was_decided(values):
    before = decide(BUILT_IN, facts(**values)).rule
    after = decide([*BUILT_IN, rule("added", levels=())], facts(**values)).rule
    assert before is after
