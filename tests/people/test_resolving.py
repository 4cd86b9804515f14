"""Who is asked: holders, deputies, fallbacks and managers, by example and by law."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.people.directory import Directory
from tests.people.world import COMPANY, DAYS, NOON, companies, directory, people


def test_a_role_is_answered_by_its_holder_in_the_unit() -> None:
    found = people().resolve("bu_manager", on=date(2026, 9, 30))
    assert found.person is not None
    assert found.person.slug == "zhang_wei"
    assert found.asked == "role:bu_manager@new_energy"
    assert found.path == ("张伟 (zhang_wei) holds bu_manager@new_energy", "张伟 (zhang_wei) is there")


def test_the_deputy_of_the_absence_stands_in_before_the_standing_one() -> None:
    found = people().resolve("bu_manager")
    assert found.as_json() == {
        "asked": "role:bu_manager@new_energy",
        "asked_zh": "事业部经理（bu_manager@new_energy）",
        "person": "li_na",
        "name": "李娜",
        "path": [
            "张伟 (zhang_wei) holds bu_manager@new_energy",
            "张伟 (zhang_wei) is absent until 2026-10-07 (年假); deputy: 李娜 (li_na) and then 王芳 (wang_fang)",
            "李娜 (li_na) is there",
        ],
        "path_zh": [
            "张伟 (zhang_wei) 担任事业部经理（bu_manager@new_energy）",
            "张伟 (zhang_wei) 不在岗，至 2026-10-07（年假）；代理人：李娜 (li_na)，其次 王芳 (wang_fang)",
            "李娜 (li_na) 在岗",
        ],
        "reason": None,
        "reason_zh": None,
    }


def test_what_was_asked_is_said_in_chinese_without_the_words_of_its_id() -> None:
    view = people()
    assert view.resolve("li.na").asked_zh == "李娜 (li_na)"
    assert view.resolve("manager_of:li_na").asked_zh == "李娜 (li_na) 的上级"
    assert view.resolve("bu_manger").asked_zh == "“bu_manger”"
    nobody = view.resolve("liu_yang", exclude=["liu_yang"])
    assert nobody.reason_zh is not None
    assert nobody.reason_zh.endswith("找不到可以询问的人：刘洋 (liu_yang)")


def test_a_deputy_who_is_absent_too_is_followed_by_a_deputy_of_theirs() -> None:
    text = COMPANY.replace(
        'crm_ids = ["li.na"]', 'absences = [{ from = 2026-10-03, until = 2026-10-03 }]\ndeputy = "liu_yang"'
    )
    assert people(text).resolve("zhang_wei").person == people(text).person("liu_yang")
    assert people(text).resolve("zhang_wei", on=date(2026, 10, 4)).person == people(text).person("li_na")


def test_the_requester_is_passed_over_with_deputies_and_the_role_that_stands_in_is_asked() -> None:
    found = people().resolve("bu_manager", on=date(2026, 9, 1), exclude=["00123"])
    assert found.person is not None
    assert found.person.slug == "liu_yang"
    assert found.path == (
        "张伟 (zhang_wei) holds bu_manager@new_energy",
        "张伟 (zhang_wei) may not decide this, nor may anybody in that name",
        "instead: the role general_manager",
        "刘洋 (liu_yang) holds general_manager",
        "刘洋 (liu_yang) is there",
    )


def test_a_leaver_who_held_the_role_is_told_and_passed_over() -> None:
    found = people(unit="packaging").resolve("bu_manager", on=date(2027, 1, 1))
    assert found.person is not None
    assert found.person.slug == "liu_yang"
    assert "王芳 (wang_fang) left after 2026-12-31: passed over" in found.path
    assert people(unit="packaging").holders("bu_manager") == (people().person("wang_fang"),)
    next_year = datetime(2027, 1, 1, tzinfo=UTC)
    assert people(unit="packaging", now=next_year).holders("bu_manager") == ()


def test_the_owner_who_left_is_followed_by_deputy_and_manager() -> None:
    found = people().resolve("wang_fang", on=date(2027, 5, 1))
    assert found.person is not None
    assert found.person.slug == "liu_yang"
    assert found.path == (
        "王芳 (wang_fang) left after 2026-12-31",
        "the manager of 王芳 (wang_fang) is 刘洋 (liu_yang)",
        "刘洋 (liu_yang) is there",
    )


def test_a_role_that_nobody_holds_goes_to_its_fallback() -> None:
    found = people(unit="default").resolve("bu_manager")
    assert found.person is not None
    assert found.person.slug == "liu_yang"
    assert found.path[:2] == ("nobody holds bu_manager@default on 2026-10-03", "instead: the role general_manager")


def test_nobody_left_is_said_with_every_step() -> None:
    found = people().resolve("bu_manager", exclude=["zhang_wei", "liu_yang"])
    assert found.person is None
    assert found.reason == "nobody is left to ask for role:bu_manager@new_energy on 2026-10-03"
    assert found.path[-1] == "刘洋 (liu_yang) has no manager"


def test_nobody_is_asked_as_a_stand_in_of_their_own_manager() -> None:
    text = COMPANY.replace('name = "刘洋"', 'name = "刘洋"\ndeputy = "li_na"\nabsences = [{ from = 2026-10-01 }]')
    assert people(text).resolve("manager_of:li_na", on=date(2026, 9, 1)).person == people(text).person("zhang_wei")
    found = people(text).resolve("manager_of:li_na")
    assert found.asked == "manager_of:li_na"
    # 张伟 is absent and 李娜 stands in for him, but she asks; then his standing deputy is asked.
    assert found.person == people(text).person("wang_fang")


def test_an_absence_without_an_end_lasts_until_further_notice() -> None:
    text = COMPANY.replace('name = "刘洋"', 'name = "刘洋"\nabsences = [{ from = 2026-10-01, reason = "外派" }]')
    found = people(text).resolve("general_manager", on=date(2099, 1, 1))
    assert found.path[1] == "刘洋 (liu_yang) is absent until further notice (外派)"


def test_an_unknown_name_is_answered_with_the_nearest_one() -> None:
    found = people().resolve("bu_manger")
    assert (found.person, found.asked) == (None, "bu_manger")
    assert found.reason == 'there is no role, person or CRM id "bu_manger". Did you mean "bu_manager"?'
    assert found.path == (found.reason,)
    reason = people().resolve("manager_of:zhang.wie").reason
    assert reason == 'there is no person or CRM id "zhang.wie". Did you mean "zhang.wei"?'


def test_a_person_is_found_by_slug_and_by_every_crm_id() -> None:
    view = people()
    assert view.person("zhang_wei") == view.person("zhang.wei") == view.person("00123")
    assert view.person("bu_manager") is None
    assert view.resolve("li.na").asked == "person:li_na"


def test_the_day_is_the_one_of_the_units_calendar() -> None:
    last_minute = datetime(2026, 9, 30, 15, 59, tzinfo=UTC)  # 23:59 in Shanghai
    assert people(now=last_minute).is_available("zhang_wei")
    assert not people(now=last_minute + timedelta(minutes=1)).is_available("zhang_wei")
    assert not people().is_available("nobody")


def test_a_role_for_some_time_is_held_in_that_time_only() -> None:
    text = COMPANY.replace("left = 2026-12-31", "")
    acting = people(text, now=datetime(2027, 3, 31, tzinfo=UTC)).holders("bu_manager")
    assert [person.slug for person in acting] == ["wang_fang", "zhang_wei"]
    after = people(text, now=datetime(2027, 4, 1, tzinfo=UTC)).holders("bu_manager")
    assert [person.slug for person in after] == ["zhang_wei"]


def test_a_units_own_holder_is_asked_before_one_of_all_units() -> None:
    text = COMPANY.replace('units = ["packaging"]', 'units = "*"')
    assert [person.slug for person in people(text).holders("bu_manager")] == ["zhang_wei", "wang_fang"]
    assert [person.slug for person in people(text).holders("bu_manager", unit="default")] == ["wang_fang"]


def test_a_team_is_who_works_in_the_unit_and_grid() -> None:
    assert [person.slug for person in people().team()] == ["li_na", "zhang_wei"]
    assert [person.slug for person in people().team(grid="north")] == ["li_na"]
    assert [person.slug for person in people().team(unit="packaging")] == ["wang_fang"]
    assert people(now=datetime(2027, 1, 1, tzinfo=UTC)).team(unit="packaging") == ()


def test_titles_are_in_the_language_asked_for_or_the_one_there_is() -> None:
    view = people()
    assert [view.title("bu_manager", language) for language in ("zh", "en", "fr")] == [
        "事业部经理", "BU manager", "事业部经理",
    ]  # fmt: skip
    assert view.title("general_manager", "en") == "总经理"
    assert view.title("nurse", "en") == "nurse"


def test_looking_from_a_unit_costs_nothing_before_a_question() -> None:
    assert directory().at(NOON, "new_energy", "No/Such_Zone").person("zhang_wei") is not None


# -- laws

QUESTIONS = st.sampled_from(["r0", "r1", "r3", "p0", "p1", "p6", "crm-p0", "manager_of:p0", "manager_of:crm-p1", "x"])
EXCLUDED = st.lists(st.sampled_from(["p0", "p1", "crm-p2", "p3", "nobody"]), max_size=3)


def resolve(company: dict[str, Any], who: str, unit: str, day: date, exclude: list[str]) -> Any:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    view = Directory.from_json(company["people"], company["roles"]).at(at, unit, "UTC")
    return view.resolve(who, on=day, exclude=exclude)


@given(companies(), QUESTIONS, st.sampled_from("ab"), DAYS, EXCLUDED)
def test_the_search_ends_and_never_answers_with_who_cannot_be_asked(
    company: dict[str, Any], who: str, unit: str, day: date, exclude: list[str]
) -> None:
    found = resolve(company, who, unit, day, exclude)
    assert found.path
    assert [bool(re.search(r"[\u4e00-\u9fff]", step)) for step in found.path_zh] == [True] * len(found.path)
    assert (found.person is None) == (found.reason is not None) == (found.reason_zh is not None)
    if found.person is None:
        return
    item = company["people"][found.person.slug]
    assert found.person.slug not in {name.removeprefix("crm-") for name in exclude}
    assert (item["joined"] or "") <= str(day) <= (item["left"] or "9999")
    assert not any(absence["from"] <= str(day) <= absence["until"] for absence in item["absences"])
    if who.startswith("manager_of:"):
        assert found.person.slug != who.removeprefix("manager_of:").removeprefix("crm-")


@given(companies(), QUESTIONS, st.sampled_from("ab"), DAYS, EXCLUDED)
def test_an_available_holder_is_always_found(
    company: dict[str, Any], who: str, unit: str, day: date, exclude: list[str]
) -> None:
    if who not in company["roles"]:
        return
    view = Directory.from_json(company["people"], company["roles"]).at(
        datetime(day.year, day.month, day.day, tzinfo=UTC), unit, "UTC"
    )
    able = {person.slug for person in view.holders(who) if view.is_available(person.slug)}
    if able - {name.removeprefix("crm-") for name in exclude}:
        assert resolve(company, who, unit, day, exclude).person is not None


@given(companies(), QUESTIONS, st.sampled_from("ab"), DAYS, EXCLUDED)
def test_the_same_question_has_the_same_answer_and_a_stranger_changes_nothing(
    company: dict[str, Any], who: str, unit: str, day: date, exclude: list[str]
) -> None:
    found = resolve(company, who, unit, day, exclude)
    reverse = {key: dict(reversed(list(company[key].items()))) for key in ("people", "roles")}
    assert resolve(reverse, who, unit, day, exclude) == found
    stranger = {**next(iter(company["people"].values())), "crm_ids": ["zzz"], "roles": [], "absences": []}
    more = {**company, "people": {"a_stranger": stranger, **company["people"]}}
    if found.asked != who:  # the hint for an unknown name may well name the stranger
        assert resolve(more, who, unit, day, exclude) == found
