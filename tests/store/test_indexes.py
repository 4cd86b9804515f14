"""However many rows are stored, what is looked for all the time is found through an index."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from core.model.effects import StartTimer
from core.pipeline.inbox import is_backlog_full
from core.pipeline.quarantine import is_any_overdue, lifted, release_lifted, release_overdue
from core.pipeline.timers import is_any_due, release_held
from core.store.database import Database
from core.store.migrate import migrate
from core.store.waiting import release
from tests.pipeline.kit import Kit, plugin

BIG = ("events", "deliveries", "outbox", "timers", "decisions", "record_updates", "records")


@pytest.fixture
def kit(sqlite_url: str) -> Iterator[Kit]:
    database = Database(sqlite_url)
    migrate(database, [])
    calls: list[int] = []

    def handler(event: Any, ctx: Any) -> list[Any]:
        calls.append(1)
        if len(calls) % 2:
            raise RuntimeError("every other time")
        return [StartTimer(timer="t", due_at=ctx.now)]

    yield Kit(database, {"alpha": plugin("alpha", on_event=handler, on_timer_due=handler)})
    database.close()


def test_no_statement_of_the_daily_round_reads_a_whole_table(kit: Kit) -> None:
    said: list[tuple[str, Any]] = []

    @sa.event.listens_for(kit.database.engine, "before_cursor_execute")
    def _note(conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if re.match(r"\s*(SELECT|UPDATE|DELETE)", statement) and not statement.startswith("PRAGMA"):
            said.append((statement, parameters[0] if many else parameters))

    for number in range(6):
        kit.send("lead.updated", "L1", version=number, status=str(number))
        kit.send("customer.updated", "K1", version=number, name=str(number))
    kit.drain()
    kit.later(minutes=1)
    kit.drain()
    now = kit.clock.now()
    with kit.database.write() as connection:
        release_lifted(connection, now)
        release_overdue(connection, now)
        release_held(connection, kit.current(connection))
        release(
            connection,
            [
                {
                    "kind": "lead",
                    "record_id": "L1",
                    "source": "crm",
                    "plugin": "alpha",
                    "unit": "default",
                    "event_seq": 1,
                }
            ],
            now,
        )
        is_any_due(connection, now)
        is_backlog_full(connection, 10)
        lifted(connection)
        is_any_overdue(connection, now)
    sa.event.remove(kit.database.engine, "before_cursor_execute", _note)
    assert len({statement for statement, _ in said}) > 15
    with kit.database.read() as connection:
        for statement, parameters in said:
            plan = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, parameters).fetchall()
            scans = [row[3] for row in plan if re.fullmatch(rf"SCAN ({'|'.join(BIG)})( AS \w+)?", row[3])]
            assert not scans, f"{statement}: {scans}"
