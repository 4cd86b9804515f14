"""Changing the configuration at a terminal and over the API: the same answers, the same letters, one history."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
from flask.testing import FlaskClient

from core.cli.place import Place
from core.cli.web_process import _WebParts
from core.host.environment import read_environment
from core.host.scaffold import write_plugin
from core.store.database import Database
from core.store.tables import quarantines
from core.time.clock import SystemClock
from core.web.keys import ApiKeys

from .conftest import BOTH, Terminal

UNIT = "/api/v1/units/new_energy/plugins/cli-sizer"
ALL = "/api/v1/plugins/cli_sizer"


@dataclass
class Desk:
    """A person with a terminal and somebody else with an API client."""

    terminal: Terminal
    client: FlaskClient
    database: Database
    key: dict[str, str]
    ended: threading.Event

    def patch(self, path: str, headers: dict[str, str] | None = None, **body: Any) -> Any:
        given = {"reason": "pilot", **body}
        return self.client.patch(path, headers={**self.key, **(headers or {})}, json=given)

    def set(self, *arguments: str, code: int = 0) -> Any:
        return self.terminal.json("config", "set", *arguments, "--reason", "pilot", code=code)

    def shown(self) -> Any:
        return self.client.get(UNIT, headers=self.key)

    def number(self) -> int:
        return int(self.terminal.json("config", "show")["number"])


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Log nothing: what a web process logs must not stand between what a command prints."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield
    structlog.reset_defaults()


def stop(parts: _WebParts, ended: threading.Event) -> None:
    """End what a web process runs beside its requests."""
    ended.set()
    for thread in threading.enumerate():
        if thread.name == "watch":
            thread.join(timeout=10)
    parts.writer.close()
    parts.watch._database.close()


@pytest.fixture
def desk(terminal: Terminal) -> Iterator[Desk]:
    """Give a terminal and a web process that really changes the configuration."""
    ended = threading.Event()
    environment = read_environment(terminal.environ)
    parts = _WebParts(Place(terminal.assembly(), environment), lambda: None, ended.is_set)
    database = Database(environment.database_url)
    token, _ = ApiKeys(database, SystemClock()).create("office", role="admin", created_by="tests")
    client = parts.app(parts.writer.accept).test_client()
    yield Desk(terminal, client, database, {"Authorization": f"Bearer {token}"}, ended)
    stop(parts, ended)
    database.close()


@BOTH
def test_a_setting_is_changed_at_the_terminal_and_seen_by_the_api(desk: Desk) -> None:
    told = desk.terminal.ok("config", "set", "large_from", "800", "--plugin", "cli-sizer", "--unit", "new_energy",
                            "--reason", "pilot", "--by", "IT")  # fmt: skip
    assert "`units.new_energy.plugins.cli_sizer.config.large_from` is 800 (version 2)." in told
    desk.patch(ALL, enabled=True)  # this process looks again when it changes something itself
    answer = desk.client.get(UNIT, headers=desk.key).get_json()
    assert answer["config"]["large_from"] == 800
    assert answer["origins"]["large_from"].startswith("set by IT, ")
    assert "large_from = 800" in (desk.terminal.folder / "plugins.toml").read_text()
    told = desk.terminal.ok("config", "unset", "large_from", "--plugin", "cli-sizer", "--unit", "new_energy",
                            "--reason", "back")  # fmt: skip
    assert "is removed (version 3)" in told


@BOTH
def test_the_api_sets_and_removes_settings_of_a_unit_and_of_all(desk: Desk) -> None:
    answer = desk.patch(UNIT, config={"large_from": 800}).get_json()
    assert (answer["config"]["large_from"], answer["config_version"]) == (800, 2)
    assert answer["origins"]["large_from"].startswith("set by office (key_")
    everywhere = desk.patch(ALL, config={"large_from": 700}).get_json()["items"]
    assert {item["unit"]: item["config"]["large_from"] for item in everywhere} == {"default": 700, "new_energy": 800}
    answer = desk.patch(UNIT, config={"large_from": None}).get_json()
    assert (answer["config"]["large_from"], answer["config_version"]) == (700, 4)
    assert desk.terminal.json("config", "history")["items"][0]["applied_by"].startswith("office (key_")


def test_a_switch_and_a_setting_in_one_request_are_one_version(desk: Desk) -> None:
    answer = desk.patch(UNIT, enabled=False, config={"large_from": 800}).get_json()
    assert (answer["enabled"], answer["config"]["large_from"], answer["config_version"]) == (False, 800, 2)
    assert {item["unit"] for item in desk.patch(ALL, enabled=False).get_json()["items"] if item["enabled"]} == set()
    assert desk.terminal.json("plugins", "enable", "cli-sizer", "--reason", "x")["units"] == ["new_energy", "default"]


def test_who_looked_at_an_older_version_is_told_and_changes_nothing(desk: Desk) -> None:
    seen = desk.shown()
    assert seen.headers["ETag"].startswith('"1-')
    match = {"If-Match": seen.headers["ETag"]}
    assert desk.patch(UNIT, match, config={"large_from": 800}).status_code == 200
    late = desk.patch(UNIT, match, config={"large_from": 900})
    assert (late.status_code, late.get_json()["code"]) == (409, "config.conflict")
    assert "version 2 is in force, not 1" in late.get_json()["detail"]
    assert desk.patch(UNIT, {"If-Match": '"nonsense"'}, enabled=False).status_code == 409
    assert desk.patch(UNIT, {"If-Match": "*"}, config={"large_from": 900}).status_code == 200
    assert desk.patch(UNIT, {"If-Match": '"3"'}, config={"large_from": 950}).status_code == 200
    assert desk.number() == 4


@pytest.mark.parametrize(
    ("arguments", "path", "body", "status", "said"),
    [
        (("large_from", "[1]", "--plugin", "cli-sizer"), ALL, {"config": {"large_from": [1]}}, 422, "large_from: must"),
        (("large_form", "5", "--plugin", "cli-sizer"), ALL, {"config": {"large_form": 5}}, 422, "mean `large_from`"),
        (("x", "5", "--plugin", "cli-sizr"), "/api/v1/plugins/cli_sizr", {"config": {"x": 5}}, 404,
         'Did you mean "cli_sizer"'),
        (("x", "5", "--plugin", "cli-sizer", "--unit", "new_enrgy"), "/api/v1/units/new_enrgy/plugins/cli_sizer",
         {"config": {"x": 5}}, 404, 'Did you mean "new_energy"'),
        (("large_from.x", "5", "--plugin", "cli-sizer"), ALL, {"config": {"large_from": {"x": 5}}}, 422, "large_from"),
    ],
)  # fmt: skip
def test_what_does_not_fit_gets_the_same_letter_both_ways_and_changes_nothing(
    desk: Desk, arguments: tuple[str, ...], path: str, body: dict[str, Any], status: int, said: str
) -> None:
    refused = desk.set(*arguments, code=1)
    assert said in refused["detail"]
    answer = desk.patch(path, **body)
    assert answer.status_code == status
    assert said in answer.get_json()["detail"]
    assert desk.number() == 1


def test_a_path_into_what_is_no_table_and_an_unknown_section_are_told(desk: Desk) -> None:
    assert "`title` is no table" in desk.set("title.x", "5", "--unit", "new_energy", code=1)["detail"]
    assert "Did you mean `dispatch`" in desk.set("dispach.max_attempts", "5", code=1)["detail"]
    assert "is no path of keys" in desk.set("a..b", "5", code=1)["detail"]
    gone = desk.terminal.json("config", "unset", "units.new_energy.titel", "--reason", "x", code=1)
    assert 'Did you mean "title"' in gone["detail"]
    assert desk.number() == 1


def test_a_reason_is_needed_and_may_not_be_too_long(desk: Desk) -> None:
    many = "x" * 501
    told = desk.terminal.json("config", "set", "dispatch.max_attempts", "5", "--reason", many, code=1)
    assert "at most 500" in told["detail"]
    assert "at most 500" in desk.terminal.json("plugins", "disable", "cli-sizer", "--reason", many, code=1)["detail"]
    assert desk.patch(UNIT, enabled=False, reason=many).status_code == 422
    assert desk.patch(UNIT, enabled=False, reason="").status_code == 422
    assert desk.patch(UNIT).status_code == 422
    assert desk.patch(UNIT, config={}).status_code == 422
    assert desk.terminal.run("config", "set", "dispatch.max_attempts", "5").exit_code == 2
    assert desk.number() == 1


def test_a_value_is_toml_where_it_reads_as_that_and_else_text(desk: Desk) -> None:
    desk.set("title", "新能源 & more", "--unit", "new_energy")
    desk.set('match."extra.channel"', '["fair"]', "--unit", "new_energy")
    desk.set("dispatch.hook_time_limit_s", "2.5")
    text = (desk.terminal.folder / "plugins.toml").read_text()
    assert 'title = "新能源 & more"' in text
    assert '"extra.channel" = ["fair"]' in text
    assert "hook_time_limit_s = 2.5" in text


def test_a_file_edited_while_a_change_is_made_stays_and_is_told_to_both(desk: Desk) -> None:
    path = desk.terminal.folder / "plugins.toml"
    path.write_text(path.read_text().replace("enabled = true", "enabled = true # edited"))
    told = desk.terminal.ok("config", "set", "large_from", "800", "--plugin", "cli-sizer", "--reason", "x")
    assert "was edited since it was last applied" in told
    assert desk.patch(UNIT, enabled=False).status_code == 200
    assert "# edited" in path.read_text()
    refused = desk.terminal.json("config", "apply", code=1)
    assert refused["code"] == "config.conflict"
    assert {error["path"].rpartition(".")[2] for error in refused["errors"]} == {"large_from", "enabled"}
    desk.terminal.ok("config", "apply", "--wins", "server")
    assert "large_from = 800" in path.read_text()
    assert "# edited" in path.read_text()


def test_a_terminal_and_the_api_at_the_same_time_both_count(desk: Desk) -> None:
    answers: list[int] = []
    body = {"config": {"large_from": 900}}
    thread = threading.Thread(target=lambda: answers.append(desk.patch(UNIT, **body).status_code))
    thread.start()
    desk.set("large_from", "800", "--plugin", "cli-sizer")
    thread.join()
    assert answers == [200]
    text = (desk.terminal.folder / "plugins.toml").read_text()
    assert "large_from = 800" in text
    assert "large_from = 900" in text
    assert desk.number() == 3


@BOTH
def test_the_history_is_compared_and_gone_back_to_over_the_api(desk: Desk) -> None:
    desk.patch(UNIT, config={"large_from": 800})
    difference = desk.client.get("/api/v1/config/versions/1/diff?to=2", headers=desk.key).get_json()
    assert "+large_from = 800" in difference["diff"]
    assert not desk.client.get("/api/v1/config/versions/2/diff", headers=desk.key).get_json()["differs"]
    late = {**desk.key, "If-Match": '"1"'}
    back = "/api/v1/config/versions/1/rollback"
    assert desk.client.post(back, headers=late, json={"reason": "x"}).status_code == 409
    answer = desk.client.post(back, headers=desk.key, json={"reason": "too strict"})
    assert (answer.status_code, answer.get_json()["number"], answer.get_json()["origin"]) == (200, 3, "rollback")
    assert "large_from" not in (desk.terminal.folder / "plugins.toml").read_text()
    assert desk.shown().get_json()["origins"]["large_from"] == "default"
    for number in ("9", "x", "-1"):
        path = f"/api/v1/config/versions/{number}/rollback"
        assert desk.client.post(path, headers=desk.key, json={"reason": "x"}).status_code == 404
    assert desk.client.get("/api/v1/config/versions/1/diff?to=99", headers=desk.key).status_code == 404


@BOTH
def test_a_quarantine_is_shown_and_lifted_by_the_api_too(desk: Desk) -> None:
    with desk.database.write() as connection:
        for unit in ("new_energy", "default"):
            connection.execute(
                sa.insert(quarantines).values(
                    unit=unit, plugin="cli_sizer", crashes=3, active=True, reason="hung", event_id="evt_1",
                    changed_at=SystemClock().now(), changed_by="supervisor",
                )
            )  # fmt: skip
    rows = {row["unit"]: row["state"] for row in desk.terminal.json("plugins", "list")["items"]}
    assert rows == {"new_energy": "quarantined", "default": "quarantined"}
    assert desk.shown().get_json()["quarantine"]["reason"] == "hung"
    answer = desk.patch(UNIT, enabled=True).get_json()
    assert (answer["enabled"], answer["quarantine"], answer["config_version"]) == (True, None, 1)
    rows = {row["unit"]: row["state"] for row in desk.terminal.json("plugins", "list")["items"]}
    assert rows == {"new_energy": "on", "default": "quarantined"}
    desk.patch(ALL, enabled=True)
    assert {row["state"] for row in desk.terminal.json("plugins", "list")["items"]} == {"on"}


def test_a_plugin_installed_since_is_switched_on_without_applying(terminal: Terminal) -> None:
    write_plugin(terminal.roots[0], "cli_other", owner="tests")
    rows = [row for row in terminal.json("plugins", "list")["items"] if row["plugin"] == "cli_other"]
    assert rows[0]["state"] == "not applied"
    told = terminal.ok("plugins", "enable", "cli-other", "--unit", "new_energy", "--reason", "pilot")
    assert "cli_other is on in new_energy (version 2)." in told
    assert "restart the server" in told
    assert "[units.new_energy.plugins.cli_other]\nenabled = true" in (terminal.folder / "plugins.toml").read_text()


def test_a_missing_plugin_is_listed_with_its_reason_and_nothing_else_is_held_up(desk: Desk) -> None:
    write_plugin(desk.terminal.roots[0], "cli_other", owner="tests")
    shutil.rmtree(desk.terminal.roots[0] / "cli_sizer")
    told = desk.terminal.ok("plugins", "enable", "cli-other", "--reason", "pilot")
    assert "cli_other is on" in told
    assert "not installed here" in desk.set("large_from", "5", "--plugin", "cli-sizer", code=1)["detail"]
    ended = desk.ended
    parts = _WebParts(
        Place(desk.terminal.assembly(), read_environment(desk.terminal.environ)), lambda: None, ended.is_set
    )
    items = parts.app(parts.writer.accept).test_client().get("/api/v1/plugins", headers=desk.key).get_json()["items"]
    stop(parts, ended)
    found = {item["name"]: item for item in items}
    assert (found["cli_sizer"]["installed"], found["cli_other"]["installed"]) == (False, True)
    assert "not installed here" in found["cli_sizer"]["error"]


def test_changes_that_win_are_written_into_a_file_that_said_otherwise(terminal: Terminal) -> None:
    path = terminal.folder / "plugins.toml"
    path.write_text(path.read_text() + "\n[dispatch]\nmax_attempts = 9\n")
    terminal.ok("config", "apply")
    path.write_text(path.read_text().replace("max_attempts = 9", "max_attempts = 5"))
    terminal.ok("config", "set", "dispatch.max_attempts", "8", "--reason", "patience")
    assert "config.conflict" in terminal.run("config", "apply").stderr
    assert "written into the file" in terminal.ok("config", "apply", "--wins", "server")
    assert "max_attempts = 8" in path.read_text()
    assert "max_attempts = 5" not in terminal.ok("config", "diff")
