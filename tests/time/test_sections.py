"""The [calendars] sections of plugins.toml: what is understood, and what is refused with its place."""

from __future__ import annotations

import gc
import json
import tomllib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.host.calendar_sections import build_calendars, calendar_names, check_calendars
from core.host.faults import Faults
from core.time.built_in import BUILT_IN

PLANT = """
[calendars.plant]
zone = "Asia/Shanghai"
holidays = "CN"
make_up_hours = ["08:00-12:00"]
overlay_files = ["calendars/2027.csv"]
confirmed = [2027]
[calendars.plant.hours]
mon-fri = ["08:00-12:00", "13:30-17:30"]
sat = ["8:00-12:00"]
[calendars.plant.days]
"2026-12-31" = { kind = "day_off", name = "盘点" }
"2027-02-13" = { hours = ["09:00-12:00"], name = "年前加班" }
"""

FILE = """date,kind,name,hours
2027-02-05..2027-02-11,holiday,春节,
2027/2/13,holiday,春节,
2027-02-20,make_up,春节（调休上班）,
2027-03-01,,检修,09:00-12:00 13:00-15:00
"""


def _place(path: str, key: str = "") -> str:
    return path


def _check(text: str, folder: Path | None = None) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    faults = Faults()
    resolved = check_calendars(tomllib.loads(text), faults, _place, folder)
    return resolved, [(item["path"], item["message"]) for item in faults.as_errors()]


def _only_fault(text: str, folder: Path | None = None) -> tuple[str, str]:
    _, faults = _check(text, folder)
    assert len(faults) == 1, faults
    return faults[0]


def _with_file(folder: Path, content: str | bytes, name: str = "2027.csv") -> Path:
    (folder / "calendars").mkdir(exist_ok=True)
    raw = content if isinstance(content, bytes) else content.encode("utf-8")
    (folder / "calendars" / name).write_bytes(raw)
    return folder


def test_without_a_section_there_are_the_built_in_calendars() -> None:
    resolved, faults = _check("")
    assert (list(resolved), faults) == (["cn", "always"], [])
    assert resolved == BUILT_IN


def test_a_calendar_with_files_and_days_becomes_self_contained_json(tmp_path: Path) -> None:
    folder = _with_file(tmp_path, FILE.encode("utf-8-sig"))
    resolved, faults = _check(PLANT, folder)
    assert faults == []
    plant = json.loads(json.dumps(resolved["plant"]))
    assert plant == resolved["plant"]
    assert plant["hours"]["fri"] == ["08:00-12:00", "13:30-17:30"]
    assert (plant["hours"]["sat"], plant["hours"]["sun"]) == (["08:00-12:00"], [])
    assert plant["days"]["2027-02-08"] == {"kind": "holiday", "name": "春节", "hours": None}
    assert plant["days"]["2027-03-01"] == {"kind": "workday", "name": "检修", "hours": ["09:00-12:00", "13:00-15:00"]}
    assert plant["days"]["2027-02-13"]["name"] == "年前加班"  # plugins.toml comes before the file
    assert plant["files"][0]["path"] == "calendars/2027.csv" and len(plant["files"][0]["sha256"]) == 64
    calendar = build_calendars(resolved)["plant"]
    assert calendar.day(date(2027, 2, 20)).shifts == (("08:00", "12:00"),)
    assert not calendar.is_provisional(2027)


def test_a_changed_overlay_file_changes_the_json(tmp_path: Path) -> None:
    before, _ = _check(PLANT, _with_file(tmp_path, FILE))
    after, _ = _check(PLANT, _with_file(tmp_path, FILE + "2027-04-01,day_off,,\n"))
    assert before["plant"]["files"] != after["plant"]["files"]
    assert "2027-04-01" in after["plant"]["days"]


