"""What a change promises: any key, whole or not at all, told with who and why, beside a file that is edited too."""

from __future__ import annotations

import dataclasses
import datetime as dt
import threading
import tomllib
from pathlib import Path
from typing import Any

import pytest

from core.host.applying import apply, drift, rollback
from core.host.changes import Changed, change
from core.host.configuration import Surroundings
from core.host.versions import current, current_number, newest
from core.model.errors import (
    ConfigurationConflict,
    ConfigurationRefused,
    InvalidRequest,
    NotFound,
    OutriggerError,
    PluginRefused,
)
from core.store.database import Database
from core.store.migrate import migrate
from core.time.clock import FrozenClock

TEXT = """# Reviewed by IT.
[dispatch]
max_attempts = 5   # few

[units.new_energy]   # 新能源事业部
title = "新能源事业部"
[units.new_energy.plugins.host_scorer]
config.grades.A = 75   # growth
config.grades.B = 60

[units.packaging]
title = "包装"

[plugins.host_scorer]
enabled = true       # for everybody
"""
GRADE_A = ("units", "new_energy", "plugins", "host_scorer", "config", "grades", "A")


class Office:
    """An IT department with a file and a database."""

    def __init__(self, database: Database, path: Path, around: Surroundings, clock: FrozenClock) -> None:
        self.database, self.path, self.around, self.clock = database, path, around, clock
        self.write(TEXT)
        self.apply()

    def write(self, text: str) -> None:
        self.path.write_text(text, encoding="utf-8")

    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def apply(self, **more: Any) -> Any:
        return apply(self.database, self.path, self.around, clock=self.clock, by="IT", **more)

    def change(self, changes: dict[tuple[str, ...], Any], **more: Any) -> Changed:
        given = {"by": "li", "reason": "pilot", "clock": self.clock, **more}
        return change(self.database, self.path, self.around, changes=changes, **given)

    def rollback(self, number: int, **more: Any) -> Any:
        return rollback(
            self.database, self.path, self.around, number, clock=self.clock, by="IT", reason="too strict", **more
        )

    def setting(self, unit: str = "new_energy", plugin: str = "host_scorer") -> Any:
        return current(self.database, self.around.plugins).plugins[unit, plugin]

    def number(self) -> int:
        with self.database.read() as connection:
            return current_number(connection)

    def changes(self) -> list[dict[str, Any]]:
        with self.database.read() as connection:
            found = newest(connection)
        assert found is not None
        return found.changes

    def drift(self) -> Any:
        with self.database.read() as connection:
            return drift(connection, self.path)

    def without(self, *plugins: str) -> None:
        """Uninstall plugins."""
        left = {name: item for name, item in self.around.plugins.items() if name not in plugins}
        self.around = dataclasses.replace(self.around, plugins=left)


@pytest.fixture
def office(database: Database, tmp_path: Path, around: Surroundings, clock: FrozenClock) -> Office:
    return Office(database, tmp_path / "plugins.toml", around, clock)


@pytest.fixture
def desk(sqlite_url: str, tmp_path: Path, around: Surroundings, clock: FrozenClock) -> Office:
    """An office on SQLite alone, for what does not touch the database much."""
    database = Database(sqlite_url)
    migrate(database, [])
    return Office(database, tmp_path / "plugins.toml", around, clock)


def test_a_setting_is_changed_with_who_when_and_why_and_follows_into_the_file(office: Office) -> None:
    done = office.change({GRADE_A: 70})
    assert (done.number, done.is_new, done.written_back, done.switched) == (2, True, True, ())
    setting = office.setting()
    assert setting.config.grades["A"] == 70
    assert setting.origins["grades.A"] == 'set by li, 3 Nov 2026, "pilot"'
    assert setting.origins["grades.B"] == "file: units.new_energy.plugins.host_scorer.config"
    assert office.text() == TEXT.replace("A = 75", "A = 70")
    assert office.drift().in_step


