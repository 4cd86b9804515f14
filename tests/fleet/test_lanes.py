"""Tests of the marks that say which lanes have work."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.model.inbound import InboundEvent, inbound_event
from core.pipeline.inbox import store
from core.pipeline.lanes import FORGOTTEN, LEFT_BEHIND, clean, is_marked, left_behind, mark, renew
from core.store.database import Database

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def lead(record_id: str) -> InboundEvent:
    """Return an event about a lead."""
    return inbound_event(
        source="crm", type="lead.created", data={"id": record_id}, dedupe_key=record_id, occurred_at=NOW
    )


def test_a_lane_is_told_of_once_until_somebody_has_come_for_it(database: Database) -> None:
    with database.write() as connection:
        assert mark(connection, [7, 3, 7], NOW) == [3, 7]
        assert mark(connection, [3, 9], NOW) == [9]
        assert [is_marked(connection, lane) for lane in (3, 4)] == [True, False]
        assert clean(connection) == {3, 7, 9}
        assert mark(connection, [3, 7], NOW) == [3, 7]


def test_a_mark_that_nobody_came_for_is_told_of_again(database: Database) -> None:
    with database.write() as connection:
        mark(connection, [3], NOW)
        assert renew(connection, [3, 7], NOW + FORGOTTEN - timedelta(microseconds=1)) == []
        assert mark(connection, [3], NOW + FORGOTTEN) == []
        assert renew(connection, [3, 7], NOW + FORGOTTEN) == [3]
        assert renew(connection, [3, 7], NOW + FORGOTTEN) == []


def test_no_lanes_are_no_work(database: Database) -> None:
    with database.write() as connection:
        assert mark(connection, [], NOW) == [] == renew(connection, [], NOW)


def test_lanes_with_events_that_wait_for_more_than_a_second_are_left_behind(database: Database) -> None:
    with database.write() as connection:
        stored = store(connection, [lead("L-1"), lead("L-2")], NOW)
        assert left_behind(connection, NOW) == []
        assert left_behind(connection, NOW + LEFT_BEHIND) == sorted(stored.lanes)


def test_events_and_marks_of_a_machine_whose_clock_is_ahead_are_found_at_once(database: Database) -> None:
    behind = NOW - timedelta(minutes=10)
    with database.write() as connection:
        stored = store(connection, [lead("L-1"), lead("L-2")], NOW)
        lanes = sorted(stored.lanes)
        assert mark(connection, lanes, NOW) == lanes
        assert left_behind(connection, behind, after=None) == lanes
        assert renew(connection, lanes, behind) == lanes
        assert renew(connection, lanes, behind) == []


@given(steps=st.lists(st.tuples(st.sampled_from(["mark", "renew", "clean", "wait"]), st.integers(0, 3)), max_size=30))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_marking_is_a_set_of_lanes_with_the_time_each_was_told_of(database: Database, steps: list[Any]) -> None:
    told: dict[int, datetime] = {}
    now = NOW
    with database.write() as connection:
        clean(connection)
        for what, lane in steps:
            if what == "wait":
                now += timedelta(seconds=lane * 2)
            elif what == "clean":
                assert clean(connection) == set(told)
                told.clear()
            elif what == "renew":
                is_old = lane in told and told[lane] <= now - FORGOTTEN
                assert renew(connection, [lane], now) == ([lane] if is_old else [])
                told |= {lane: now} if is_old else {}
            else:
                assert mark(connection, [lane], now) == ([lane] if lane not in told else [])
                told.setdefault(lane, now)


@pytest.mark.parametrize("status", ["retryable", "scheduled", "available"])
def test_due_deliveries_leave_their_lane_behind_and_those_of_later_do_not(database: Database, status: str) -> None:
    with database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO deliveries (event_seq, event_id, plugin, unit, generation, outward, source, kind, record_id,"
            " lane, status, attempts, due_at, out_of_order, config_version, created_at)"
            " VALUES (1, 'evt_1', 'p', 'u', 0, true, 's', 'lead', 'L-1', 42, %s, 1, %s, false, 1, 0)",
            (status, int(NOW.timestamp() * 1_000_000)),
        )
        assert left_behind(connection, NOW - timedelta(seconds=1)) == []
        assert left_behind(connection, NOW) == [42]


def impatient(database: Database) -> Any:
    """Return a connection whose statements wait for no lock of another."""
    connection = database.engine.execution_options(isolation_level="AUTOCOMMIT").connect()
    connection.exec_driver_sql("SET lock_timeout = '200ms'")
    return connection


def test_whoever_is_stopped_after_marking_or_taking_marks_holds_nobody_up(database: Database) -> None:
    with database.statements() as stopped, impatient(database) as other:
        mark(stopped, [3, 7], NOW)
        assert clean(other) == {3, 7}
        mark(other, [3], NOW)
        clean(stopped)
        assert mark(other, [3, 7], NOW) == [3, 7]


def test_a_mark_that_stands_is_taken_away_although_others_mark_its_lane_meanwhile(database: Database) -> None:
    with database.statements() as connection:
        mark(connection, [3], NOW)
    with database.write() as marking, impatient(database) as other:
        assert mark(marking, [3], NOW) == []
        assert clean(other) == {3}


def test_marks_that_somebody_is_just_taking_away_are_theirs(database: Database) -> None:
    with database.statements() as connection:
        mark(connection, [3, 7], NOW)
    with database.write() as busy, impatient(database) as other:
        busy.exec_driver_sql("DELETE FROM dirty_lanes WHERE lane = 3")
        assert clean(other) == {7}
