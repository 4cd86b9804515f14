"""`make replay` on a small set: what is printed and checked, and when it ends with exit code 1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.replay import report, run
from deploy.replay.play import Job, all_sets, names_of, play
from tests.replay.mapping_kit import write_set

NAME = "lead_olist_funnel"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Give a data directory with one small set: three leads, one of them won, and a deal of nobody."""
    lead = {"first_contact_date": "2018-02-01", "landing_page_id": "x", "origin": "social"}
    deal = {"won_date": "2018-03-01 10:00:00", "business_segment": "pet", "sr_id": "s", "seller_id": "z",
            "lead_type": "offline", "business_type": "reseller", "declared_monthly_revenue": "0"}  # fmt: skip
    leads = [{"mql_id": f"m-{number}", "closed": str(int(number == 1)), **lead} for number in range(3)]
    files = {
        "open/mql.csv.gz": leads,
        "open/closed_deals.csv.gz": [{"mql_id": "m-1", **deal}, {"mql_id": "m-9", **deal}],
    }
    write_set(tmp_path / "data" / NAME, files)
    return tmp_path / "data"


def in_process(jobs: Any, at_once: int) -> list[dict[str, Any]]:
    return [play(job) for job in jobs]


def test_a_set_is_mapped_imported_decided_and_compared(data):
    found = play(Job(NAME, data))
    assert (found["rows_read"], found["rows_accepted"], found["rows_refused"]) == (5, 4, 1)
    assert found["refused"] == {"the deal's lead is not in the set": 1}
    assert found["events"] == {"lead.converted": 1, "lead.created": 3}
    assert found["problems"] == {}
    grades = found["decisions"]["lead_scoring"]["lead_grade"]
    assert sum(grades.values()) >= 3
    compared = found["comparison"]["converted by lead_scoring lead_grade, first"]
    assert sum(group["records"] for group in compared.values()) == 3
    assert sum(group["records"] * group["share"] for group in compared.values()) == pytest.approx(1, abs=0.01)
    assert all("suppressed" not in kind for kind in found["messages"])
    printed = "\n".join(report.lines_of(found))
    assert "rows read 5 = accepted 4 + refused 1" in printed
    assert "problems: none" in printed


def test_two_runs_of_a_set_find_the_same(data):
    timing = ("mapping_s", "import_s", "events_per_s")
    one, two = ({key: value for key, value in play(Job(NAME, data)).items() if key not in timing} for _ in range(2))
    assert one == two


def test_counts_are_checked_against_what_is_committed(data, tmp_path, monkeypatch, capsys):
    expected = tmp_path / "expected.json"
    monkeypatch.setattr(run, "_play_all", in_process)
    monkeypatch.setattr(run, "read_expected", lambda: report.read_expected(expected))
    monkeypatch.setattr(run, "write_expected", lambda results: report.write_expected(results, expected))
    arguments = [str(data), "--sets", NAME]
    assert run.main(arguments) == 1  # nothing is expected of it yet
    assert run.main([*arguments, "--write-expected"]) == 0
    assert run.main([*arguments, "--json"]) == 0
    changed = json.loads(expected.read_text())
    changed[NAME]["events"]["lead.created"] = 4
    expected.write_text(json.dumps(changed))
    capsys.readouterr()
    assert run.main(arguments) == 1
    said = capsys.readouterr().out
    assert "DIFFERENCE lead_olist_funnel: events is" in said
    assert json.loads(said.splitlines()[-1])["differences"] == 1
    assert run.main([*arguments, "--rows", "1"]) == 0  # a part is not checked


def test_a_problem_ends_with_exit_code_1(data, monkeypatch, capsys):
    def broken(jobs: Any, at_once: int) -> list[dict[str, Any]]:
        return [play(job) | {"problems": {"lead_scoring discarded: boom": 2}} for job in jobs]

    monkeypatch.setattr(run, "_play_all", broken)
    assert run.main([str(data), "--sets", NAME, "--rows", "2"]) == 1
    assert "PROBLEM 2 × lead_scoring discarded: boom" in capsys.readouterr().out


def test_wrong_names_and_folders_are_said(data, capsys):
    assert run.main([str(data), "--sets", "lead_olist"]) == 2
    assert "There is no set lead_olist" in capsys.readouterr().err
    assert run.main([str(data), "--sets", "order_olist"]) == 2
    assert "has no folder order_olist" in capsys.readouterr().err
    assert names_of(None, ["a", "b"]) == ["a", "b"]


def test_every_set_has_its_expected_counts_and_they_add_up():
    expected = report.read_expected()
    assert expected.keys() == all_sets().keys()
    for counts in expected.values():
        assert counts["rows_read"] == counts["rows_accepted"] + counts["rows_refused"]
        assert counts["rows_refused"] == sum(counts["refused"].values())
