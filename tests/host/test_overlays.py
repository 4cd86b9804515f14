"""Overlay files of calendars beside versions: read when the file is applied, and by nothing else."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from core.host.applying import Applied, apply, apply_if_changed, drift, rollback
from core.host.changes import change
from core.host.configuration import Surroundings
from core.host.versions import current_number, newest
from core.model.errors import ConfigurationRefused
from core.store.database import Database
from core.store.migrate import migrate
from core.time.clock import FrozenClock

TEXT = """
[calendars.plant]
based_on = "cn"
overlay_files = ["days.csv"]
[plugins.host_scorer]
enabled = true
"""
SWITCH = ("plugins", "host_scorer", "enabled")


class Office:
    """An IT department whose calendar has an overlay file."""

    def __init__(self, database: Database, folder: Path, around: Surroundings, clock: FrozenClock) -> None:
        self.database, self.clock = database, clock
        self.around = dataclasses.replace(around, folder=folder)
        self.path, self.days = folder / "plugins.toml", folder / "days.csv"
        self.path.write_text(TEXT, encoding="utf-8")
        self.write("2027-02-05")
        self.apply()

    def write(self, *days: str) -> None:
        self.days.write_text("\n".join(["date,kind", *(f"{day},day_off" for day in days)]), encoding="utf-8")

    def apply(self) -> Applied:
        return apply(self.database, self.path, self.around, clock=self.clock, by="IT")

    def start(self, **overrides: Any) -> Applied:
        around = dataclasses.replace(self.around, overrides=overrides)
        return apply_if_changed(self.database, self.path, around, clock=self.clock, by="serve")

    def switch(self, enabled: bool) -> None:
        change(
            self.database, self.path, self.around, changes={SWITCH: enabled}, by="li", reason="pilot", clock=self.clock
        )

    def rollback(self, number: int) -> None:
        rollback(self.database, self.path, self.around, number, clock=self.clock, by="IT", reason="wrong days")

    def in_force(self) -> list[str]:
        with self.database.read() as connection:
            found = newest(connection)
        assert found is not None
        return list(found.resolved["calendars"]["plant"]["days"])

    def drift(self) -> Any:
        with self.database.read() as connection:
            return drift(connection, self.path)


@pytest.fixture
def office(database: Database, tmp_path: Path, around: Surroundings, clock: FrozenClock) -> Office:
    migrate(database, [])
    return Office(database, tmp_path, around, clock)


def test_a_switch_takes_no_file_that_was_edited_and_needs_none_that_is_gone(office: Office) -> None:
    office.write("2027-02-06")
    office.switch(False)
    assert office.in_force() == ["2027-02-05"]
    office.days.unlink()
    office.switch(True)
    assert office.in_force() == ["2027-02-05"]


def test_a_rollback_brings_the_days_of_then_and_a_start_leaves_them(office: Office) -> None:
    office.write("2027-02-06")
    office.apply()
    assert office.in_force() == ["2027-02-06"]
    office.rollback(1)
    assert office.in_force() == ["2027-02-05"]
    assert not office.start().is_new
    office.days.unlink()
    office.rollback(2)
    assert office.in_force() == ["2027-02-06"]


def test_a_start_applies_an_edited_file_and_leaves_one_that_is_gone(office: Office) -> None:
    office.write("2027-02-06")
    assert office.drift().text.endswith("days.csv was edited") and not office.drift().in_step
    assert office.start().is_new and not office.start().is_new
    assert office.in_force() == ["2027-02-06"] and office.drift().in_step
    office.days.unlink()
    assert not office.start().is_new
    assert office.drift().text.endswith("days.csv cannot be read") and not office.drift().in_step
    with pytest.raises(ConfigurationRefused, match="no such file"):
        office.apply()


@pytest.mark.parametrize("what", ["days", "environment"])
def test_a_file_that_could_not_follow_a_switch_does_not_keep_the_server_from_starting(
    office: Office, what: str
) -> None:
    office.path.write_text(TEXT + "# a note\n", encoding="utf-8")
    office.switch(False)  # the file was edited, so it stays as it is
    office.path.write_text(TEXT, encoding="utf-8")
    if what == "days":
        office.write("2027-02-06")
    assert office.start(**({"OUTRIGGER_DISPATCH__MAX_ATTEMPTS": 4} if what == "environment" else {})).is_new
    with office.database.read() as connection:
        found = newest(connection)
        assert found is not None and current_number(connection) == 3
    assert not found.resolved["plugins"]["default"]["host_scorer"]["enabled"]
