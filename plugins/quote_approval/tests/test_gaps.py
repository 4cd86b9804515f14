"""The check of tables for gaps and unreachable rows, against trying every piece of every column."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.quote_approval import gaps
from plugins.quote_approval.gaps import TooEntangled, check_table
from plugins.quote_approval.table import Choice, Level, Range, Rule, decide
from plugins.quote_approval.tests.scene import config, facts

ASK = (Level(("reviewer",), 1),)

# Every value that bounds taken from these numbers can tell apart, found without the code under test.
GRID: dict[str, list[Any]] = {
    "tier": ["A", "B", "C", None],
    "amount": [None, *(Decimal(number) / 2 for number in range(0, 8))],
    "payment_days": [None, *range(0, 6)],
    "margin": [None, *(Decimal(number) / 2 for number in range(-5, 3))],
}


def ranges(low, high):
    bound = st.one_of(st.none(), st.integers(low, high).map(Decimal))
    return st.builds(
        Range, low=bound, high=bound, low_open=st.booleans(), high_open=st.booleans(), unknown=st.booleans()
    )


conditions = st.fixed_dictionaries(
    {},
    optional={
        "tier": st.sets(st.sampled_from(["A", "B", "C", "unknown"]), min_size=1).map(
            lambda names: Choice(frozenset(names))
        ),
        "amount": ranges(0, 3),
        "payment_days": ranges(0, 4),
        "margin": ranges(-2, 1),
    },
)
tables = st.lists(st.tuples(conditions, st.booleans()), min_size=1, max_size=5).map(
    lambda rows: [
        Rule(name=f"r{number}", conditions=found, levels=() if approves else ASK, reason="")
        for number, (found, approves) in enumerate(rows)
    ]
)


def by_trying(rules):
    columns = [column for column in GRID if any(column in rule.conditions for rule in rules)]
    winners, gap = set(), False
    for values in itertools.product(*(GRID[column] for column in columns)):
        found = decide(rules, facts(**dict(zip(columns, values, strict=True)))).rule
        winners |= {found.name} if found else set()
        gap |= found is None
    return gap, {rule.name for rule in rules} - winners


@settings(max_examples=100)
@given(tables)
def test_a_gap_and_the_rows_never_reached_are_found_exactly(rules):
    gap, unreachable = by_trying(rules)
    found = check_table(rules)
    assert (found.gap is not None) == gap
    assert set(found.unreachable) == unreachable


@settings(max_examples=100)
@given(tables)
def test_the_example_of_a_gap_is_one(rules):
    found = check_table(rules)
    if found.gap is not None:
        assert decide(rules, facts(**found.gap)).rule is None


@given(tables)
def test_a_last_row_without_conditions_closes_every_gap(rules):
    assert check_table([*rules, Rule(name="rest", conditions={}, levels=ASK, reason="")]).gap is None


def test_whole_numbers_have_nothing_between_them():
    split = [
        Rule(name="short", conditions={"payment_days": Range(high=Decimal(30))}, levels=ASK, reason=""),
        Rule(name="long", conditions={"payment_days": Range(low=Decimal(31), unknown=True)}, levels=ASK, reason=""),
    ]
    assert check_table(split).gap is None
    amounts = [
        Rule(name="short", conditions={"amount": Range(high=Decimal(30))}, levels=ASK, reason=""),
        Rule(name="long", conditions={"amount": Range(low=Decimal(31), unknown=True)}, levels=ASK, reason=""),
    ]
    assert check_table(amounts).gap == {"amount": Decimal("30.5")}


def test_the_built_in_table_is_whole_and_its_last_row_needed():
    rules = config().rules
    assert check_table(rules) == gaps.Findings(None, ())
    assert check_table(rules[:-1]).gap is not None


def test_a_hundred_plain_rows_are_checked_in_no_time():
    rules = [
        Rule(name=f"r{number}", conditions={"amount": Range(high=Decimal(number))}, levels=ASK, reason="")
        for number in range(99)
    ]
    assert check_table([*rules, Rule(name="rest", conditions={}, levels=ASK, reason="")]) == gaps.Findings(None, ())


def test_a_table_that_takes_too_long_is_given_up_loudly(monkeypatch):
    rules = config().rules
    monkeypatch.setattr(gaps, "MAX_NODES", 3)
    with pytest.raises(TooEntangled):
        check_table(rules)
