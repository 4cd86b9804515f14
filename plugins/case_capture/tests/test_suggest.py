"""What is suggested when a complaint opens, on both databases."""

from __future__ import annotations

import json

import pytest

from plugins.case_capture import cases, rules
from plugins.case_capture.tests.bench import Bench, data

COMPLAINT = rules.case_id("crm", "complaint", "C-1001", "complaint")


def publish() -> None:
    cases.review(COMPLAINT, 1, actor="li")
    cases.publish(COMPLAINT, 2, actor="wang")


def published(bench: Bench, unit: str = "new_energy") -> None:
    bench.send("complaint.resolved", data("complaint.resolved"), unit=unit)
    publish()


def test_hook_on_complaint_opened_suggests_published_cases_and_says_why(bench):
    bench.send("complaint.resolved", data("complaint.resolved"))
    (before,) = bench.send("complaint.opened", data("complaint.opened"))
    assert (before.decision, before.outcome) == ("similar_cases", "none")  # a draft is not suggested
    publish()
    (found,) = bench.send("complaint.opened", data("complaint.opened"))
    (match,) = found.inputs["cases"]
    assert (found.outcome, match["case_id"]) == ("found", COMPLAINT)
    assert {"6063-t5", "型材表面"} <= set(match["matched"])
    assert 0 < match["similarity"] <= 1
    assert "13812345678" not in repr(found)
    assert COMPLAINT in found.reasons[0]["text"]


def test_a_complaint_does_not_suggest_its_own_case(bench):
    published(bench)
    (decision,) = bench.send("complaint.opened", data("complaint.resolved"))
    assert decision.outcome == "none"


def test_a_case_below_the_threshold_is_a_near_miss(bench):
    published(bench)
    (decision,) = bench.send("complaint.opened", data("complaint.opened"), suggestion_similarity=1.0)
    assert decision.outcome == "none"
    assert COMPLAINT in decision.near_misses[0]


@pytest.mark.parametrize(("suggest_from", "outcome"), [("own", "none"), ("all", "found")])
def test_other_units_cases_are_suggested_only_when_that_is_set(bench, suggest_from, outcome):
    published(bench, unit="packaging")
    (decision,) = bench.send("complaint.opened", data("complaint.opened"), suggest_from=suggest_from)
    assert decision.outcome == outcome


def test_people_are_told_only_when_a_role_is_configured_and_something_was_found(bench):
    told = {"notify_role": "service", "notify_channel": "desk"}
    bench.send("complaint.opened", data("complaint.opened"), **told)
    assert bench.server.messages("notify") == []
    published(bench)
    bench.send("complaint.opened", data("complaint.opened"))
    (message,) = bench.server.messages("notify")
    said = json.loads(message.body)["data"]
    assert (message.target, said["to"], said["values"]["cases"][0]["case_id"]) == ("desk", "service", COMPLAINT)
    assert said["subject"].endswith("1 个相似案例") or COMPLAINT in said["text"]


def test_suggesting_can_be_switched_off(bench):
    assert bench.send("complaint.opened", data("complaint.opened"), suggest=False) == []


def test_a_doubtful_case_is_suggested_with_a_caution(bench):
    published(bench)
    bench.send("complaint.reopened", data("complaint.reopened"))
    (decision,) = bench.send("complaint.opened", data("complaint.opened"))
    assert "Caution" in decision.reasons[0]["text"]
