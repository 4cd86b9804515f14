"""A plugin that takes its worker down is counted, isolated and, when it repeats, put aside in its unit alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.model.errors import StorageUnavailable
from core.model.outcomes import DeliveryStatus
from core.pipeline.dispatch import Dispatcher
from core.pipeline.quarantine import FORGET_AFTER, lift, lifted, record_crash, release_lifted, release_overdue
from core.pipeline.slot import Call, CallSlot
from core.pipeline.worker import after_crash
from core.store import tables
from core.store.bulk import insert_rows
from core.store.database import Database
from core.store.tables import deliveries, quarantines
from tests.pipeline.delivery_rows import NOW, delivery_rows
from tests.pipeline.kit import Kit, plugin


class Killed(BaseException):
    """The worker's process ends inside the handler."""


class House:
    """Two plugins, one of which kills its worker for chosen records, and what a supervisor and its worker do then."""

    def __init__(self, database: Database) -> None:
        self.deadly = {"L1"}
        self.order: list[str] = []
        hooks = ("on_lead_created", "on_lead_updated")
        self.kit = Kit(
            database,
            {
                "bad": plugin("bad", **dict.fromkeys(hooks, self.bad)),
                "good": plugin("good", **dict.fromkeys(hooks, self.good)),
            },
        )
        self.slot = CallSlot()
        self.crashes = 0
        self.start(None)

    def bad(self, event: Any, ctx: Any) -> list[Any]:
        if event.record_id in self.deadly:
            raise Killed
        self.order.append(f"bad:{event.record_id}:{event.type.partition('.')[2]}")
        return []

    def good(self, event: Any, ctx: Any) -> list[Any]:
        self.order.append(f"good:{event.record_id}:{event.type.partition('.')[2]}")
        return []

    def start(self, call: Call | None) -> None:
        """Start a worker as the supervisor does, told what the one before it died of."""
        self.slot.clear()
        self.dispatcher = self.kit.dispatcher = Dispatcher(
            self.kit.database, self.kit.clock, self.kit.plugins, self.kit, slot=self.slot
        )
        if call is not None:
            with self.kit.database.write() as connection:
                record_crash(connection, call, "signal 9", self.kit.clock.now(), limit=3)
            self.dispatcher.one_at_a_time = 2
            self.dispatcher.crashed = frozenset({(call.event_id, call.plugin)})

    def work(self, lives: int = 30) -> None:
        """Work; each time the worker dies another one is started."""
        for _ in range(lives):
            try:
                self.kit.drain()
            except Killed:
                self.crashes += 1
                self.start(self.slot.current())
            else:
                return
        raise AssertionError(f"still dying after {lives} lives")

    def statuses(self, plugin_name: str = "bad") -> list[str]:
        table = tables.deliveries
        return [row.status for row in self.kit.rows(table, table.c.plugin == plugin_name)]

    def upkeep(self) -> None:
        with self.kit.database.write() as connection:
            release_lifted(connection, self.kit.clock.now())
            release_overdue(connection, self.kit.clock.now())

    def lift(self) -> None:
        with self.kit.database.write() as connection:
            assert lift(connection, "default", "bad", "it", self.kit.clock.now())
        self.upkeep()


@pytest.fixture
def house(database: Database) -> House:
    return House(database)


def test_the_culprit_alone_waits_after_a_crash(house: House) -> None:
    for record in ("L0", "L1", "L2"):
        house.kit.send("lead.created", record)
    house.work()
    assert house.crashes == 1
    assert house.statuses("good") == ["completed"] * 3
    by_record = {row.record_id: row for row in house.kit.rows(tables.deliveries, tables.deliveries.c.plugin == "bad")}
    assert {name: row.status for name, row in by_record.items()} == {
        "L0": "completed",
        "L1": "retryable",
        "L2": "completed",
    }
    assert by_record["L1"].attempts == 1 and "worker died" in by_record["L1"].reason
    assert set(house.order) == {"bad:L0:created", "bad:L2:created", *(f"good:L{number}:created" for number in range(3))}


