"""How events reach plugins: once, in order, each on its own, and only where the plugin is switched on."""

from __future__ import annotations

import dataclasses
import functools
import json
from typing import Any

import pytest
import sqlalchemy as sa

from core.model.effects import CancelTimer, Decide, EmitEvent, Notify, Reason, StartTimer, UpdateRecord
from core.model.outcomes import Cancel, Snooze
from core.pipeline.quarantine import release_lifted
from core.store import tables
from core.store.database import Database
from tests.pipeline.kit import Kit, plugin


def deciding(event: Any, ctx: Any) -> list[Any]:
    unit = {"unit": ctx.unit.slug}
    return [Decide(kind="seen", outcome=event.type, summary=event.record_id, rule="test", inputs=unit)]


def statuses(kit: Kit, name: str) -> list[str]:
    return [row.status for row in kit.rows(tables.deliveries, tables.deliveries.c.plugin == name)]


def test_an_event_becomes_one_completed_delivery_and_its_decision(database: Database) -> None:
    kit = Kit(database, {"alpha": plugin("alpha", on_lead_created=deciding)})
    event_id = kit.send("lead.created", "L1", industry="ev", name="宁波新能源")
    kit.drain()
    [delivery] = kit.rows(tables.deliveries)
    [decision] = kit.rows(tables.decisions)
    [event] = kit.rows(tables.events)
    assert (delivery.status, delivery.unit, delivery.attempts) == ("completed", "new_energy", 1)
    assert (decision.event_id, decision.inputs) == (event_id, {"unit": "new_energy"})
    assert (event.status, event.unit_reason) == ("dispatched", "industry is ev")


def test_a_duplicate_is_stored_once_and_gets_the_same_id(database: Database) -> None:
    kit = Kit(database, {"alpha": plugin("alpha", on_lead_created=deciding)})
    first = kit.send("lead.created", "L1", key="m1", name="甲")
    again = kit.send("lead.created", "L1", key="m1", name="甲")
    other_body = kit.send("lead.created", "L1", key="m1", name="乙")
    kit.drain()
    assert first == again == other_body
    [event] = kit.rows(tables.events)
    assert json.loads(event.data)["name"] == "甲" and event.conflicts == 1
    assert len(kit.rows(tables.decisions)) == 1


def test_a_failing_plugin_does_not_delay_its_neighbours_or_other_records(database: Database) -> None:
    def failing(event: Any, ctx: Any) -> list[Any]:
        if event.record_id == "L1":
            raise RuntimeError("boom")
        return deciding(event, ctx)

    kit = Kit(
        database,
        {"bad": plugin("bad", on_lead_created=failing), "good": plugin("good", on_lead_created=deciding)},
    )
    kit.send("lead.created", "L1")
    kit.send("lead.created", "L2")
    kit.drain()
    assert statuses(kit, "bad") == ["retryable", "completed"]
    assert statuses(kit, "good") == ["completed", "completed"]
    [failed] = kit.rows(tables.deliveries, tables.deliveries.c.status == "retryable")
    assert failed.reason == "RuntimeError: boom" and "boom" in failed.trace


def test_a_failing_delivery_holds_back_only_later_ones_of_its_record_and_plugin(database: Database) -> None:
    seen: list[str] = []
    broken = True

    def sometimes(event: Any, ctx: Any) -> list[Any]:
        if broken and event.record_id == "L1":
            raise RuntimeError("boom")
        seen.append(f"{event.record_id}:{event.record.status}")
        return []

    kit = Kit(database, {"bad": plugin("bad", on_lead_created=sometimes, on_lead_updated=sometimes)})
    kit.send("lead.created", "L1", status="new", version=1)
    kit.send("lead.updated", "L1", status="hot", version=2)
    kit.send("lead.updated", "L1", status="cold", version=3)
    kit.send("lead.updated", "L2", status="other", version=1)
    kit.drain()
    first = kit.rows(tables.deliveries)[0]
    by_event = {row.event_seq: row for row in kit.rows(tables.deliveries)}
    assert [by_event[seq].status for seq in sorted(by_event)] == ["retryable", "waiting", "waiting", "completed"]
    assert by_event[2].waiting_for == first.event_seq and by_event[3].waiting_for == 2
    broken = False
    kit.later(minutes=1)
    kit.drain()
    assert seen == ["L2:other", "L1:new", "L1:hot", "L1:cold"]
    assert set(statuses(kit, "bad")) == {"completed"}