def test_a_calendar_based_on_another_takes_over_what_it_does_not_say() -> None:
    text = PLANT.replace('overlay_files = ["calendars/2027.csv"]\n', "") + (
        '[calendars.late]\nbased_on = "plant"\nhours = { mon = ["12:00-20:00"] }\n'
        '[calendars.late.days]\n"2026-12-31" = { kind = "workday" }\n'
    )
    resolved, faults = _check(text)
    assert faults == []
    late = resolved["late"]
    assert (late["make_up_hours"], late["confirmed"], late["holidays"]) == (["08:00-12:00"], [2027], "CN")
    assert late["hours"]["mon"] == ["12:00-20:00"] and late["hours"]["tue"] == []
    assert late["days"]["2026-12-31"]["kind"] == "workday" and "2027-02-13" in late["days"]
    assert "based_on" not in late


def test_the_calendar_cn_can_be_extended_for_every_unit() -> None:
    resolved, faults = _check(
        '[calendars.cn.days]\n"2026-12-31" = { kind = "day_off" }\n[calendars.mine]\nbased_on = "cn"\n'
    )
    assert faults == []
    assert resolved["cn"]["hours"] == BUILT_IN["cn"]["hours"]
    assert "2026-12-31" in resolved["cn"]["days"] and "2026-12-31" in resolved["mine"]["days"]
    assert "2026-12-31" not in BUILT_IN["cn"]["days"]


def test_other_countries_and_their_parts_are_understood() -> None:
    text = '[calendars.munich]\nzone = "Europe/Berlin"\nholidays = "DE-BY"\nhours = { mon-fri = ["09:00-17:00"] }\n'
    resolved, faults = _check(text)
    assert faults == []
    start = datetime(2026, 1, 5, 15, tzinfo=UTC)  # an hour before the end, the day before Epiphany
    due = build_calendars(resolved)["munich"].add(start, timedelta(hours=2))
    assert due == datetime(2026, 1, 7, 9, tzinfo=UTC)