def test_three_crashes_put_the_plugin_aside_and_its_events_are_kept_in_order(house: House) -> None:
    house.kit.send("lead.created", "L1", version=1)
    for _ in range(4):
        house.work()
        house.kit.later(minutes=2)
    assert house.crashes == 3
    [row] = house.kit.rows(tables.quarantines)
    assert (row.unit, row.plugin, row.active, row.crashes) == ("default", "bad", True, 3)
    assert row.reason == "signal 9; 3 in a row" and row.event_id == house.kit.rows(tables.events)[0].id
    house.kit.send("lead.updated", "L1", version=2, status="x")
    house.kit.send("lead.created", "L2")
    house.work()
    assert house.statuses() == ["quarantined"] * 3 and house.statuses("good") == ["completed"] * 3
    house.deadly.clear()
    house.lift()
    house.work()
    assert house.statuses() == ["completed"] * 3
    assert [item for item in house.order if item.startswith("bad:L1")] == ["bad:L1:created", "bad:L1:updated"]


def test_other_units_go_on(house: House) -> None:
    house.kit.send("lead.created", "L1")
    for _ in range(4):
        house.work()
        house.kit.later(minutes=2)
    house.kit.send("lead.created", "E1", industry="ev")
    house.work()
    assert "bad:E1:created" in house.order


def test_a_plugin_that_crashes_again_right_after_it_was_let_go_is_counted_from_the_start(house: House) -> None:
    house.kit.send("lead.created", "L1")
    for _ in range(4):
        house.work()
        house.kit.later(minutes=2)
    house.lift()
    house.kit.later(hours=12)
    house.work()
    [row] = house.kit.rows(tables.quarantines)
    assert (row.active, row.crashes) == (False, 1)


def test_crashes_far_apart_are_not_in_a_row(house: House) -> None:
    call = Call("default", "bad", "evt_1", 1)
    now = house.kit.clock.now()
    with house.kit.database.write() as connection:
        for number in range(6):
            at = now + number * (FORGET_AFTER + timedelta(seconds=1))
            assert not record_crash(connection, call, "signal 9", at, limit=3)
        for number in range(1, 3):
            active = record_crash(connection, call, "signal 9", at + number * timedelta(minutes=1), limit=3)
    assert active


def test_a_crash_of_a_stored_delivery_counts_as_its_attempt(house: House) -> None:
    house.kit.send("lead.created", "L1")
    house.work()
    house.kit.later(minutes=1)
    house.work()
    [row] = house.kit.rows(tables.deliveries, tables.deliveries.c.plugin == "bad")
    assert house.crashes == 2 and row.attempts == 2 and row.reason == "the worker was lost: signal 9"
    assert row.due_at > house.kit.clock.now()


def test_a_crash_is_counted_though_the_database_is_away_when_the_next_worker_starts(database: Database) -> None:
    kit, away = Kit(database, {}), [True, True]

    class SometimesAway:
        """The same database, not there for the first two that ask."""

        def write(self) -> Any:
            if away:
                away.pop()
                raise StorageUnavailable("not there yet")
            return database.write()

    call, is_over = Call("default", "bad", "evt_1", 1), iter([False, False])
    around = {"slot": CallSlot(), "stopping": lambda: next(is_over)}
    after_crash(SometimesAway(), kit.clock, kit, call, "signal 9", pause_s=0.0, **around)  # type: ignore[arg-type]
    [row] = kit.rows(tables.quarantines)
    assert (row.plugin, row.crashes) == ("bad", 1)


def test_lifting_what_is_not_in_quarantine_changes_nothing(house: House) -> None:
    with house.kit.database.write() as connection:
        assert not lift(connection, "default", "good", "it", house.kit.clock.now())
        assert release_lifted(connection, house.kit.clock.now()) == 0


