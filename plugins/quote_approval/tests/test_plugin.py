"""What each event does: a whole server, the quote's events, and what people and the CRM are told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.testing import context, plugin_event, plugin_session, timer_event, unit_changed_event
from plugins.quote_approval import changes
from plugins.quote_approval.models import Asked
from plugins.quote_approval.plugin import on_own_event, on_record_unit_changed, on_timer_due
from plugins.quote_approval.tests.scene import FOLDER, LINE, RISKY, SAFE, SETTINGS, config, scene

MOVED = {"industry": "packaging"}


# ----------------------------------------------------------------------------------------------------------- handed in


def test_a_low_risk_quote_is_approved_by_rule_with_its_reason(both):
    request = both.hand_in(SAFE)
    assert (request.status, request.rule, request.decided_by, request.level) == ("approved", "low_risk", "rule", 0)
    assert both.written()["status"] == "approved"
    assert both.written()["extra"]["approval_by"] == "rule"
    (made,) = both.decisions()
    assert (made.outcome, made.rule, made.config_version) == ("approved_by_rule", "low_risk", 1)
    assert made.inputs["facts"]["tier_from"] == "customer field tier"
    assert made.inputs["content_hash"] == request.content_hash
    assert both.notices() == []
    assert both.timers() == []
    assert both.server.problems() == []


@pytest.mark.parametrize(("tier", "person"), [("A", "wang"), ("B", "chen"), ("C", "chen"), (None, "wang")])
def test_the_reviewer_follows_the_customers_tier(stage, tier, person):
    stage.know_customer(tier=tier)
    request = stage.submit()
    assert (request.status, stage.asked()) == ("pending", [person])
    assert stage.notices() == [(person, "报价 Q 待您审批")]
    assert stage.written()["status"] == "in_approval"
    (made,) = stage.decisions()
    assert made.inputs["resolutions"][0]["person"] == person
    assert made.near_misses


def test_an_incomplete_quote_is_returned_naming_what_is_missing(stage):
    request = stage.hand_in(lines=[{**LINE, "unit_price": None}], payment_terms=None)
    assert (request.status, stage.asked(), stage.timers()) == ("returned", [], [])
    assert stage.written()["status"] == "returned"
    assert stage.written()["extra"]["approval_missing"] == ["lines.1.unit_price", "payment_terms"]
    (message,) = stage.messages("notify")
    assert "li_na" in message.channel_data
    assert "第 1 行缺少单价" in message.body
    assert "缺少付款条件" in message.body
    assert stage.outcomes() == ["returned"]


def test_a_returned_quote_that_was_completed_is_routed(stage):
    stage.hand_in(payment_terms=None)
    request = stage.tell("quote.updated", payment_terms="月结30天")
    assert (request.status, len(stage.statuses())) == ("pending", 2)
    assert stage.statuses()[0] == "returned"


@pytest.mark.parametrize("owner", [None, "somebody.unknown"])
def test_a_quote_without_a_known_owner_is_returned_to_whoever_stands_behind_everything(stage, owner):
    stage.hand_in(owner=owner, payment_terms=None)
    assert stage.notices()[0][0] == "zhao"


def test_the_same_content_handed_in_again_keeps_its_request(stage):
    first = stage.hand_in()
    again = stage.submit(amount="194000.00")
    assert (first.id, again.version, stage.asked()) == (again.id, 1, ["chen"])
    assert stage.outcomes() == ["requested", "kept"]
    assert len(stage.notices()) == 1


def test_the_same_content_after_a_rejection_stays_rejected(stage):
    stage.hand_in()
    stage.decide("chen", "reject", "太低")
    assert stage.submit().status == "rejected"
    assert stage.written()["status"] == "not_approved"


def test_a_returned_quote_is_looked_at_again_once_less_is_required():
    with scene() as stage:
        stage.hand_in(payment_terms=None)
        assert stage.submit(payment_terms=None).status == "returned"
        assert stage.statuses() == ["returned"]
        stage.server.configure(SETTINGS + 'config.required = ["specification"]\n')
        assert stage.submit(payment_terms=None).status == "pending"
        assert stage.statuses() == ["returned", "pending"]


# ------------------------------------------------------------------------------------------------------------ changed


@pytest.mark.parametrize("change", [{"amount": "195000"}, {"discount": "0.04"}, {"payment_terms": "月结20天"}])
def test_a_changed_quote_voids_what_was_asked_and_asks_anew(stage, change):
    first = stage.hand_in()
    second = stage.tell("quote.updated", **change)
    assert first.id != second.id
    assert stage.statuses() == ["void", "pending"]
    assert stage.outcomes() == ["requested", "voided", "requested"]
    (name,) = change
    assert name in stage.decisions()[1].reasons[0]["text"]
    assert ("chen", "报价 Q 的审批已作废") in stage.notices()


def test_a_changed_quote_voids_its_approval(stage):
    stage.hand_in(SAFE)
    second = stage.tell("quote.updated", margin="0.07")
    assert (second.status, stage.statuses()) == ("pending", ["void", "pending"])
    assert stage.written()["status"] == "in_approval"


def test_an_update_that_leaves_the_offer_as_it_is_changes_nothing(stage):
    first = stage.hand_in()
    assert stage.tell("quote.updated", need="x", extra={"note": "y"}) == first
    assert stage.outcomes() == ["requested"]


def test_a_draft_that_was_never_handed_in_is_left_alone(stage):
    assert stage.tell("quote.updated", **RISKY) is None
    assert stage.outcomes() == []


def test_a_new_owner_voids_what_is_asked_so_that_nobody_approves_their_own(stage):
    stage.hand_in()
    stage.tell("quote.updated", owner="chen")
    assert stage.statuses() == ["void", "pending"]
    assert stage.asked() == ["wang"]


def test_a_new_owner_leaves_an_approval_as_it_is(stage):
    stage.hand_in(SAFE)
    assert stage.tell("quote.updated", owner="chen").status == "approved"


def test_a_changed_tier_keeps_what_is_asked_and_counts_for_the_next_content(stage):
    stage.hand_in()
    stage.know_customer(tier="A")
    assert stage.asked() == ["chen"]
    stage.tell("quote.updated", discount="0.04")
    assert stage.asked() == ["wang"]


# -------------------------------------------------------------------------------------------------------------- ended


@pytest.mark.parametrize("how", ["rejected", "expired"])
def test_an_open_request_is_closed_when_the_quote_ends(stage, how):
    stage.hand_in()
    request = stage.tell(f"quote.{how}", status=how)
    assert (request.status, request.comment) == ("closed", how)
    assert stage.outcomes()[-1] == "closed"
    assert stage.timers() == []


def test_a_quote_accepted_before_it_was_approved_is_told_aloud(stage):
    stage.hand_in()
    assert stage.tell("quote.accepted", status="accepted").status == "closed"
    assert stage.outcomes()[-2:] == ["accepted_unapproved", "closed"]
    assert ("zhao", "客户已接受报价 Q，但审批尚未完成") in stage.notices()


def test_a_quote_accepted_although_it_was_not_approved_is_told_aloud(stage):
    stage.hand_in()
    stage.decide("chen", "reject", "No")
    assert stage.tell("quote.accepted", status="accepted").status == "rejected"
    assert stage.outcomes()[-1] == "accepted_unapproved"


def test_an_approved_quote_that_is_accepted_stays_approved(stage):
    stage.hand_in(SAFE)
    assert stage.tell("quote.accepted", status="accepted").status == "approved"
    assert stage.outcomes() == ["approved_by_rule"]
    assert stage.tell("quote.updated", status="ordered").status == "approved"
    assert stage.outcomes() == ["approved_by_rule"]


def test_an_offer_that_is_changed_after_it_was_accepted_is_not_approved_any_more_and_told_aloud(stage):
    stage.hand_in(SAFE)
    stage.tell("quote.accepted", status="accepted")
    assert stage.tell("quote.updated", margin="0.01").status == "void"
    assert stage.outcomes() == ["approved_by_rule", "voided"]
    assert stage.notices()[-1] == ("zhao", "报价 Q 在客户接受之后被更改")
    assert stage.written() == {"extra": {"approval_status": "void", "approval_request": stage.request().id}}
    assert stage.tell("quote.updated", margin="0.02").status == "void"
    assert len(stage.notices()) == 1
    assert stage.submit(SAFE, margin="0.07").status == "pending"


def test_an_end_that_is_heard_of_first_keeps_a_late_submission_out(stage):
    stage.tell("quote.rejected", status="rejected")
    late = stage.server.clock.now() - timedelta(hours=1)
    stage.server.send("quote.submitted", {**RISKY, "id": stage.quote}, at=late, version="0")
    assert stage.request() is None


def test_an_end_that_is_heard_of_after_the_quote_was_handed_in_again_leaves_it_open(stage):
    stage.hand_in()
    stage.server.later(hours=1)
    declined = stage.server.clock.now()
    stage.server.later(hours=1)
    stage.submit(discount="0.04")
    stage.server.send("quote.rejected", {"id": stage.quote, "status": "rejected"}, at=declined)
    assert stage.statuses() == ["void", "pending"]


@pytest.mark.parametrize("outward", [False, True])
def test_replays_of_what_came_before_leave_what_was_decided_since(both, outward):
    both.know_customer()
    quote = {**RISKY, "id": both.quote, "customer_id": both.customer}
    first = both.server.send("quote.submitted", quote)
    second = both.server.send("quote.updated", {"id": both.quote, "margin": "0.02"})
    both.decide("chen")
    both.decide("zhao")
    decided = [event.id for event in both.server.events(both.quote) if event.type == "quote_approval.decided"]
    written = both.messages("update_record")
    for identity in (first, second, *decided):
        both.server.replay(identity, outward=outward)
    assert both.statuses() == ["void", "pending"]
    rows = both.server.rows(Asked, Asked.request_id == both.request().id)
    assert {row.person: row.state for row in rows} == {"chen": "approved", "zhao": "approved", "sun": "open"}
    assert {row.status for row in both.messages("update_record")[len(written) :]} <= {
        "available" if outward else "suppressed"
    }
    assert both.decide("sun").status == "approved"
    assert both.server.problems() == []


def test_an_event_that_failed_is_taken_in_by_its_replay(stage, monkeypatch):
    stage.hand_in()
    stage.server.later(hours=1)
    with monkeypatch.context() as broken:
        broken.setattr(changes, "updated", lambda event, ctx: [])
        event = stage.server.send("quote.updated", {"id": stage.quote, "margin": "0.02"})
    stage.server.replay(event)
    assert stage.statuses() == ["void", "pending"]


def test_a_quote_revised_after_the_customer_declined_is_routed_anew(stage):
    stage.hand_in()
    stage.tell("quote.rejected", status="rejected")
    stage.server.later(hours=1)
    assert stage.submit(discount="0.04").status == "pending"
    assert len(stage.statuses()) == 2


# -------------------------------------------------------------------------------------------------------------- moved


def test_a_quote_that_moves_is_routed_by_its_new_unit(both):
    both.hand_in()
    request = both.tell("quote.updated", **MOVED)
    assert (request.unit, request.status, both.asked()) == ("packaging", "pending", ["gao"])
    assert both.statuses() == ["void", "pending"]
    assert {row.unit for row in both.timers()} == {"packaging"}
    assert both.server.problems() == []


def test_an_approval_moves_with_its_quote(stage):
    stage.hand_in(SAFE)
    assert stage.tell("quote.updated", **MOVED).status == "approved"
    assert len(stage.statuses()) == 1


def test_a_request_whose_quote_leaves_for_a_unit_without_the_plugin_is_void():
    with scene(SETTINGS + "[units.packaging.plugins.quote_approval]\nenabled = false\n") as stage:
        stage.hand_in()
        assert stage.tell("quote.updated", **MOVED).status == "void"
        assert stage.timers() == []


def test_moves_of_other_records_other_events_and_timers_of_no_request_are_nothing_here():
    moved = unit_changed_event(from_unit="default", to_unit="packaging", kind="lead")
    assert on_record_unit_changed(event=moved, ctx=context(config())) == []
    own = plugin_event("quote_approval.requested", {"request": "apr_x"}, kind="quote")
    assert on_own_event(event=own, ctx=context(config())) == []
    with plugin_session(FOLDER) as session:
        gone = timer_event("cycle", plugin="quote_approval", kind="quote", data={"request": "apr_x"})
        assert on_timer_due(event=gone, ctx=context(config(), session=session)) == []
