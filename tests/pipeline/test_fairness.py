"""One busy record, one failing or slow plugin: the others are served meanwhile."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from core.pipeline.claim import claim_events
from core.pipeline.dispatch import BATCH_S, COMING_S, FEW_STORED, GIVE_WAY_S, NOBODY_WAITS_S, PICK_UP_S, Dispatcher
from core.pipeline.driver_locks import EVERYTHING
from core.store import tables
from core.store.database import Database
from core.store.idle_limit import WORD_AFTER_S
from tests.pipeline.kit import Kit, plugin


def silent(event: Any, ctx: Any) -> list[Any]:
    return []


def test_a_record_with_many_events_does_not_keep_the_others_waiting(database: Database) -> None:
    kit = Kit(database, {"alpha": plugin("alpha", on_lead_updated=silent)})
    kit.limits(batch_size=8)
    kit.accept(*[kit.event("lead.updated", "busy", version=number) for number in range(200)])
    kit.accept(kit.event("lead.updated", "other", version=1))
    kit.dispatcher.drain()
    done = kit.rows(tables.events, tables.events.c.status == "dispatched")
    assert [row.record_id for row in done] == ["busy", "other"]


def test_new_events_are_served_between_the_retries_of_a_failing_plugin(database: Database) -> None:
    def failing(event: Any, ctx: Any) -> list[Any]:
        raise RuntimeError("boom")

    kit = Kit(database, {"bad": plugin("bad", on_lead_created=failing), "good": plugin("good", on_lead_created=silent)})
    kit.limits(batch_size=4)
    kit.accept(*[kit.event("lead.created", f"L{number}") for number in range(40)])
    kit.drain()
    kit.later(minutes=1)  # forty retries are due
    kit.send("lead.created", "new")
    for _ in range(2):
        kit.dispatcher.drain()
    [row] = kit.rows(tables.deliveries, tables.deliveries.c.plugin == "good", tables.deliveries.c.record_id == "new")
    assert row.status == "completed"


def test_a_slow_plugin_ends_its_batch_early_and_nothing_is_forgotten(database: Database) -> None:
    spent = 0.0

    def slow(event: Any, ctx: Any) -> list[Any]:
        nonlocal spent
        spent += BATCH_S / 2
        if event.type == "lead.updated" and event.out_of_order is False and fails:
            raise RuntimeError("later")
        return []

    fails = False
    kit = Kit(database, {"slow": plugin("slow", on_lead_created=slow, on_lead_updated=slow)})
    kit.dispatcher = Dispatcher(database, kit.clock, kit.plugins, kit, seconds=lambda: spent)
    kit.accept(*[kit.event("lead.created", f"L{number}") for number in range(10)])
    assert kit.dispatcher.drain().events == 3
    kit.drain()
    assert [row.status for row in kit.rows(tables.deliveries)] == ["completed"] * 10
    fails = True
    kit.accept(*[kit.event("lead.updated", f"L{number}", status="x") for number in range(10)])
    kit.drain()
    fails = False
    kit.later(minutes=1)
    assert kit.dispatcher.drain().deliveries == 3
    kit.drain()
    assert [row.status for row in kit.rows(tables.deliveries)] == ["completed"] * 20


def test_batches_become_small_where_events_take_long_and_large_again_where_they_do_not(database: Database) -> None:
    spent, cost = 0.0, 0.05

    def works(event: Any, ctx: Any) -> list[Any]:
        nonlocal spent
        spent += cost
        return []

    kit = Kit(database, {"works": plugin("works", on_lead_created=works)})
    kit.dispatcher = Dispatcher(database, kit.clock, kit.plugins, kit, seconds=lambda: spent)
    kit.accept(*[kit.event("lead.created", f"L{number}") for number in range(120)])
    first, second = kit.dispatcher.drain().events, kit.dispatcher.drain().events
    assert 1 < second <= PICK_UP_S / cost < first
    cost = 0.0001
    kit.dispatcher.drain()
    assert kit.dispatcher.drain().events > second


def test_stored_deliveries_take_short_batches_while_events_come_and_longer_ones_while_none_do(
    database: Database,
) -> None:
    spent, cost, fails = 0.0, 0.0005, True

    def works(event: Any, ctx: Any) -> list[Any]:
        nonlocal spent
        spent += cost
        if fails:
            raise RuntimeError("later")
        return []

    kit = Kit(database, {"works": plugin("works", on_lead_created=works)})
    kit.dispatcher = Dispatcher(database, kit.clock, kit.plugins, kit, seconds=lambda: spent)
    kit.accept(*[kit.event("lead.created", f"L{number}") for number in range(200)])
    kit.drain()
    fails = False
    kit.later(minutes=1)
    spent += COMING_S
    quiet = [kit.dispatcher.drain().deliveries for _ in range(3)]
    assert 1 < quiet[0] < quiet[1] == quiet[2] == round(NOBODY_WAITS_S / cost)
    kit.accept(kit.event("lead.created", "new"))
    drained = [kit.dispatcher.drain() for _ in range(4)]
    assert [done.events for done in drained] == [1, 0, 0, 0]
    assert {done.deliveries for done in drained[1:]} == {max(round(GIVE_WAY_S / cost), FEW_STORED)}
    spent += COMING_S
    assert kit.dispatcher.drain().deliveries == quiet[1]
    kit.drain()
    assert {row.status for row in kit.rows(tables.deliveries)} == {"completed"}


def test_the_database_hears_of_a_worker_between_two_slow_plugins(database: Database) -> None:
    spent, said = 0.0, list[str]()

    def slow(event: Any, ctx: Any) -> list[Any]:
        nonlocal spent
        spent += WORD_AFTER_S * 2
        said.append("hook")
        if fails:
            raise RuntimeError("later")
        return []

    fails = True
    kit = Kit(database, {name: plugin(name, on_lead_created=slow) for name in ("one", "two", "three")})
    kit.dispatcher = Dispatcher(database, kit.clock, kit.plugins, kit, seconds=lambda: spent)

    @sa.event.listens_for(database.engine, "before_cursor_execute")
    def hear(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if statement == "SELECT 1":
            said.append("word")

    kit.accept(kit.event("lead.created", "L1"))
    kit.dispatcher.drain()
    between = ["word", "hook"] if database.dialect == "postgresql" else ["hook"]
    assert said == ["hook", *between, *between]
    fails = False
    kit.later(minutes=1)
    said.clear()
    done = kit.dispatcher.drain().deliveries
    assert said == ["hook", *between * (done - 1)]


def test_two_workers_on_postgresql_share_a_backlog(postgres_url: str) -> None:
    from core.store.migrate import migrate

    database = Database(postgres_url)
    migrate(database, [])
    kit = Kit(database, {})
    kit.accept(*[kit.event("lead.created", f"L{number}") for number in range(400)])
    with database.write() as first, database.write() as second:
        one = claim_events(first, EVERYTHING, 64)
        other = claim_events(second, EVERYTHING, 64)
        assert len(one) >= 32 and len(other) >= 32
        assert not {row.lane for row in one} & {row.lane for row in other}
    database.close()


@pytest.mark.parametrize("due", ["together", "later first"])
def test_due_deliveries_of_one_record_are_taken_one_at_a_time(database: Database, due: str) -> None:
    is_broken = True
    order: list[int] = []

    def sometimes(event: Any, ctx: Any) -> list[Any]:
        if is_broken:
            raise RuntimeError("boom")
        order.append(int(event.version[1:]))
        return []

    kit = Kit(database, {"alpha": plugin("alpha", on_lead_updated=sometimes)})
    for number in range(1, 4):
        kit.send("lead.updated", "L1", version=number, status=str(number))
        kit.drain()
    is_broken = False
    with database.write() as connection:  # as if all were due, whatever they wait for
        base = kit.clock.now()
        for row in kit.rows(tables.deliveries):
            shift = timedelta(seconds=row.event_seq if due == "together" else -row.event_seq)
            connection.execute(
                sa.update(tables.deliveries)
                .where(tables.deliveries.c.id == row.id)
                .values(status="retryable", waiting_for=None, due_at=base + shift)
            )
    kit.later(minutes=1)
    kit.drain()
    assert order == [1, 2, 3]