def test_a_delivery_is_discarded_after_its_last_attempt_and_lets_the_next_go(database: Database) -> None:
    def failing(event: Any, ctx: Any) -> list[Any]:
        if event.type == "lead.created":
            raise ValueError("never")
        return deciding(event, ctx)

    kit = Kit(database, {"bad": plugin("bad", on_lead_created=failing, on_lead_updated=failing)})
    kit.limits(max_attempts=3)
    kit.send("lead.created", "L1", version=1)
    kit.send("lead.updated", "L1", version=2, status="x")
    for _ in range(4):
        kit.drain()
        kit.later(hours=1)
    assert statuses(kit, "bad") == ["discarded", "completed"]
    assert kit.rows(tables.deliveries)[0].attempts == 3


def test_snooze_runs_later_without_counting_and_cancel_ends_it(database: Database) -> None:
    calls: list[str] = []

    def handler(event: Any, ctx: Any) -> list[Any]:
        calls.append(event.record_id)
        if event.record_id == "L2":
            raise Cancel("not for us")
        if calls.count("L1") == 1:
            raise Snooze(minutes=10)
        return []

    kit = Kit(database, {"alpha": plugin("alpha", on_lead_created=handler)})
    kit.send("lead.created", "L1")
    kit.send("lead.created", "L2")
    kit.drain()
    assert statuses(kit, "alpha") == ["scheduled", "cancelled"]
    kit.later(minutes=11)
    kit.drain()
    assert statuses(kit, "alpha") == ["completed", "cancelled"]
    assert kit.rows(tables.deliveries)[0].attempts == 1


def test_a_plugin_switched_off_between_deciding_and_writing_has_no_effect(database: Database) -> None:
    kit: Kit

    def handler(event: Any, ctx: Any) -> list[Any]:
        if database.is_sqlite and not kit.off:
            kit.switch("default", "alpha", on=False)
        return deciding(event, ctx)

    alpha, beta = plugin("alpha", on_lead_created=handler), plugin("beta", on_lead_created=deciding)
    kit = Kit(database, {"alpha": alpha, "beta": beta})
    if not database.is_sqlite:
        kit.switch("default", "alpha", on=False)
    kit.send("lead.created", "L1")
    kit.drain()
    assert [row.plugin for row in kit.rows(tables.decisions)] == ["beta"]
    assert statuses(kit, "alpha") == []


def test_a_stored_delivery_of_a_plugin_switched_off_meanwhile_is_skipped(database: Database) -> None:
    def failing(event: Any, ctx: Any) -> list[Any]:
        raise RuntimeError("boom")

    kit = Kit(database, {"alpha": plugin("alpha", on_lead_created=failing)})
    kit.send("lead.created", "L1")
    kit.drain()
    kit.switch("default", "alpha", on=False)
    kit.later(hours=1)
    kit.drain()
    [delivery] = kit.rows(tables.deliveries)
    assert (delivery.status, delivery.reason) == ("skipped", "the plugin was switched off")


def test_an_older_update_is_superseded_but_a_life_cycle_fact_is_always_delivered(database: Database) -> None:
    seen: list[tuple[str, Any]] = []

    def handler(event: Any, ctx: Any) -> list[Any]:
        seen.append((event.type, event.record.status))
        return []

    kit = Kit(
        database,
        {"alpha": plugin("alpha", on_lead_updated=handler, on_lead_lost=handler, on_lead_created=handler)},
    )
    kit.send("lead.updated", "L1", version=5, status="new5", minutes=5)
    kit.send("lead.updated", "L1", version=3, status="old3", minutes=3)
    kit.send("lead.lost", "L1", version=2, status="lost", lost_reason="price", minutes=2)
    kit.send("lead.created", "L1", version=1, name="甲公司", status="first", minutes=1)
    kit.drain()
    assert seen == [("lead.updated", "new5"), ("lead.lost", "new5"), ("lead.created", "new5")]
    assert [row.status_reason for row in kit.rows(tables.events)][1].startswith("superseded")
    [record] = kit.rows(tables.records)
    snapshot = json.loads(record.snapshot)
    assert snapshot == {"id": "L1", "status": "new5", "lost_reason": "price", "name": "甲公司"}