def test_a_removed_key_gives_way_to_what_stands_below_it(office: Office) -> None:
    office.change({GRADE_A: None})
    assert office.setting().config.grades == {"A": 80, "B": 60}
    assert office.setting().origins["grades.A"] == "default"
    assert office.text() == TEXT.replace("config.grades.A = 75   # growth\n", "")


def test_any_section_can_be_changed_and_several_keys_are_one_version(office: Office) -> None:
    office.change({("dispatch", "max_attempts"): 7, ("units", "new_energy", "title"): "新能源 NEV"})
    configuration = current(office.database)
    assert (configuration.number, configuration.dispatch.max_attempts) == (2, 7)
    assert configuration.units["new_energy"].title == "新能源 NEV"
    assert "max_attempts = 7   # few" in office.text()


def test_a_list_of_tables_is_written_to_be_read_with_dates_as_dates(desk: Office) -> None:
    desk.write(TEXT + '\n[people.li_na]\nname = "李娜"   # sales\n')
    desk.apply()
    absences = [{"from": dt.date(2026, 12, 1), "until": dt.date(2026, 12, 5)}]
    desk.change({("people", "li_na", "absences"): absences})
    assert "absences = [\n    { from = 2026-12-01, until = 2026-12-05" in desk.text()
    assert '"李娜"   # sales' in desk.text()
    desk.change({("people", "li_na", "absences"): None})
    assert "absences" not in desk.text()


def test_saying_what_is_there_already_changes_nothing(desk: Office) -> None:
    assert desk.change({GRADE_A: 75}) == Changed(1, is_new=False)
    assert desk.change({("units", "packaging", "plugins", "host_scorer", "config", "hot_score"): None}).number == 1
    assert not desk.change({("units", "packaging", "plugins", "host_scorer", "enabled"): True}).is_new


def test_a_key_with_a_dot_in_it_is_one_key(desk: Office) -> None:
    path = ("units", "packaging", "match", "extra.channel")
    desk.change({path: ["fair"]})
    assert current(desk.database).units["packaging"].match == {"extra.channel": ("fair",)}
    assert desk.changes()[0]["path"] == list(path)
    assert desk.drift().in_step


