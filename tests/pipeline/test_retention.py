"""Retention: what is old enough goes, what is open stays, and whatever stays is decided as it was before."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from core.host.settings import RetentionSettings
from core.model.effects import Decide, StartTimer, UpdateRecord
from core.model.errors import Conflict, NotFound
from core.model.inbound import RejectedItem
from core.model.outcomes import OPEN_DELIVERY
from core.pipeline.history import record_as_of
from core.pipeline.inbox import store
from core.pipeline.interventions import Interventions
from core.pipeline.replay import Replayer
from core.pipeline.retention import Pruner, Upkeep
from core.store import audit, tables
from core.store.database import Database
from core.store.migrate import migrate
from core.store.reading.events import EventFilter, show_event
from core.store.reading.retention import due_to_go, removed_up_to
from tests.pipeline.kit import Kit, plugin

KEPT = RetentionSettings(events_days=30, keys_days=30, decisions_days=60, messages_days=10)


class Place:
    """A kit with a plugin that does as the event's `status` tells it, and a pruner."""

    def __init__(self, database: Database, rows: int = 100) -> None:
        self.broken = True
        self.seen: list[tuple[str, Any]] = []
        self.kit = Kit(database, {"alpha": plugin("alpha", on_event=self.handle, on_timer_due=lambda event, ctx: [])})
        self.pruner = Pruner(database, self.kit.clock, lambda: KEPT, rows=rows)
        self.replayer = Replayer(database, self.kit.clock, self.configuration, lambda: self.kit.plugins)

    def configuration(self) -> Any:
        with self.kit.database.read() as connection:
            return self.kit.current(connection)

    def handle(self, event: Any, ctx: Any) -> list[Any]:
        self.seen.append((event.id, event.record))
        status = event.record.status
        if status == "fail" and self.broken:
            raise RuntimeError("not now")
        if status == "timer":
            return [StartTimer(timer="t", due_at=ctx.now + timedelta(days=400))]
        if status == "set":
            return [UpdateRecord(fields={"score": len(self.seen)}, write_back=False)]
        return [Decide(kind="seen", outcome=status or "none", summary="", rule="r")]

    def prune(self) -> dict[str, int]:
        removed: dict[str, int] = {}
        for name, number in self.pruner.run_of_the_day():
            removed[name] = removed.get(name, 0) + number
        return removed

    def event_ids(self) -> list[str]:
        return [row.id for row in self.kit.rows(tables.events)]


@pytest.fixture
def place(database: Database) -> Place:
    return Place(database)


def test_what_is_old_enough_goes_and_a_repeated_message_is_still_a_duplicate(place: Place) -> None:
    old = [
        place.kit.send("lead.updated", "L1", key=f"k{number}", version=number, name=str(number)) for number in range(3)
    ]
    place.kit.drain()
    place.kit.later(days=31)
    new = place.kit.send("lead.updated", "L1", version=9, name="new")
    place.kit.drain()
    assert place.prune()["events"] == 3
    assert place.event_ids() == [new]
    assert {row.event_id for row in place.kit.rows(tables.deliveries)} == {new}
    assert len(place.kit.rows(tables.decisions)) == 4  # they are kept for longer
    place.kit.later(days=29)
    again = place.kit.accept(place.kit.event("lead.updated", "L1", key="k0", version=0, name="0"))
    assert (again.ids, again.is_new) == ([old[0]], [False])
    place.kit.later(days=2)
    place.prune()
    assert place.kit.rows(tables.event_keys, tables.event_keys.c.event_id == old[0]) == []


def test_items_that_were_rejected_go_where_nothing_else_is_old_enough(place: Place) -> None:
    items = [RejectedItem(source="crm", dedupe_key=f"bad-{n}", raw="{}", reason="no id") for n in range(3)]
    with place.kit.database.write() as connection:
        store(connection, items, place.kit.clock.now())
    place.kit.later(days=31)
    assert place.prune()["events"] == 3 and place.event_ids() == []