def test_our_own_change_reported_back_by_the_crm_starts_nothing(database: Database) -> None:
    def handler(event: Any, ctx: Any) -> list[Any]:
        return [UpdateRecord(fields={"score": 88, "grade": "A"})]

    kit = Kit(database, {"alpha": plugin("alpha", on_lead_created=handler, on_lead_updated=handler)})
    kit.send("lead.created", "L1", version=1, name="甲")
    kit.drain()
    kit.send("lead.updated", "L1", version=2, score=88, grade="A")
    kit.send("lead.updated", "L1", version=3, score=88, grade="B")
    kit.drain()
    assert [row.status for row in kit.rows(tables.events)] == ["dispatched", "skipped", "dispatched"]
    assert kit.rows(tables.events)[1].status_reason.startswith("echo")
    messages = kit.rows(tables.outbox)
    assert [json.loads(row.body)["data"]["fields"] for row in messages] == [{"score": 88, "grade": "A"}] * 2
    assert len({row.id for row in messages}) == 2


def test_a_retry_sees_the_record_as_of_its_event(database: Database) -> None:
    seen: list[Any] = []

    def handler(event: Any, ctx: Any) -> list[Any]:
        if len(seen) == 0 and event.type == "lead.created":
            seen.append("failed")
            raise RuntimeError("boom")
        seen.append((event.type, event.record.status))
        return []

    kit = Kit(database, {"alpha": plugin("alpha", on_lead_created=handler, on_lead_updated=handler)})
    kit.send("lead.created", "L1", status="first", version=1)
    kit.send("lead.updated", "L1", status="second", version=2)
    kit.drain()
    kit.later(minutes=1)
    kit.drain()
    assert seen == ["failed", ("lead.created", "first"), ("lead.updated", "second")]


def test_a_follow_up_event_enters_by_the_inbox_once(database: Database) -> None:
    heard: list[Any] = []

    def emits(event: Any, ctx: Any) -> list[Any]:
        return [EmitEvent(type="alpha.graded", data={"grade": "A"})]

    def hears(event: Any, ctx: Any) -> list[Any]:
        heard.append((event.type, event.data, event.origin, event.depth))
        return []

    kit = Kit(database, {"alpha": plugin("alpha", on_lead_created=emits), "beta": plugin("beta", on_event=hears)})
    kit.send("lead.created", "L1")
    kit.drain()
    assert heard[1:] == [("alpha.graded", {"grade": "A"}, "plugin", 1)]
    assert kit.rows(tables.outbox)[0].status == "sent"


def test_a_plugin_that_answers_its_own_events_is_stopped_at_the_depth_limit(database: Database) -> None:
    def emits(event: Any, ctx: Any) -> list[Any]:
        return [EmitEvent(type="alpha.again", data={"from": event.type})]

    kit = Kit(database, {"alpha": plugin("alpha", on_event=emits)})
    kit.send("lead.created", "L1")
    kit.drain()
    assert len(kit.rows(tables.events)) == 10
    assert kit.rows(tables.events)[-1].status_reason.startswith("too deep")