WEEK = 'holidays = "CN"\nhours = { mon-fri = ["09:00-12:00"] }\n'


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("calendars = 3", "calendars", "must be a table"),
        ("[calendars]\nplant = 3", "calendars.plant", "must be a table"),
        ("[calendars.Plant]", "calendars", '"Plant" is no name'),
        (f"[calendars.p]\n{WEEK}zoen = 'x'", "calendars.p", "unknown key `zoen`. Did you mean `zone`?"),
        (f"[calendars.p]\n{WEEK}zone = 'Asia/Shanghi'", "calendars.p.zone", 'Did you mean "Asia/Shanghai"?'),
        (f"[calendars.p]\n{WEEK}zone = 'Berlin'", "calendars.p.zone", 'Did you mean "Europe/Berlin"?'),
        (f"[calendars.p]\n{WEEK}zone = '../etc/passwd'", "calendars.p.zone", "there is no time zone"),
        (WEEK.replace("CN", "cn").join(["[calendars.p]\n", ""]), "calendars.p.holidays", 'Did you mean "CN"?'),
        (WEEK.replace("CN", "DE-XX").join(["[calendars.p]\n", ""]), "calendars.p.holidays", 'DE has no part "XX"'),
        (WEEK.partition("\n")[2].join(["[calendars.p]\n", ""]), "calendars.p", "needs `holidays`"),
        ('[calendars.p]\nholidays = "CN"', "calendars.p", "has no working hours"),
        ('[calendars.p]\nholidays = "CN"\nhours = { mon = [] }', "calendars.p.hours", "has no working hours"),
        ('[calendars.p]\nbased_on = "cn"\nhours = { mon = [] }', "calendars.p.hours", "has no working hours"),
        (
            '[calendars.p]\nbased_on = "cn"\nhours = { mon = ["09:00-12:00", "11:00-14:00"] }',
            "calendars.p.hours.mon",
            '"09:00-12:00" and "11:00-14:00" overlap.',
        ),
        (
            '[calendars.p]\nbased_on = "cn"\nhours = { mon = ["22:00-06:00"] }',
            "calendars.p.hours.mon",
            'written as two: "22:00-24:00", and "00:00-06:00" on the next day',
        ),
        (
            '[calendars.p]\nbased_on = "cn"\nhours = { mon = ["09:00-00:00"] }',
            "calendars.p.hours.mon",
            "is written 24:00",
        ),
        ('[calendars.p]\nbased_on = "cn"\nhours = { mon = ["09:00-09:00"] }', "calendars.p.hours.mon", "is empty"),
        ('[calendars.p]\nbased_on = "cn"\nhours = { mon = ["9-12"] }', "calendars.p.hours.mon", '"9-12" is no shift'),
        ('[calendars.p]\nbased_on = "cn"\nhours = { mon = ["09:00-24:01"] }', "calendars.p.hours.mon", "to 24:00"),
        ('[calendars.p]\nbased_on = "cn"\nhours = { mon = "09:00-12:00" }', "calendars.p.hours.mon", "must be a list"),
        (
            '[calendars.p]\nbased_on = "cn"\nhours = { tues = ["09:00-12:00"] }',
            "calendars.p.hours",
            'Did you mean "tue"?',
        ),
        (
            '[calendars.p]\nbased_on = "cn"\nhours = { fri-mon = ["09:00-12:00"] }',
            "calendars.p.hours",
            "runs backward",
        ),
        (
            '[calendars.p]\nbased_on = "cn"\nhours = { mon-fri = ["09:00-12:00"], wed = ["09:00-11:00"] }',
            "calendars.p.hours.wed",
            "the hours of wed are told twice",
        ),
        ('[calendars.p]\nbased_on = "cn"\nmake_up_hours = []', "calendars.p.make_up_hours", "is empty"),
        ('[calendars.p]\nbased_on = "cn"\nconfirmed = [3027]', "calendars.p.confirmed.0", "less than or equal to 2200"),
        ('[calendars.p]\nbased_on = "p"', "calendars.p.based_on", "is based on itself"),
        ('[calendars.p]\nbased_on = "alwais"', "calendars.p.based_on", 'Did you mean "always"?'),
        ("[calendars.always]\nholidays = 'CN'", "calendars.always", "stays so"),
        (
            '[calendars.p]\nbased_on = "cn"\n[calendars.p.days]\n"2026-02-30" = { kind = "holiday" }',
            "calendars.p.days.2026-02-30",
            '"2026-02-30" is no date',
        ),
        (
            '[calendars.p]\nbased_on = "cn"\n[calendars.p.days]\n"2026-02-20" = { kind = "holidy" }',
            "calendars.p.days.2026-02-20",
            'Did you mean "holiday"?',
        ),
        (
            '[calendars.p]\nbased_on = "cn"\n[calendars.p.days]\n"2026-02-20" = { name = "x" }',
            "calendars.p.days.2026-02-20",
            "needs `kind`",
        ),
        (
            '[calendars.p]\nbased_on = "cn"\n[calendars.p.days]\n2026-02-20 = { kind = "holiday", hours = ["09:00"] }',
            "calendars.p.days.2026-02-20",
            "a holiday has no hours",
        ),
        (
            '[calendars.p]\nbased_on = "cn"\n[calendars.p.days]\n"2026-02-20" = { hours = [] }',
            "calendars.p.days.2026-02-20",
            'a free day is `kind = "day_off"`',
        ),
        (
            '[calendars.p]\nbased_on = "cn"\n[calendars.p.days]\n"2026-02-20" = { huors = [] }',
            "calendars.p.days.2026-02-20",
            "Did you mean `hours`?",
        ),
        (
            '[calendars.p]\nbased_on = "cn"\n[calendars.p.days]\n"2026-02-20" = "holiday"',
            "calendars.p.days.2026-02-20",
            "must be a table",
        ),
    ],
)
def test_a_faulty_calendar_is_refused_with_its_place(text: str, place: str, message: str) -> None:
    where, said = _only_fault(text)
    assert where == place
    assert message in said


def test_calendars_based_on_one_another_in_a_circle_are_refused_once() -> None:
    text = "".join(f'[calendars.{one}]\nbased_on = "{other}"\n' for one, other in ("ab", "bc", "ca", "da"))
    assert _only_fault(text) == ("calendars.c.based_on", "the calendars are based on one another: a → b → c → a")


