"""The Chinese calendar against the State Council's notices of 2018 to 2026."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from core.time.built_in import BUILT_IN
from core.time.calendar import WorkingCalendar
from core.time.public_holidays import official_year
from tests.time.notices import NOTICES, UNANNOUNCED, Notice, days_off, days_worked

CN = WorkingCalendar("cn", BUILT_IN["cn"])
OFFICE = (("09:00", "12:00"), ("13:00", "18:00"))
EVERY_DAY = WorkingCalendar("mall", {**BUILT_IN["always"], "holidays": "CN"})
YEARS = range(2018, 2027)


def _days(years: range) -> list[date]:
    first, last = date(years[0], 1, 1), date(years[-1], 12, 31)
    return [first + timedelta(days=count) for count in range((last - first).days + 1)]


@pytest.mark.parametrize("notice", NOTICES, ids=lambda notice: notice.number)
def test_the_days_of_a_notice_are_off_and_its_make_up_days_are_worked(notice: Notice) -> None:
    for day in days_off(notice) - {day for day in days_off(notice) if day.year < 2018}:
        assert EVERY_DAY.day(day).kind == "holiday", day
        assert EVERY_DAY.day(day).shifts == CN.day(day).shifts == (), day
    for day in days_worked(notice):
        assert (CN.day(day).kind, CN.day(day).shifts) == ("make_up", OFFICE), day
        assert day.weekday() >= 5
        assert "调休上班" in CN.day(day).name


def test_there_are_no_other_days_off_and_no_other_make_up_days() -> None:
    off, worked = days_off(*NOTICES), days_worked(*NOTICES)
    assert {day for day in _days(YEARS) if EVERY_DAY.day(day).kind == "holiday"} == {d for d in off if d.year >= 2018}
    assert {day for day in _days(YEARS) if CN.day(day).kind == "make_up"} == worked
    for day in set(_days(YEARS)) - off - worked:
        assert CN.day(day).shifts == (OFFICE if day.weekday() < 5 else ()), day
        assert CN.day(day).kind == ("workday" if day.weekday() < 5 else "rest"), day


def test_the_extended_spring_festival_of_2020_ends_on_february_2() -> None:
    assert CN.day(date(2020, 2, 1)).kind == "holiday"  # the first notice would have had it worked
    assert CN.day(date(2020, 2, 2)).kind == "holiday"
    assert CN.day(date(2020, 2, 3)).kind == "workday"


def test_the_labour_day_of_2019_follows_the_changed_notice() -> None:
    assert [CN.day(date(2019, 5, day)).kind for day in range(1, 7)] == [
        "holiday", "holiday", "holiday", "holiday", "make_up", "workday",
    ]  # fmt: skip
    assert CN.day(date(2019, 4, 28)).kind == "make_up"


@pytest.mark.parametrize(
    ("day", "name"),
    [
        ("2026-10-01", "国庆节"),
        ("2026-10-06", "国庆节（调休）"),
        ("2026-10-04", "国庆节"),
        ("2026-09-20", "国庆节（调休上班）"),
        ("2026-02-15", "春节"),
        ("2026-02-16", "农历除夕"),
        ("2020-01-31", "春节延长假期"),
        ("2020-10-01", "中秋节; 国庆节"),
        ("2022-12-31", "元旦"),
        ("2026-11-23", ""),
    ],
)
def test_days_are_called_by_the_holiday_they_belong_to(day: str, name: str) -> None:
    assert CN.day(date.fromisoformat(day)).name == name


def test_names_do_not_depend_on_the_language_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LANG", "LANGUAGE", "LC_ALL"):
        monkeypatch.setenv(variable, "en_US.UTF-8")
    official_year.cache_clear()
    assert CN.day(date(2026, 10, 1)).name == "国庆节"


def test_a_year_without_a_notice_is_provisional_and_says_so() -> None:
    assert [CN.is_provisional(year) for year in (2018, 2025, 2026)] == [False, False, False]
    assert CN.is_provisional(2027)
    assert CN.day(date(2027, 3, 1)).provisional and CN.day(date(2027, 10, 1)).provisional
    assert not CN.day(date(2026, 12, 31)).provisional
    kinds = {day: EVERY_DAY.day(day).kind for day in _days(range(2027, 2028))}
    assert {day for day, kind in kinds.items() if kind == "holiday"} == days_off(UNANNOUNCED)
    assert "make_up" not in kinds.values()


def test_a_calendar_without_holidays_of_a_country_is_never_provisional() -> None:
    assert not WorkingCalendar("always", BUILT_IN["always"]).is_provisional(2199)
    assert not WorkingCalendar("de", {**BUILT_IN["cn"], "holidays": "DE"}).is_provisional(2027)


def test_a_make_up_day_has_the_hours_of_the_weekday_it_replaces() -> None:
    short_friday = {**BUILT_IN["cn"]["hours"], "fri": ["09:00-14:00"]}
    plant = WorkingCalendar("plant", {**BUILT_IN["cn"], "hours": short_friday})
    assert plant.day(date(2026, 2, 14)).shifts == (("09:00", "14:00"),)  # for Friday the 20th
    assert plant.day(date(2026, 2, 28)).shifts == OFFICE  # for Monday the 23rd
    fixed = WorkingCalendar("plant", {**BUILT_IN["cn"], "hours": short_friday, "make_up_hours": ["10:00-15:00"]})
    assert fixed.day(date(2026, 2, 14)).shifts == fixed.day(date(2026, 2, 28)).shifts == (("10:00", "15:00"),)


def test_whoever_works_on_saturdays_is_off_when_a_holiday_joins_the_weekend() -> None:
    six_days = {**BUILT_IN["cn"]["hours"], "sat": ["09:00-12:00"]}
    plant = WorkingCalendar("plant", {**BUILT_IN["cn"], "hours": six_days})
    assert plant.day(date(2026, 2, 21)).kind == "holiday"
    assert plant.day(date(2026, 3, 7)).shifts == (("09:00", "12:00"),)
