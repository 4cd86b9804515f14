"""The hooks: grading, assigning and grading again, and a story told by the example events."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from pathlib import Path

import pytest

from core.api import Customer
from core.testing import example_events
from plugins.lead_scoring import plugin
from plugins.lead_scoring.models import LeadScore, Rotation


def test_a_new_lead_is_graded_assigned_and_written_back(office, hot, picked):
    effects = office.created(hot)
    grade = picked(effects, "lead_grade")
    assert (grade.outcome, grade.rule) == ("A", "A from 80 points")
    assert "100 分" in grade.summary
    assert sum(reason.weight for reason in grade.reasons) == 100
    assert picked(effects, "update").fields == {"score": 100, "grade": "A", "owner": "senior.chen"}
    assert picked(effects, "emit").type == "lead_scoring.graded"
    assert picked(effects, "emit").data["owner"] == "senior.chen"
    row = office.row(hot.id)
    assert (row.grade, row.owner, row.pool, row.grid, row.unit) == (
        "A",
        "senior.chen",
        "east.senior",
        "east",
        "new_energy",
    )


def test_a_decision_stores_what_it_rests_on(office, hot, picked):
    effects = office.created(hot)
    inputs = picked(effects, "lead_grade").inputs
    assert inputs["as_of"] == office.now.isoformat()
    assert inputs["facts"]["annual_volume"] == "1200"
    assert inputs["thresholds"] == {"A": 80, "B": 65, "C": 50, "D": 35, "E": 20}
    chosen = picked(effects, "lead_assignment")
    assert chosen.inputs["members"] == ["senior.chen", "senior.xu"]
    assert chosen.inputs["position"] == 0
    assert chosen.inputs["pool"] == "east.senior"


def test_a_decision_keeps_no_name_address_or_number_of_a_person(office, hot, picked):
    told = repr(office.created(hot))
    for secret in ("周敏", "zhou.min@", "5550 0101"):
        assert secret not in told


def test_a_hot_lead_is_told_to_the_rep_who_got_it(office, hot, picked):
    message = picked(office.created(hot), "notify")
    assert (message.to, message.template) == ("senior.chen", "hot_lead")
    assert message.data["who"] == "江苏远航新能源科技有限公司"
    assert message.data["reasons"][0].startswith("新能源行业")


def test_an_ordinary_lead_disturbs_nobody(office, fair, picked):
    effects = office.created(fair)
    assert picked(effects, "lead_grade").outcome == "C"
    assert picked(effects, "notify") is None
    assert picked(effects, "update").fields["owner"] == "rep.huang"


def test_an_f_lead_goes_to_the_nurture_pool(office, cold, picked):
    effects = office.created(cold)
    assert picked(effects, "lead_grade").outcome == "F"
    assert picked(effects, "lead_grade").rule == "F below every other grade"
    assert picked(effects, "lead_assignment").outcome == "nurture"
    assert picked(effects, "update").fields["owner"] == "nurture_pool"


def test_a_lead_nobody_can_take_goes_to_the_fallback_owner_loudly(office, fair, picked):
    effects = office.created(dataclasses.replace(fair, region="云南", city=None))
    decision, message = picked(effects, "lead_assignment"), picked(effects, "notify")
    assert decision.outcome == "fallback"
    assert "NOBODY COULD TAKE IT" in decision.summary
    assert (message.to, message.template) == ("manager.wu", "unassigned_lead")
    assert picked(effects, "update").fields["owner"] == "manager.wu"


def test_the_alarm_for_stranded_leads_can_be_switched_off_but_the_lead_has_an_owner(office, fair, picked, loaded):
    office.configs["new_energy"] = loaded({"notify": {"unassigned": False}})
    effects = office.created(fair)
    assert picked(effects, "notify") is None
    assert picked(effects, "update").fields["owner"] == "sales_manager"


def test_a_stranded_lead_is_placed_when_somebody_can_take_it_and_the_alarm_is_not_repeated(office, fair, picked):
    office.created(dataclasses.replace(fair, region="云南", city=None))
    again = office.updated(fair.id, annual_volume=Decimal(70))
    assert picked(again, "notify") is None
    assert picked(again, "lead_assignment") is None
    placed = office.updated(fair.id, city="深圳")
    assert picked(placed, "lead_assignment").outcome == "assigned"
    assert office.row(fair.id).owner == "rep.huang"


def test_reps_of_a_pool_take_turns(office, fair):
    owners = []
    for number in range(4):
        lead = dataclasses.replace(fair, id=f"L{number}", city="苏州")
        office.created(lead)
        owners.append(office.row(lead.id).owner)
    assert owners == ["rep.li", "rep.wang", "rep.zhao", "rep.li"]
    assert office.position("east.reps") == 4


def test_units_keep_turns_of_their_own(office, fair):
    office.created(dataclasses.replace(fair, id="L1", city="苏州"))
    office.unit = "packaging"
    office.created(dataclasses.replace(fair, id="L2", city="苏州"))
    assert office.row("L2").owner == "rep.li"
    assert (office.position("east.reps"), office.position("east.reps", "packaging")) == (1, 1)


def test_a_turn_taken_meanwhile_is_noticed_and_nothing_is_written(office, fair):
    office.created(dataclasses.replace(fair, id="L1", city="苏州"))
    plugin.on_lead_created(
        office.event("lead.created", dataclasses.replace(fair, id="L2", city="苏州")), office.context()
    )
    decided = list(office.session.writes)
    office.session.writes.clear()
    office.session.update(Rotation, ("new_energy", "east.reps"), {"position": 2})  # another lead's turn comes first
    office.session.apply()
    office.session.writes.extend(decided)
    with pytest.raises(Exception, match="a row of lead_scoring_rotations changed since it was read"):
        office.session.apply()
    assert office.session.get(LeadScore, ("erp", "L2")) is None
    assert office.position("east.reps") == 2


def test_the_same_event_handled_twice_gives_the_same_effects(office, hot):
    office.leads[hot.id] = hot
    event = office.event("lead.created", hot)
    assert office.deliver(event, commit=False) == office.deliver(event, commit=False)


def test_an_update_of_a_scored_field_grades_again(office, fair, picked):
    office.created(fair)
    effects = office.updated(fair.id, budget=Decimal(3_500_000), currency="CNY", annual_volume=Decimal(260))
    decision = picked(effects, "lead_grade")
    assert decision.outcome == "B"
    assert "before C (56)" in decision.summary
    assert decision.inputs["previous"] == {"grade": "C", "score": 56}
    assert picked(effects, "update").fields == {"score": 74, "grade": "B"}
    assert picked(effects, "emit").data["previous_grade"] == "C"
    assert picked(effects, "lead_assignment") is None


def test_an_update_that_changes_no_grade_is_recorded_but_not_announced(office, fair, picked):
    office.created(fair)
    effects = office.updated(fair.id, annual_volume=Decimal(61))
    assert picked(effects, "lead_grade").outcome == "C"
    assert picked(effects, "emit") is None
    assert picked(effects, "update") is None


def test_an_update_of_anything_else_does_nothing(office, fair):
    office.created(fair)
    assert office.updated(fair.id, lost_reason="none yet") == []


def test_a_grade_that_rises_to_a_moves_the_lead_to_a_senior_rep(office, fair, picked):
    office.created(dataclasses.replace(fair, city="苏州"))
    effects = office.updated(
        fair.id,
        industry="光伏",
        annual_volume=Decimal(3000),
        budget=Decimal(20_000_000),
        requirement="光伏边框 6063-T5，询价",
    )
    assert picked(effects, "lead_grade").outcome == "A"
    assert picked(effects, "lead_assignment").inputs["previous_owner"] == "rep.li"
    assert office.row(fair.id).owner == "senior.chen"
    assert picked(effects, "notify").to == "senior.chen"


def test_a_lead_older_than_the_plugin_is_graded_by_its_next_update(office, fair, picked):
    office.leads[fair.id] = fair
    assert picked(office.updated(fair.id, lost_reason="x"), "lead_grade").outcome == "C"


def test_an_owner_set_in_the_crm_keeps_the_lead(office, hot, picked):
    effects = office.created(dataclasses.replace(hot, owner="rep.sun"))
    decision = picked(effects, "lead_assignment")
    assert (decision.outcome, decision.rule) == ("kept", "owner_from_crm")
    assert picked(effects, "update").fields == {"score": 100, "grade": "A"}
    assert picked(effects, "notify").to == "rep.sun"


def test_a_hand_over_in_the_crm_is_respected(office, fair, picked):
    office.created(fair)
    effects = office.updated(fair.id, owner="rep.sun")
    assert picked(effects, "lead_assignment").rule == "owner_from_crm"
    assert office.row(fair.id).pool == "crm"


def test_an_existing_customers_tier_counts(office, fair):
    office.created(fair)
    before = office.row(fair.id).score
    office.customers["C-1"] = Customer(id="C-1", tier="A")
    office.updated(fair.id, customer_id="C-1")
    assert office.row(fair.id).score == before + 12


def test_the_example_events_tell_the_whole_story(office, picked):
    story = []
    for event in sorted(example_events(Path(__file__).parents[1]), key=lambda item: item.occurred_at):
        known = office.leads.get(event.record_id)
        said = {name: getattr(event.data, name) for name in event.changed}
        lead = event.data if known is None else dataclasses.replace(known, **said)
        office.leads[event.record_id] = lead
        for effect in office.deliver(dataclasses.replace(event, record=lead)):
            if getattr(effect, "kind", "") in ("lead_grade", "lead_closed"):
                story.append((event.record_id, effect.outcome))
    assert story == [
        ("L-1001", "A"),
        ("L-1002", "C"),
        ("L-1003", "F"),
        ("L-1002", "B"),
        ("L-1002", "lost"),
        ("L-1001", "converted"),
    ]
