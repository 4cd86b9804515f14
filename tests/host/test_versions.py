"""What versions promise: whole or not at all, numbered, seen by everybody, switched with who and why, file in step."""

from __future__ import annotations

import dataclasses
import threading
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from core.host import applying, changes
from core.host.applying import apply, apply_if_changed, drift, rollback
from core.host.configuration import Surroundings, resolve
from core.host.environment import overrides
from core.host.file_state import write_back
from core.host.switches import Switched, switch
from core.host.toml_document import read_text
from core.host.versions import Configurations, current, current_number, history, newest
from core.model.errors import ConfigurationConflict, ConfigurationRefused, InvalidRequest, NotFound, PluginRefused
from core.store.database import Database
from core.store.tables import config_versions
from core.time.clock import FrozenClock

TEXT = """# Reviewed by IT.
[units.new_energy]   # 新能源事业部
title = "新能源事业部"

[units.packaging]
title = "包装"

[plugins.host_scorer]
enabled = true       # for everybody
"""


@dataclass
class Office:
    """An IT department with a file and a database."""

    database: Database
    path: Path
    around: Surroundings
    clock: FrozenClock

    def write(self, text: str) -> None:
        self.path.write_text(text, encoding="utf-8")

    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def apply(self, **more: Any) -> int:
        return apply(self.database, self.path, self.around, clock=self.clock, by="IT", **more).number

    def start(self) -> bool:
        return apply_if_changed(self.database, self.path, self.around, clock=self.clock, by="serve").is_new

    def switch(
        self, enabled: bool, unit: str | None = "new_energy", plugin: str = "host_scorer", **more: Any
    ) -> Switched:
        return switch(
            self.database, self.path, self.around, plugin=plugin, unit=unit, enabled=enabled, by="IT",
            reason="pilot", clock=self.clock, **more,
        )  # fmt: skip

    def is_enabled(self, unit: str = "new_energy", plugin: str = "host_scorer") -> bool:
        return current(self.database, self.around.plugins).is_enabled(unit, plugin)

    def drift(self) -> Any:
        with self.database.read() as connection:
            return drift(connection, self.path)

    def number(self) -> int:
        with self.database.read() as connection:
            return current_number(connection)


@pytest.fixture
def office(database: Database, tmp_path: Path, around: Surroundings, clock: FrozenClock) -> Office:
    office = Office(database, tmp_path / "plugins.toml", around, clock)
    office.write(TEXT)
    return office


def test_before_anything_was_applied_there_is_no_configuration(office: Office) -> None:
    assert office.number() == 0
    with pytest.raises(ConfigurationRefused, match="outrigger config apply"):
        current(office.database)


def test_applying_makes_numbered_versions_and_repeating_changes_nothing(office: Office) -> None:
    assert office.apply() == 1
    assert office.apply() == 1
    office.write(TEXT + "[dispatch]\nmax_attempts = 3\n")
    assert office.apply(reason="fewer") == 2
    assert current(office.database).dispatch.max_attempts == 3
    with office.database.read() as connection:
        assert [(item["number"], item["reason"]) for item in history(connection)] == [(2, "fewer"), (1, "")]


def test_a_file_with_a_fault_leaves_the_version_in_force(office: Office) -> None:
    office.apply()
    office.write(TEXT + "[dispatch]\nmax_attempts = 0\n[plugins.nobody]\n")
    with pytest.raises(ConfigurationRefused) as caught:
        office.apply()
    assert len(caught.value.errors) == 2
    assert office.number() == 1


def test_serve_applies_only_a_file_that_changed(office: Office) -> None:
    assert office.start()
    assert not office.start()
    office.write(TEXT + "# a comment\n")
    assert office.start()
    office.path.unlink()
    assert not office.start()


def test_serve_applies_again_when_the_environment_overrides_something_else(office: Office) -> None:
    office.start()
    office.around = dataclasses.replace(office.around, overrides={"OUTRIGGER_DISPATCH__MAX_ATTEMPTS": 4})
    assert office.start()
    assert not office.start()
    assert current(office.database).dispatch.max_attempts == 4


