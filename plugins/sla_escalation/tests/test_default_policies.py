"""Every built-in policy, exercised by the example events on a whole server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.testing import plugin_server
from plugins.sla_escalation.config import built_in
from plugins.sla_escalation.models import ClockRow
from plugins.sla_escalation.tests.conftest import FOLDER, PEOPLE, UNITS
from plugins.sla_escalation.tests.making import at

EVENTS = Path(__file__).parent / "events"

EXPECTED = {
    ("T-Q", "complaint_first_response", 1): ("complaint_first_response", "met", "2026-11-24T01:10"),
    ("T-Q", "complaint_first_response", 2): ("complaint_first_response", "running", "2026-11-24T06:00"),
    # It waited for the customer from 02:30 to 03:00; the CRM dates the solution ten minutes before it told us.
    ("T-Q", "complaint_resolution", 1): ("complaint_resolution", "met", "2026-11-24T02:00"),
    ("T-Q", "complaint_resolution", 2): ("complaint_resolution", "running", "2026-11-24T06:00"),
    ("T-Q", "quality_solution", 1): ("quality_solution", "met", None),
    ("T-Q", "quality_solution", 2): ("quality_solution", "running", "2026-11-24T06:00"),
    ("T-C", "complaint_first_response", 1): ("complaint_first_response", "running", "2026-11-24T01:30"),
    ("T-C", "complaint_resolution", 1): ("complaint_complex", "running", "2026-11-25T01:30"),
    ("T-F", "complaint_first_response", 1): ("complaint_first_response", "running", "2026-11-24T01:30"),
    ("T-F", "complaint_resolution", 1): ("complaint_complex_by_field", "running", "2026-11-25T01:30"),
    ("T-N", "complaint_first_response", 1): ("complaint_first_response", "running", "2026-11-24T01:30"),
    ("T-N", "internal_request", 1): ("internal_request", "running", "2026-11-24T02:00"),
    ("T-N", "cross_department", 1): ("cross_department", "running", "2026-11-28T02:00"),
    ("L-1", "lead_first_contact", 1): ("lead_first_contact", "met", None),
    ("L-1", "technical_requirement", 1): ("technical_requirement", "met", None),
    ("L-A", "lead_first_contact", 1): ("lead_grade_a", "breached", "2026-11-23T06:30"),
    ("L-T", "lead_first_contact", 1): ("lead_tier_a", "cancelled", None),
    ("Q-B", "quote_decision", 1): ("quote_decision", "met", None),
    ("Q-A", "quote_decision", 1): ("quote_decision_tier_a", "met", None),
    ("O-1", "order_delay_notice", 1): ("order_delay_notice", "met", "2026-11-29T00:00"),
    ("O-2", "order_delay_notice", 1): ("order_delay_notice", "missed", "2026-11-22T00:00"),
}
NOTHING_PROMISED = {"lead_nurture", "technical_requirement_nurture"}


@pytest.fixture(scope="module")
def clocks():
    with plugin_server(FOLDER, PEOPLE + UNITS) as server:
        bodies = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(EVENTS.glob("*.json"))]
        for body in sorted(bodies, key=lambda body: body["timestamp"]):
            server.move_to(max(server.clock.now(), at(body["timestamp"])))
            data, envelope = dict(body["data"]), {}
            if "completeness" in data:
                envelope["completeness"] = data.pop("completeness")
            server.send(body["type"], data, at=body["timestamp"], **envelope)
        assert server.problems() == []
        yield {(row.record_id, row.clock, row.round): row for row in server.rows(ClockRow)}


@pytest.mark.parametrize("key", EXPECTED, ids=lambda key: f"{key[0]}-{key[1]}-{key[2]}")
def test_the_examples_start_and_stop_the_clock_of_every_policy(clocks, key):
    policy, state, due = EXPECTED[key]
    row = clocks[key]
    assert (row.policy, row.state) == (policy, state)
    if due is not None:
        assert row.due_at == at(due)


def test_nothing_else_runs_and_no_policy_is_left_without_an_example(clocks):
    assert set(clocks) == set(EXPECTED)
    used = {policy for policy, _, _ in EXPECTED.values()}
    assert used | NOTHING_PROMISED == set(built_in()["policies"])


def test_the_crm_told_when_it_was_answered_and_solved(clocks):
    assert clocks["T-Q", "complaint_first_response", 1].ended_at == at("2026-11-23T02:20")
    assert clocks["T-Q", "complaint_first_response", 1].learned_at == at("2026-11-23T02:30")
    assert clocks["T-Q", "complaint_resolution", 1].ended_at == at("2026-11-23T03:50")
    pauses = [item for item in clocks["T-Q", "complaint_resolution", 1].segments if not item["counts"]]
    assert [(item["start"][11:16], item["end"][11:16]) for item in pauses] == [("02:30", "03:00")]
