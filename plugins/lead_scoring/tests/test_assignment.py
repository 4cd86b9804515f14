"""Assignment: the grid that owns a place, the pools and their turns, first asker first, and never nobody."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.api import Lead
from plugins.lead_scoring.assignment import Outcome, Previous, assign, find_grid, take_turn
from plugins.lead_scoring.config import ConfigSchema
from plugins.lead_scoring.settings import AssignmentConfig, Grid

BUILT_IN = ConfigSchema().load({}).assignment

STAFFED = AssignmentConfig(
    respect_owner=True,
    senior_grades=("A",),
    nurture_grades=("F",),
    nurture_owner="nurture_pool",
    fallback_owner="manager.wu",
    not_owners=("Administrator", "公海"),
    grids=(
        Grid(name="east", regions=("华东",), cities=("苏州",), senior=("s.chen", "s.xu"), reps=("r.li", "r.wang")),
        Grid(name="north", regions=("华北",), senior=("s.ma",)),
        Grid(name="south", regions=("华南",), cities=("深圳",), reps=("r.huang", "r.li")),
        Grid(name="west", regions=("西南",)),
    ),
)


def lead(region: str | None = None, city: str | None = None, owner: str | None = None) -> Lead:
    return Lead(id="L", region=region, city=city, owner=owner)


def had(**values: str | None) -> Previous:
    known: dict[str, str | None] = {"unit": "u", "grade": "C", "owner": "r.li", "pool": "east.reps", "grid": "east"}
    return Previous(**{**known, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("region", "city", "grid"),
    [
        ("华东", None, "east"),
        ("江苏省", None, "east"),
        ("江苏省苏州市", None, "east"),
        (None, "苏州市工业园区", "east"),
        (None, "SUZHOU", "east"),
        ("Jiangsu Province", None, "east"),
        (None, "Shenzhen, China", "south"),
        ("广东", "上海", "east"),  # the city is more telling
        ("苏州", None, "east"),  # a city written where the region belongs
        ("广西壮族自治区", None, "south"),
        ("内蒙古自治区", None, "north"),
        ("新疆维吾尔自治区", None, "west"),
        ("上海南汇", None, "east"),  # not 海南, though the letters are in it
        ("Hong_Kong", None, "south"),
        ("Bavaria", "Munich", None),
        ("Eastleigh", None, None),
        (None, None, None),
        ("", "-", None),
    ],
)
def test_a_place_belongs_to_the_grid_of_its_city_or_else_its_region(region, city, grid):
    found, why = find_grid(lead(region, city), BUILT_IN.grids)
    assert (found.name if found else None) == grid
    assert why.text


@pytest.mark.parametrize(
    ("grade", "region", "pool", "members"),
    [
        ("A", "华东", "east.senior", ("s.chen", "s.xu")),
        ("B", "华东", "east.reps", ("r.li", "r.wang")),
        ("E", "华南", "south.reps", ("r.huang", "r.li")),
        ("A", "华南", "south.reps", ("r.huang", "r.li")),  # no senior rep there
    ],
)
def test_grades_go_to_their_reps_and_a_to_senior_ones_first(grade, region, pool, members):
    chosen = assign(lead(region), grade, "u", STAFFED)
    assert (chosen.outcome, chosen.pool, chosen.members) == (Outcome.ASSIGNED, pool, members)


def test_a_hot_lead_without_a_senior_rep_says_so():
    texts = [reason.text for reason in assign(lead("华南"), "A", "u", STAFFED).reasons]
    assert any("no senior rep" in text for text in texts)


@pytest.mark.parametrize("region", ["西南", "Bavaria", None])
def test_a_lead_that_no_rep_can_take_has_the_fallback_owner_and_says_why(region):
    chosen = assign(lead(region), "B", "u", STAFFED)
    assert (chosen.outcome, chosen.owner, chosen.pool) == (Outcome.FALLBACK, "manager.wu", "fallback")
    assert "manager.wu has to place it" in chosen.reasons[-1].text


def test_an_ordinary_lead_does_not_go_to_a_senior_rep():
    assert assign(lead("华北"), "C", "u", STAFFED).outcome is Outcome.FALLBACK


@pytest.mark.parametrize(("grade", "pool"), [("A", "unit.senior"), ("C", "unit.reps")])
def test_reps_of_the_whole_unit_stand_in_where_a_grid_has_none(grade, pool):
    config = dataclasses.replace(STAFFED, senior=("s.all",), reps=("r.all",))
    assert assign(lead("西南"), grade, "u", config).pool == pool
    assert assign(lead("Bavaria"), grade, "u", config).pool == pool


def test_f_goes_to_the_nurture_pool_wherever_it_is():
    chosen = assign(lead("Bavaria"), "F", "u", STAFFED)
    assert (chosen.outcome, chosen.owner, chosen.pool) == (Outcome.NURTURE, "nurture_pool", "nurture")


# ---------------------------------------------------------------- owners from the CRM


@pytest.mark.parametrize("grade", ["A", "C", "F"])
def test_an_owner_from_the_crm_keeps_a_new_lead_of_any_grade(grade):
    chosen = assign(lead("华东", owner="r.sun"), grade, "u", STAFFED)
    assert (chosen.outcome, chosen.owner, chosen.pool) == (Outcome.KEPT, "r.sun", "crm")


@pytest.mark.parametrize("nobody", ["administrator", "公海", " ", "nurture_pool", "Manager.Wu"])
def test_an_owner_that_stands_for_nobody_is_none(nobody):
    assert assign(lead("华东", owner=nobody), "C", "u", STAFFED).pool == "east.reps"


def test_the_crm_can_hand_a_lead_over():
    chosen = assign(lead("华东", owner="r.sun"), "C", "u", STAFFED, had())
    assert (chosen.owner, chosen.pool) == ("r.sun", "crm")


@pytest.mark.parametrize(("grade", "unit", "region"), [("A", "u", "华东"), ("C", "v", "华东"), ("C", "u", "华南")])
def test_an_owner_from_the_crm_is_moved_by_nothing(grade, unit, region):
    chosen = assign(lead(region, owner="r.sun"), grade, unit, STAFFED, had(owner="r.sun", pool="crm"))
    assert (chosen.outcome, chosen.owner) == (Outcome.KEPT, "r.sun")


def test_a_lead_whose_crm_owner_was_taken_away_is_assigned():
    chosen = assign(lead("华东"), "C", "u", STAFFED, had(owner="r.sun", pool="crm"))
    assert chosen.pool == "east.reps"


def test_owners_from_the_crm_can_be_told_not_to_count():
    config = dataclasses.replace(STAFFED, respect_owner=False)
    assert assign(lead("华东", owner="r.sun"), "C", "u", config).pool == "east.reps"
    assert assign(lead("华东", owner="r.sun"), "C", "u", config, had()).owner == "r.li"
    assert assign(lead("华东", owner="r.sun"), "C", "u", config, had(owner="r.sun", pool="crm")).owner == "r.sun"


# ---------------------------------------------------------------- grading again


@pytest.mark.parametrize("grade", ["B", "C", "D", "E"])
def test_the_first_asker_keeps_a_lead_between_b_and_e(grade):
    chosen = assign(lead("华东", owner="r.li"), grade, "u", STAFFED, had())
    assert (chosen.outcome, chosen.owner, chosen.pool, chosen.rule) == (
        Outcome.KEPT,
        "r.li",
        "east.reps",
        "first_asker",
    )


def test_a_lead_whose_owner_the_crm_forgot_stays_with_its_rep():
    assert assign(lead("华东"), "C", "u", STAFFED, had()).owner == "r.li"


@pytest.mark.parametrize(
    ("before", "grade", "pool"),
    [("C", "A", "east.senior"), ("A", "C", "east.reps"), ("C", "F", "nurture"), ("F", "C", "east.reps")],
)
def test_crossing_into_or_out_of_a_or_f_moves_a_lead(before, grade, pool):
    chosen = assign(lead("华东", owner="old"), grade, "u", STAFFED, had(grade=before, owner="old"))
    assert chosen.pool == pool
    assert f"grade went from {before} to {grade}" in chosen.reasons[0].text


def test_another_grid_moves_a_lead_and_an_unknown_one_does_not():
    assert assign(lead("华南", owner="r.wang"), "C", "u", STAFFED, had(owner="r.wang")).pool == "south.reps"
    assert assign(lead(None, owner="r.wang"), "C", "u", STAFFED, had(owner="r.wang")).owner == "r.wang"


def test_another_grid_does_not_take_a_lead_out_of_the_nurture_pool():
    previous = had(grade="F", owner="nurture_pool", pool="nurture")
    assert assign(lead("华南"), "F", "u", STAFFED, previous).outcome is Outcome.KEPT


def test_a_rep_who_is_in_the_new_pool_too_keeps_the_lead():
    chosen = assign(lead("华南", owner="r.li"), "C", "u", STAFFED, had())
    assert (chosen.outcome, chosen.owner, chosen.pool, chosen.members) == (Outcome.KEPT, "r.li", "south.reps", ())


def test_another_unit_moves_a_lead():
    chosen = assign(lead("华东", owner="r.old"), "C", "v", STAFFED, had(owner="r.old"))
    assert chosen.pool == "east.reps"
    assert "moved from unit u to v" in chosen.reasons[0].text


def test_a_stranded_lead_is_tried_again():
    stranded = had(owner="manager.wu", pool="fallback", grid=None)
    assert assign(lead("华东", owner="manager.wu"), "C", "u", STAFFED, stranded).pool == "east.reps"
    assert assign(lead("Bavaria", owner="manager.wu"), "C", "u", STAFFED, stranded).pool == "fallback"


# ---------------------------------------------------------------- turns and laws


def test_a_pool_of_one_needs_no_turn():
    chosen = assign(lead("华北"), "A", "u", STAFFED)
    assert take_turn(chosen, 7) is chosen
    assert chosen.owner == "s.ma"


@settings(deadline=None)
@given(st.lists(st.text("abcdef", min_size=1, max_size=3), min_size=2, max_size=7, unique=True), st.integers(0, 9999))
def test_turns_are_fair_wherever_they_begin(members, start):
    config = dataclasses.replace(STAFFED, reps=tuple(members), grids=())
    chosen = assign(lead(), "C", "u", config)
    owners = [take_turn(chosen, start + step).owner for step in range(len(members) * 3)]
    assert {owners.count(name) for name in members} == {3}


owners = st.sampled_from((None, "", "r.li", "r.sun", "Administrator", "manager.wu", "nurture_pool"))
previous = st.none() | st.builds(
    Previous,
    unit=st.sampled_from("uv"),
    grade=st.sampled_from("ABCDEF"),
    owner=st.sampled_from(("r.li", "r.sun", "manager.wu", "nurture_pool")),
    pool=st.sampled_from(("crm", "fallback", "nurture", "east.reps", "east.senior")),
    grid=st.sampled_from((None, "east", "south")),
)


@settings(deadline=None)
@given(
    st.sampled_from("ABCDEF"),
    st.sampled_from((None, "华东", "华南", "西南", "Bavaria")),
    owners,
    previous,
    st.booleans(),
    st.none() | st.integers(0, 50),
)
def test_no_lead_is_ever_without_an_owner(grade, region, owner, before, respect, position):
    config = dataclasses.replace(STAFFED, respect_owner=respect)
    chosen = take_turn(assign(lead(region, owner=owner), grade, "u", config, before), position)
    assert chosen.owner.strip()
    assert chosen.reasons
    assert not chosen.members or chosen.owner in chosen.members
