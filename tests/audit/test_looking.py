"""The trail is looked at, checked and exported by the command line and the API, each within its caller's units."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from core.cli.audit import audit as commands
from core.store.audit import append, head
from core.store.database import Database
from tests.audit.trails import LENGTH, START, check_by_hand, write_trail
from tests.web.world import World


@pytest.fixture
def world(database: Database) -> World:
    write_trail(database)
    return World(database)


def run(world: World, *arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(commands, list(arguments), obj=SimpleNamespace(database=world.database))
    assert result.exit_code == code, result.output
    return result


def run_json(world: World, *arguments: str, code: int = 0) -> Any:
    return json.loads(run(world, *arguments, "--json", code=code).stdout)


def harm(world: World) -> None:
    """Change row 5 for good."""
    with world.database.write() as connection:
        trigger = (
            "DROP TRIGGER audit_no_update" if world.database.is_sqlite else "ALTER TABLE audit DISABLE TRIGGER USER"
        )
        connection.exec_driver_sql(trigger)
        connection.exec_driver_sql("UPDATE audit SET details = 'no JSON' WHERE seq = 5")


# -- the command line


def test_the_list_is_newest_first_filtered_and_paged(world: World) -> None:
    found = run_json(world, "list", "--action", "plugin.disabled", "--unit", "new_energy", "--actor", "李工 1")
    assert [item["seq"] for item in found["items"]] == [7, 1]
    since = "2026-03-02T08:00:03.333330Z"
    assert [item["seq"] for item in run_json(world, "list", "--since", since)["items"]] == [12, 11, 10]
    page = run_json(world, "list", "--limit", "5")
    following = run_json(world, "list", "--limit", "5", "--cursor", page["next"])
    assert [item["seq"] for item in page["items"] + following["items"]] == list(range(12, 2, -1))
    assert found["items"][0]["details"]["version"] == 7
    assert "\u202e" not in run(world, "list").output
    assert "Nothing" in run(world, "list", "--actor", "nobody").output


def test_one_row_is_shown_whole_and_one_that_is_not_there_is_said_so(world: World) -> None:
    shown = run_json(world, "show", "3")
    assert (shown["seq"], shown["subject"]) == (3, "new_energy/plugin_3")
    assert shown["previous"] == run_json(world, "show", "2")["hash"]
    assert run_json(world, "show", "99", code=1)["code"] == "not_found"


def test_a_trail_that_holds_is_told_with_its_head(world: World) -> None:
    anchor = run(world, "head").stdout.strip()
    assert run_json(world, "head")["anchor"] == anchor and anchor.startswith(f"{LENGTH}:")
    assert "12 rows" in run(world, "verify", "--anchor", anchor).output
    assert "head" in run(world, "verify").output
    assert run_json(world, "verify") == {"ok": True, "rows": LENGTH, "head": anchor, "broken": None}


def test_a_broken_trail_ends_with_exit_code_1_and_names_the_row(world: World) -> None:
    harm(world)
    told = run(world, "verify", code=1)
    assert "broken at row 5" in told.output
    verdict = run_json(world, "verify", code=1)
    assert verdict["broken"]["seq"] == 5 and verdict["rows"] == 4 and not verdict["ok"]
    assert run_json(world, "show", "5")["details"] == "no JSON"  # still shown, as it stands


def test_a_trail_that_was_cut_is_found_with_the_anchor(world: World) -> None:
    anchor = run(world, "head").stdout.strip()
    later = f"14:{'a' * 64}"
    verdict = run_json(world, "verify", "--anchor", later, code=1)
    assert verdict["broken"] == {
        "seq": 13, "kind": "cut",
        "text": "Rows 13 to 14 are cut off: the anchor names row 14, the trail ends with 12.",
    }  # fmt: skip
    other = run_json(world, "verify", "--anchor", anchor[:-1] + ("0" if anchor[-1] != "0" else "1"), code=1)
    assert (other["broken"]["seq"], other["broken"]["kind"]) == (12, "anchor")
    assert run_json(world, "verify", "--anchor", "yesterday", code=1)["code"] == "invalid_request"


def test_an_export_can_be_checked_without_a_database_by_us_and_by_hand(world: World, tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    assert run_json(world, "export", str(file))["rows"] == LENGTH
    text = file.read_text(encoding="utf-8")
    assert run(world, "export").stdout == text == run(world, "export", "-").stdout
    assert "\u202e" not in text and "\u2028" not in text and "李工" in text
    assert check_by_hand(text.splitlines()) == LENGTH
    offline = CliRunner().invoke(commands, ["verify", "--file", str(file)])  # no session at all
    assert offline.exit_code == 0 and "12 rows" in offline.output
    lines = text.splitlines(keepends=True)
    file.write_text("".join([*lines[:3], *lines[4:]]), encoding="utf-8")
    broken = CliRunner().invoke(commands, ["verify", "--file", str(file)])
    assert broken.exit_code == 1 and "row 4" in broken.output.lower()


def test_an_export_that_cannot_be_written_says_so(world: World, tmp_path: Path) -> None:
    result = run(world, "export", str(tmp_path / "nowhere" / "audit.jsonl"), code=1)
    assert "nowhere" in result.output


# -- the API


def get(world: World, path: str, header: dict[str, str], status: int = 200) -> Any:
    answer = world.app().test_client().get(f"/api/v1/audit{path}", headers=header)
    assert answer.status_code == status, answer.get_data(as_text=True)
    return answer.get_json()


def test_a_key_of_all_units_sees_every_row_and_pages_through_them(world: World) -> None:
    header = world.key("reader")
    page = get(world, "?limit=8", header)
    following = get(world, f"?limit=8&cursor={page['next']}", header)
    assert [row["seq"] for row in page["items"] + following["items"]] == list(range(LENGTH + 1, 0, -1))  # and the key
    assert following["next"] is None
    late = get(world, "?action=plugin.disabled&since=2026-03-02T08:00:02.9Z", header)
    assert [row["seq"] for row in late["items"]] == [11, 9]
    row = get(world, "/3", header)
    assert row["previous"] == get(world, "/2", header)["hash"] and row["details"]["version"] == 3


def test_a_key_of_some_units_sees_what_was_done_in_those_alone(world: World) -> None:
    with world.database.write() as connection:
        append(connection, actor="li", action="plugin.enabled", subject="building/x", unit="building", now=START)
    header = world.key("reader", "building")
    assert [row["seq"] for row in get(world, "", header)["items"]] == [13]
    assert get(world, "?unit=new_energy", header)["items"] == []
    get(world, "/13", header)
    for hidden in ("/1", "/4"):  # of another unit, and of none
        assert get(world, hidden, header, 404)["code"] == "not_found"
    assert get(world, "/head", header, 403)["code"] == "auth.forbidden"


def test_the_head_is_the_anchor_that_the_command_line_takes(world: World) -> None:
    found = get(world, "/head", world.key("reader"))
    with world.database.read() as connection:
        assert found["anchor"] == str(head(connection)) == f"{found['seq']}:{found['hash']}"
    run(world, "verify", "--anchor", found["anchor"])


@pytest.mark.parametrize("path", ["/999", "/x", "/-1", "/1.5", "/" + "9" * 40, "/٣"])
def test_a_row_that_is_not_there_is_not_found(world: World, path: str) -> None:
    assert get(world, path, world.key("reader"), 404)["code"] == "not_found"


@pytest.mark.parametrize("query", ["?cursor=x", "?limit=0", "?since=yesterday", "?colour=red", "?unit="])
def test_a_query_that_does_not_fit_is_refused(world: World, query: str) -> None:
    assert get(world, query, world.key("reader"), 422)["code"] == "invalid_request"


def test_without_a_key_nothing_is_shown(world: World) -> None:
    for path in ("", "/1", "/head"):
        get(world, path, {}, 401)
