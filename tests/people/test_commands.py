"""`outrigger people`: what it prints, what it changes, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from core.cli import people as commands
from core.host.settings import Configuration, DispatchSettings, UnitSettings
from core.people.directory import Directory
from core.testing.directories import calendar_of
from core.time.clock import FrozenClock
from tests.cli.conftest import CONFIG, Terminal
from tests.people.world import COMPANY, NOON, UNITS, directory


@dataclasses.dataclass
class Desk:
    """A session with people in its configuration, whose changes are kept instead of made."""

    directory: Directory
    not_written: str = ""
    changed: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    database: Any = "the database"
    clock: FrozenClock = dataclasses.field(default_factory=lambda: FrozenClock(NOON))
    environment: Any = dataclasses.field(default_factory=lambda: SimpleNamespace(config_path=Path("plugins.toml")))

    def configuration(self) -> Configuration:
        units = {slug: UnitSettings(slug, slug) for slug in UNITS}
        return Configuration(
            1, {}, units, {}, DispatchSettings(), {}, calendars={"cn": calendar_of("cn")}, directory=self.directory
        )

    def surroundings(self) -> str:
        return "what plugins.toml is checked against"

    def change(self, database: Any, path: Path, around: Any, *, changes: Mapping[Any, Any], **more: Any) -> Any:
        assert (database, path, around) == (self.database, Path("plugins.toml"), self.surroundings())
        assert more.pop("clock") is self.clock
        assert more.pop("expected") == 1
        self.changed.append({"changes": changes, **more})
        return SimpleNamespace(number=8, written_back=not self.not_written, not_written=self.not_written)

    def run(self, *arguments: str) -> Result:
        result = CliRunner().invoke(commands.people, list(arguments), obj=self)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def json(self, *arguments: str, code: int = 0) -> Any:
        result = self.run(*arguments, "--json")
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = Desk(directory(COMPANY))
    monkeypatch.setattr(commands, "change", made.change)
    return made


ON_BOTH = pytest.mark.parametrize("bare", ["sqlite", "postgresql"], indirect=True)


@ON_BOTH
def test_an_absence_is_in_force_and_in_the_file_and_a_circle_is_refused(terminal: Terminal) -> None:
    path = terminal.write("plugins.toml", CONFIG + "# 经理\n" + COMPANY.replace('"packaging"', '"default"').replace(
        'channels = ["wecom_sales", "mail"]\n', ""))  # fmt: skip
    terminal.ok("config", "apply")
    assert terminal.json("people", "show", "li.na")["absences"] == []
    terminal.ok("people", "absent", "li_na", "--from", "2026-11-01", "--until", "2026-11-02", "--deputy", "wang_fang")
    assert terminal.json("people", "resolve", "li_na", "--on", "2026-11-02")["person"] == "wang_fang"
    written = path.read_text(encoding="utf-8")
    assert "# 经理" in written
    assert tomllib.loads(written)["people"]["li_na"]["absences"] == [
        {"from": date(2026, 11, 1), "until": date(2026, 11, 2), "deputy": "wang_fang"}
    ]
    refused = terminal.run("people", "absent", "wang_fang", "--from", "2026-11-02", "--deputy", "li_na")
    assert refused.exit_code == 1
    assert "the deputies go round in a circle on 2026-11-02: li_na → wang_fang → li_na" in refused.output
    assert path.read_text(encoding="utf-8") == written
    terminal.ok("people", "present", "li_na", "--on", "2026-11-01")
    assert tomllib.loads(path.read_text(encoding="utf-8"))["people"]["li_na"].get("absences") is None
    assert terminal.json("people", "resolve", "li_na", "--on", "2026-11-02")["person"] == "li_na"


def slugs(answer: Any) -> list[str]:
    return [item["slug"] for item in answer["items"]]


def test_people_are_listed_in_a_table(desk: Desk) -> None:
    lines = desk.run("list").stdout.splitlines()
    assert lines[0].split() == ["slug", "name", "standing", "units", "roles", "manager", "deputy"]
    assert lines[4].split() == ["zhang_wei", "张伟", "absent", "new_energy", "bu_manager", "liu_yang", "wang_fang"]


def test_people_are_listed_by_unit_role_and_day(desk: Desk) -> None:
    assert slugs(desk.json("list", "--unit", "packaging")) == ["wang_fang"]
    assert slugs(desk.json("list", "--role", "bu_manager")) == ["wang_fang", "zhang_wei"]
    assert slugs(desk.json("list", "--role", "bu_manager", "--on", "2027-02-01")) == ["zhang_wei"]
    assert slugs(desk.json("list", "--role", "bu_manager", "--unit", "default")) == []
    assert desk.run("list", "--role", "bu_manager", "--unit", "default").stdout.startswith("Nobody.")


@pytest.mark.parametrize(
    ("arguments", "letter"),
    [
        (("list", "--unit", "packagin"), 'There is no unit "packagin". Did you mean "packaging"?'),
        (("list", "--role", "bu_manger"), 'There is no role "bu_manger". Did you mean "bu_manager"?'),
        (("show", "zhang_wi"), 'There is no person or CRM id "zhang_wi". Did you mean "zhang_wei"?'),
        (("resolve", "bu_manger"),
         'Nobody can be asked: there is no role, person or CRM id "bu_manger". Did you mean "bu_manager"?'),
        (("resolve", "bu_manager", "--unit", "x"), 'There is no unit "x".'),
        (("resolve", "bu_manager", "--exclude", "zhang.wee"),
         'There is no person or CRM id "zhang.wee". Did you mean "zhang.wei"?'),
        (("absent", "nobody"), 'There is no person or CRM id "nobody".'),
        (("absent", "li_na", "--deputy", "zhang_wi"),
         'There is no person or CRM id "zhang_wi". Did you mean "zhang_wei"?'),
        (("present", "li_na"), "李娜 (li_na) is not absent on 2026-10-03; nothing was changed."),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said_with_the_nearest_name(desk: Desk, arguments: tuple[str, ...], letter: str) -> None:
    result = desk.run(*arguments)
    assert result.exit_code == 1
    assert letter in result.output
    assert desk.json(*arguments, code=1)["code"] == "not_found"
    assert desk.changed == []


def test_a_person_is_shown_with_contact_roles_and_absences(desk: Desk) -> None:
    shown = desk.run("show", "00123").stdout
    assert "email     zhang.wei@example.com" in shown
    assert "roles     role bu_manager units new_energy" in shown
    assert "absences  from 2026-10-01 until 2026-10-07 deputy li_na reason 年假" in shown
    assert desk.json("show", "zhang_wei", "--on", "2026-10-08")["standing"] == "there"


def test_who_is_asked_is_printed_with_every_step(desk: Desk) -> None:
    assert desk.run("resolve", "bu_manager", "--unit", "new_energy").stdout.splitlines() == [
        "李娜 (li_na)",
        "  张伟 (zhang_wei) holds bu_manager@new_energy",
        "  张伟 (zhang_wei) is absent until 2026-10-07 (年假); deputy: 李娜 (li_na) and then 王芳 (wang_fang)",
        "  李娜 (li_na) is there",
    ]
    assert desk.run("resolve", "bu_manager", "--unit", "new_energy", "--language", "zh").stdout.splitlines() == [
        "李娜 (li_na)",
        "  张伟 (zhang_wei) 担任事业部经理（bu_manager@new_energy）",
        "  张伟 (zhang_wei) 不在岗，至 2026-10-07（年假）；代理人：李娜 (li_na)，其次 王芳 (wang_fang)",
        "  李娜 (li_na) 在岗",
    ]
    found = desk.json("resolve", "bu_manager", "--unit", "new_energy", "--exclude", "zhang.wei", "--on", "2026-09-01")
    assert (found["person"], found["asked"], found["on"]) == ("liu_yang", "role:bu_manager@new_energy", "2026-09-01")


def test_nobody_to_ask_ends_with_exit_code_1(desk: Desk) -> None:
    result = desk.run("resolve", "general_manager", "--exclude", "liu_yang")
    assert result.exit_code == 1
    assert result.stdout.startswith("Nobody: nobody is left to ask for role:general_manager on 2026-10-03\n")
    assert desk.json("resolve", "general_manager", "--exclude", "liu_yang", code=1)["person"] is None


def test_absences_are_listed_from_the_day_on(desk: Desk) -> None:
    assert desk.json("absences")["items"] == [
        {"person": "zhang_wei", "name": "张伟", "from": "2026-10-01", "until": "2026-10-07", "deputy": "li_na",
         "reason": "年假", "now": True}
    ]  # fmt: skip
    assert desk.run("absences").stdout.splitlines()[1].split() == [
        "zhang_wei", "张伟", "2026-10-01", "2026-10-07", "yes", "li_na", "年假",
    ]  # fmt: skip
    assert desk.json("absences", "--on", "2026-09-01")["items"][0]["now"] is False
    assert desk.run("absences", "--on", "2026-10-08").stdout == "Nobody is absent on 2026-10-08 or later.\n"


def test_an_absence_is_added_in_the_order_of_days(desk: Desk) -> None:
    result = desk.run("absent", "zhang.wei", "--from", "2026-09-07", "--until", "2026-09-08", "--deputy", "li.na",
                      "--reason", "展会", "--by", "it")  # fmt: skip
    assert result.stdout == "张伟 (zhang_wei) is absent from 2026-09-07 to 2026-09-08: 展会. Version 8 is in force.\n"
    (made,) = desk.changed
    assert made["by"] == "it"
    assert made["reason"] == "张伟 (zhang_wei) is absent from 2026-09-07 to 2026-09-08: 展会"
    assert made["changes"] == {
        ("people", "zhang_wei", "absences"): [
            {"from": date(2026, 9, 7), "until": date(2026, 9, 8), "deputy": "li_na", "reason": "展会"},
            {"from": date(2026, 10, 1), "until": date(2026, 10, 7), "deputy": "li_na", "reason": "年假"},
        ]
    }


def test_an_absence_from_today_until_further_notice_needs_no_dates(desk: Desk) -> None:
    desk.not_written = "it cannot be written"
    assert desk.json("absent", "li_na") == {"number": 8, "not_written": "it cannot be written"}
    assert desk.changed[0]["changes"] == {("people", "li_na", "absences"): [{"from": date(2026, 10, 3)}]}
    assert "The file was not changed: it cannot be written." in desk.run("absent", "li_na").stdout


def test_who_is_back_is_absent_no_longer_than_the_day_before(desk: Desk) -> None:
    desk.run("present", "zhang_wei")
    desk.run("present", "zhang_wei", "--on", "2026-10-01")
    until = {"from": date(2026, 10, 1), "until": date(2026, 10, 2), "deputy": "li_na", "reason": "年假"}
    assert [made["changes"] for made in desk.changed] == [
        {("people", "zhang_wei", "absences"): [until]},
        {("people", "zhang_wei", "absences"): None},
    ]
