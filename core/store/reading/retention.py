"""Reads what retention did, day by day, and what it would do now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.outcomes import DONE_TIMER
from core.store.reading.pages import pick
from core.store.reading.times import first_accepted
from core.store.tables import (
    decisions,
    event_keys,
    events,
    idempotency_keys,
    links,
    outbox,
    retention_runs,
    timers,
)

COUNTED = 100_000
"""Up to how many rows are counted of each kind; beyond that there are at least so many."""


def removed_up_to(connection: Connection) -> int:
    """Return the number up to which events were removed; what stays of them lacks what came before it."""
    return int(connection.execute(sa.select(sa.func.max(retention_runs.c.up_to))).scalar() or 0)


def is_removed(connection: Connection, identity: str) -> bool:
    """Whether retention removed the event of this id, as far as its key is still kept."""
    key = sa.select(event_keys.c.event_id).where(event_keys.c.event_id == identity)
    return connection.execute(key).first() is not None


def last_runs(connection: Connection, limit: int = 14) -> list[dict[str, Any]]:
    """Return the last days on which retention ran, newest first."""
    rows = connection.execute(sa.select(retention_runs).order_by(retention_runs.c.day.desc()).limit(limit))
    return [pick(row, "day", "removed", "held_by", "finished_at") for row in rows]


def due_to_go(connection: Connection, cutoffs: Mapping[str, datetime]) -> list[dict[str, Any]]:
    """Return for each kind of row the oldest there is, and how many are older than the cutoff: COUNTED at most.

    Of events everything of that age is counted, also what stays because something of it is open; of timers all that are
    done and were due by then, also those that stay because an event of their record does.
    """
    found = []
    for name, cutoff in cutoffs.items():
        oldest, number = _due_timers(connection, cutoff) if name == "timers" else _due(connection, name, cutoff)
        item = {"kind": name, "older_than": cutoff, "oldest": oldest, "due": number, "is_more": number >= COUNTED}
        found.append(item)
    return found


def _due(connection: Connection, name: str, cutoff: datetime) -> tuple[datetime | None, int]:
    by_number = {
        "events": (events.c.seq, events.c.accepted_at),
        "decisions": (decisions.c.id, decisions.c.decided_at),
        "messages": (outbox.c.seq, outbox.c.created_at),
    }
    by_time: dict[str, sa.Column[Any]] = {
        "keys": event_keys.c.removed_at,
        "links": links.c.expires_at,
        "idempotency": idempotency_keys.c.created_at,
    }
    if name in by_number:
        order, at = by_number[name]
    else:
        order = at = by_time[name]
    oldest = connection.execute(sa.select(at).where(at.is_not(None)).order_by(order).limit(1)).scalar()
    if oldest is None or oldest >= cutoff:
        return oldest, 0
    old = sa.select(at).where(at < cutoff)
    if name == "events":
        old = old.where(events.c.seq < first_accepted(connection, cutoff))
    return oldest, _count(connection, old, COUNTED)


def _due_timers(connection: Connection, cutoff: datetime) -> tuple[datetime | None, int]:
    # One status after the other, as the index has them; the oldest of all would be looked for row by row.
    oldest: datetime | None = None
    number = 0
    for status in DONE_TIMER:
        its = sa.select(timers.c.due_at).where(timers.c.status == status.value)
        first = connection.execute(its.order_by(timers.c.due_at).limit(1)).scalar()
        if first is not None:
            oldest = min(oldest or first, first)
            number += _count(connection, its.where(timers.c.due_at < cutoff), COUNTED - number)
    return oldest, number


def _count(connection: Connection, rows: sa.Select[Any], most: int) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(rows.limit(most).subquery())).scalar_one())