def test_an_open_delivery_stops_removing_at_its_event_and_is_named(place: Place) -> None:
    first = place.kit.send("lead.updated", "L1", version=1, status="new")
    stuck = place.kit.send("lead.updated", "L2", version=1, status="fail")
    behind = place.kit.send("lead.updated", "L3", version=1, status="new")
    place.kit.drain()
    place.kit.later(days=40)
    assert place.prune()["events"] == 1
    assert place.event_ids() == [stuck, behind]
    with pytest.raises(Conflict, match="removed when its time was up"):
        place.replayer.replay_event(first, actor="it")
    (run,) = place.kit.rows(tables.retention_runs)
    (delivery,) = place.kit.rows(tables.deliveries, tables.deliveries.c.event_id == stuck)
    assert f"dlv_{delivery.id}" in run.held_by
    Interventions(place.kit.database, place.kit.clock).discard_delivery(delivery.id, actor="it", reason="old")
    assert place.prune()["events"] == 2


def test_an_event_whose_timer_runs_or_whose_message_is_under_way_stays_and_is_not_replayed(database: Database) -> None:
    place = Place(database)
    place.kit.plugins["alpha"] = plugin(
        "alpha", on_lead_created=lambda event, ctx: [StartTimer(timer="t", due_at=ctx.now + timedelta(days=400))],
        on_timer_due=lambda event, ctx: [],
        on_lead_lost=lambda event, ctx: [UpdateRecord(fields={"status": "lost"}, write_back=True)],
    )  # fmt: skip
    timed = place.kit.send("lead.created", "L1", version=1, name="x")
    sending = place.kit.send("lead.lost", "L2", version=1)
    gone = place.kit.send("lead.updated", "L3", version=1, name="x")
    place.kit.drain()
    place.kit.later(days=31)
    assert place.prune()["events"] == 1
    assert place.event_ids() == [timed, sending]
    assert gone not in place.event_ids()
    with pytest.raises(Conflict, match="What came before this event was removed"):
        place.replayer.replay_event(timed, actor="it")
    assert place.replayer.estimate(EventFilter()).events == 0
    place.kit.later(days=400)
    place.kit.drain()
    place.prune()
    assert [row.type for row in place.kit.rows(tables.events)] == ["lead.lost", "timer.due"]


def test_a_removed_event_is_named_as_removed_to_whoever_sees_all_units(place: Place) -> None:
    identity = place.kit.send("lead.updated", "L1", version=1, name="x")
    place.kit.drain()
    place.kit.later(days=31)
    place.prune()
    with pytest.raises(NotFound, match="was removed"), place.kit.database.read() as connection:
        show_event(connection, identity)
    with pytest.raises(NotFound, match="There is no event"), place.kit.database.read() as connection:
        show_event(connection, identity, frozenset({"packaging"}))


def test_sent_messages_go_and_those_that_wait_stay(place: Place) -> None:
    place.kit.plugins["alpha"] = plugin(
        "alpha", on_event=lambda event, ctx: [UpdateRecord(fields={"score": 1}, write_back=True)]
    )
    for number in range(3):
        place.kit.send("lead.updated", f"L{number}", version=1, name="x")
    place.kit.drain()
    with place.kit.database.write() as connection:
        connection.execute(sa.update(tables.outbox).where(tables.outbox.c.record_id != "L1").values(status="sent"))
    place.kit.later(days=11)
    assert place.prune()["messages"] == 2
    assert [row.record_id for row in place.kit.rows(tables.outbox)] == ["L1"]


