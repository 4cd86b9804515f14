"""What a question costs in work that no busy machine disturbs: steps of SQLite, blocks that PostgreSQL reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.pipeline.claim import claim_deliveries, claim_events, window_question
from core.pipeline.driver_locks import EVERYTHING
from core.pipeline.first_look import look_question
from core.pipeline.history import record_as_of
from core.pipeline.inbox import is_backlog_full, known_hashes
from core.pipeline.quarantine import is_any_overdue, lifted
from core.pipeline.relay import has_follow_ups
from core.pipeline.timers import is_any_due
from core.store.database import Database
from core.store.reading.decisions import DecisionFilter, list_decisions
from core.store.reading.deliveries import DeliveryFilter, list_deliveries
from core.store.reading.events import EventFilter, list_events, show_event
from core.store.reading.journey import show_record
from core.store.reading.outbox import MessageFilter, list_messages, list_timers
from core.store.reading.records import list_leads
from core.store.together import ask_together
from core.store.waiting import release
from tests.growth.rows import ACTOR, HOT, RARE_PLUGIN, RARE_TYPE, RARE_UNIT

STEPS = 10
"""SQLite is asked to tell after so many steps."""

_OF_MANY = {"source": "crm", "kind": "complaint", "record_id": HOT, "plugin": ACTOR, "unit": "u0", "event_seq": 1}
"""A delivery of the record with very many, for which none waits."""

Question = Callable[[Connection], Any]


def questions(event: str, last: int) -> Mapping[str, Question]:
    """Return what servers and people ask of the database all day; `event` is one's id, `last` the last one's number."""
    now = datetime.now(UTC)
    found: dict[str, Question] = {
        "known ids": lambda c: known_hashes(c, [event, "evt_new"]),
        "is the backlog full": lambda c: is_backlog_full(c, 1_000_000),
        "a worker's look": lambda c: ask_together(
            c, [look_question(EVERYTHING), window_question(c.dialect.name, EVERYTHING, 64)]
        ),
        "claim events": lambda c: claim_events(c, EVERYTHING, 64),
        "claim deliveries, none due": lambda c: claim_deliveries(c, EVERYTHING, now, 64),
        "what waited for a delivery": lambda c: release(c, [_OF_MANY], now),
        "timers, none due": lambda c: is_any_due(c, now),
        "follow-ups, none": has_follow_ups,
        "upkeep: waited too long": lambda c: is_any_overdue(c, now),
        "upkeep: out of quarantine": lifted,
        "a record as of its last event": lambda c: record_as_of(c, "crm", "complaint", "H-3", last),
        "one event": lambda c: show_event(c, event),
        "journey": lambda c: show_record(c, "complaint", "H-3"),
        "journey of very many events": lambda c: show_record(c, "complaint", HOT),
        "journey for one unit": lambda c: show_record(c, "complaint", HOT, units=frozenset({"u0"})),
        "leads": list_leads,
        "leads of a unit": lambda c: list_leads(c, unit="u8"),
        "timers listed": list_timers,
        "timers fired": lambda c: list_timers(c, status="fired"),
        "messages": lambda c: list_messages(c, MessageFilter()),
        "messages discarded": lambda c: list_messages(c, MessageFilter(status="discarded")),
    }
    for name, events in {
        "all": {}, "of a type": {"type": "lead.updated"}, "of a rare type": {"type": RARE_TYPE},
        "of a unit": {"unit": "u3"}, "of a closed unit": {"unit": RARE_UNIT}, "skipped": {"status": "skipped"},
        "of a unit and a rare type": {"unit": "u3", "type": RARE_TYPE}, "of no source": {"source": "nobody"},
        "of a record": {"kind": "complaint", "record_id": HOT},
        "of three units": {"units": frozenset({"u1", "u2", "u3"})},
    }.items():  # fmt: skip
        found[f"events {name}"] = lambda c, events=events: list_events(c, EventFilter(**events))  # type: ignore[misc]
    for name, delivered in {
        "all": {}, "retryable": {"status": "retryable"}, "waiting": {"status": "waiting"}, "of a unit": {"unit": "u3"},
        "of a plugin": {"plugin": ACTOR}, "of a retired plugin": {"plugin": RARE_PLUGIN},
        "of a closed unit": {"unit": RARE_UNIT},
    }.items():  # fmt: skip
        found[f"deliveries {name}"] = lambda c, delivered=delivered: list_deliveries(  # type: ignore[misc]
            c, DeliveryFilter(**delivered)
        )
    for name, decided in {
        "all": {}, "of a unit": {"unit": "u3"}, "of a retired plugin": {"plugin": RARE_PLUGIN},
        "of a record": {"kind": "complaint", "record_id": HOT},
    }.items():  # fmt: skip
        found[f"decisions {name}"] = lambda c, decided=decided: list_decisions(  # type: ignore[misc]
            c, DecisionFilter(**decided)
        )
    return found


def work_of(database: Database, question: Question) -> int:
    """Return how much work a question is for this database."""
    if database.is_sqlite:
        with database.read() as connection:
            count = [0]
            driver: Any = connection.connection.driver_connection
            driver.set_progress_handler(lambda: count.__setitem__(0, count[0] + 1), STEPS)
            try:
                question(connection)
            finally:
                driver.set_progress_handler(None, 0)
            return count[0] * STEPS
    said: list[tuple[str, Any]] = []

    def note(conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "WITH")):
            said.append((statement, parameters))

    sa.event.listen(database.engine, "before_cursor_execute", note)
    try:
        with database.read() as connection:
            question(connection)
    finally:
        sa.event.remove(database.engine, "before_cursor_execute", note)
    with database.read() as connection:
        return sum(_blocks(connection, *statement) for statement in said)


def _blocks(connection: Connection, statement: str, parameters: Any) -> int:
    explained = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters)
    plan = explained.scalar_one()[0]["Plan"]
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])
