"""Timers: named, replaced, cancelled, held and released; each round fires once, late ones say so."""

from __future__ import annotations

import contextlib
import json
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from core.model.effects import CancelTimer, Decide, StartTimer
from core.model.errors import StorageUnavailable
from core.pipeline.courier import Courier
from core.pipeline.inbox import store
from core.pipeline.slot import CallSlot
from core.pipeline.timers import find_due, is_any_due, release_held
from core.pipeline.wake import Bell
from core.store import tables
from core.store.database import Database
from core.store.migrate import migrate
from tests.pipeline.kit import START, Kit, plugin


class Sla:
    """A plugin that starts a timer for an opened complaint, cancels it for a reply and keeps what fell due."""

    def __init__(self, database: Database, minutes: float = 60) -> None:
        self.minutes = minutes
        self.fired: list[tuple[str, int, bool]] = []
        self.kit = Kit(
            database,
            {
                "sla": plugin(
                    "sla",
                    on_complaint_opened=self.start,
                    on_complaint_reopened=self.start,
                    on_complaint_replied=lambda event, ctx: [CancelTimer(timer="answer")],
                    on_timer_due=self.due,
                )
            },
        )

    def start(self, event: Any, ctx: Any) -> list[Any]:
        return [StartTimer(timer="answer", due_at=ctx.now + timedelta(minutes=self.minutes), data={"n": self.minutes})]

    def due(self, event: Any, ctx: Any) -> list[Any]:
        self.fired.append((event.record_id, event.data.round, event.late))
        return [Decide(kind="breach", outcome="late" if event.late else "due", summary="", rule="answer")]

    def fire(self) -> None:
        """Accept what is due, without dispatching it."""
        with self.kit.database.write() as connection:
            due = find_due(connection, self.kit.current(connection), self.kit.clock.now())
            store(connection, due.events, self.kit.clock.now())
            due.mark(connection)

    def switch(self, *, on: bool) -> None:
        self.kit.switch("default", "sla", on=on)
        with self.kit.database.write() as connection:
            release_held(connection, self.kit.current(connection))

    def timer(self) -> Any:
        [row] = self.kit.rows(tables.timers)
        return row


@pytest.fixture
def sla(database: Database) -> Sla:
    return Sla(database)


def test_a_timer_of_the_same_name_replaces_the_one_before(sla: Sla) -> None:
    sla.kit.send("complaint.opened", "C1")
    sla.kit.drain()
    sla.kit.later(minutes=30)
    sla.kit.send("complaint.reopened", "C1")
    sla.kit.drain()
    assert (sla.timer().round, sla.timer().due_at) == (2, START + timedelta(minutes=90))
    sla.kit.later(minutes=31)
    sla.kit.drain()
    assert sla.fired == []
    sla.kit.later(minutes=29)
    sla.kit.drain()
    assert sla.fired == [("C1", 2, False)]


def test_a_timer_may_be_started_again_after_it_fired(sla: Sla) -> None:
    for _ in range(3):
        sla.kit.send("complaint.opened", "C1")
        sla.kit.drain()
        sla.kit.later(hours=1)
        sla.kit.drain()
    assert sla.fired == [("C1", number, False) for number in (1, 2, 3)]


def test_a_timer_due_in_the_past_fires_at_once_and_late(database: Database) -> None:
    sla = Sla(database, minutes=-10)
    sla.kit.send("complaint.opened", "C1")
    sla.kit.drain()
    assert sla.fired == [("C1", 1, True)]


def test_polling_twice_at_the_same_moment_fires_once(sla: Sla) -> None:
    sla.kit.send("complaint.opened", "C1")
    sla.kit.drain()
    sla.kit.later(hours=1)
    now = sla.kit.clock.now()
    with sla.kit.database.read() as connection:
        assert is_any_due(connection, now)
        stale = find_due(connection, sla.kit.current(connection), now) if sla.kit.database.is_sqlite else None
    sla.fire()
    if stale is not None:  # a second courier that looked before the first one wrote
        with sla.kit.database.write() as connection:
            store(connection, stale.events, now)
            stale.mark(connection)
    sla.fire()
    sla.kit.drain()
    assert len(sla.fired) == 1
    assert len(sla.kit.rows(tables.events, tables.events.c.type == "timer.due")) == 1


def test_a_timer_cancelled_before_its_due_event_was_dispatched_does_not_fire(sla: Sla) -> None:
    sla.kit.send("complaint.opened", "C1")
    sla.kit.drain()
    sla.kit.send("complaint.replied", "C1")
    sla.kit.later(hours=2)
    sla.fire()
    sla.kit.drain()
    assert sla.fired == []
    [event] = sla.kit.rows(tables.events, tables.events.c.type == "timer.due")
    assert event.status == "skipped" and "cancelled or started again" in event.status_reason
    assert sla.timer().status == "cancelled"


