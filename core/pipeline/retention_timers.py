"""Removes timers that are done, once nothing is left of what they were about and none of their due events is known.

A timer's due event is named by the timer and its round, and a timer that is started anew after its row went begins at
round one again. So the row stays as long as an event of its record is stored, which may yet be replayed or cancel it,
and as long as the id of one of its due events is kept: the new one would be taken for a duplicate of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.events import event_id
from core.model.outcomes import DONE_TIMER, TimerStatus
from core.pipeline.recorder import due_key
from core.store.lists import in_list
from core.store.tables import events, timers

IDS = 2_000
"""Up to how many ids of due events one step asks for; a timer that was started more often is asked about alone."""

Place = tuple[int, datetime | None, str]
"""Where a run stands: an index into DONE_TIMER, and due time and id of the last timer that was looked at."""

FIRST: Place = (0, None, "")


@dataclass(frozen=True, slots=True)
class DoneTimers:
    """The timers of one step that go, as id and round, and where to go on; None when all were looked at."""

    status: TimerStatus
    going: Sequence[tuple[str, int]]
    following: Place | None


def choose_done(connection: Connection, place: Place, cutoff: datetime, limit: int) -> DoneTimers:
    """Look at the next `limit` timers that are done and were due before `cutoff`, and choose those that may go."""
    status = DONE_TIMER[place[0]]
    rows = _next(connection, status, place, cutoff, limit)
    looked_at = _few_enough(rows)
    unused = [row for row in looked_at if row.an_event is None]
    known = _known(connection, unused)
    going = [(row.id, row.round) for row in unused if row.id not in known]
    following: Place | None = None
    if len(looked_at) == limit or len(looked_at) < len(rows):
        following = (place[0], looked_at[-1].due_at, looked_at[-1].id)
    elif place[0] + 1 < len(DONE_TIMER):
        following = (place[0] + 1, None, "")
    return DoneTimers(status, going, following)


def remove_done(connection: Connection, chosen: DoneTimers) -> int:
    """Remove the chosen timers; one that was started anew meanwhile is in another round, and stays."""
    # The ids as well: SQLite looks up no pairs by an index.
    by_id = timers.c.id.in_([identity for identity, _ in chosen.going])
    same = sa.tuple_(timers.c.id, timers.c.round).in_(chosen.going)
    return int(
        connection.execute(sa.delete(timers).where(by_id, same, timers.c.status == chosen.status.value)).rowcount
    )


def _next(connection: Connection, status: TimerStatus, place: Place, cutoff: datetime, limit: int) -> Sequence[Any]:
    its = [events.c[name] == timers.c[name] for name in ("source", "kind", "record_id")]
    # Not EXISTS: PostgreSQL may answer that of many timers by reading all events at once.
    an_event = sa.select(events.c.seq).where(*its).limit(1).scalar_subquery()
    columns = (timers.c.id, timers.c.source, timers.c.round, timers.c.due_at, an_event.label("an_event"))
    statement = sa.select(*columns).where(timers.c.status == status.value, timers.c.due_at < cutoff)
    if place[1] is not None:
        last = sa.tuple_(sa.literal(place[1], timers.c.due_at.type), place[2])
        statement = statement.where(sa.tuple_(timers.c.due_at, timers.c.id) > last)
    return connection.execute(statement.order_by(timers.c.due_at, timers.c.id).limit(limit)).fetchall()


def _few_enough(rows: Sequence[Any]) -> Sequence[Any]:
    number = 0
    for place, row in enumerate(rows):
        number += row.round
        if number > IDS and place:
            return rows[:place]
    return rows


def _known(connection: Connection, rows: Sequence[Any]) -> frozenset[str]:
    """Return the timers of which the id of a removed due event is kept."""
    due = {event_id(row.source, due_key(row.id, number)): row.id for row in rows for number in range(1, row.round + 1)}
    found = in_list(connection, "SELECT event_id FROM event_keys WHERE event_id", list(due))
    return frozenset(due[identity] for (identity,) in found)
