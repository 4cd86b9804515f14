"""What the plugin makes of each event, on both databases."""

from __future__ import annotations

import json

from core.testing import context, example_events, plugin_session
from plugins.case_capture import cases, plugin, rules
from plugins.case_capture.config import Config
from plugins.case_capture.models import Case, CaseHistory, CaseSearch
from plugins.case_capture.tests.bench import FOLDER, Bench, data, outcomes

COMPLAINT = rules.case_id("crm", "complaint", "C-1001", "complaint")


def case_of(bench: Bench, case_id: str = COMPLAINT) -> Case:
    with bench.desk.read() as session:
        return cases.read_case(session, case_id)


def publish(bench: Bench) -> None:
    cases.review(COMPLAINT, 1, actor="li")
    cases.publish(COMPLAINT, 2, actor="wang")


def test_hook_on_complaint_resolved_drafts_a_case(bench):
    (decision,) = bench.send("complaint.resolved", data("complaint.resolved"))
    case = case_of(bench)
    assert decision.outcome == "drafted"
    assert (case.status, case.version, case.language, case.unit) == ("draft", 1, "zh", "new_energy")
    assert case.title == "6063-T5 型材表面划痕"
    assert case.fields["cause"] == "出料台石墨垫片磨损。"
    assert case.fields["fix"] == "更换为毛毡辊，并对同批型材全检。"
    assert case.fields["prevention"] == "垫片列入每班点检。"
    assert (case.product, case.alloy, case.fields["batch"]) == ("幕墙型材", "6063-T5", "B20261101-05")
    assert case.missing == []


def test_no_contact_data_enters_a_case_its_index_or_the_decision(bench):
    decisions = bench.send("complaint.resolved", data("complaint.resolved"))
    decisions += bench.send("lead.lost", data("lead.lost"))
    stored = json.dumps([[dict(row._mapping) for row in bench.rows(table)] for table in
                         (Case, CaseHistory, CaseSearch)], default=str, ensure_ascii=False)  # fmt: skip
    for personal in ("13987654321", "li@example.com", "李女士", "Anna", "Berg", "123 45 67", "w13987654321"):
        assert personal not in stored + repr(decisions)
    assert "[person] asked for anodised" in stored


def test_what_the_crm_does_not_say_is_named_as_missing_and_never_made_up(bench):
    (decision,) = bench.send("complaint.resolved", {"id": "C-1001", "subject": "Scratches"})
    case = case_of(bench)
    assert case.missing == ["cause", "fix"]
    assert set(case.fields) == {"symptom"}
    assert [reason["field"] for reason in decision.reasons if reason.get("field")] == ["cause", "fix"]


def test_a_complaint_that_says_nothing_still_gets_a_draft_with_a_name(bench):
    bench.send("complaint.resolved", {"id": "C-1001"})
    assert case_of(bench).title == "Complaint: C-1001"


def test_the_same_record_resolved_again_updates_its_own_draft(bench):
    bench.send("complaint.resolved", data("complaint.resolved"))
    assert outcomes(bench.send("complaint.resolved", {"id": "C-1001", "cause": "辊道积铝。"})) == ["updated"]
    case = case_of(bench)
    assert (case.version, case.fields["cause"]) == (2, "辊道积铝。")
    assert len(bench.rows(Case)) == len(bench.rows(CaseSearch)) == 1


def test_the_same_event_again_changes_nothing(bench):
    bench.send("complaint.resolved", data("complaint.resolved"))
    assert outcomes(bench.send("complaint.resolved", data("complaint.resolved"))) == ["unchanged"]
    assert case_of(bench).version == 1


def test_an_older_event_that_comes_late_changes_nothing(bench):
    bench.send("complaint.resolved", data("complaint.resolved"))
    assert outcomes(bench.send("complaint.resolved", {"id": "C-1001", "cause": "旧"}, minutes=-60)) == ["unchanged"]
    assert case_of(bench).fields["cause"] == "出料台石墨垫片磨损。"