def test_a_timer_started_again_before_its_due_event_was_dispatched_fires_for_the_new_round_only(sla: Sla) -> None:
    sla.kit.send("complaint.opened", "C1")
    sla.kit.drain()
    sla.kit.send("complaint.reopened", "C1")
    sla.kit.later(hours=2)
    sla.fire()
    sla.kit.drain()
    assert sla.fired == [] and sla.timer().status == "pending"
    sla.kit.later(hours=1)
    sla.kit.drain()
    assert sla.fired == [("C1", 2, False)]


def test_cancelling_a_timer_that_already_reached_its_plugin_changes_nothing(sla: Sla) -> None:
    sla.kit.send("complaint.opened", "C1")
    sla.kit.drain()
    sla.kit.later(hours=1)
    sla.kit.drain()
    sla.kit.send("complaint.replied", "C1")
    sla.kit.drain()
    assert sla.timer().status == "fired" and len(sla.fired) == 1


def test_cancelling_a_timer_nobody_started_is_not_an_error(sla: Sla) -> None:
    sla.kit.send("complaint.replied", "C1")
    sla.kit.drain()
    assert sla.kit.rows(tables.timers) == []
    assert [row.status for row in sla.kit.rows(tables.deliveries)] == ["completed"]


def test_one_delivery_may_cancel_several_timers(database: Database) -> None:
    names = ("remind", "escalate", "deadline")
    asks = plugin(
        "asks",
        on_quote_submitted=lambda event, ctx: [
            StartTimer(timer=name, due_at=ctx.now + timedelta(hours=1)) for name in names
        ],
        on_quote_accepted=lambda event, ctx: [CancelTimer(timer=name) for name in names],
    )
    kit = Kit(database, {"asks": asks})
    kit.send("quote.submitted", "Q1")
    kit.drain()
    kit.send("quote.accepted", "Q1")
    kit.drain()
    assert [row.status for row in kit.rows(tables.deliveries)] == ["completed", "completed"]
    assert [row.status for row in kit.rows(tables.timers)] == ["cancelled"] * 3


def test_a_timer_whose_plugin_was_switched_off_after_it_fired_is_held_and_fires_late(sla: Sla) -> None:
    sla.kit.send("complaint.opened", "C1")
    sla.kit.drain()
    sla.kit.later(hours=1)
    sla.fire()
    sla.switch(on=False)
    sla.kit.drain()
    assert sla.fired == [] and sla.timer().status == "held"
    [event] = sla.kit.rows(tables.events, tables.events.c.type == "timer.due")
    assert event.status_reason.startswith("held")
    sla.kit.later(minutes=5)
    sla.switch(on=True)
    sla.kit.drain()
    assert sla.fired == [("C1", 2, True)]


def test_a_cancelled_timer_is_not_brought_back_by_holding_it(sla: Sla) -> None:
    sla.kit.send("complaint.opened", "C1")
    sla.kit.drain()
    sla.kit.send("complaint.replied", "C1")
    sla.kit.later(hours=1)
    sla.fire()
    sla.kit.dispatcher.drain()  # the reply cancels it
    sla.switch(on=False)
    sla.kit.drain()
    sla.switch(on=True)
    sla.kit.drain()
    assert sla.fired == [] and sla.timer().status == "cancelled"


def test_a_held_timer_can_be_cancelled(sla: Sla) -> None:
    sla.kit.send("complaint.opened", "C1")
    sla.kit.drain()
    sla.switch(on=False)
    sla.kit.later(hours=1)
    sla.kit.drain()
    assert sla.timer().status == "held"
    with sla.kit.database.write() as connection:  # as a person's command or the plugin itself would
        connection.execute(sa.update(tables.timers).values(status="cancelled"))
    sla.switch(on=True)
    sla.kit.drain()
    assert sla.fired == []


def test_a_timer_stays_in_the_unit_that_started_it_when_its_record_moves(database: Database) -> None:
    units: list[str] = []

    def due(event: Any, ctx: Any) -> list[Any]:
        units.append(ctx.unit.slug)
        return []

    start = plugin(
        "sla", on_complaint_opened=lambda event, ctx: [StartTimer(timer="t", due_at=ctx.now)], on_timer_due=due
    )
    kit = Kit(database, {"sla": start})
    kit.send("complaint.opened", "C1", industry="ev", version=1)
    kit.dispatcher.drain()
    kit.send("complaint.updated", "C1", industry="packaging", version=2)
    kit.later(minutes=1)
    kit.drain()
    assert units == ["new_energy"]


def test_each_plugin_unit_and_record_has_timers_of_its_own(database: Database) -> None:
    def start(event: Any, ctx: Any) -> list[Any]:
        return [StartTimer(timer="t", due_at=ctx.now + timedelta(hours=1))]

    kit = Kit(database, {name: plugin(name, on_complaint_opened=start) for name in ("alpha", "beta")})
    for record in ("C1", "C2"):
        kit.send("complaint.opened", record)
    kit.drain()
    assert len({row.id for row in kit.rows(tables.timers)}) == 4


