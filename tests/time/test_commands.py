"""`outrigger calendar`, as a person types it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner, Result

from core.cli.calendar import calendar
from core.host.calendar_sections import build_calendars
from core.host.settings import Configuration, DispatchSettings, UnitSettings
from core.time.built_in import BUILT_IN
from core.time.clock import Clock, FrozenClock

PLANT = {
    **BUILT_IN["cn"],
    "days": {"2026-12-31": {"kind": "day_off", "name": "盘点", "hours": None}},
    "files": [{"path": "calendars/2026.csv", "sha256": "0" * 64}],
}


@dataclass
class _Session:
    clock: Clock

    def configuration(self) -> Configuration:
        units = {"new_energy": UnitSettings("new_energy", "", calendar="plant"), "default": UnitSettings("default", "")}
        calendars = build_calendars({**BUILT_IN, "plant": PLANT})
        return Configuration(1, {}, units, {}, DispatchSettings(), {}, calendars=calendars)


def _run(*arguments: str) -> Result:
    session = _Session(FrozenClock(datetime(2026, 11, 22, 12, tzinfo=UTC)))
    return CliRunner().invoke(calendar, list(arguments), obj=session)


def _ok(*arguments: str) -> str:
    result = _run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def _json(*arguments: str) -> Any:
    return json.loads(_ok(*arguments, "--json"))


def test_list_names_the_calendars_and_who_works_by_them() -> None:
    said = _ok("list")
    assert [line.split()[0] for line in said.splitlines()] == ["slug", "cn", "always", "plant"]
    assert {item["slug"]: item["units"] for item in _json("list")["items"]} == {
        "cn": ["default"], "always": [], "plant": ["new_energy"],
    }  # fmt: skip


def test_show_tells_the_week_and_the_special_days_of_this_year() -> None:
    said = _ok("show", "plant")
    assert "09:00-12:00 13:00-18:00" in said
    assert "calendars/2026.csv" in said
    assert "2026-10-10  sat      make-up  国庆节（调休上班）" in said
    assert "2026-12-31  thu      company  盘点" in said
    assert "provisional" not in said
    assert "2026-11-23" not in said


def test_show_tells_that_a_year_is_provisional_and_what_to_do() -> None:
    said = _ok("show", "cn", "--year", "2027")
    assert "holiday (provisional)" in said
    assert "2027 is provisional" in said and "`confirmed`" in said
    assert _json("show", "cn", "--year", "2027")["provisional_years"] == [2027]


def test_show_tells_every_day_of_a_month() -> None:
    days = _json("show", "cn", "--month", "2026-02")["listed_days"]
    assert len(days) == 28
    assert days[13] == {
        "date": "2026-02-14", "kind": "make_up", "name": "春节（调休上班）",
        "hours": ["09:00-12:00", "13:00-18:00"], "provisional": False,
    }  # fmt: skip


def test_add_tells_when_it_is_due_and_why() -> None:
    said = _ok("add", "cn", "2026-09-30T16:30", "8", "working", "hours")
    assert "8 working hours (8 个工作小时)" in said
    assert "due    thu 2026-10-08 16:30:00+08:00" in said
    assert "2026-09-30  wed      16:30:00  18:00:00  1 h 30 min  1 h 30 min" in said
    found = _json("add", "cn", "2026-09-30T16:30:00+08:00", "8 working hours")
    assert (found["due"], found["due_local"]) == ("2026-10-08T08:30:00Z", "2026-10-08T16:30:00+08:00")
    assert sum(item["working_s"] for item in found["stretches"]) == 8 * 3600


def test_add_of_elapsed_time_says_that_every_hour_counts() -> None:
    said = _ok("add", "cn", "2026-09-30T16:30", "24h")
    assert "thu 2026-10-01 16:30:00+08:00" in said
    assert "Elapsed time" in said


def test_add_warns_when_the_way_leads_through_a_provisional_year() -> None:
    assert "of 2027 are provisional" in _ok("add", "cn", "2026-12-31T17:00", "2", "working", "hours")


def test_add_of_much_time_shows_the_first_stretches_and_says_how_many_follow() -> None:
    assert "… and 10 more" in _ok("add", "cn", "2026-03-02T09:00", "25", "working", "days")


def test_between_tells_working_and_elapsed_time() -> None:
    said = _ok("between", "cn", "2026-11-20T17:00", "2026-11-23T10:30:15")
    assert "working time  2 h 30 min 15 s" in said
    assert "elapsed time  65 h 30 min 15 s" in said
    back = _json("between", "cn", "2026-11-23T10:30", "2026-11-20T17:00")
    assert (back["working_s"], back["elapsed_s"]) == (-9000, -235800)
    assert "No working time." in _ok("between", "cn", "2026-11-21T09:00", "2026-11-22T09:00")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "plnt"), 'There is no calendar "plnt". Did you mean "plant"?'),
        (("show", "cn", "--month", "2026-13"), '"2026-13" is no month'),
        (("show", "cn", "--month", "2026-12", "--year", "2026"), "do not go together"),
        (("add", "cn", "yesterday", "8h"), '"yesterday" is no time'),
        (("add", "cn", "2026-11-22T09:00", "8", "workinghours"), 'no unit of time "workinghours"'),
        (("between", "cn", "2026-11-22T09:00", "9999-12-31T23:59"), "and 9999 lies outside"),
        (("between", "cn", "2026-11-22T09:00", "2300-12-31T23:61"), "is no time"),
    ],
)
def test_what_does_not_fit_is_a_letter(arguments: tuple[str, ...], said: str) -> None:
    result = _run(*arguments)
    assert result.exit_code in (1, 2)
    assert said in result.stderr
    assert "Traceback" not in result.output
