"""Which settings are taken, and how those that are not are refused."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
import pytest

from core.testing import checking_names
from plugins.sla_escalation.config import built_in
from plugins.sla_escalation.settings import rule_of
from plugins.sla_escalation.tests.making import config

TITLE = {"zh": "钟", "en": "clock"}
START, STOP = [{"events": ["lead.created"]}], [{"events": ["lead.lost"]}]
OWN: dict[str, Any] = {
    "start_from": "nothing",
    "clocks": {"c": {"record": "lead", "title": TITLE, "start": START, "stop": STOP}},
}


def clock(**more):
    return {**OWN, "clocks": {"c": {**OWN["clocks"]["c"], **more}}}


def policy(**more):
    return {**OWN, "policies": {"p": {"clock": "c", "target": "24h", **more}}}


def test_without_settings_the_built_in_clocks_and_policies_hold():
    loaded = config()
    assert set(loaded.clocks) == set(built_in()["clocks"])
    assert {rule.policy.name for rules in loaded.rules.values() for rule in rules} == set(built_in()["policies"])


def test_a_unit_changes_one_figure_by_naming_it():
    loaded = config({"policies": {"complaint_first_response": {"target": "8 working hours", "warn": []}}})
    (rule,) = loaded.rules["complaint_first_response"]
    assert (str(rule.policy.target), rule.policy.warn, len(rule.policy.levels)) == ("8 working hours", (), 3)


def test_policies_are_tried_in_their_order_and_each_that_does_not_fit_says_why():
    rule, missed = config().rule_for("lead_first_contact", {"grade": "B", "customer.tier": "A"})
    assert rule is not None
    assert rule.policy.name == "lead_tier_a"
    assert missed == (
        {"zh": "lead_nurture：需要 grade 属于 F，实为 B", "en": "lead_nurture: needs grade in F, it is B"},
        {"zh": "lead_grade_a：需要 grade 属于 A，实为 B", "en": "lead_grade_a: needs grade in A, it is B"},
    )


def test_a_clock_or_policy_can_be_left_out():
    loaded = config(
        {"clocks": {"quality_solution": {"enabled": False}}, "policies": {"lead_tier_a": {"enabled": False}}}
    )
    assert "quality_solution" not in loaded.clocks
    assert "lead_tier_a" not in [rule.policy.name for rule in loaded.rules["lead_first_contact"]]


def test_a_rule_that_is_kept_reads_back_as_the_same_rule():
    for rules in config().rules.values():
        for rule in rules:
            assert rule_of(rule.body) == rule


@pytest.mark.parametrize(
    ("values", "path", "text"),
    [
        ({"polices": {}}, "polices", 'Did you mean "policies"?'),
        (clock(record="complain"), "clocks.c.record", 'Did you mean "complaint"?'),
        (clock(stop=[]), "clocks.c.stop", "at least one"),
        (clock(stop=[{"at": "created_at"}]), "clocks.c.stop.0._schema", "fire at everything"),
        (clock(pause={"statsu": ["x"]}), "clocks.c.pause", 'Did you mean "status"?'),
        (clock(pause={"status": {"like": "x"}}), "clocks.c.pause.status.like", "no such test"),
        (clock(pause={"status": {}}), "clocks.c.pause.status", "Says nothing"),
        (clock(pause={"status": []}), "clocks.c.pause.status", "none of them empty"),
        (clock(pause={"requirement": ["x"]}), "clocks.c.pause", "only `known`"),
        (clock(pause={"budget": {"at_least": "much"}}), "clocks.c.pause.budget", "a number"),
        (clock(pause={"budget": {"known": "yes"}}), "clocks.c.pause.budget.known", "true or false"),
        (clock(pause=["status"]), "clocks.c.pause", "a table of facts"),
        (clock(start=[{"changed": ["requirment"]}]), "clocks.c.start.0", 'Did you mean "requirement"?'),
        (clock(start=[{"events": ["complaint.opend"]}]), "clocks.c.start.0.events.0", 'mean "complaint.opened"?'),
        (clock(start=[{"events": ["order.placed"]}]), "clocks.c.start.0.events.0", "never has this event"),
        (clock(restart_as="again"), "clocks.c.restart_as", "one of"),
        ({"clocks": {"Not a name": {}}}, "clocks.Not a name", "Not a name"),
        ({"clocks": []}, "clocks", "Must be a table"),
        (policy(clock="d"), "policies.p.clock", 'There is no clock "d".'),
        (policy(target="soon"), "policies.p.target", "Not a span of time"),
        (policy(target=24), "policies.p.target", "with a unit of time"),
        (policy(target="-3h"), "policies.p.target", "Not a span of time"),
        (policy(target=None, warn=["50%"]), "policies.p.target", "nothing to warn of"),
        (policy(warn=["0%"]), "policies.p.warn.0", "between 1% and 99%"),
        (policy(warn=["later"]), "policies.p.warn.0", "Not a span of time"),
        (policy(warn=["4 working hours"]), "policies.p.warn.0", "elapsed time"),
        (policy(levels=[{"to": []}]), "policies.p.levels.0.to", "Shorter"),
        (policy(levels=[{"to": ["a"]}, {"to": ["b"]}]), "policies.p.levels", "Only one level is at once"),
        (policy(target="8 working hours", before="created_at"), "policies.p.target", "elapsed time"),
        (policy(before="created"), "policies.p.before", 'Did you mean "created_at"?'),
        (policy(when={"tier": ["A"]}), "policies.p.when", 'Did you mean "customer.tier"?'),
        (policy(order="first"), "policies.p.order", "integer"),
        ({"emit": ["started"]}, "emit.0", "one of"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_its_path_and_the_nearest_name(values, path, text):
    with pytest.raises(ma.ValidationError) as refused:
        config(values)
    found: Any = refused.value.messages
    for key in path.split("."):
        assert isinstance(found, dict), (path, refused.value.messages)
        found = found[int(key) if key.isdecimal() else key]
    assert text in str(found)


def test_a_name_that_nobody_answers_to_is_refused_with_its_path():
    def check(name):
        return 'there is no role "bu_manger". Did you mean "bu_manager"?' if name == "bu_manger" else None

    with checking_names(check), pytest.raises(ma.ValidationError) as refused:
        config({"policies": {"complaint_first_response": {"levels": [{"to": ["owner", "bu_manger"]}]}}})
    faults: Any = refused.value.messages
    assert "bu_manager" in str(faults["policies"]["complaint_first_response"]["levels"][0]["to"][1])