def test_a_faulty_calendar_is_still_known_so_that_its_units_are_not_blamed() -> None:
    resolved, faults = _check("[calendars.plant]\nholidays = 'CN'\n[calendars.late]\nbased_on = 'plant'\n")
    assert len(faults) == 1
    assert (resolved["plant"], resolved["late"]) == ({}, {})
    assert calendar_names({"calendars": {"plant": {}}}) == ("cn", "always", "plant")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"date,kind\n2027-02-05,holidy\n",
            'calendars/2027.csv, line 2: there is no kind of day "holidy".',
        ),
        (b"date,kind\n\n2027-13-05,holiday\n", 'line 3: "2027-13-05" is no date'),
        (b"date,kind\n2027-02-05,holiday\n2027-02-05,day_off\n", "line 3: 2027-02-05 stands in the file twice"),
        (b"date,kind\n2027-02-05..2027-02-01,holiday\n", "is no range"),
        (b"date,kind\n2027-02-05..2029-02-05,holiday\n", "is no range of at most 366 days"),
        (b"day,kind\n2027-02-05,holiday\n", "line 1: the columns must be date, kind, name, hours"),
        (b"date,kind\n2027-02-05,holiday,x\n", "line 2: has more cells"),
        (b"", "line 1: the columns must be"),
        ("date,name,kind\n2027-02-05,春节,holiday\n".encode("gbk"), "save it as CSV UTF-8"),
        (b'date,kind\n"2027-02-05,holiday\n', "is no CSV"),
        (b"date,hours\n2027-02-05,09:00-12:00 11:00-13:00\n", "overlap"),
        (b"date\n" + b"x" * 1_100_000, "is larger than"),
    ],
)
def test_a_faulty_overlay_file_is_refused_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    text = '[calendars.p]\nbased_on = "cn"\noverlay_files = ["calendars/2027.csv"]\n'
    where, said = _only_fault(text, _with_file(tmp_path, content))
    assert where == "calendars.p.overlay_files"
    assert message in said


def test_a_missing_overlay_file_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    folder = _with_file(tmp_path, FILE)
    text = '[calendars.p]\nbased_on = "cn"\noverlay_files = ["calendars/2072.csv"]\n'
    assert 'Did you mean "2027.csv"?' in _only_fault(text, folder)[1]
    assert "cannot be read" in _only_fault(text.replace("/2072.csv", ""), folder)[1]  # a folder
    assert "cannot be read" in _only_fault(text, None)[1]


def test_a_date_in_two_overlay_files_is_refused(tmp_path: Path) -> None:
    folder = _with_file(tmp_path, "date,kind\n2027-02-05,holiday\n")
    _with_file(tmp_path, "date,kind\n2027-02-05,day_off\n", "own.csv")
    text = '[calendars.p]\nbased_on = "cn"\noverlay_files = ["calendars/2027.csv", "calendars/own.csv"]\n'
    assert _only_fault(text, folder)[1] == "calendars/own.csv: 2027-02-05 stands in two files"


def test_versions_that_say_the_same_share_their_calendars() -> None:
    first = build_calendars(_check("")[0])
    again = build_calendars(_check("[calendars.cn.days]\n'2026-12-31' = { kind = 'day_off' }\n")[0])
    assert again["always"] is first["always"]
    assert again["cn"] is not first["cn"]
    assert build_calendars(json.loads(json.dumps(_check("")[0])))["cn"] is first["cn"]


def test_calendars_nobody_uses_any_more_are_forgotten() -> None:
    from core.host import calendar_sections

    text = '[calendars.gone]\nbased_on = "cn"\n'
    held = build_calendars(_check(text)[0])
    assert any(slug == "gone" for slug, _ in calendar_sections._built)
    held.clear()
    gc.collect()
    assert not any(slug == "gone" for slug, _ in calendar_sections._built)