def test_a_timer_fires_once_and_a_missed_one_is_marked_late(database: Database) -> None:
    fired: list[Any] = []

    def start(event: Any, ctx: Any) -> list[Any]:
        hours = {"C1": 1, "C2": 2, "C3": 3}[event.record_id]
        due = ctx.now.replace(hour=ctx.now.hour + hours)
        return [StartTimer(timer="first_response", due_at=due, data={"n": hours})]

    def reply(event: Any, ctx: Any) -> list[Any]:
        return [CancelTimer(timer="first_response")]

    def due(event: Any, ctx: Any) -> list[Any]:
        fired.append((event.record_id, event.data.timer, event.late, event.data.data["n"]))
        return []

    sla = plugin("sla", on_complaint_opened=start, on_complaint_replied=reply, on_timer_due=due)
    other = plugin("other", on_timer_due=lambda event, ctx: pytest.fail("a timer belongs to its plugin alone"))
    kit = Kit(database, {"sla": sla, "other": other})
    for record_id in ("C1", "C2", "C3"):
        kit.send("complaint.opened", record_id, subject="表面划伤")
    kit.drain()
    kit.send("complaint.replied", "C2")
    kit.drain()
    kit.later(hours=1)
    kit.drain()
    kit.later(hours=5)
    kit.drain()
    kit.later(days=1)
    kit.drain()
    assert fired == [("C1", "first_response", False, 1), ("C3", "first_response", True, 3)]
    assert sorted(row.status for row in kit.rows(tables.timers)) == ["cancelled", "fired", "fired"]


def test_a_timer_of_a_plugin_switched_off_is_held_and_not_lost(database: Database) -> None:
    from core.pipeline.timers import release_held

    fired: list[Any] = []

    def start(event: Any, ctx: Any) -> list[Any]:
        return [StartTimer(timer="t", due_at=ctx.now)]

    def due(event: Any, ctx: Any) -> list[Any]:
        fired.append(event.late)
        return []

    kit = Kit(database, {"sla": plugin("sla", on_complaint_opened=start, on_timer_due=due)})
    kit.send("complaint.opened", "C1")
    kit.dispatcher.drain()
    kit.switch("default", "sla", on=False)
    kit.later(minutes=1)
    kit.drain()
    assert [row.status for row in kit.rows(tables.timers)] == ["held"] and fired == []
    kit.switch("default", "sla", on=True)
    with database.write() as connection:
        assert release_held(connection, kit.current(connection)) == (1, True)
    kit.drain()
    assert fired == [True]


def test_a_record_that_moves_to_another_unit_is_announced_to_both(database: Database) -> None:
    told: list[Any] = []

    def moved(event: Any, ctx: Any) -> list[Any]:
        told.append((ctx.unit.slug, event.data.from_unit, event.data.to_unit))
        return []

    kit = Kit(database, {"alpha": plugin("alpha", on_record_unit_changed=moved)})
    kit.send("lead.created", "L1", industry="ev", version=1)
    kit.drain()
    kit.send("lead.updated", "L1", industry="packaging", version=2)
    kit.drain()
    assert sorted(told) == [("new_energy", "new_energy", "packaging"), ("packaging", "new_energy", "packaging")]


def test_a_quote_without_an_industry_goes_to_the_unit_of_its_lead(database: Database) -> None:
    kit = Kit(database, {"alpha": plugin("alpha", on_quote_submitted=deciding)})
    kit.send("lead.created", "L1", industry="photovoltaic")
    kit.drain()
    kit.send("quote.submitted", "Q1", lead_id="L1", amount="12000.50", currency="CNY")
    kit.drain()
    assert [row.unit for row in kit.rows(tables.decisions)] == ["new_energy"]
    assert kit.rows(tables.events)[1].unit_reason == "industry is photovoltaic of lead L1"


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ("nonsense", "returned str; a list of effects is expected"),
        ([1], "returned a list with int, no effect"),
        ([UpdateRecord(fields={"scor": 1})], 'has no field "scor" to set. Did you mean "score"?'),
        ([EmitEvent(type="lead.created")], "may emit events named"),
        ([Notify(to="x", template="t", data={"v": object()})], "that is no JSON"),
        ([Decide(kind="k", outcome="o", summary="x" * 1_200_000, rule="r")], "more than 1000000 characters"),
    ],
)
def test_a_result_that_is_no_effect_costs_the_delivery_and_nothing_else(
    database: Database, result: Any, said: str
) -> None:
    bad = plugin("bad", on_lead_created=lambda event, ctx: result)
    kit = Kit(database, {"bad": bad, "good": plugin("good", on_lead_created=deciding)})
    kit.send("lead.created", "L1")
    kit.drain()
    [failed] = kit.rows(tables.deliveries, tables.deliveries.c.plugin == "bad")
    assert failed.status == "retryable" and said in failed.reason
    assert [row.plugin for row in kit.rows(tables.decisions)] == ["good"]


