"""The settings: sensible without any, changed value by value, and refused with the path of every fault."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path

import marshmallow as ma
import pytest

from plugins.lead_scoring.config import ConfigSchema, built_in
from plugins.lead_scoring.facts import FIELDS
from plugins.lead_scoring.rule_schema import RuleSchema

README = Path(__file__).parents[1] / "README.md"


def faults(values) -> dict[str, str]:
    """Return every fault as its dotted path and its text."""
    with pytest.raises(ma.ValidationError) as refused:
        ConfigSchema().load(values)
    return dict(_flat(refused.value.messages))


def _flat(messages, path=""):
    if isinstance(messages, dict):
        for key, value in messages.items():
            yield from _flat(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, " ".join(messages)


def rule(**values):
    return {"groups": {"fit": {"rules": {"mine": {"field": "industry", "points": 5} | values}}}}


def test_the_plugin_works_without_any_setting(config):
    assert [group.name for group in config.groups] == ["fit", "intent", "behaviour", "contact", "risk"]
    assert config.grades.steps() == (("A", 80), ("B", 65), ("C", 50), ("D", 35), ("E", 20))
    assert [grid.name for grid in config.assignment.grids] == ["east", "north", "south", "west"]
    assert config.assignment.fallback_owner == "sales_manager"
    assert config.notify.hot_grades == ("A",)


def test_a_single_value_is_changed_and_the_rest_stays(config, loaded):
    changed = loaded({"grades": {"A": 75}, "groups": {"fit": {"rules": {"new_energy": {"points": 25}}}}})
    assert (changed.grades.A, changed.grades.B) == (75, 65)
    rules = {rule.name: rule for rule in changed.groups[0].rules}
    built = {rule.name: rule for rule in config.groups[0].rules}
    assert rules["new_energy"].points == 25
    assert rules["new_energy"].contains == built["new_energy"].contains
    assert set(rules) == set(built)


def test_loading_changes_nothing_in_the_built_in_settings(loaded):
    loaded({"groups": {"fit": {"rules": {"new_energy": {"points": 1}}}}, "grades": {"A": 99}})
    loaded({"start_from": "nothing"})
    assert built_in()["grades"]["A"] == 80
    assert len(built_in()["groups"]) == 5


def test_a_rule_that_brings_its_own_test_loses_the_built_in_one(loaded):
    changed = loaded({"groups": {"fit": {"rules": {"automotive": {"in": ["汽车"]}}}}})
    found = next(rule for rule in changed.groups[0].rules if rule.name == "automotive")
    assert (found.one_of, found.contains, found.without, found.points) == (("汽车",), (), (), 14)


def test_a_rule_can_be_left_out_even_when_it_is_unfinished(loaded):
    changed = loaded({"groups": {"fit": {"rules": {"new_energy": {"enabled": False}}}}})
    assert "new_energy" not in {rule.name for rule in changed.groups[0].rules}


def test_starting_from_nothing_leaves_only_what_is_given(loaded):
    mine = loaded({"start_from": "nothing", "groups": {"fit": {"cap": 9, "floor": 0}}})
    assert [(group.name, group.title, group.rules) for group in mine.groups] == [("fit", "fit", ())]
    assert mine.assignment.grids == ()
    assert mine.assignment.fallback_owner == "sales_manager"


def test_numbers_are_exact_and_numbers_in_lists_are_words(loaded):
    changed = loaded(rule(field="text", contains=[6061, "7075"]) | {"exchange_rates": {"USD": 7.1}})
    mine = next(rule for rule in changed.groups[0].rules if rule.name == "mine")
    assert mine.contains == ("6061", "7075")
    assert changed.exchange_rates["USD"] == Decimal("7.1")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"in": ["a", "b"]}, "industry: in a/b"),
        ({"equals": "a"}, "industry: equals a"),
        ({"missing": True}, "industry: 缺失 is missing"),
        ({"present": True}, "industry: 已知 is known"),
        ({"field": "budget", "at_least": 5, "at_most": 9}, "budget: at_least 5, at_most 9"),
        ({"field": "activities"}, "activities: 有活动 any activity"),
        ({"field": "activities", "within_days": 9}, "activities: within_days 9"),
        ({"in": ["a"], "reason": "mine"}, "mine"),
    ],
)
def test_a_rule_without_a_reason_explains_itself(loaded, values, reason):
    changed = loaded(rule(**values))
    assert next(rule for rule in changed.groups[0].rules if rule.name == "mine").reason == reason


def test_what_is_watched_follows_from_the_rules(loaded, config):
    assert {"industry", "contact", "counters", "activities", "owner", "city"} <= config.watched
    mine = loaded(
        {"start_from": "nothing"}
        | {"groups": {"f": {"cap": 9, "floor": 0, "rules": {"r": {"field": "extra.x", "points": 1, "present": True}}}}}
    )
    assert mine.watched == {"extra", "owner", "region", "city", "status", "customer_id"}


@pytest.mark.parametrize(
    ("values", "path", "text"),
    [
        ({"gades": {}}, "gades", 'Did you mean "grades"?'),
        ({"grades": {"G": 1}}, "grades.G", 'There is no setting "G" here.'),
        ({"grades": {"A": 60}}, "grades.A", "A is 60, which is not above B (65)"),
        ({"grades": {"E": 0}}, "grades.E", "greater than or equal to 1"),
        ({"grades": {"A": 101}}, "grades.A", "less than or equal to 100"),
        ({"grades": {"A": "80"}}, "grades.A", "Not a valid integer"),
        ({"grades": {"A": True}}, "grades.A", "Not a valid integer"),
        ({"grades": 5}, "grades._schema", "Invalid input type."),
        ({"groups": []}, "groups", "Must be a table."),
        ({"groups": {"Fit!": {}}}, "groups.Fit!", "lower-case letters"),
        ({"groups": {"mine": {"cap": 5}}}, "groups.mine.floor", "Missing"),
        ({"groups": {"fit": {"cap": -1}}}, "groups.fit.cap", "greater than or equal to 0"),
        ({"groups": {"fit": {"floor": 1}}}, "groups.fit.floor", "less than or equal to 0"),
        ({"start_from": "steel"}, "start_from", "Must be one of"),
        ({"currency": "yuan"}, "currency", "currency code"),
        ({"exchange_rates": {"usd": 7}}, "exchange_rates.usd", "currency code"),
        ({"exchange_rates": {"USD": 0}}, "exchange_rates.USD", "greater than 0"),
        ({"exchange_rates": {"USD": "NaN"}}, "exchange_rates.USD", "Special numeric values"),
        ({"assignment": {"fallback_owner": " "}}, "assignment.fallback_owner", "Must not be blank."),
        ({"assignment": {"fallback_owner": ""}}, "assignment.fallback_owner", "Must not be blank."),
        ({"assignment": {"respect_owner": "yes"}}, "assignment.respect_owner", "Not a valid boolean."),
        ({"assignment": {"respect_owner": 1}}, "assignment.respect_owner", "Not a valid boolean."),
        ({"assignment": {"senior_grades": ["S"]}}, "assignment.senior_grades", "S is no grade"),
        ({"assignment": {"nurture_grades": ["A"]}}, "assignment.nurture_grades", "A goes to senior reps already."),
        (
            {"assignment": {"grids": {"suzhou": {"cities": ["苏州"]}}}},
            "assignment.grids.suzhou.cities",
            "belongs to the grid east too",
        ),
        ({"assignment": {"grids": {"east": {"rep": []}}}}, "assignment.grids.east.rep", 'Did you mean "reps"?'),
        ({"notify": {"hot_grade": []}}, "notify.hot_grade", 'Did you mean "hot_grades"?'),
        ({"notify": {"hot_grades": ["S"]}}, "notify.hot_grades", "S is no grade"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_path(values, path, text):
    found = faults(values)
    assert text in found[path], found


@pytest.mark.parametrize(
    ("values", "key", "text"),
    [
        ({"field": "industri", "in": ["a"]}, "field", 'Did you mean "industry"?'),
        ({"field": "counters", "at_least": 1}, "field", 'There is no fact "counters"'),
        ({"field": "score", "at_least": 1}, "field", 'There is no fact "score"'),
        ({}, "field", "this one has none"),
        ({"in": []}, "field", "this one has none"),
        ({"in": ["a"], "contains": ["b"]}, "field", "this one has contains and in"),
        ({"in": ["a"], "present": True}, "field", "this one has in and present"),
        ({"in": ["a"], "points": 0}, "points", "enabled = false"),
        ({"in": ["a"], "points": 101}, "points", "less than or equal to 100"),
        ({"in": [" "]}, "in.0", "Must not be blank."),
        ({"in": [True]}, "in.0", "Not a valid string."),
        ({"at_least": 5}, "at_least", "industry is of kind text"),
        ({"field": "budget", "contains": ["a"]}, "contains", "budget is of kind number"),
        ({"field": "budget", "at_least": 9, "at_most": 5}, "at_most", "Is below at_least"),
        ({"field": "budget", "at_least": "lots"}, "at_least", "Not a valid number."),
        ({"field": "counters.x", "per": 0}, "per", "greater than 0"),
        ({"field": "activities", "at_least": 5}, "at_least", "activities is of kind activities"),
        ({"field": "activities", "in": ["call"]}, "in", "activities is of kind activities"),
        ({"in": ["a"], "without": ["b"]}, "without", "only used with `contains`"),
        ({"in": ["a"], "max": 5}, "max", "only used with `per`, or on activities"),
        ({"in": ["a"], "types": ["call"]}, "types", "only used on activities"),
        ({"in": ["a"], "within_days": 5}, "within_days", "only used on activities"),
        ({"field": "activities", "present": True, "max": 5}, "max", "only used"),
        ({"in": ["a"], "ponts": 5}, "ponts", 'Did you mean "points"?'),
    ],
)
def test_a_faulty_rule_is_told_with_its_path(values, key, text):
    found = faults(rule(**values))
    assert text in found[f"groups.fit.rules.mine.{key}"], found


def test_every_fault_is_told_at_once():
    found = faults(
        {"gades": {}, "base": "x"} | {"groups": {"fit": {"cap": 500, "rules": {"mine": {"points": 1, "fild": "x"}}}}}
    )
    assert set(found) >= {
        "gades",
        "base",
        "groups.fit.cap",
        "groups.fit.rules.mine.fild",
        "groups.fit.rules.mine.field",
    }


def test_what_is_no_table_is_refused():
    assert "_schema" in faults([])
    assert "groups.fit.rules.mine._schema" in faults({"groups": {"fit": {"rules": {"mine": 5}}}})


def keys(schema, prefix=""):
    for name, field in schema.fields.items():
        key = prefix + (field.data_key or name)
        yield key, field
        if isinstance(field, ma.fields.Nested):
            yield from keys(field.schema, key + ".")
        of = getattr(field, "of", None)
        if isinstance(of, type):
            yield from keys(of(), key + ".<name>.")


def test_every_setting_has_a_description_and_stands_in_the_readme():
    text = README.read_text(encoding="utf-8")
    for key, field in keys(ConfigSchema()):
        assert field.metadata.get("description"), key
        assert f"`{key}`" in text or f"`{key.rpartition('.')[2]}`" in text, key


def test_every_fact_stands_in_the_readme():
    text = README.read_text(encoding="utf-8")
    missing = [name for name in FIELDS if f"`{name}`" not in text]
    assert missing == []


def test_the_settings_shown_in_the_readme_load():
    blocks = README.read_text(encoding="utf-8").split("```toml\n")[1:]
    assert blocks
    for block in blocks:
        document = tomllib.loads(block.split("```")[0])
        for values in [document["plugins"], *(unit.get("plugins", {}) for unit in document.get("units", {}).values())]:
            ConfigSchema().load(values["lead_scoring"].get("config", {}))


def test_rule_keys_and_schema_agree():
    names = {field.data_key or name for name, field in RuleSchema().fields.items()}
    from plugins.lead_scoring.rule_schema import OPTION_KEYS, TEST_KEYS

    assert names == {"enabled", "field", "points", "reason", *TEST_KEYS, *OPTION_KEYS}


def test_the_python_shown_in_the_readme_runs():
    blocks = README.read_text(encoding="utf-8").split("```python\n")[1:]
    assert blocks
    for block in blocks:
        exec(compile(block.split("```")[0], str(README), "exec"), {})
