"""Working time at the places where it is easily wrong: changes of clocks, midnights, ends of shifts, far years."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from core.model.calendar import Calendar
from core.model.errors import InvalidRequest
from core.time.built_in import BUILT_IN
from core.time.calendar import WorkingCalendar
from core.time.public_holidays import official_year
from core.time.wall import first_instant
from tests.time.oracle import OFF

WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CN: Calendar = WorkingCalendar("cn", BUILT_IN["cn"])


def _every_day(zone: str, *shifts: str) -> WorkingCalendar:
    values = {**BUILT_IN["always"], "zone": zone, "hours": {name: list(shifts) for name in WEEK}}
    return WorkingCalendar("test", values)


def _at(text: str, zone: str = "Asia/Shanghai") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def _hours(number: float) -> timedelta:
    return timedelta(hours=number)


@pytest.mark.parametrize(
    ("start", "hours", "due"),
    [
        ("2026-11-23 09:00", 8, "2026-11-23 18:00"),  # over lunch, to the end of the day and not the next morning
        ("2026-11-23 09:00", 3, "2026-11-23 12:00"),
        ("2026-11-23 12:30", 1, "2026-11-23 14:00"),
        ("2026-11-20 17:00", 2, "2026-11-23 10:00"),  # over a weekend
        ("2026-09-30 17:00", 2, "2026-10-08 10:00"),  # over the national holiday
        ("2026-09-18 17:00", 2, "2026-09-20 10:00"),  # into a Sunday that is worked
        ("2026-11-21 03:00", 1, "2026-11-23 10:00"),
        ("2026-11-21 03:00", 0, "2026-11-21 03:00"),
    ],
)
def test_working_hours_are_added_over_lunch_nights_and_holidays(start: str, hours: int, due: str) -> None:
    assert CN.add(_at(start), _hours(hours)) == _at(due)


def test_results_are_exact_to_the_microsecond_and_in_utc() -> None:
    due = CN.add(_at("2026-11-23 11:59:59.999999"), timedelta(microseconds=2))
    assert due == _at("2026-11-23 13:00:00.000001")
    assert due.tzinfo is UTC
    assert CN.add(due.astimezone(ZoneInfo("Europe/Berlin")), timedelta(0)).tzinfo is UTC
    assert CN.between(_at("2026-11-23 11:59:59.999999"), due) == timedelta(microseconds=2)


def test_the_end_of_a_shift_no_longer_belongs_to_it() -> None:
    assert CN.is_working(_at("2026-11-23 09:00"))
    assert not CN.is_working(_at("2026-11-23 12:00"))
    assert CN.is_working(_at("2026-11-23 11:59:59.999999"))
    assert CN.next_working(_at("2026-11-23 12:00")) == _at("2026-11-23 13:00")
    assert CN.next_working(_at("2026-11-20 18:00")) == _at("2026-11-23 09:00")


def test_a_night_shift_over_the_turn_of_the_year_is_one_stretch() -> None:
    nights = _every_day("Asia/Shanghai", "22:00-24:00", "00:00-06:00")
    start = _at("2026-12-31 23:00")
    assert nights.add(start, _hours(2)) == _at("2027-01-01 01:00")
    assert nights.between(start, _at("2027-01-02 00:00")) == _hours(7 + 2)


@pytest.mark.parametrize(
    ("zone", "day", "shift", "hours"),
    [
        ("Europe/Berlin", "2026-03-29", "00:00-06:00", 5),  # 02:00 becomes 03:00
        ("Europe/Berlin", "2026-10-25", "00:00-06:00", 7),  # 03:00 becomes 02:00
        ("Europe/Berlin", "2026-03-29", "02:00-03:00", 0),  # was left out
        ("Europe/Berlin", "2026-03-29", "02:30-05:00", 2),  # begins at the change
        ("Europe/Berlin", "2026-03-29", "01:00-02:30", 1),  # ends at the change
        ("Europe/Berlin", "2026-10-25", "02:30-05:00", 3.5),  # begins the first time it is 02:30
        ("Europe/Berlin", "2026-10-25", "01:00-02:30", 1.5),  # ends the first time it is 02:30
        ("Europe/Berlin", "2026-10-25", "02:00-03:00", 2),  # the hour that occurs twice
        ("America/New_York", "2026-03-08", "00:00-24:00", 23),
        ("America/New_York", "2026-11-01", "00:00-24:00", 25),
        ("Australia/Lord_Howe", "2026-04-05", "00:00-24:00", 24.5),
        ("America/Santiago", "2026-09-06", "00:00-24:00", 23),  # midnight itself is left out
        ("America/Santiago", "2026-04-04", "00:00-24:00", 25),  # midnight comes an hour late
        ("Pacific/Apia", "2011-12-30", "00:00-24:00", 0),  # a day that never was
        ("Pacific/Apia", "2011-12-31", "00:00-24:00", 24),
    ],
)
def test_a_shift_over_a_change_of_clocks_has_its_real_length(zone: str, day: str, shift: str, hours: float) -> None:
    calendar = _every_day(zone, shift)
    on = date.fromisoformat(day)
    midnight = datetime(on.year, on.month, on.day)
    start, end = (first_instant(midnight + timedelta(days=days), ZoneInfo(zone)) for days in (0, 1))
    assert calendar.between(start, end) == _hours(hours)


def test_round_the_clock_is_elapsed_time_whatever_the_clocks_do() -> None:
    for zone in ("Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "Asia/Shanghai"):
        always = _every_day(zone, "00:00-24:00")
        start = datetime(1985, 1, 1, tzinfo=UTC)
        for days in (1, 100, 200, 300, 5000):
            assert always.add(start, timedelta(days=days)) == start + timedelta(days=days)
            assert always.between(start, start + timedelta(days=days)) == timedelta(days=days)


@pytest.mark.parametrize("place", ["DE", "US"])
def test_other_countries_have_the_holidays_of_their_law(place: str) -> None:
    for year in range(2018, 2028):
        known = official_year(place, year)
        assert set(known.holidays) == {day for day in OFF[place] if day.year == year}
        assert not known.make_up


def test_a_part_of_a_country_has_its_own_holidays() -> None:
    assert date(2026, 1, 6) in official_year("DE-BY", 2026).holidays
    assert date(2026, 1, 6) not in official_year("DE-BE", 2026).holidays


def test_own_days_come_before_official_ones() -> None:
    days = {
        "2026-12-31": {"kind": "day_off", "name": "盘点", "hours": None},
        "2026-10-01": {"kind": "workday", "name": "", "hours": ["08:00-10:00"]},
        "2026-11-28": {"kind": "workday", "name": "加班", "hours": None},
        "2027-02-05": {"kind": "holiday", "name": "春节", "hours": None},
        "2027-02-20": {"kind": "make_up", "name": "", "hours": None},
    }
    plant = WorkingCalendar("plant", {**BUILT_IN["cn"], "days": days, "confirmed": [2027]})
    office = (("09:00", "12:00"), ("13:00", "18:00"))
    found = {text: plant.day(date.fromisoformat(text)) for text in days}
    assert [(day.kind, day.shifts) for day in found.values()] == [
        ("company", ()), ("company", (("08:00", "10:00"),)), ("company", office), ("holiday", ()), ("make_up", office),
    ]  # fmt: skip
    assert found["2026-12-31"].name == "盘点"
    assert not plant.is_provisional(2027) and not plant.day(date(2027, 3, 1)).provisional
    assert plant.is_provisional(2028)


def test_a_day_entered_by_hand_is_not_provisional_though_its_year_is() -> None:
    days = {"2027-02-12": {"kind": "day_off", "name": "", "hours": None}}
    plant = WorkingCalendar("plant", {**BUILT_IN["cn"], "days": days})
    assert not plant.day(date(2027, 2, 12)).provisional
    assert plant.day(date(2027, 2, 15)).provisional


def test_calendars_end_with_a_clear_error() -> None:
    always = WorkingCalendar("always", BUILT_IN["always"])
    with pytest.raises(InvalidRequest, match=r'The calendar "always" reaches from 1900 to 2200, and 2201 lies outside'):
        always.add(datetime(2199, 1, 1, tzinfo=UTC), timedelta(days=3650))
    with pytest.raises(InvalidRequest, match="reaches from 1900"):
        CN.is_working(datetime(1899, 6, 1, tzinfo=UTC))
    with pytest.raises(InvalidRequest, match="only be added forward"):
        CN.add(datetime(2026, 1, 1, tzinfo=UTC), timedelta(microseconds=-1))


def test_a_standard_day_is_the_first_weekday_with_hours() -> None:
    assert CN.standard_day == _hours(8)
    late = {"wed": ["09:00-12:30"], "thu": ["09:00-18:00"]}  # the other days are free
    assert WorkingCalendar("late", {**BUILT_IN["cn"], "hours": late}).standard_day == _hours(3.5)


def test_years_of_working_time_are_added_quickly_once_they_are_known() -> None:
    start = _at("2018-01-02 09:00")
    due = CN.add(start, _hours(8 * 2000))
    began = time.perf_counter()
    for _ in range(2000):
        assert CN.add(start, _hours(8 * 2000)) == due
    assert time.perf_counter() - began < 1  # 0.02 s where nothing else runs; a walk over days would take minutes


def test_local_time_is_the_clock_on_the_wall() -> None:
    assert CN.local(_at("2026-11-23 09:00")).isoformat() == "2026-11-23T09:00:00+08:00"
