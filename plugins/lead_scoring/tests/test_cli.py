"""The commands, run in a server with real grades in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.testing import plugin_server
from plugins.lead_scoring.models import LeadScore

EVENTS = Path(__file__).parent / "events"
NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
SETTINGS = """
[units.new_energy]
title = "新能源事业部"
[units.packaging]
title = "包装事业部"
[plugins.lead_scoring]
enabled = true
[plugins.lead_scoring.config.assignment]
fallback_owner = "manager.wu"
[plugins.lead_scoring.config.assignment.grids.east]
senior = ["senior.chen", "senior.xu"]
reps = ["rep.li", "rep.wang", "rep.zhao"]
[plugins.lead_scoring.config.assignment.grids.south]
reps = ["rep.huang"]
[plugins.lead_scoring.config.assignment.grids.north]
senior = ["senior.ma"]
[units.packaging.plugins.lead_scoring]
config.grades = { A = 90 }
"""


def data(name):
    return json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))["data"]


@pytest.fixture
def server():
    """Four graded leads, the third of them lost, and one that was converted before anybody graded it."""
    with plugin_server(EVENTS.parents[1], SETTINGS, now=NOW) as made:
        for name in ("new_energy", "packaging", "student"):
            made.send("lead.created", data(f"lead.created.{name}"), unit="new_energy")
        fair = {**data("lead.created.packaging"), "id": "L-1004", "city": "苏州"}
        made.send("lead.created", fair, unit="packaging")
        made.send("lead.lost", {"id": "L-1003"}, unit="new_energy")
        made.send("lead.converted", {"id": "L-1005"}, unit="packaging")
        assert made.problems() == []
        yield made


@pytest.fixture
def run(server):
    def command(*words, code=0):
        result = server.run(*words)
        assert result.exit_code == code, result.output
        return result.output

    return command


def test_explain_shows_the_grade_its_reasons_and_the_owner(run):
    told = run("explain", "L-1001")
    assert "grade A, 100 分 points" in told
    assert "+20  新能源行业" in told
    assert "senior.chen (east.senior)" in told
    assert "turn 1 of 2" in told


def test_explain_shows_near_misses_and_how_a_lead_was_closed(run):
    assert "~  未知 not known: budget (+5)" in run("explain", "L-1002")
    assert "closed as lost" in run("explain", "L-1003")
    assert "never graded, converted at" in run("explain", "L-1005")


def test_explain_speaks_json(run):
    told = json.loads(run("explain", "L-1002", "--json"))
    assert (told["grade"], told["score"], told["owner"], told["source"]) == ("C", 56, "rep.huang", "crm")
    assert sum(reason["weight"] for reason in told["reasons"]) == 56
    assert json.loads(run("explain", "L-1002", "--json", "--source", "crm")) == told


def test_explain_refuses_a_lead_that_was_never_heard_of(run):
    told = run("explain", "L-9", code=1)
    assert 'No lead "L-9" was graded' in told and "(not_found)" in told
    assert "from hubspot" in run("explain", "L-1001", "--source", "hubspot", code=1)


def test_explain_asks_which_source_is_meant(run, server):
    with server.desk.command(plugin="lead_scoring", unit="new_energy", actor="test") as command:
        row = command.session.get(LeadScore, ("crm", "L-1001"))
        values = {column.name: getattr(row, column.name) for column in LeadScore.__table__.columns}
        command.session.add(LeadScore(**{**values, "source": "hubspot"}))
    assert "crm, hubspot" in run("explain", "L-1001", code=1)


def test_list_shows_open_leads_the_best_first(run):
    head, *lines = run("list").splitlines()
    assert head.split() == ["grade", "score", "record", "id", "owner", "pool", "unit", "source"]
    assert [line.split()[2] for line in lines] == ["L-1001", "L-1002", "L-1004"]


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (["--grade", "c"], ["L-1002", "L-1004"]),
        (["--unit", "packaging"], ["L-1004"]),
        (["--grade", "A", "--unit", "packaging"], []),
        (["--limit", "1"], ["L-1001"]),
    ],
)
def test_list_can_be_narrowed(run, words, ids):
    assert [item["record_id"] for item in json.loads(run("list", "--json", *words))] == ids


def test_list_says_when_there_is_nothing(run):
    assert run("list", "--unit", "nowhere") == "No graded lead fits.\n"


def test_try_scores_a_lead_from_an_event_file_and_names_the_pool(run):
    path = str(EVENTS / "lead.created.new_energy.json")
    told = run("try", "--file", path, "--unit", "new_energy")
    assert told.startswith("A 级 grade A, 100 分 points")
    assert "senior.chen, senior.xu (east.senior)" in told
    found = json.loads(run("try", "--file", path, "--unit", "new_energy", "--json"))
    assert (found["grade"], found["candidates"]) == ("A", ["senior.chen", "senior.xu"])


def test_try_takes_a_bare_lead_and_keeps_unknown_fields_as_extra(run, tmp_path):
    path = tmp_path / "lead.json"
    path.write_text('{"industry": "光伏", "annual_volume": 200.0, "budget": null, "x_field": 1}', encoding="utf-8")
    found = json.loads(run("try", "--file", str(path), "--unit", "packaging", "--json"))
    assert found["groups"]["fit"] == 31
    assert found["pool"] == "fallback"


def test_try_refuses_a_unit_without_settings(run):
    told = run("try", "--file", str(EVENTS / "lead.created.new_energy.json"), "--unit", "packagin", code=1)
    assert 'Did you mean "packaging"' in told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read as JSON"),
        ("{", "cannot be read as JSON"),
        ("[]", "holds no lead"),
        ('{"annual_volume": "much"}', "lead.annual_volume: Not a valid number."),
        ('{"activities": [{"type": "call"}]}', "lead.activities.0.at: Missing"),
        ('{"contact": {"mail": "x"}}', "lead.contact.mail: Unknown field."),
    ],
)
def test_try_tells_what_is_wrong_with_a_file(run, tmp_path, text, message):
    path = tmp_path / "lead.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    assert message in run("try", "--file", str(path), "--unit", "packaging", code=1)
