"""Tests of claiming: what is claimed at once, records included, is what claiming step by step gives."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.pipeline.claim import (
    ENOUGH,
    WINDOW,
    Claimed,
    claim_deliveries,
    claim_events,
    claim_with_records,
    window_question,
)
from core.pipeline.driver_locks import EVERYTHING, lock_lanes
from core.pipeline.open_deliveries import load_open
from core.pipeline.plan import load_records
from core.pipeline.work import record_key
from core.store import tables
from core.store.database import Database
from core.store.together import ask_together
from tests.pipeline.kit import START, Kit, plugin


def failing_for_some(event: Any, ctx: Any) -> list[Any]:
    if event.record_id in ("R1", "R3"):
        raise RuntimeError("asked to")
    return []


def claimed(connection: sa.Connection, limit: int) -> Claimed | None:
    [window] = ask_together(connection, [window_question(connection.dialect.name, EVERYTHING, limit)])
    return claim_with_records(connection, EVERYTHING, limit, window)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.lists(st.integers(0, 5), max_size=6),
    waiting=st.lists(st.integers(0, 5), max_size=20),
    limit=st.integers(1, 8),
)
def test_claiming_at_once_gives_what_claiming_step_by_step_gives(
    database: Database, before: Sequence[int], waiting: Sequence[int], limit: int
) -> None:
    kit = Kit(database, {"alpha": plugin("alpha", on_lead_updated=failing_for_some)})
    with database.write() as connection:
        for table in (tables.events, tables.deliveries, tables.records):
            connection.execute(sa.delete(table))
    for number, record in enumerate(before):
        kit.send("lead.updated", f"R{record}", version=number, key=f"{number}")
    kit.drain()
    for number, record in enumerate(waiting, 100):
        kit.send("lead.updated", f"R{record}", version=number, key=f"{number}")
    with database.write() as connection:
        at_once = claimed(connection, limit)
        rows = claim_events(connection, EVERYTHING, limit)
        keys = [record_key(row) for row in rows]
        if at_once is None:
            assert not rows and not waiting
            return
        assert at_once.events == [tuple(row) for row in rows]
        assert list(at_once.records) and at_once.records == load_records(connection, keys)
        assert at_once.open == load_open(connection, keys)


@pytest.mark.parametrize("limit", [64, 2], ids=["at once", "step by step"])
def test_only_events_of_lanes_that_nobody_else_works_at_are_claimed(database: Database, limit: int) -> None:
    if database.is_sqlite:
        pytest.skip("workers of SQLite have shares instead")
    kit = Kit(database, {})
    records = [f"R{number}" for number in range(3 * WINDOW)]
    for record in records:
        kit.send("lead.created", record)
    lanes = {row.record_id: row.lane for row in kit.rows(tables.events)}
    others = {lanes[record] for record in records[::2]}
    with database.write() as other, database.write() as connection:
        assert lock_lanes(other, sorted(others)) == others
        found = claimed(connection, limit)
        assert found is not None
        mine = [record for record in records if lanes[record] not in others]
        assert [row.record_id for row in found.events] == (mine if limit > 2 else mine[:1])  # half of two is enough
        assert {key[2] for key in found.records} == {row.record_id for row in found.events}
        assert not lock_lanes(other, [row.lane for row in found.events])
    with database.write() as connection:
        assert lock_lanes(connection, sorted(lanes.values())) == set(lanes.values())


def test_where_others_work_at_every_lane_nothing_is_claimed(database: Database) -> None:
    if database.is_sqlite:
        pytest.skip("workers of SQLite have shares instead")
    kit = Kit(database, {})
    kit.send("lead.created", "R1")
    with database.write() as other, database.write() as connection:
        lock_lanes(other, [row.lane for row in kit.rows(tables.events)])
        assert claimed(connection, 64) is None


@pytest.mark.parametrize("limit", [1, ENOUGH, 40], ids=["one", "few", "many"])
def test_deliveries_of_one_event_for_many_plugins_leave_room_for_those_of_others(
    database: Database, limit: int
) -> None:
    def fails(event: Any, ctx: Any) -> list[Any]:
        raise RuntimeError("later")

    kit = Kit(database, {f"p{number}": plugin(f"p{number}", on_lead_created=fails) for number in range(20)})
    kit.accept(*[kit.event("lead.created", f"L{number}") for number in range(40)])
    kit.drain()
    kit.later(minutes=1)
    with database.write() as connection:  # all of an event at once, one event after another, as a replay has them
        for row in kit.rows(tables.deliveries):
            due = START + timedelta(seconds=row.event_seq)
            where = tables.deliveries.c.id == row.id
            connection.execute(sa.update(tables.deliveries).where(where).values(due_at=due))
    with database.write() as connection:
        rows = claim_deliveries(connection, EVERYTHING, kit.clock.now(), limit)
    assert len({row.record_id for row in rows}) == len(rows) >= min(limit, ENOUGH)
