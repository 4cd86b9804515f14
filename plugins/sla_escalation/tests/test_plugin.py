"""What the hooks do on a whole server: late news, moves between units, people told, clocks set back and forth."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from core.api import Decide
from core.testing import NOW, context, lead_event, plugin_event, plugin_session
from plugins.sla_escalation.commands import recompute
from plugins.sla_escalation.models import ClockRow, Watch
from plugins.sla_escalation.plugin import on_event
from plugins.sla_escalation.tests.bench import Bench
from plugins.sla_escalation.tests.conftest import FOLDER, PEOPLE, UNITS
from plugins.sla_escalation.tests.making import at, config

HOUR = timedelta(hours=1)
OPENED = {"id": "T-1", "industry": "ev", "category": "delivery"}


def clock(server, name="complaint_first_response", *, unit="new_energy", number=1, record="T-1"):
    found = [
        row for row in server.rows(ClockRow)
        if (row.record_id, row.clock, row.unit, row.round) == (record, name, unit, number)
    ]  # fmt: skip
    assert len(found) == 1
    return found[0]


def outcomes(server, name="complaint_first_response"):
    return [row.outcome for row in server.decisions() if row.inputs.get("clock") == name]


def told(server, kind=None):
    return [(row.type, row.target) for row in server.messages("notify") if kind is None or row.type == f"notify.{kind}"]


def people_told(row, kind="level"):
    return [item["to"] for item in row.told if item["kind"] == kind]


# ------------------------------------------------------------------------------------------- The course of a clock


def test_hook_on_event_starts_a_clock_and_on_timer_due_warns_breaks_and_escalates_it(each):
    each.send("complaint.opened", {**OPENED, "owner": "service.east"})
    each.later(hours=49)
    assert outcomes(each) == ["started", "warned", "warned", "breached", "escalated", "escalated"]
    row = clock(each)
    assert (row.state, row.due_at, row.timer_at) == ("breached", NOW + 24 * HOUR, None)
    assert people_told(row, "breach") == [["li_na", "sun_li"]]
    assert people_told(row) == [["wang_fang"], ["zhao_lei"]]
    assert each.problems() == []


def test_every_moment_is_told_at_its_time_to_the_second(bench):
    bench.send("complaint.opened", OPENED)
    bench.later(hours=49)
    row = clock(bench)
    assert [at(item["at"]) for item in row.told] == [at(item["due"]) for item in row.told]
    assert [at(item["due"]) - NOW for item in row.told] == [12 * HOUR, 19.2 * HOUR, 24 * HOUR, 28 * HOUR, 48 * HOUR]


def test_a_complaint_without_an_owner_goes_to_whom_settings_name(bench):
    bench.send("complaint.opened", OPENED)
    bench.later(hours=25)
    assert people_told(clock(bench), "breach") == [["wang_fang"]]


def test_answered_in_time_nobody_hears_of_it_again(bench):
    bench.send("complaint.opened", OPENED)
    bench.later(hours=2)
    bench.send("complaint.replied", {"id": "T-1", "waiting_for": "customer"})
    bench.later(hours=100)
    row = clock(bench)
    assert (row.state, row.ended_at, row.due_at) == ("met", NOW + 2 * HOUR, NOW + 24 * HOUR)
    assert outcomes(bench) == ["started", "met"]
    assert [timer for timer in bench.timers() if timer.timer == "complaint_first_response"] == []


def test_answered_too_late_is_missed(bench):
    bench.send("complaint.opened", OPENED)
    bench.later(hours=25)
    bench.send("complaint.replied", {"id": "T-1", "waiting_for": "customer"})
    assert clock(bench).state == "missed"
    assert outcomes(bench)[-1] == "missed"


def test_a_reply_that_was_in_time_but_is_heard_of_late_takes_the_breach_back(bench):
    bench.send("complaint.opened", OPENED)
    bench.later(hours=25)
    assert clock(bench).state == "breached"
    bench.send("complaint.replied", {"id": "T-1", "waiting_for": "customer"}, at=NOW + 23 * HOUR)
    row = clock(bench)
    assert (row.state, row.ended_at, row.learned_at) == ("met", NOW + 23 * HOUR, NOW + 25 * HOUR)
    assert len(told(bench, "withdrawn")) == 1
    met = [item for item in bench.decisions() if item.outcome == "met"]
    assert "the breach was announced before this was known" in met[0].reasons[-1]["text"]


def test_waiting_for_the_customer_stops_the_resolution_and_going_on_moves_its_due_moment(bench):
    bench.send("complaint.opened", {**OPENED, "owner": "service.east"})
    bench.later(hours=4)
    bench.send("complaint.updated", {"id": "T-1", "waiting_for": "customer"})
    row = clock(bench, "complaint_resolution")
    assert (row.state, row.due_at, row.timer_at) == ("paused", None, None)
    bench.later(hours=70)
    bench.send("complaint.updated", {"id": "T-1", "waiting_for": "service"})
    row = clock(bench, "complaint_resolution")
    assert (row.state, row.due_at) == ("running", NOW + 94 * HOUR)
    assert outcomes(bench, "complaint_resolution") == ["started", "paused", "resumed"]


def test_a_pause_learned_late_takes_a_breach_back_and_the_real_one_is_told(bench):
    bench.send("complaint.opened", {**OPENED, "owner": "service.east"})
    bench.later(hours=25)
    assert clock(bench, "complaint_resolution").state == "breached"
    replied = {"id": "T-1", "waiting_for": "customer"}
    bench.send("complaint.replied", replied, at=NOW + 10 * HOUR)
    assert clock(bench, "complaint_resolution").state == "paused"
    bench.send("complaint.updated", {"id": "T-1", "waiting_for": "service"})
    bench.later(hours=15)
    row = clock(bench, "complaint_resolution")
    assert (row.state, row.due_at) == ("breached", NOW + 39 * HOUR)
    breaches = [item for item in row.told if item["kind"] == "breach"]
    assert [bool(item["withdrawn"]) for item in breaches] == [True, False]


def test_what_was_resolved_while_the_plugin_was_off_breaks_no_promise_once_it_is_on_again(bench):
    bench.send("complaint.opened", {**OPENED, "owner": "service.east"})
    bench.later(hours=13)
    bench.send("complaint.resolved", {"id": "T-1", "status": "resolved"}, heard=False)
    bench.later(hours=100)
    for name in ("complaint_first_response", "complaint_resolution"):
        row = clock(bench, name)
        assert (row.state, row.ended_at) == ("met", NOW + 19.2 * HOUR)  # when the next timer looked at the record
        assert people_told(row, "breach") == []


def test_the_time_of_a_resolution_that_was_not_heard_is_the_records_own(bench):
    bench.send("complaint.opened", {**OPENED, "owner": "service.east"})
    resolved_at = (NOW + 20 * HOUR).isoformat()
    bench.jump(hours=30)
    bench.send("complaint.resolved", {"id": "T-1", "status": "已解决", "resolved_at": resolved_at}, heard=False)
    bench.send("complaint.updated", {"id": "T-1", "severity": "high"})
    assert clock(bench, "complaint_resolution").ended_at in (None, NOW + 20 * HOUR)
    bench.later(hours=100)
    row = clock(bench, "complaint_resolution")
    assert (row.state, row.ended_at) == ("met", NOW + 20 * HOUR)


def test_a_complaint_that_turns_out_complex_gets_another_policy_from_the_same_start(bench):
    bench.send("complaint.opened", {**OPENED, "owner": "service.east"})
    bench.later(hours=20)
    bench.send("complaint.updated", {"id": "T-1", "severity": "complex"})
    row = clock(bench, "complaint_resolution")
    assert (row.policy, row.started_at, row.due_at) == ("complaint_complex", NOW, NOW + 48 * HOUR)
    assert outcomes(bench, "complaint_resolution")[-1] == "retargeted"


def test_a_clock_whose_policy_no_longer_fits_is_cancelled(bench):
    bench.send("complaint.opened", {**OPENED, "category": "quality"})
    bench.send("complaint.updated", {"id": "T-1", "category": "delivery"})
    row = clock(bench, "quality_solution")
    assert (row.state, "no policy applies" in row.reason) == ("cancelled", True)
    bench.send("complaint.updated", {"id": "T-1", "category": "quality"})
    assert clock(bench, "quality_solution").state == "running"


def test_a_delay_known_too_late_is_told_at_once_and_as_such(bench):
    promised, estimated = NOW + 24 * HOUR, NOW + 72 * HOUR
    order = {"id": "O-1", "industry": "ev", "promised_at": promised.isoformat(), "estimated_at": estimated.isoformat()}
    bench.send("order.delayed", order)
    row = clock(bench, "order_delay_notice", record="O-1")
    assert (row.state, row.due_at) == ("breached", NOW - 24 * HOUR)
    started = bench.decisions("O-1")[0]
    assert started.outcome == "started"
    assert "it was overdue when it became known" in started.reasons[0]["text"]


def test_an_order_that_is_promised_for_later_has_more_time_for_its_announcement(bench):
    order = {"id": "O-1", "industry": "ev", "promised_at": (NOW + 96 * HOUR).isoformat()}
    bench.send("order.placed", order)
    bench.send("order.delayed", {"id": "O-1", "estimated_at": (NOW + 196 * HOUR).isoformat()})
    assert clock(bench, "order_delay_notice", record="O-1").due_at == NOW + 48 * HOUR
    bench.send("order.updated", {"id": "O-1", "promised_at": (NOW + 120 * HOUR).isoformat()})
    assert clock(bench, "order_delay_notice", record="O-1").due_at == NOW + 72 * HOUR


def test_an_order_whose_promise_is_moved_to_its_estimate_is_late_no_more_until_the_promise_is_moved_back(bench):
    dates = {"promised_at": (NOW + 96 * HOUR).isoformat(), "estimated_at": (NOW + 196 * HOUR).isoformat()}
    bench.send("order.delayed", {"id": "O-1", "industry": "ev", **dates})
    bench.later(hours=1)
    bench.send("order.updated", {"id": "O-1", "promised_at": dates["estimated_at"]})
    first = clock(bench, "order_delay_notice", record="O-1")
    assert (first.state, first.timer_at, bench.timers()) == ("cancelled", None, [])
    bench.later(hours=1)
    bench.send("order.updated", {"id": "O-1", "promised_at": (NOW + 120 * HOUR).isoformat()})
    second = clock(bench, "order_delay_notice", number=2, record="O-1")
    assert (second.state, second.started_at, second.due_at) == ("running", bench.now, NOW + 72 * HOUR)


def test_breaches_are_flagged_on_the_record_when_it_wants_that():
    server = Bench(config({"flag_breaches": True}), PEOPLE)
    server.send("complaint.opened", OPENED)
    server.later(hours=25)
    server.send("complaint.replied", {"id": "T-1", "waiting_for": "customer"})
    written = [row.body for row in server.messages("update_record")]
    assert ['"sla_breached":"complaint_first_response"' in body for body in written] == [True, False]
    assert '"sla_breached":null' in written[1]


# ------------------------------------------------------------------------------------------- Order, stops, clocks


HISTORY = [
    ("complaint.opened", {**OPENED, "category": "quality", "owner": "service.east"}, 0),
    ("complaint.replied", {"id": "T-1", "waiting_for": "customer"}, 3),
    ("complaint.replied", {"id": "T-1", "waiting_for": "service"}, 5),
    ("complaint.resolved", {"id": "T-1"}, 30),
]


def facts_of(server):
    names = ("clock", "policy", "round", "state", "started_at", "due_at", "ended_at", "ended_by", "segments")
    return sorted([tuple(str(getattr(row, name)) for name in names) for row in server.rows(ClockRow)])


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_events_that_arrive_in_another_order_give_the_same_clocks(order):
    found = []
    for arrival in (tuple(range(4)), order):
        server = Bench(config(), PEOPLE)
        server.jump(hours=40)
        for number in arrival:
            name, data, hour = HISTORY[number]
            server.send(name, data, at=NOW + hour * HOUR)
        found.append(facts_of(server))
    assert found[0] == found[1]


def test_after_a_stop_of_the_server_all_levels_are_told_once_and_in_one_message_each(server):
    server.send("complaint.opened", {**OPENED, "owner": "service.east"})
    server.jump(hours=60)
    row = clock(server)
    assert outcomes(server) == ["started", "escalated"]
    last = row.told[-1]
    assert (last["late"], last["to"]) == (True, ["zhao_lei", "wang_fang", "li_na", "sun_li"])
    assert len(server.messages("notify")) == 4 + 4  # four people for each of two clocks
    server.later(hours=100)
    assert outcomes(server) == ["started", "escalated"]


@pytest.mark.parametrize(("days", "told"), [(3, 8), (10, 0)])
def test_history_that_is_sent_in_late_is_told_once_or_when_it_is_too_old_only_recorded(server, days, told):
    server.send("complaint.opened", {**OPENED, "owner": "service.east"}, at=NOW - timedelta(days=days))
    assert outcomes(server) == ["started", "escalated"]
    assert len(server.messages("notify")) == told
    assert clock(server).state == "breached"
    why = [item["text"] for item in server.decisions("T-1")[1].reasons]
    assert any("too long ago" in text for text in why) is (told == 0)
    server.send("complaint.resolved", {"id": "T-1"})
    assert len(server.messages("notify")) == told
    assert server.problems() == []


def test_a_clock_of_the_machine_that_is_set_back_neither_breaks_early_nor_tells_twice(bench):
    bench.send("complaint.opened", OPENED)
    bench.jump(hours=23, minutes=59)
    bench.jump(hours=-1)
    assert clock(bench).state == "running"
    bench.later(hours=1)
    assert clock(bench).state == "running"
    bench.later(minutes=1)
    assert clock(bench).state == "breached"
    bench.jump(hours=-1)
    bench.send("complaint.updated", {"id": "T-1", "severity": "high"})
    bench.later(hours=1)
    bench.send("complaint.updated", {"id": "T-1", "severity": "low"})
    row = clock(bench)
    assert row.state == "breached"
    assert [item["withdrawn"] for item in row.told if item["kind"] == "breach"] == [None]
    assert outcomes(bench).count("breached") == 1


def test_a_clock_of_the_machine_that_jumps_a_day_and_back_tells_each_moment_once(bench):
    bench.send("complaint.opened", OPENED)
    bench.jump(days=1)
    bench.jump(days=-1)
    bench.later(days=3)
    names = [(item["kind"], item["name"]) for item in clock(bench).told]
    assert len(names) == len(set(names)) == 5
    assert bench.problems() == []


def test_a_timer_that_comes_for_a_moment_that_moved_only_sets_itself_anew(bench):
    bench.send("complaint.opened", {**OPENED, "owner": "service.east"})
    bench.later(hours=11)
    bench.send("complaint.updated", {"id": "T-1", "waiting_for": "customer"})
    bench.later(hours=10)
    bench.send("complaint.updated", {"id": "T-1", "waiting_for": "service"})
    row = clock(bench, "complaint_resolution")
    assert (row.told, row.timer_at) == ([], NOW + 22 * HOUR)
    bench.later(hours=1)
    assert [item["due"] for item in clock(bench, "complaint_resolution").told] == [(NOW + 22 * HOUR).isoformat()]


# ------------------------------------------------------------------------------------------- Units and plugins


def test_hook_on_record_unit_changed_hands_open_clocks_over_from_the_same_start(each):
    each.send("complaint.opened", {**OPENED, "owner": "service.east"})
    each.later(hours=13)
    each.send("complaint.updated", {"id": "T-1", "industry": "packaging"})
    old, new = clock(each), clock(each, unit="packaging")
    assert (old.state, "packaging" in old.reason, old.timer_at) == ("handed_over", True, None)
    assert (new.state, new.started_at, new.due_at) == ("running", NOW, NOW + 24 * HOUR)
    assert [item["name"] for item in new.told] == ["50%"]  # told already, so not again
    assert {timer.unit for timer in each.timers()} == {"packaging"}
    assert outcomes(each).count("handed_over") == outcomes(each).count("taken_over") == 1
    each.later(hours=12)
    assert clock(each, unit="packaging").state == "breached"
    assert outcomes(each).count("breached") == 1
    assert each.problems() == []


def test_a_record_that_moves_back_goes_on_where_it_was(bench):
    bench.send("complaint.opened", OPENED)
    bench.send("complaint.updated", {"id": "T-1", "industry": "packaging"})
    bench.send("complaint.updated", {"id": "T-1", "industry": "ev"})
    assert (clock(bench).state, clock(bench).started_at) == ("running", NOW)
    assert clock(bench, unit="packaging").state == "handed_over"
    bench.send("complaint.resolved", {"id": "T-1"})
    assert clock(bench).state == "met"
    assert clock(bench, unit="packaging").state == "handed_over"


def test_what_was_fulfilled_in_one_unit_is_not_counted_again_in_another(bench):
    bench.send("complaint.opened", OPENED)
    bench.send("complaint.resolved", {"id": "T-1"})
    bench.send("complaint.updated", {"id": "T-1", "industry": "packaging"})
    assert {row.unit for row in bench.rows(ClockRow)} == {"new_energy"}


def test_another_plugins_decision_counts_as_soon_as_it_is_made():
    graded: dict[str, Any] = {"id": "L-1", "industry": "ev"}
    with plugin_session(FOLDER) as session:
        ctx = context(config(), unit="new_energy", session=session, calendar="cn", people=PEOPLE)
        on_event(lead_event("lead.created", event={"unit": "new_energy"}, **graded), ctx)
        session.apply()
        record = lead_event("lead.created", grade="A", **graded).record
        effects = on_event(plugin_event("lead_scoring.graded", {"grade": "A"}, record=record), ctx)
        session.apply()
        (row,) = session.scalars(sa.select(ClockRow))
    assert [effect.outcome for effect in effects if isinstance(effect, Decide)] == ["retargeted"]
    assert (row.policy, row.due_at) == ("lead_grade_a", NOW + 5 * HOUR)


def test_hook_on_own_event_recomputes_running_clocks_by_todays_policies(server):
    server.send("complaint.opened", OPENED)
    server.configure(
        PEOPLE + UNITS + '[plugins.sla_escalation.config.policies.complaint_first_response]\ntarget = "30h"\n'
    )
    server.send("complaint.updated", {"id": "T-1", "owner": "service.east"})
    assert clock(server).due_at == NOW + 24 * HOUR  # a running clock keeps its policy
    server.send("complaint.opened", {**OPENED, "id": "T-2"})
    assert clock(server, record="T-2").due_at == NOW + 30 * HOUR  # a new one has today's
    assert recompute(server.desk, "new_energy", actor="li", reason="the promise is 30 h now") == 2
    server.work()
    assert clock(server).due_at == NOW + 30 * HOUR
    (decision,) = [row for row in server.decisions() if row.outcome == "recomputed"]
    assert at(decision.inputs["before"]["due_at"]) == NOW + 24 * HOUR
    assert "the promise is 30 h now" in decision.reasons[-1]["text"]
    server.later(hours=25)
    assert clock(server).state == "running"


def test_most_events_of_most_records_leave_nothing_behind(server):
    server.send("lead.updated", {"id": "L-9", "name": "another name", "industry": "ev"})
    server.send("market.price_changed", {"id": "aluminium", "price": "20000"})
    server.send("customer.updated", {"id": "C-9", "tier": "A"})
    assert server.rows(ClockRow) == server.rows(Watch) == []
