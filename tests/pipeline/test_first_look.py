"""Tests of the one statement that says whether a worker has anything to do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from core.pipeline.driver_locks import EVERYTHING, Share
from core.pipeline.first_look import FirstLook, look_question, looked
from core.pipeline.quarantine import lift, record_crash
from core.pipeline.slot import Call
from core.store import tables
from core.store.database import Database
from core.store.together import ask_together
from tests.pipeline.kit import START, Kit, plugin


def silent(event: Any, ctx: Any) -> list[Any]:
    return []


def failing(event: Any, ctx: Any) -> list[Any]:
    raise RuntimeError("asked to")


@pytest.fixture
def kit(database: Database) -> Kit:
    """An installation with a plugin that fails."""
    return Kit(database, {"alpha": plugin("alpha", on_lead_created=failing)})


def look(kit: Kit, share: Share = EVERYTHING) -> FirstLook:
    with kit.database.read() as connection:
        return looked(*ask_together(connection, [look_question(share)]), kit.clock.now())


def test_nothing_waits_in_an_empty_database(kit: Kit) -> None:
    assert look(kit) == FirstLook(START, number=0, has_events=False, has_deliveries=False, has_quarantine=False)


def test_accepted_events_wait_for_the_worker_of_their_lanes(kit: Kit) -> None:
    kit.send("lead.created", "L1")
    [row] = kit.rows(tables.events)
    assert look(kit).has_events
    assert [look(kit, Share(index, 3)).has_events for index in range(3)] == [
        row.lane % 3 == index for index in range(3)
    ]


def test_deliveries_wait_once_they_are_due(kit: Kit) -> None:
    kit.send("lead.created", "L1")
    kit.dispatcher.drain()
    [row] = kit.rows(tables.deliveries)
    assert row.status == "retryable" and row.due_at > START
    assert not look(kit).has_events and not look(kit).has_deliveries
    kit.clock.move(row.due_at - START - timedelta(microseconds=1))
    assert not look(kit).has_deliveries
    kit.clock.move(timedelta(microseconds=1))
    assert look(kit).has_deliveries
    shares = [look(kit, Share(index, 3)).has_deliveries for index in range(3)]
    assert shares == [row.lane % 3 == index for index in range(3)]


def test_the_newest_configuration_and_quarantine_are_told(kit: Kit) -> None:
    kit.switch("default", "alpha", on=False)
    kit.switch("default", "alpha", on=True)
    assert (look(kit).number, look(kit).has_quarantine) == (2, False)
    with kit.database.write() as connection:
        record_crash(connection, Call("default", "alpha", "evt_1", 1), "exit code 3", START, limit=1)
    assert look(kit).has_quarantine
    with kit.database.write() as connection:
        lift(connection, "default", "alpha", "it", START)
    assert not look(kit).has_quarantine


def test_a_dispatcher_that_finds_nothing_asks_two_questions(kit: Kit) -> None:
    asked = []
    sa.event.listen(kit.database.engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
    kit.dispatcher.drain()
    assert len([text for text in asked if text.startswith("SELECT")]) == 2  # in one round trip


def test_a_full_batch_says_that_more_may_wait(database: Database) -> None:
    kit = Kit(database, {"alpha": plugin("alpha", on_lead_created=silent)})
    kit.limits(batch_size=2)
    kit.accept(*[kit.event("lead.created", f"L{number}") for number in range(3)])
    batches = [kit.dispatcher.drain() for _ in range(3)]
    assert [(batch.events, batch.is_full) for batch in batches] == [(2, True), (1, False), (0, False)]


def test_a_dispatcher_picks_a_new_configuration_up_though_nothing_waits(kit: Kit) -> None:
    picked_up: list[int | None] = []
    plain = kit.current
    kit.current = lambda connection, number=None: picked_up.append(number) or plain(connection, number)  # type: ignore[method-assign,func-returns-value]
    kit.dispatcher.drain()
    kit.switch("default", "alpha", on=False)
    for _ in range(3):
        kit.dispatcher.drain()
    assert picked_up == [1]