def test_reasons_and_inputs_are_kept_with_the_decision(database: Database) -> None:
    def handler(event: Any, ctx: Any) -> list[Any]:
        return [
            Decide(
                kind="grade",
                outcome="A",
                summary="优质线索",
                rule="grades.A",
                reasons=(Reason("展会来源", 10, "source"),),
                inputs={"budget": event.record.budget},
                near_misses=("再少 3 分为 B",),
            )
        ]

    kit = Kit(database, {"alpha": plugin("alpha", on_lead_created=handler)})
    kit.send("lead.created", "L1", budget="120000.00")
    kit.drain()
    [decision] = kit.rows(tables.decisions)
    assert decision.reasons == [{"text": "展会来源", "weight": 10, "field": "source"}]
    assert decision.inputs == {"budget": "120000.00"} and decision.near_misses == ["再少 3 分为 B"]


def test_events_for_a_plugin_that_cannot_be_loaded_are_kept_until_it_can(database: Database) -> None:
    broken = dataclasses.replace(plugin("alpha"), error="ImportError: no module named numpy")
    kit = Kit(database, {"alpha": broken, "beta": plugin("beta", on_lead_created=deciding)})
    kit.send("lead.created", "L1")
    kit.send("complaint.opened", "C1")
    kit.drain()
    assert statuses(kit, "alpha") == ["quarantined", "quarantined"]
    assert "cannot be loaded" in kit.rows(tables.deliveries, tables.deliveries.c.plugin == "alpha")[0].reason
    assert statuses(kit, "beta") == ["completed"]
    with database.write() as connection:
        able = functools.partial(kit.dispatcher.is_able, connection)
        assert release_lifted(connection, kit.clock.now(), able) == 0

    mended = Kit(database, {"alpha": plugin("alpha", on_lead_created=deciding), "beta": kit.plugins["beta"]})
    with database.write() as connection:
        able = functools.partial(mended.dispatcher.is_able, connection)
        assert release_lifted(connection, mended.clock.now(), able) == 2
    mended.drain()
    assert statuses(mended, "alpha") == ["completed", "completed"]
    assert [row.record_id for row in mended.rows(tables.decisions, tables.decisions.c.plugin == "alpha")] == ["L1"]


def test_what_a_quiet_replay_leads_to_stays_inside(database: Database) -> None:
    def created(event: Any, ctx: Any) -> list[Any]:
        return [EmitEvent(type="alpha.graded"), StartTimer(timer="t", due_at=ctx.now)]

    def tells(event: Any, ctx: Any) -> list[Any]:
        return [Notify(to="sales", template="seen")]

    alpha = plugin("alpha", on_lead_created=created, on_timer_due=tells)
    kit = Kit(database, {"alpha": alpha, "beta": plugin("beta", on_event=tells)})
    kit.send("lead.created", "L1")
    kit.drain()
    before = [row.status for row in kit.rows(tables.outbox, tables.outbox.c.effect == "notify")]
    [event] = kit.rows(tables.events, tables.events.c.type == "lead.created")
    with database.write() as connection:
        for name in ("alpha", "beta"):
            connection.execute(
                sa.insert(tables.deliveries).values(
                    event_seq=event.seq, event_id=event.id, plugin=name, unit=event.unit, generation=1, outward=False,
                    source=event.source, kind=event.kind, record_id=event.record_id, lane=event.lane,
                    status="available", attempts=0, due_at=kit.clock.now(), out_of_order=False, config_version=0,
                    created_at=kit.clock.now(),
                )
            )  # fmt: skip
    kit.drain()
    after = kit.rows(tables.outbox, tables.outbox.c.effect == "notify")
    assert before == ["available"] * 3
    assert sorted(row.status for row in after) == ["available"] * 3 + ["suppressed"] * 3