def test_a_day_is_one_entry_of_the_trail_and_the_chain_holds(place: Place) -> None:
    for number in range(5):
        place.kit.send("lead.updated", "L1", version=number, name=str(number))
    place.kit.drain()
    place.kit.later(days=31)
    upkeep = Upkeep(place.pruner, seconds=iter(range(0, 10_000_000, 1000)).__next__)
    for _ in range(300):
        upkeep.step()
    trail = [row for row in place.kit.rows(tables.audit) if row.action == "retention.removed"]
    assert [row.details for row in trail] == ['{"events":5}']
    with place.kit.database.read() as connection:
        assert audit.verify(connection).ok
        due = {row["kind"]: row["due"] for row in due_to_go(connection, {"events": place.kit.clock.now()})}
    assert due == {"events": 0}


def test_a_delivery_that_is_retried_between_choosing_and_removing_keeps_its_event(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.pipeline import retention

    place.kit.limits(max_attempts=1)
    stuck = place.kit.send("lead.updated", "L1", version=1, status="fail")
    place.kit.drain()
    place.kit.later(days=31)
    (delivery,) = place.kit.rows(tables.deliveries)
    assert delivery.status == "discarded"
    choose = retention.choose

    def choose_then_retry(*arguments: Any) -> Any:
        found = choose(*arguments)
        Interventions(place.kit.database, place.kit.clock).retry_delivery(delivery.id, actor="it")
        return found

    monkeypatch.setattr(retention, "choose", choose_then_retry)
    assert place.prune() == {}
    assert place.event_ids() == [stuck]
    place.broken = False
    place.kit.drain()
    assert [row.status for row in place.kit.rows(tables.deliveries)] == ["completed"]


def test_a_record_is_folded_whole_although_an_event_goes_before_each_question_it_takes(
    database: Database, request: pytest.FixtureRequest
) -> None:
    place = Place(database, rows=1)
    for number in range(5):
        place.kit.send("lead.updated", "L1", version=number, completeness="delta", extra={f"x{number}": number})
    place.kit.drain()
    place.kit.later(days=31)
    steps = place.pruner.run_of_the_day()
    is_folding, removed = False, 0

    def remove_one(*_: Any) -> None:
        nonlocal is_folding, removed
        if is_folding:
            is_folding = False
            removed += next(steps)[1]
            is_folding = True

    sa.event.listen(database.engine, "before_cursor_execute", remove_one)
    request.addfinalizer(lambda: sa.event.remove(database.engine, "before_cursor_execute", remove_one))
    with database.read() as connection:
        is_folding = True
        snapshot = record_as_of(connection, "crm", "lead", "L1", 5).snapshot
        is_folding = False
    assert snapshot["extra"] == {f"x{number}": number for number in range(5)} and removed > 0


def test_events_that_another_courier_removed_meanwhile_are_not_counted_twice(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.pipeline import retention

    place, other = Place(database), Place(database)
    other.kit.clock = place.kit.clock
    other.pruner.clock = place.kit.clock
    for number in range(4):
        place.kit.send("lead.updated", "L1", version=number)
    place.kit.drain()
    place.kit.later(days=31)
    choose, removed = retention.choose, []

    def choose_then_the_other_removes(*arguments: Any) -> Any:
        found = choose(*arguments)
        monkeypatch.setattr(retention, "choose", choose)
        removed.append(other.prune()["events"])
        return found

    monkeypatch.setattr(retention, "choose", choose_then_the_other_removes)
    assert place.prune() == {} and removed == [4]
    assert place.prune()["events"] == 0
    (run,) = place.kit.rows(tables.retention_runs)
    assert run.removed["events"] == 4


def test_a_run_that_was_interrupted_looks_at_the_oldest_events_again_on_another_day(database: Database) -> None:
    place = Place(database, rows=1)
    timed = place.kit.send("lead.updated", "L1", version=1, status="timer")
    place.kit.send("lead.updated", "L2", version=1)
    place.kit.drain()
    place.kit.later(days=31)
    steps = place.pruner.run_of_the_day()
    assert next(steps) == ("events", 0)  # its timer still runs
    steps.close()
    place.kit.later(days=400)
    place.kit.drain()
    assert place.prune()["events"] == 2
    assert timed not in place.event_ids()


SENT = st.tuples(
    st.sampled_from(["L1", "L2", "L3"]), st.integers(0, 6), st.sampled_from(["full", "delta"]),
    st.fixed_dictionaries({}, optional={
        "status": st.sampled_from(["new", "fail", "set", "timer"]), "owner": st.sampled_from(["li", "wang"]),
    }),
)  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return lambda: tmp_path_factory.mktemp("retention")


@settings(max_examples=15, deadline=None)
@given(history=st.lists(st.tuples(SENT, st.integers(0, 20)), min_size=2, max_size=12), rows=st.integers(1, 5))
def test_whatever_is_removed_nothing_open_goes_and_what_stays_sees_what_it_saw(
    folders: Any, history: list[Any], rows: int
) -> None:
    database = Database(f"sqlite:///{folders()}/law.sqlite3")
    migrate(database, [])
    place = Place(database, rows)
    for (record_id, version, completeness, fields), days in history:
        place.kit.send("lead.updated", record_id, version=version, completeness=completeness, **fields)
        place.kit.drain()
        place.kit.later(days=days)
    stored = place.kit.rows(tables.events)
    with database.read() as connection:
        before = {row.seq: record_as_of(connection, row.source, row.kind, row.record_id, row.seq) for row in stored}
    open_before = {row.id for row in place.kit.rows(tables.deliveries) if row.status in OPEN_DELIVERY}
    place.prune()
    left = {row.seq: row for row in place.kit.rows(tables.events)}
    deliveries = place.kit.rows(tables.deliveries)
    assert {row.id for row in deliveries if row.status in OPEN_DELIVERY} == open_before
    assert {row.event_seq for row in deliveries} <= set(left)
    assert {row.started_by for row in place.kit.rows(tables.timers) if row.status == "pending"} <= {
        row.id for row in left.values()
    }
    with database.read() as connection:
        cut = removed_up_to(connection)
        for row in left.values():
            if row.seq > cut:
                assert record_as_of(connection, row.source, row.kind, row.record_id, row.seq) == before[row.seq]
    database.close()


def test_a_long_history_is_folded_once_and_then_from_its_baseline(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.pipeline import history

    monkeypatch.setattr(history, "KEEP_AFTER", 5)
    for number in range(8):
        place.kit.send("lead.updated", "L1", version=number, name=str(number))
    place.kit.drain()
    last = place.kit.send("lead.updated", "L1", version=9, status="fail")
    place.kit.drain()
    place.kit.later(minutes=5)
    place.kit.drain()
    (kept,) = place.kit.rows(tables.record_baselines)
    tries = [record for identity, record in place.seen if identity == last]
    place.kit.later(minutes=30)
    place.kit.drain()
    assert [record for identity, record in place.seen if identity == last] == [*tries, tries[0]]
    assert kept.seq == 9


def test_a_delivery_whose_records_earlier_events_were_removed_is_not_retried(database: Database) -> None:
    place = Place(database)
    place.kit.limits(max_attempts=1)
    place.kit.plugins["beta"] = plugin("beta", on_event=lambda event, ctx: 1 / 0)
    place.kit.send("lead.updated", "L1", version=1, completeness="delta", name="王")
    place.kit.send("lead.updated", "L1", version=2, completeness="delta", status="timer")
    place.kit.send("lead.updated", "L1", version=3, completeness="delta", status="new")
    place.kit.drain()
    place.kit.later(days=31)
    place.prune()
    [left] = place.kit.rows(tables.events)
    [delivery] = place.kit.rows(tables.deliveries, tables.deliveries.c.plugin == "beta")
    assert (left.seq, delivery.status) == (2, "discarded")
    with pytest.raises(Conflict, match="What came before this event was removed"):
        Interventions(place.kit.database, place.kit.clock).retry_delivery(delivery.id, actor="it")
    assert [row.status for row in place.kit.rows(tables.deliveries, tables.deliveries.c.plugin == "beta")] == [
        "discarded"
    ]
