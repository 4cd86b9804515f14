"""The records the demo ships: valid, attributed, free of personal data, and truly marked where they are invented."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from core.model.inbound import inbound_event
from core.model.instants import parse_instant
from deploy.demo import approving, report_clocks, report_quotes, switching
from deploy.demo.facts import DATA, SOURCES, WRITTEN, read_facts, read_rows

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
ROWS = read_rows()
PERSONAL = {
    "an e-mail address at a real domain": re.compile(r"[\w.+-]+@(?![\w-]+\.example\b)[\w-]+\.\w+"),
    "a telephone number": re.compile(r"(?<![\d.])(\+\d[\d \-]{7,}|1[3-9]\d{9}|0\d{2,3}-\d{7,8})(?![\d.])"),
    "an identity number": re.compile(r"(?<!\d)\d{17}[\dXx](?!\d)"),
    "a form of address": re.compile(r"先生|女士|\b(Mr|Mrs|Ms)\b\.? [A-Z]"),
    "a street": re.compile(r"\d+ \w+ (Street|Road|Avenue)\b|\d+号"),
}


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_every_record_fits_its_schema_in_every_event(name):
    for row in (row for row in ROWS if row["set"] == name):
        for event in row["events"]:
            at = parse_instant(event["at"]) if "at" in event else NOW
            made = inbound_event(source="demo", type=event["type"], data=event["data"], dedupe_key="k", occurred_at=at)
            assert (made.kind, made.record_id) == (row["kind"], row["id"])


def test_a_record_tells_its_history_in_the_order_of_time():
    for row in ROWS:
        times = [event["at"] for event in row["events"] if "at" in event]
        assert times == sorted(times), row["id"]


def test_no_record_is_there_twice():
    names = [(row["set"], row["kind"], row["id"]) for row in ROWS]
    assert len(names) == len(set(names))


def test_the_sample_is_small():
    assert sum(path.stat().st_size for path in DATA.glob("*.jsonl")) < 400_000
    assert 300 <= len(ROWS) <= 500


def test_invented_records_and_only_those_say_that_they_are():
    for row in ROWS:
        marked = all(event["data"].get("extra", {}).get("written_for_demo") is True for event in row["events"])
        assert marked is (row["set"] == WRITTEN), row["id"]


def test_invented_companies_are_named_as_examples():
    for row in ROWS:
        company = row["events"][0]["data"].get("company") or row["events"][0]["data"].get("name")
        if row["set"] == WRITTEN and row["kind"] in ("lead", "customer"):
            assert company.endswith(("（示例）", "(example)")), company


def test_the_licences_name_every_file_and_every_set():
    text = (DATA / "LICENCES.md").read_text(encoding="utf-8")
    for path in DATA.glob("*.jsonl"):
        assert f"`{path.name}`" in text
    for doi in ("10.24432/C5K306", "10.24432/C57S4H", "10.24432/C5BW33", "PolyAI-LDN/task-specific-datasets"):
        assert doi in text
    assert "creativecommons.org/licenses/by/4.0" in text
    assert {row["set"] for row in ROWS} == set(SOURCES)


@pytest.mark.parametrize("what", PERSONAL)
def test_no_record_holds_personal_data(what):
    for row in ROWS:
        found = PERSONAL[what].search(json.dumps(row, ensure_ascii=False))
        assert found is None, f"{row['id']} holds {what}: {found and found[0]}"


def test_nothing_that_tells_the_end_stands_at_the_beginning():
    told_later = {"resolved_at", "resolution", "cause", "lost_reason", "rejected_reason", "satisfaction"}
    for row in ROWS:
        first = row["events"][0]["data"]
        assert not told_later & set(first), row["id"]
        assert "duration" not in json.dumps(row)


def test_times_are_moved_so_that_the_newest_event_of_every_set_is_now():
    facts = read_facts(NOW)
    assert max(fact.at for fact in facts) == NOW
    for name in {fact.set for fact in facts} - {"banking77"}:
        assert max(fact.at for fact in facts if fact.set == name) == NOW


def test_moving_times_keeps_the_spans_between_them():
    row = next(row for row in ROWS if row["set"] == "uci_incident")
    moved = [fact for fact in read_facts(NOW) if fact.record_id == row["id"]]
    moved.sort(key=lambda fact: fact.index)
    spans = [fact.at - moved[0].at for fact in moved]
    told = [parse_instant(event["at"]) for event in row["events"]]
    assert spans == [at - told[0] for at in told]
    assert parse_instant(moved[0].data["opened_at"]) == moved[0].at


def test_the_day_needs_no_weekday_and_every_expectation_has_its_fact():
    later = {row["id"] for row in ROWS if row.get("act", 1) > 2}
    expected = {*report_quotes.EXPECTED, *(record for record, _ in report_clocks.EXPECTED), report_clocks.EXPLAINED[0]}
    assert expected <= later
    assert {approving.BY_LINK, approving.AT_ONCE, approving.LEVELS, approving.LEFT_OPEN} <= later
    acts = {row["id"]: row["act"] for row in ROWS if row.get("act", 1) > 3}
    assert set(acts) == {switching.WHILE_OFF, switching.AFTERWARDS}


def test_quotes_that_should_be_routed_add_up():
    for row in (row for row in ROWS if row["kind"] == "quote" and row["set"] == WRITTEN):
        for data in (event["data"] for event in row["events"] if "lines" in event["data"]):
            total = sum(
                Decimal(line["quantity"]) * Decimal(line["unit_price"]) * (1 - Decimal(line["discount"]))
                for line in data["lines"]
            )
            assert abs(Decimal(data["amount"]) - total) < 1, row["id"]
