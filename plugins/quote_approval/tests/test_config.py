"""Which settings are refused, with the path of the fault, and what the built-in ones are."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path

import marshmallow as ma
import pytest

from core.api import Span
from core.testing import ConfigurationRefused, plugin_server
from plugins.quote_approval.config import ConfigSchema
from plugins.quote_approval.tests.scene import FOLDER, SETTINGS, config

REST = {"name": "rest", "levels": [{"who": ["reviewer"]}], "reason": "the rest"}


def row(name="row", **values):
    return {"name": name, "levels": [{"who": ["finance"]}], "reason": "why", **values}


def refused(**values):
    with pytest.raises(ma.ValidationError) as caught:
        ConfigSchema().load(values)
    return str(caught.value.messages)


def test_the_built_in_settings_stand_without_any():
    built_in = config()
    assert [rule.name for rule in built_in.rules if rule.approves] == ["low_risk"]
    assert (str(built_in.cycle), built_in.fallback) == ("3 days", "general_manager")
    assert [(str(rung.after), rung.to) for rung in built_in.ladder] == [
        ("4 working hours", "approver"), ("8 working hours", "manager"), ("16 working hours", "fallback"),
    ]  # fmt: skip
    assert isinstance(built_in.cycle, Span)


def test_single_values_are_laid_over_the_built_in_ones():
    changed = config(reviewers={"B": "sales_director"}, tier_limits={"b_from": 1_000_000}, cycle="2 working days")
    assert (changed.reviewers["A"], changed.reviewers["B"]) == ("sales_director", "sales_director")
    assert [changed.tier_limits.a_above, changed.tier_limits.b_from] == [Decimal(10_000_000), Decimal(1_000_000)]


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ([row(amount={"below": 100})], "gap: no row takes amount 100"),
        ([row(amount={"at_most": 100}), row("more", amount={"above": 100})], "gap: no row takes amount unknown"),
        ([row(discount={"at_most": 0.05, "unknown": True}), row("b", discount={"at_least": 0.06})], "discount 0.055"),
        ([row(tier=["A", "B", "C"])], "gap: no row takes tier unknown"),
        ([row(currency=["CNY"])], "gap: no row takes currency other"),
        ([REST, row(amount={"below": 100})], '"row" is never reached'),
        ([row(amount={"at_most": 9}), row("b", amount={"below": 5}), REST], '"b" is never reached'),
        ([row(), REST], '"rest" is never reached'),
        ([row(amount={"below": 9}), row(margin={"below": 0}), REST], 'There is a row "row" already'),
        ([row(amount={"above": 9, "at_least": 8}), REST], "not both"),
        ([row(amount={"above": 9, "below": 9}), REST], "No number lies between"),
        ([row(amount={}), REST], "at_least, above"),
        ([row(amount={"above": "9"}), REST], "amount"),
        ([row(discount={"above": 5}), REST], "0.05 is 5 %"),
        ([row(amount={"above": -5}), REST], "No amount is below 0"),
        ([row(tier=["D"]), REST], 'There is no "D"'),
        ([row(tier=[]), REST], "fits nothing"),
        ([row(levels=[]), REST], "has levels"),
        ([row(outcome="approve"), REST], "asks nobody"),
        ([row(levels=[{"who": []}]), REST], "who"),
        ([row(levels=[{"who": ["finance", "finance"]}]), REST], "asked twice"),
        ([row(levels=[{"who": ["finance"], "min_approvers": 2}]), REST], "Only 1"),
        ([row(levels=[{"who": ["finance"], "mode": "most"}]), REST], "mode"),
        ([row("Bad Name"), REST], "lower-case"),
        ([row(marging={"below": 0}), REST], 'Did you mean "margin"'),
        ([{"name": "x", "levels": [{"who": ["finance"]}]}], "reason"),
        ([], "rules"),
    ],
)
def test_a_table_with_a_fault_is_refused_with_the_reason(rules, words):
    assert words in refused(rules=rules)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"requird": []}, 'Did you mean "required"'),
        ({"required": ["colour"]}, 'There is no "colour"'),
        ({"required": ["specifikation"]}, 'Did you mean "specification"'),
        ({"base_currency": "yuan"}, "currency code"),
        ({"tier_field": "class"}, "tier or extra"),
        ({"tier_limits": {"b_from": 20_000_000}}, "above a_above"),
        ({"amount_tolerance": 2}, "amount_tolerance"),
        ({"amount_tolerance": "0.01"}, "amount_tolerance"),
        ({"product_stands_for_specification": 1}, "product_stands_for_specification"),
        ({"cycle": "three days"}, "cycle"),
        ({"cycle": "0 days"}, "cycle"),
        ({"link_valid_hours": 100}, "link_valid_hours"),
        ({"ladder": [{"after": "4 working hours", "to": "boss"}]}, "to"),
        ({"ladder": [{"after": "8h", "to": "approver"}, {"after": "4h", "to": "manager"}]}, "later than the rungs"),
        ({"tax_rates": [13]}, "tax_rates"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_path(values, words):
    assert words in refused(**values)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ('config.fallback = "general_manger"', 'Did you mean "general_manager"'),
        ('config.reviewers.C = "bu_manger"', 'Did you mean "bu_manager"'),
        (
            'config.rules = [{ name = "all", reason = "x", levels = [{ who = ["reviewer", "finanse"] }] }]',
            'Did you mean "finance"',
        ),
    ],
)
def test_approvers_nobody_knows_are_refused_with_the_whole_configuration(wrong, words):
    with pytest.raises(ConfigurationRefused, match=words), plugin_server(FOLDER, SETTINGS + wrong + "\n"):
        pass


def test_the_table_of_the_readme_is_complete():
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    block = next(part for part in text.split("```toml\n")[1:] if "small_and_safe" in part).partition("```")[0]
    given = tomllib.loads(block)["plugins"]["quote_approval"]["config"]
    names = [rule["name"] for rule in given["rules"]]
    assert names == ["small_and_safe", "long_credit", "everything_else"]
    assert ConfigSchema().load(given) is not None