def test_servers_that_start_at_the_same_time_both_start(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve_while_the_other_applies(*given: Any, **more: Any) -> Any:
        monkeypatch.setattr(applying, "resolve", resolve)
        office.apply()
        return resolve(*given, **more)

    for text in (TEXT, TEXT + "# a comment\n"):
        office.write(text)
        monkeypatch.setattr(applying, "resolve", resolve_while_the_other_applies)
        assert not office.start()
    assert office.number() == 2


def test_a_switch_while_the_file_is_applied_is_not_undone_unseen(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.apply()

    def read_before_a_switch(path: Path) -> str:
        monkeypatch.setattr(applying, "read_text", read_text)
        text = read_text(path)
        office.switch(False)
        return text

    monkeypatch.setattr(applying, "read_text", read_before_a_switch)
    office.apply()
    assert not office.is_enabled() and office.number() == 2


def test_a_file_that_others_wrote_meanwhile_is_not_taken_for_an_edited_one(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A switch and a rollback are thought of before the version before them is written into the file."""
    office.apply()
    delayed: list[tuple[Any, ...]] = []

    def delay(*given: Any) -> str:
        delayed.append(given)
        return ""

    monkeypatch.setattr(changes, "write_back", delay)
    monkeypatch.setattr(applying, "write_back", lambda *given: "")
    office.switch(False)

    def resolve_while_the_switch_is_written(*given: Any, **more: Any) -> Any:
        assert write_back(*delayed.pop()) == ""
        return resolve(*given, **more)

    monkeypatch.setattr(applying, "resolve", resolve_while_the_switch_is_written)
    rollback(office.database, office.path, office.around, 1, clock=office.clock, by="IT", reason="back")
    monkeypatch.setattr(changes, "write_back", write_back)
    assert office.switch(False, "packaging").written_back
    assert office.drift().in_step


def test_an_override_that_is_a_date_is_stored_and_applied_once(office: Office) -> None:
    office.write(TEXT + '[people.li]\nname = "Li"\n')
    office.start()
    office.around = dataclasses.replace(
        office.around, overrides=overrides({"OUTRIGGER_PEOPLE__LI__LEFT": "2026-12-31"})
    )
    assert office.start()
    assert not office.start()
    assert not office.switch(False).not_written
    assert str(current(office.database).directory.entries["li"].employed.last) == "2026-12-31"


def test_a_running_process_sees_a_new_version_and_builds_each_once(office: Office) -> None:
    office.apply()
    configurations = Configurations(office.database, office.around.plugins)
    first = configurations.read()
    assert configurations.read() is first
    office.switch(False)
    assert not configurations.read().is_enabled("new_energy", "host_scorer")
    assert first.is_enabled("new_energy", "host_scorer")
    before, after = (item.plugins["packaging", "host_scorer"].config for item in (first, configurations.read()))
    assert after is before


def test_a_switch_is_a_version_with_who_when_and_why(office: Office) -> None:
    office.apply()
    done = office.switch(False)
    assert (done.number, done.units) == (2, ("new_energy",))
    assert not office.is_enabled()
    assert office.is_enabled("packaging")
    setting = current(office.database).plugins["new_energy", "host_scorer"]
    assert setting.origins["enabled"] == 'switched by IT, 3 Nov 2026, "pilot"'


def test_a_switch_is_written_back_with_comments_kept(office: Office) -> None:
    office.apply()
    assert office.switch(False).written_back
    assert office.text().startswith(TEXT)
    assert "[units.new_energy.plugins.host_scorer]\nenabled = false" in office.text()
    assert office.switch(True).written_back
    assert "# for everybody" in office.text()
    assert office.drift().in_step
    assert not office.start()


def test_switching_to_what_is_there_changes_nothing_but_runs_what_goes_with_it(office: Office) -> None:
    office.apply()
    lifted: list[int] = []
    done = office.switch(True, also=lambda connection: lifted.append(1))
    assert (done.number, done.units, lifted) == (1, (), [1])


def test_a_switch_for_all_units_reaches_those_that_say_otherwise(office: Office) -> None:
    office.apply()
    office.switch(False, "packaging")
    office.switch(False, None)
    assert not any(office.is_enabled(unit) for unit in ("new_energy", "packaging", "default"))
    office.switch(True, None)
    assert all(office.is_enabled(unit) for unit in ("new_energy", "packaging", "default"))


def test_a_switch_the_file_could_not_follow_shows_as_drift(office: Office) -> None:
    office.apply()
    office.write(TEXT + "# edited meanwhile\n")
    done = office.switch(False)
    assert not done.written_back
    assert "was edited" in done.not_written
    shown = office.drift()
    assert shown.file_changed
    assert shown.changes == ("units.new_energy.plugins.host_scorer.enabled",)


@pytest.mark.parametrize("wins", ["file", "server"])
def test_a_file_that_contradicts_newer_switches_is_refused_until_told_which_wins(office: Office, wins: Any) -> None:
    office.apply()
    office.write(TEXT + "# edited meanwhile\n")
    office.switch(False)
    with pytest.raises(ConfigurationConflict) as caught:
        office.apply()
    assert "switched by IT" in caught.value.message
    assert office.number() == 2
    assert office.apply(wins=wins) == 3
    assert office.is_enabled() is (wins == "file")
    assert office.drift().in_step
    assert "# edited meanwhile" in office.text()
    assert ("enabled = false" in office.text()) is (wins == "server")


def test_a_file_that_already_says_what_was_switched_is_no_conflict(office: Office) -> None:
    office.apply()
    office.write(TEXT + "# edited meanwhile\n")
    office.switch(False)
    office.write(TEXT + "[units.new_energy.plugins.host_scorer]\nenabled = false\n[dispatch]\nmax_attempts = 2\n")
    office.apply()
    setting = current(office.database).plugins["new_energy", "host_scorer"]
    assert setting.origins["enabled"].startswith("switched by IT")


def test_editing_the_file_after_a_written_switch_is_the_editors_word(office: Office) -> None:
    office.apply()
    office.switch(False)
    office.write(TEXT)
    office.apply()
    assert office.is_enabled()
    assert (
        current(office.database).plugins["new_energy", "host_scorer"].origins["enabled"] == "file: plugins.host_scorer"
    )


def test_a_crash_between_commit_and_write_back_loses_no_switch(office: Office) -> None:
    office.apply()
    office.switch(False)
    office.write(TEXT)  # as if the file had not been written ...
    with office.database.write() as connection:  # ... and nothing been noted
        first = sa.select(config_versions.c.file_hash).where(config_versions.c.number == 1).scalar_subquery()
        connection.execute(sa.update(config_versions).where(config_versions.c.number == 2).values(file_hash=first))
    assert not office.start()
    assert not office.is_enabled()
    assert office.drift().changes


def test_a_file_that_became_empty_takes_nothing_away(office: Office) -> None:
    office.apply()
    office.write(" \n")
    with pytest.raises(ConfigurationRefused, match="is empty, and version 1 is not"):
        office.apply()
    with pytest.raises(ConfigurationRefused, match="is empty"):
        office.start()
    assert (office.number(), office.is_enabled()) == (1, True)
    office.write("# nothing is wanted here\n")
    assert office.apply() == 2


@pytest.mark.parametrize("number", [0, -1, 2, 2**31, 10**30])
def test_a_version_that_never_was_is_not_found(office: Office, number: int) -> None:
    office.apply()
    with pytest.raises(NotFound, match="the newest is 1"):
        rollback(office.database, office.path, office.around, number, clock=office.clock, by="IT", reason="back")


def test_going_back_needs_a_reason(office: Office) -> None:
    office.apply()
    with pytest.raises(InvalidRequest, match="Say why"):
        rollback(office.database, office.path, office.around, 1, clock=office.clock, by="IT", reason=" ")


def test_rollback_brings_an_older_document_back_as_a_new_version(office: Office) -> None:
    office.apply()
    office.switch(False)
    office.clock.move(timedelta(days=1))
    done = rollback(office.database, office.path, office.around, 1, clock=office.clock, by="IT", reason="too early")
    assert (done.number, done.written_back) == (3, True)
    assert office.text() == TEXT
    assert office.is_enabled()
    with office.database.read() as connection:
        assert newest(connection).reason == "too early"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("plugin", "unit", "error", "said"),
    [
        ("host_scorr", "new_energy", NotFound, 'no plugin "host_scorr". Did you mean "host_scorer"'),
        ("host_scorer", "new_enrgy", NotFound, 'no unit "new_enrgy". Did you mean "new_energy"'),
    ],
)
def test_a_switch_of_something_unknown_names_the_nearest(
    office: Office, plugin: str, unit: str, error: type[Exception], said: str
) -> None:
    office.apply()
    with pytest.raises(error, match=said):
        office.switch(True, unit, plugin)
    assert office.number() == 1


def test_a_plugin_that_cannot_be_loaded_can_be_switched_off_but_not_on(office: Office) -> None:
    broken = dataclasses.replace(office.around.plugins["host_scorer"], error="boom", load_config=None, hooks={})
    office.around = dataclasses.replace(office.around, plugins={**office.around.plugins, "host_scorer": broken})
    office.apply()
    office.switch(False)
    with pytest.raises(PluginRefused, match="boom"):
        office.switch(True)


def test_a_switch_held_by_the_environment_is_refused(office: Office) -> None:
    office.around = dataclasses.replace(office.around, overrides={"OUTRIGGER_PLUGINS__HOST_SCORER__ENABLED": True})
    office.apply()
    with pytest.raises(ConfigurationRefused, match="OUTRIGGER_PLUGINS__HOST_SCORER__ENABLED holds it"):
        office.switch(False, None)


def test_switches_at_the_same_time_all_count(office: Office) -> None:
    office.apply()
    units = ["new_energy", "packaging", "default"]
    threads = [threading.Thread(target=office.switch, args=(False, unit)) for unit in units]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert office.number() == 4
    assert not any(office.is_enabled(unit) for unit in units)