def test_a_plugin_switched_off_in_quarantine_skips_what_was_kept(house: House) -> None:
    house.kit.send("lead.created", "L1")
    for _ in range(4):
        house.work()
        house.kit.later(minutes=2)
    house.kit.switch("default", "bad", on=False)
    house.lift()
    house.work()
    assert house.statuses() == ["skipped"]


def test_after_the_longest_wait_a_held_back_delivery_goes_ahead_and_says_so(database: Database) -> None:
    seen: list[tuple[str, bool]] = []

    def sometimes(event: Any, ctx: Any) -> list[Any]:
        if event.type == "lead.created" and is_broken:
            raise RuntimeError("for a long time")
        seen.append((event.type, event.out_of_order))
        return []

    is_broken = True
    kit = Kit(database, {"alpha": plugin("alpha", on_lead_created=sometimes, on_lead_updated=sometimes)})
    kit.limits(max_wait=timedelta(minutes=30))
    kit.send("lead.created", "L1", version=1)
    kit.send("lead.updated", "L1", version=2, status="a")
    kit.drain()

    def upkeep() -> int:
        with database.write() as connection:
            return release_overdue(connection, kit.clock.now())

    kit.later(minutes=29)
    assert upkeep() == 0
    kit.drain()
    assert seen == []
    kit.later(minutes=1)
    assert upkeep() == 1
    kit.drain()
    assert seen == [("lead.updated", True)]
    is_broken = False
    kit.later(hours=7)
    kit.drain()
    assert seen == [("lead.updated", True), ("lead.created", True)]
    assert [row.out_of_order for row in kit.rows(tables.deliveries)] == [True, True]


def test_without_a_longest_wait_it_waits_as_long_as_it_takes(database: Database) -> None:
    def failing(event: Any, ctx: Any) -> list[Any]:
        if event.type == "lead.created":
            raise RuntimeError("for ever")
        return []

    kit = Kit(database, {"alpha": plugin("alpha", on_lead_created=failing, on_lead_updated=failing)})
    kit.limits(max_attempts=1000)
    kit.send("lead.created", "L1", version=1)
    kit.send("lead.updated", "L1", version=2, status="a")
    for _ in range(20):
        kit.drain()
        kit.later(hours=7)
        with database.write() as connection:
            release_overdue(connection, kit.clock.now())
    waiting = sa.and_(tables.deliveries.c.status == "waiting", tables.deliveries.c.wait_until.is_(None))
    assert len(kit.rows(tables.deliveries, waiting)) == 1


_pairs = st.lists(
    st.tuples(st.sampled_from(["a", "b", "北", "ä"]), st.sampled_from(["one", "two", "three"])), max_size=20
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(held=_pairs, others=_pairs, active=st.frozensets(st.sampled_from(["a", "北"])))
def test_whoever_has_quarantined_deliveries_without_being_in_quarantine_is_found(
    database: Database, held: list[tuple[str, str]], others: list[tuple[str, str]], active: frozenset[str]
) -> None:
    chosen = [
        (("crm", "lead", "L-1"), plugin, unit, number, status)
        for number, (unit, plugin, status) in enumerate(
            [(*pair, DeliveryStatus.QUARANTINED) for pair in held]
            + [(*pair, DeliveryStatus.RETRYABLE) for pair in others]
        )
    ]
    with database.write() as connection:
        connection.execute(sa.delete(deliveries))
        connection.execute(sa.delete(quarantines))
        insert_rows(connection, deliveries, delivery_rows(chosen))
        for unit in active:
            values = {"unit": unit, "plugin": "one", "crashes": 3, "active": True, "reason": "", "event_id": "evt_1",
                      "changed_at": NOW, "changed_by": "test"}  # fmt: skip
            connection.execute(sa.insert(quarantines).values(values))
        found = lifted(connection, lambda unit, plugin: unit != "ä")
    expected = {pair for pair in held if pair[0] != "ä" and not (pair[0] in active and pair[1] == "one")}
    assert sorted(found) == sorted(expected)