def test_hook_on_complaint_updated_adds_a_cause_that_was_written_later(bench):
    bench.send("complaint.resolved", {"id": "C-1001", "subject": "Scratches", "resolution": "Felt rollers"})
    assert case_of(bench).missing == ["cause"]
    bench.send("complaint.updated", data("complaint.updated"))
    assert case_of(bench).missing == []


def test_an_update_alone_begins_no_case(bench):
    assert bench.send("complaint.updated", data("complaint.updated")) == []
    assert bench.rows(Case) == []


def test_hook_on_complaint_closed_drafts_a_case_when_it_says_how_it_was_solved(bench):
    assert outcomes(bench.send("complaint.closed", data("complaint.closed"))) == ["drafted"]
    assert bench.send("complaint.closed", {"id": "C-9", "subject": "cancelled by customer"}) == []


def test_what_a_person_wrote_is_not_overwritten_by_the_crm(bench):
    bench.send("complaint.resolved", data("complaint.resolved"))
    cases.edit(COMPLAINT, 1, actor="li", fields={"cause": "垫片磨损 0.3 mm"})
    bench.send("complaint.resolved", {"id": "C-1001", "cause": "其他", "resolution": "更换整条辊道"})
    case = case_of(bench)
    assert case.fields["cause"] == "垫片磨损 0.3 mm"
    assert case.fields["fix"] == "更换整条辊道"


def test_news_of_a_reviewed_case_makes_it_a_draft_again(bench):
    bench.send("complaint.resolved", data("complaint.resolved"))
    cases.review(COMPLAINT, 1, actor="li")
    bench.send("complaint.resolved", {"id": "C-1001", "cause": "其他"})
    case = case_of(bench)
    assert (case.status, case.reviewed_by) == ("draft", None)


def test_news_of_a_published_case_is_shown_beside_it(bench):
    bench.send("complaint.resolved", data("complaint.resolved"))
    publish(bench)
    assert outcomes(bench.send("complaint.resolved", {"id": "C-1001", "cause": "其他"})) == ["doubtful"]
    case = case_of(bench)
    assert case.status == "published"
    assert case.fields["cause"] == "出料台石墨垫片磨损。"
    assert case.proposed["cause"] == "其他"
    assert outcomes(bench.send("complaint.updated", {"id": "C-1001", "cause": "其他"})) == ["unchanged"]


def test_hook_on_complaint_reopened_marks_the_case(bench):
    bench.send("complaint.resolved", data("complaint.resolved"))
    publish(bench)
    assert outcomes(bench.send("complaint.reopened", data("complaint.reopened"))) == ["doubtful"]
    assert case_of(bench).status == "published"
    assert case_of(bench).doubt == "The complaint was reopened: the fix did not hold."
    assert bench.send("complaint.reopened", data("complaint.reopened")) == []


def test_a_reopened_draft_is_clear_again_once_it_is_resolved(bench):
    bench.send("complaint.resolved", data("complaint.resolved"))
    bench.send("complaint.reopened", data("complaint.reopened"))
    assert case_of(bench).doubt
    bench.send("complaint.resolved", {"id": "C-1001"})
    assert case_of(bench).doubt is None


def test_a_withdrawn_case_stays_withdrawn(bench):
    bench.send("complaint.resolved", data("complaint.resolved"))
    cases.withdraw(COMPLAINT, 1, actor="li", reason="Confidential")
    assert outcomes(bench.send("complaint.resolved", {"id": "C-1001", "cause": "其他"})) == ["unchanged"]
    assert bench.send("complaint.reopened", data("complaint.reopened")) == []
    assert case_of(bench).status == "withdrawn"


