"""The commands, run against a database with real grades in it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from sqlalchemy.orm import Session

from core.api import InvalidRequest, NotFound
from plugins.lead_scoring import cli
from plugins.lead_scoring.models import Base, LeadScore

EVENTS = Path(__file__).parent / "events"


@pytest.fixture
def run(tmp_path, monkeypatch, office, hot, fair, cold):
    """Grade four leads, store their rows, and return a function that runs a command on them."""
    office.created(hot)
    office.created(fair)
    office.created(cold)
    office.unit = "packaging"
    office.created(dataclasses.replace(fair, id="L-1004", city="苏州"))
    office.closed("L-1003", "lost")
    office.closed("L-1005", "converted")
    engine = sa.create_engine(f"sqlite:///{tmp_path}/rows.sqlite3")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        for row in office.session.rows(sa.select(LeadScore.__table__)):
            session.add(LeadScore(**row._mapping))
        session.commit()

    @contextlib.contextmanager
    def read():
        with Session(engine) as session:
            yield session

    settings = {(unit, "lead_scoring"): SimpleNamespace(config=config) for unit, config in office.configs.items()}
    clock = SimpleNamespace(now=lambda: office.now)
    desk = SimpleNamespace(read=read, settings=settings, clock=clock)
    monkeypatch.setattr(cli, "current_desk", lambda: desk)
    runner = CliRunner()

    def command(*words: str) -> str:
        return runner.invoke(cli.register_commands(), list(words), catch_exceptions=False).output

    command.desk = desk  # type: ignore[attr-defined]
    yield command
    engine.dispose()


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
    assert (told["grade"], told["score"], told["owner"], told["source"]) == ("C", 56, "rep.huang", "erp")
    assert sum(reason["weight"] for reason in told["reasons"]) == 56
    assert json.loads(run("explain", "L-1002", "--json", "--source", "erp")) == told


def test_explain_refuses_a_lead_that_was_never_heard_of(run):
    with pytest.raises(NotFound, match='No lead "L-9" was graded'):
        run("explain", "L-9")
    with pytest.raises(NotFound, match="from hubspot"):
        run("explain", "L-1001", "--source", "hubspot")


def test_explain_asks_which_source_is_meant(run):
    with run.desk.read() as session:
        row = session.get(LeadScore, ("erp", "L-1001"))
        values = {column.name: getattr(row, column.name) for column in LeadScore.__table__.columns}
        session.add(LeadScore(**{**values, "source": "hubspot"}))
        session.commit()
    with pytest.raises(InvalidRequest, match="erp, hubspot"):
        run("explain", "L-1001")


def test_list_shows_open_leads_the_best_first(run):
    lines = run("list").splitlines()
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
    with pytest.raises(NotFound, match='Did you mean "packaging"'):
        run("try", "--file", str(EVENTS / "lead.created.new_energy.json"), "--unit", "packagin")


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
    with pytest.raises(InvalidRequest) as refused:
        run("try", "--file", str(path), "--unit", "packaging")
    assert message in refused.value.message