def test_what_a_timer_carries_reaches_its_plugin_as_it_was(database: Database) -> None:
    got: list[Any] = []
    data = {"层级": "经理", "steps": [1, 2, {"x": None}], "flag": True}
    kit = Kit(
        database,
        {
            "sla": plugin(
                "sla",
                on_complaint_opened=lambda event, ctx: [StartTimer(timer="t", due_at=ctx.now, data=data)],
                on_timer_due=lambda event, ctx: got.append(event.data) or [],
            )
        },
    )
    kit.send("complaint.opened", "C1")
    kit.drain()
    [due] = got
    assert (dict(due.data), due.timer, due.plugin, due.due_at, due.id) == (data, "t", "sla", START, "C1")
    [event] = kit.rows(tables.events, tables.events.c.type == "timer.due")
    assert (event.depth, event.origin, event.caused_by) == (1, "timer", kit.rows(tables.events)[0].id)
    assert json.loads(event.data)["due_at"] == "2026-11-22T01:00:00Z"


def test_timers_that_start_timers_for_ever_are_stopped_by_the_depth_limit(database: Database) -> None:
    def again(event: Any, ctx: Any) -> list[Any]:
        return [StartTimer(timer="t", due_at=ctx.now)]

    kit = Kit(database, {"sla": plugin("sla", on_complaint_opened=again, on_timer_due=again)})
    kit.limits(follow_up_depth=3)
    kit.send("complaint.opened", "C1")
    kit.drain()
    assert [row.depth for row in kit.rows(tables.events)] == [0, 1, 2, 3, 4]
    assert kit.rows(tables.events)[-1].status == "skipped"


def test_held_timers_are_let_go_though_the_database_was_away_when_the_courier_took_the_switch(
    sla: Sla, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = sla.kit
    courier = Courier(kit.database, kit.clock, kit, CallSlot(), Bell(), lambda lanes: None, lambda: False)
    kit.send("complaint.opened", "C1")
    kit.drain()
    kit.switch("default", "sla", on=False)
    kit.later(hours=2)
    courier.pass_on()
    kit.drain()
    assert sla.timer().status == "held"
    kit.switch("default", "sla", on=True)
    with monkeypatch.context() as away, pytest.raises(StorageUnavailable):
        away.setattr("core.pipeline.courier.release_held", _is_away)
        courier.pass_on()
    assert sla.timer().status == "held"
    courier.pass_on()
    kit.drain()
    assert sla.fired == [("C1", 2, True)]


def test_a_held_timer_that_a_worker_is_writing_is_let_go_when_the_worker_is_done(
    postgres_url: str,
) -> None:
    with contextlib.closing(Database(postgres_url)) as database, contextlib.closing(Database(postgres_url)) as worker:
        migrate(database, [])
        sla = Sla(database)
        kit = sla.kit
        courier = Courier(database, kit.clock, kit, CallSlot(), Bell(), lambda lanes: None, lambda: False)
        for record in ("C1", "C2"):
            kit.send("complaint.opened", record)
        kit.drain()
        kit.switch("default", "sla", on=False)
        kit.later(hours=2)
        courier.pass_on()
        kit.drain()
        kit.switch("default", "sla", on=True)
        with worker.write() as connection:
            connection.execute(sa.update(tables.timers).where(tables.timers.c.record_id == "C1").values(depth=0))
            courier.pass_on()
            assert [row.status for row in kit.rows(tables.timers, tables.timers.c.record_id == "C1")] == ["held"]
        courier.pass_on()
        kit.drain()
        assert sorted(sla.fired) == [("C1", 2, True), ("C2", 2, True)]


def _is_away(connection: sa.Connection, configuration: Any) -> tuple[int, bool]:
    raise StorageUnavailable("the database is away")


def test_a_timer_whose_delivery_was_open_when_its_plugin_was_switched_off_fires_when_it_is_on_again(
    database: Database,
) -> None:
    broken, fired = [True], []

    def due(event: Any, ctx: Any) -> list[Any]:
        if broken:
            raise RuntimeError("not now")
        fired.append((event.data.round, event.late))
        return []

    start = {"on_complaint_opened": lambda event, ctx: [StartTimer(timer="t", due_at=ctx.now + timedelta(minutes=1))]}
    kit = Kit(database, {"sla": plugin("sla", **start, on_timer_due=due)})
    kit.send("complaint.opened", "C1")
    kit.drain()
    kit.later(minutes=2)
    kit.drain()
    assert [row.status for row in kit.rows(tables.timers)] == ["fired"]
    kit.switch("default", "sla", on=False)
    kit.later(hours=1)
    kit.drain()
    [delivery] = kit.rows(tables.deliveries, tables.deliveries.c.status == "skipped")
    assert [row.status for row in kit.rows(tables.timers)] == ["held"] and "switched off" in delivery.reason
    broken.clear()
    kit.switch("default", "sla", on=True)
    with database.write() as connection:
        release_held(connection, kit.current(connection))
    kit.drain()
    assert fired == [(2, True)]