def test_hook_on_quote_accepted_drafts_a_won_deal(bench):
    bench.send("quote.accepted", data("quote.accepted"))
    case = case_of(bench, rules.case_id("crm", "quote", "Q-2001", "won_deal"))
    assert case.title == "Won: Battery tray profile · Battery tray profiles with certified weldability."
    assert case.fields["strategy"].startswith("Early samples")
    assert (case.industry, case.missing) == ("ev", [])
    assert "860000" not in repr(case.fields)


def test_a_won_deal_takes_its_need_from_the_lead_when_the_quote_is_silent(bench):
    lead = {"id": "L-1", "requirement": "Ask Bo Li for the drawing", "contact": {"name": "Bo Li"}}
    bench.send("lead.created", lead)
    bench.send("quote.accepted", {"id": "Q-1", "lead_id": "L-1"})
    case = case_of(bench, rules.case_id("crm", "quote", "Q-1", "won_deal"))
    assert case.fields["need"] == "Ask [person] for the drawing"
    assert case.missing == ["solution"]


def test_hook_on_quote_rejected_drafts_a_lost_deal(bench):
    bench.send("quote.rejected", data("quote.rejected"))
    case = case_of(bench, rules.case_id("crm", "quote", "Q-2002", "lost_deal"))
    assert case.fields["why_lost"] == "交货周期太长，竞争对手 15 天交货。"
    assert case.missing == ["root_cause", "improvement"]


def test_a_rejected_quote_that_is_accepted_after_all_leaves_its_lost_case_in_doubt(bench):
    bench.send("quote.rejected", data("quote.rejected"))
    assert outcomes(bench.send("quote.accepted", {"id": "Q-2002"})) == ["drafted", "doubtful"]


def test_hook_on_lead_lost_drafts_a_lost_deal(bench):
    bench.send("lead.lost", data("lead.lost"))
    case = case_of(bench, rules.case_id("crm", "lead", "L-3002", "lost_deal"))
    assert case.fields["why_lost"] == "Too small for our minimum order quantity."


def test_hook_on_lead_converted_leaves_the_lost_case_in_doubt(bench):
    bench.send("lead.lost", data("lead.lost"))
    assert outcomes(bench.send("lead.converted", data("lead.converted"))) == ["doubtful"]


def test_hook_on_record_unit_changed_moves_the_case(bench):
    bench.send("complaint.resolved", data("complaint.resolved"))
    *_, moved = bench.send("complaint.updated", {"id": "C-1001"}, unit="construction")
    assert (moved.outcome, moved.unit) == ("moved", "construction")
    assert "record.unit_changed" in [event.type for event in bench.server.events("C-1001")]
    assert case_of(bench).unit == bench.rows(CaseSearch)[0].unit == "construction"


def test_the_example_events_give_equal_effects_when_handled_twice():
    for event in example_events(FOLDER):
        hook = getattr(plugin, "on_" + event.type.replace(".", "_"))
        answers = []
        for _ in range(2):
            with plugin_session(FOLDER) as session:
                answers.append(hook(event, context(Config(), session=session)))
        assert answers[0] == answers[1]


def test_a_kind_that_is_switched_off_is_not_captured(bench):
    assert bench.send("complaint.resolved", data("complaint.resolved"), capture=["won_deal"]) == []
    assert bench.rows(Case) == []


def test_a_near_duplicate_of_another_record_is_linked(bench):
    bench.send("complaint.resolved", data("complaint.resolved"))
    (decision,) = bench.send(
        "complaint.resolved", {**data("complaint.resolved"), "id": "C-1009", "batch": "B20261102-01"}
    )
    twin = case_of(bench, rules.case_id("crm", "complaint", "C-1009", "complaint"))
    assert twin.duplicate_of == COMPLAINT
    assert twin.duplicates[0]["similarity"] > 0.9
    assert any(COMPLAINT in reason["text"] for reason in decision.reasons)
    bench.send("complaint.resolved", {"id": "C-1010", "subject": "Wrong invoice", "resolution": "Corrected"})
    assert case_of(bench, rules.case_id("crm", "complaint", "C-1010", "complaint")).duplicates == []