@pytest.mark.parametrize(
    ("path", "value", "error", "said"),
    [
        (("plugins", "host_scorr", "enabled"), True, NotFound, 'no plugin "host_scorr". Did you mean "host_scorer"'),
        (("units", "new_enrgy", "plugins", "host_scorer", "enabled"), False, NotFound, 'Did you mean "new_energy"'),
        (("plugins", "host_scorer", "config", "hot_scor"), 5, ConfigurationRefused, "Did you mean `hot_score`"),
        (
            ("plugins", "host_scorer", "config", "hot_score"),
            "much",
            ConfigurationRefused,
            'config.hot_score: must be a whole number, such as 5; it is "much"',
        ),
        (("plugins", "host_scorer", "config", "hot_score"), 101, ConfigurationRefused, "config.hot_score: Must be"),
        (("plugins", "host_scorer", "enabled"), "yes", ConfigurationRefused, "must be true or false"),
        (("plugins", "host_scorer", "enabled", "x"), 1, ConfigurationRefused, "because `enabled` is no table"),
        (("units", "new_energy", "title", "x"), 1, ConfigurationRefused, "because `title` is no table"),
        (("dispach", "max_attempts"), 1, ConfigurationRefused, "Did you mean `dispatch`"),
        (("dispatch", "max_attempts"), 0, ConfigurationRefused, "dispatch.max_attempts"),
        (("plugins", "host_scorer", "config", "hot_score"), [None], InvalidRequest, "no `null` in TOML"),
        (("plugins", "host_scorer", "config", "hot_score"), float("nan"), InvalidRequest, "must be finite"),
        (("plugins", "host_scorer", "config", "hot_score"), 2**70, InvalidRequest, "64 bits"),
        (("plugins", "host_scorer", "config", "channel"), "\ud800", InvalidRequest, "no valid Unicode"),
        (("plugins", "host_scorer", "config", "channel"), object(), InvalidRequest, "a value of type object"),
        (("plugins", "", "enabled"), True, InvalidRequest, "plugin is empty"),
        ((), True, InvalidRequest, "empty path"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place_and_the_version_stays(
    desk: Office, path: tuple[str, ...], value: Any, error: type[OutriggerError], said: str
) -> None:
    with pytest.raises(error) as caught:
        desk.change({("dispatch", "batch_size"): 9, path: value})
    assert said in caught.value.message
    assert (desk.number(), desk.text()) == (1, TEXT)


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501, "two\nlines", "\ud800"])
def test_a_reason_is_one_line_of_text_that_is_not_too_long(desk: Office, reason: str) -> None:
    with pytest.raises(InvalidRequest, match="reason"):
        desk.change({GRADE_A: 70}, reason=reason)
    assert desk.number() == 1


def test_a_key_that_the_environment_holds_cannot_be_changed(desk: Office) -> None:
    desk.around = dataclasses.replace(desk.around, overrides={"OUTRIGGER_DISPATCH__MAX_ATTEMPTS": 4})
    desk.apply()
    with pytest.raises(ConfigurationRefused, match="OUTRIGGER_DISPATCH__MAX_ATTEMPTS holds it"):
        desk.change({("dispatch", "max_attempts"): 7})
    with pytest.raises(ConfigurationRefused, match="holds it"):
        desk.change({("dispatch",): {"batch_size": 7}})


def test_a_key_named_enabled_that_is_no_plugins_is_no_switch(desk: Office) -> None:
    with pytest.raises(ConfigurationRefused, match="No record has a field"):
        desk.change({("units", "new_energy", "match", "x", "enabled"): True})


def test_who_looked_at_an_older_version_is_told(desk: Office) -> None:
    desk.change({GRADE_A: 70}, expected=1)
    with pytest.raises(ConfigurationConflict, match="version 2 is in force, not 1"):
        desk.change({GRADE_A: 71}, expected=1)
    assert desk.setting().config.grades["A"] == 70


@pytest.mark.parametrize("wins", ["file", "server"])
def test_a_file_edited_while_a_setting_is_changed_is_refused_until_told_which_wins(office: Office, wins: Any) -> None:
    office.write(TEXT.replace("max_attempts = 5", "max_attempts = 6"))
    done = office.change({GRADE_A: 70, (*GRADE_A[:-1], "B"): None})
    assert "was edited" in done.not_written
    with pytest.raises(ConfigurationConflict) as caught:
        office.apply()
    assert 'grades.A: the server has 70 (set by li, 3 Nov 2026, "pilot")' in caught.value.message
    assert "grades.B: the server has no such key (removed by li" in caught.value.message
    assert office.number() == 2
    office.apply(wins=wins)
    grades = {"A": 75, "B": 60} if wins == "file" else {"A": 70, "B": 65}
    assert office.setting().config.grades == grades
    assert current(office.database).dispatch.max_attempts == 6
    assert office.drift().in_step


def test_a_file_edited_from_what_was_rolled_back_does_not_undo_the_rollback_unseen(office: Office) -> None:
    office.change({GRADE_A: 70})
    office.write(office.text() + "# edited\n")
    done = office.rollback(1)
    assert "was edited" in done.not_written
    with pytest.raises(ConfigurationConflict, match="back to version 1 by IT"):
        office.apply()
    office.apply(wins="server")
    assert office.setting().config.grades["A"] == 75
    assert office.text() == TEXT + "# edited\n"


def test_rolling_back_asks_for_the_version_that_was_looked_at(desk: Office) -> None:
    desk.change({GRADE_A: 70})
    with pytest.raises(ConfigurationConflict):
        desk.rollback(1, expected=1)
    assert desk.rollback(1, expected=2).number == 3


def test_changes_at_the_same_time_all_count_and_the_file_holds_them_all(office: Office) -> None:
    paths = [("plugins", "host_scorer", "config", "grades", grade) for grade in "CDEFGH"]
    threads = [threading.Thread(target=office.change, args=({path: 40},)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert office.number() == 7
    assert tomllib.loads(office.text())["plugins"]["host_scorer"]["config"]["grades"] == dict.fromkeys("CDEFGH", 40)
    assert office.drift().in_step


def test_what_was_removed_from_both_need_not_be_remembered(desk: Office) -> None:
    desk.change({GRADE_A: None})
    assert [item["value"] for item in desk.changes()] == [None]
    desk.change({("dispatch", "max_attempts"): 7})
    assert [item["path"] for item in desk.changes()] == [["dispatch", "max_attempts"]]


# ------------------------------------------------------------------------ plugins that come and go


def test_while_a_plugin_is_uninstalled_everything_else_can_be_changed_and_its_section_stays(office: Office) -> None:
    before = office.setting()
    office.without("host_scorer")
    office.change({("units", "packaging", "plugins", "host_plain", "enabled"): True})
    setting = office.setting()
    assert (setting.enabled, setting.config, setting.values["grades"]["A"]) == (True, None, 75)
    assert setting.origins["enabled"] == before.origins["enabled"]
    assert "config.grades.A = 75   # growth" in office.text()


def test_an_uninstalled_plugin_can_be_switched_off_and_taken_out_but_not_set(desk: Office) -> None:
    desk.without("host_scorer")
    with pytest.raises(PluginRefused, match="host_scorer is not installed here"):
        desk.change({GRADE_A: 70})
    with pytest.raises(PluginRefused, match="host_scorer is not installed here"):
        desk.change({("units", "packaging", "plugins", "host_scorer", "enabled"): True})
    desk.change({("plugins", "host_scorer", "enabled"): False})
    assert not desk.setting().enabled
    desk.change({("plugins", "host_scorer"): None, ("units", "new_energy", "plugins"): None})
    assert ("new_energy", "host_scorer") not in current(desk.database).plugins


def test_a_file_may_keep_a_plugin_that_was_uninstalled_and_says_so_but_none_may_come(desk: Office) -> None:
    desk.without("host_scorer")
    desk.write(TEXT + "# edited\n")
    assert desk.apply().absent == ("host_scorer",)
    desk.write(TEXT + "[plugins.host_other]\n")
    with pytest.raises(ConfigurationRefused, match='no plugin "host_other"'):
        desk.apply()


def test_a_plugin_that_is_on_by_its_own_default_stays_when_it_is_uninstalled(desk: Office) -> None:
    plain = desk.around.plugins["host_plain"]
    on = dataclasses.replace(plain, manifest=dataclasses.replace(plain.manifest, default_enabled=True))
    desk.around = dataclasses.replace(desk.around, plugins={**desk.around.plugins, "host_plain": on})
    desk.write(TEXT + "# edited\n")
    desk.apply()
    desk.without("host_plain")
    desk.change({GRADE_A: 70})
    assert desk.setting(plugin="host_plain").enabled
    desk.change({("plugins", "host_plain", "enabled"): False})
    desk.change({("plugins", "host_plain"): None})
    assert ("new_energy", "host_plain") not in current(desk.database).plugins


def test_a_newly_installed_plugin_is_switched_on_without_applying_first(desk: Office) -> None:
    plugins = desk.around.plugins
    desk.around = dataclasses.replace(desk.around, plugins={"host_scorer": plugins["host_scorer"]})
    desk.write(TEXT + "# edited\n")
    desk.apply()
    desk.around = dataclasses.replace(desk.around, plugins=plugins)
    done = desk.change({("units", "packaging", "plugins", "host_plain", "enabled"): True})
    assert done.switched == (("packaging", "host_plain", True),)
    assert desk.setting("packaging", "host_plain").enabled
