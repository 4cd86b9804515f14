"""The whole score: caps, grades, near misses, what the built-in rules say, and the laws of scoring."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.api import Activity, Contact, Lead
from plugins.lead_scoring.config import ConfigSchema
from plugins.lead_scoring.rules import score

NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)


def lead(**values: Any) -> Lead:
    return Lead(id="L", **values)


def configured(groups, **more):
    return ConfigSchema().load({"start_from": "nothing", "base": 0, "groups": groups} | more)


def named(points_, industry="x", **more):
    return {"field": "industry", "in": [industry], "points": points_} | more


@pytest.mark.parametrize(
    ("total", "grade"),
    list(zip((100, 80, 79, 65, 64, 50, 49, 35, 34, 20, 19, 0), "AABBCCDDEEFF", strict=True)),
)
def test_a_grade_begins_at_its_line(total, grade):
    found = score(lead(), ConfigSchema().load({"start_from": "nothing", "base": total}), NOW)
    assert (found.total, found.grade) == (total, grade)


def test_a_group_is_capped_and_the_cap_is_a_reason():
    groups = {"fit": {"cap": 10, "floor": -5, "rules": {"one": named(8), "two": named(7)}}}
    found = score(lead(industry="x"), configured(groups), NOW)
    assert found.total == 10
    assert [reason.weight for reason in found.reasons] == [8, 7, -5]
    assert "capped at 10" in found.reasons[-1].text


def test_a_group_takes_away_no_more_than_its_floor():
    groups = {"risk": {"cap": 0, "floor": -5, "rules": {"bad": named(-50)}}}
    found = score(lead(industry="x"), configured(groups, base=30), NOW)
    assert found.total == 25
    assert "not below -5" in found.reasons[-1].text


def test_the_total_stays_between_0_and_100():
    rich = {name: {"cap": 80, "floor": 0, "rules": {"r": named(80)}} for name in ("one", "two")}
    assert score(lead(industry="x"), configured(rich), NOW).total == 100
    poor = {"one": {"cap": 0, "floor": -80, "rules": {"r": named(-80)}}}
    assert score(lead(industry="x"), configured(poor), NOW).total == 0


@pytest.mark.parametrize(
    ("base", "told"),
    [
        (79, ["1 point short of A"]),
        (75, ["5 points short of A"]),
        (74, []),
        (65, ["only 0 points above the line of B"]),
        (69, ["only 4 points above the line of B"]),
        (18, ["2 points short of E"]),
    ],
)
def test_a_grade_that_was_nearly_another_is_a_near_miss(base, told):
    near = score(lead(), configured({}, base=base), NOW).near_misses
    assert len(near) == len(told)
    for text, expected in zip(near, told, strict=True):
        assert expected in text


def test_a_number_just_short_of_a_rule_is_a_near_miss():
    rule = {"field": "annual_volume", "at_least": 200, "points": 6, "reason": "满 200 吨"}
    config = configured({"fit": {"cap": 10, "floor": 0, "rules": {"r": rule}}})
    assert (
        score(lead(annual_volume=Decimal("180.50")), config, NOW)
        .near_misses[0]
        .startswith("annual_volume 差 19.5, short by 19.5")
    )
    assert score(lead(annual_volume=Decimal(150)), config, NOW).near_misses == ()
    assert score(lead(annual_volume=Decimal(200)), config, NOW).near_misses == ()


def test_what_a_rep_could_still_ask_is_a_near_miss_the_most_telling_first(config):
    near = score(lead(company="宁德某电池公司"), config, NOW).near_misses
    asked = [text for text in near if "not known" in text]
    assert asked[0].endswith("industry (+20)")
    assert len(asked) == 3
    assert not any("counters" in text or "customer" in text for text in asked)


def test_silence_costs_points_as_time_goes_by(config):
    quiet = lead(company="某公司", industry="包装", created_at=NOW)
    totals = [score(quiet, config, NOW + timedelta(days=days)).total for days in (0, 89, 90, 180, 365)]
    assert totals[0] == totals[1]
    assert totals[1] - totals[2] == 8
    assert totals[2] > totals[3]


SENSIBLE = [
    ("competitor", lead(company="中国宏桥集团", industry="汽车", contact=Contact(email="a@hq.cn", phone="1")), "F"),
    ("job seeker", lead(requirement="求职：应聘销售岗位，附简历", contact=Contact(email="a@163.com")), "F"),
    ("seller", lead(requirement="We offer SEO services and backlinks", contact=Contact(email="a@b.co")), "F"),
    ("nobody to reach", lead(company="某公司"), "F"),
    ("test record", lead(company="测试", industry="光伏", annual_volume=Decimal(5000)), "F"),
    (
        "aerospace tender",
        lead(
            company="Northern Aircraft Structures",
            industry="aerospace",
            source="tender platform",
            annual_volume=Decimal(400),
            budget=Decimal(2_000_000),
            currency="EUR",
            requirement="7075-T651 pre-stretched plate to drawing, tolerance per AMS 4045. Please send a quotation.",
            contact=Contact(name="R. Hale", email="hale@nas.example.org", phone="+44 20 5550 0100"),
        ),
        "A",
    ),
    (
        "curtain-wall builder, little said",
        lead(company="华东幕墙", industry="建筑幕墙", source="官网", contact=Contact(phone="021-55500103")),
        "E",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("what", "someone", "grade"), SENSIBLE, ids=[row[0] for row in SENSIBLE])
def test_the_built_in_rules_grade_as_a_sales_director_would(config, what, someone, grade):
    found = score(someone, config, NOW)
    assert found.grade == grade, found


def test_a_year_is_no_alloy_and_a_student_flat_no_student(config):
    said = " ".join(reason.text for reason in score(lead(requirement="2024 年学生公寓门窗项目"), config, NOW).reasons)
    assert "alloy" not in said
    assert "student" not in said


# ---------------------------------------------------------------- laws

INDUSTRIES = ("光伏", "rail", "包装")
rules = st.builds(
    lambda industry, weight: named(weight, industry),
    st.sampled_from(INDUSTRIES),
    st.integers(-40, 40).filter(bool),
)
groups = st.dictionaries(
    st.sampled_from(("fit", "intent", "risk")),
    st.builds(
        lambda cap, floor, found: {"cap": cap, "floor": floor, "rules": {f"r{n}": r for n, r in enumerate(found)}},
        st.integers(0, 100),
        st.integers(-100, 0),
        st.lists(rules, max_size=5),
    ),
    min_size=1,
)


@settings(deadline=None)
@given(groups, st.sampled_from(INDUSTRIES), st.integers(0, 100))
def test_the_reasons_add_up_to_the_total_and_caps_hold(found, industry, base):
    result = score(lead(industry=industry), configured(found, base=base), NOW)
    assert 0 <= result.total <= 100
    assert sum(reason.weight or 0 for reason in result.reasons) == result.total
    for name, group in found.items():
        assert group["floor"] <= result.groups[name] <= group["cap"]


@settings(deadline=None)
@given(groups, st.sampled_from(INDUSTRIES), st.integers(1, 40))
def test_one_more_reason_in_favour_never_lowers_a_score(found, industry, more):
    before = score(lead(industry=industry), configured(found), NOW)
    name = sorted(found)[0]
    richer = {**found[name], "rules": {**found[name]["rules"], "more": named(more, industry)}}
    after = score(lead(industry=industry), configured({**found, name: richer}), NOW)
    assert after.total >= before.total
    assert after.grade <= before.grade


@settings(deadline=None)
@given(groups, st.sampled_from(INDUSTRIES), st.randoms(use_true_random=False))
def test_the_order_of_rules_and_groups_does_not_matter(found, industry, shuffle: random.Random):
    def shuffled(table):
        keys = list(table)
        shuffle.shuffle(keys)
        return {key: table[key] for key in keys}

    other = {name: {**group, "rules": shuffled(group["rules"])} for name, group in shuffled(found).items()}
    one = score(lead(industry=industry), configured(found), NOW)
    two = score(lead(industry=industry), configured(other), NOW)
    assert (one.total, one.grade, one.groups) == (two.total, two.grade, two.groups)


@settings(deadline=None)
@given(st.lists(st.integers(0, 400), max_size=6), st.integers(0, 400))
def test_one_more_activity_never_lowers_a_score(ages, more):
    def total(days):
        acts = tuple(Activity(type="visit", at=NOW - timedelta(days=age)) for age in days)
        rule = {"field": "activities", "types": ["visit"], "half_life_days": 30, "points": 3, "max": 20}
        config = configured({"b": {"cap": 50, "floor": 0, "rules": {"r": rule}}})
        return score(lead(activities=acts), config, NOW).total

    assert total([*ages, more]) >= total(ages)


@settings(deadline=None)
@given(
    st.builds(
        Lead,
        id=st.just("L"),
        company=st.none() | st.text(max_size=30),
        industry=st.none() | st.text(max_size=30),
        requirement=st.none() | st.text(max_size=200),
        annual_volume=st.none() | st.decimals(allow_nan=False, allow_infinity=False),
        budget=st.none() | st.decimals(allow_nan=False, allow_infinity=False),
        currency=st.none() | st.sampled_from(("CNY", "USD", "ZZZ")),
        counters=st.dictionaries(st.sampled_from(("page_views", "downloads", "bounces")), st.integers()),
        extra=st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers() | st.booleans()),
    )
)
def test_any_lead_gets_a_grade_and_the_same_one_again(someone):
    config = ConfigSchema().load({})
    assert score(someone, config, NOW) == score(someone, config, NOW)
