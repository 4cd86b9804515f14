"""The end of a lead, and its move to another unit."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from decimal import Decimal

import pytest

from core.api import Lead, UnitChange


def test_a_closed_lead_is_not_graded_any_more(office, fair, picked):
    office.created(fair)
    office.now += timedelta(days=5)
    decision = picked(office.closed(fair.id, "lost"), "lead_closed")
    assert decision.outcome == "lost"
    assert decision.inputs == {"grade": "C", "score": 56, "owner": "rep.huang", "days_since_first_grade": 5}
    assert office.updated(fair.id, annual_volume=Decimal(900)) == []
    assert office.closed(fair.id, "lost") == []
    assert office.row(fair.id).closed_as == "lost"


def test_a_converted_lead_says_how_it_had_been_graded(office, hot, picked):
    office.created(hot)
    decision = picked(office.closed(hot.id, "converted"), "lead_closed")
    assert decision.outcome == "converted"
    assert "grade A (100 points), senior.chen" in decision.summary


def test_a_lost_lead_that_the_crm_opens_again_is_graded_again(office, fair, picked):
    office.created(fair)
    office.closed(fair.id, "lost")
    assert office.updated(fair.id, status="Unqualified") == []
    effects = office.updated(fair.id, status="working")
    assert picked(effects, "lead_grade").outcome == "C"
    assert office.row(fair.id).closed_as is None
    assert office.row(fair.id).owner == "rep.huang"


def test_a_lead_whose_end_is_heard_of_first_is_never_handed_out(office, fair, picked):
    decision = picked(office.closed(fair.id, "converted"), "lead_closed")
    assert "never graded" in decision.summary
    assert office.created(fair) == []
    assert office.log.lines[0][:2] == ("info", "a closed lead is not graded")


@pytest.mark.parametrize("status", ["Converted", "已流失", "JUNK", "do_not_contact"])
def test_an_imported_lead_that_is_closed_already_is_not_handed_out(office, fair, status):
    lead = dataclasses.replace(fair, status=status)
    assert office.created(lead) == []
    assert office.updated(fair.id, annual_volume=Decimal(3)) == []


def test_a_lead_that_moves_is_graded_by_its_new_units_rules(office, hot, picked):
    office.created(dataclasses.replace(hot, budget=Decimal(600_000), annual_volume=Decimal(30), counters={}))
    before = office.row(hot.id)
    assert before.grade == "A"
    assert office.moved(hot.id, "new_energy", "packaging", told="new_energy") == []
    assert office.row(hot.id).closed_as == "moved"
    effects = office.moved(hot.id, "new_energy", "packaging", told="packaging")
    row = office.row(hot.id)
    assert (row.unit, row.closed_as) == ("packaging", None)
    assert row.score == before.score
    assert picked(effects, "lead_grade").inputs["thresholds"]["A"] == 90


def test_the_old_unit_leaves_alone_what_the_new_one_has_graded(office, fair):
    office.created(fair)
    office.moved(fair.id, "new_energy", "packaging", told="packaging")
    assert office.moved(fair.id, "new_energy", "packaging", told="new_energy") == []
    assert office.row(fair.id).closed_as is None


def test_a_move_that_an_update_has_graded_already_does_nothing_more(office, fair, picked):
    office.created(fair)
    office.unit = "packaging"
    assert picked(office.updated(fair.id, lost_reason="-"), "lead_grade") is not None
    assert office.row(fair.id).unit == "packaging"
    assert office.moved(fair.id, "new_energy", "packaging", told="packaging") == []


def test_a_closed_lead_that_moves_stays_closed(office, fair):
    office.created(fair)
    office.closed(fair.id, "lost")
    assert office.moved(fair.id, "new_energy", "packaging", told="packaging") == []
    assert office.moved(fair.id, "new_energy", "packaging", told="new_energy") == []
    assert office.row(fair.id).closed_as == "lost"


def test_other_records_may_change_units_without_lead_scoring(office, fair):
    office.leads[fair.id] = fair
    event = office.event("record.unit_changed", fair)
    order = dataclasses.replace(event, kind="order")
    assert office.deliver(order) == []


def test_a_moved_lead_that_is_not_known_is_logged(office):
    office.leads["L-9"] = Lead(id="L-9")
    change = office.event("record.unit_changed", office.leads.pop("L-9"), record=None)
    event = dataclasses.replace(change, data=UnitChange(id="L-9", from_unit="a", to_unit="new_energy"))
    assert office.deliver(event) == []
    assert office.log.lines[0][:2] == ("warning", "a lead that moved here is not known")
