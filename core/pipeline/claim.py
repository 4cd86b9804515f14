"""Claims what a worker may work at: the first event, or the first due delivery, of each record in its lanes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.outcomes import CLAIMABLE_DELIVERY, EventStatus
from core.pipeline.driver_locks import Share, lock_lanes
from core.pipeline.work import RecordKey, record_key
from core.store.columns import status_in
from core.store.tables import deliveries, events

WINDOW = 4
"""How many rows are looked at for each one that is wanted, since only one of each record is taken."""

WINDOWS = 16
"""How far the look goes when one record fills the first window, so that the others need not wait for it."""

CROWDING = 8
"""A record that has more than one in so many rows of a window is left out of the next one."""

_ACCEPTED = status_in(EventStatus.ACCEPTED)
_CLAIMABLE = status_in(*CLAIMABLE_DELIVERY)


def claim_events(connection: Connection, share: Share, limit: int) -> list[Any]:
    """Return accepted events, at most one of each record, lowest first; on PostgreSQL their lanes are locked."""
    e = events.c
    look = (
        sa.select(e.seq, e.source, e.kind, e.record_id, e.lane)
        .where(_ACCEPTED, sa.text(share.condition()))
        .order_by(e.seq)
    )
    numbers = _first_of_each(connection, look, (e.seq,), limit)
    chosen = sa.select(events).where(_ACCEPTED, _among(connection, "seq", numbers))
    return list(connection.execute(chosen.order_by(e.seq))) if numbers else []


def claim_deliveries(connection: Connection, share: Share, now: datetime, limit: int) -> list[Any]:
    """Return due deliveries, at most one of each record, longest due first; on PostgreSQL their lanes are locked."""
    d = deliveries.c
    order = (d.due_at, d.event_seq)
    look = (
        sa.select(d.id, d.source, d.kind, d.record_id, d.lane, *order)
        .where(_CLAIMABLE, d.due_at <= now, sa.text(share.condition()))
        .order_by(*order)
    )
    numbers = _first_of_each(connection, look, order, limit)
    chosen = sa.select(deliveries).where(_CLAIMABLE, d.due_at <= now, _among(connection, "id", numbers))
    return list(connection.execute(chosen.order_by(*order))) if numbers else []


def _first_of_each(
    connection: Connection, look: sa.Select[Any], order: Sequence[sa.Column[Any]], limit: int
) -> list[int]:
    """Return the numbers of the first row of each record. What is behind them is read only once the lanes are held."""
    window = limit * WINDOW
    seen: set[RecordKey] = set()
    chosen: list[int] = []
    following = look
    left_out: list[sa.ColumnElement[bool]] = []
    for _ in range(WINDOWS):
        rows = connection.execute(following.limit(window)).fetchall()
        first = []
        for row in rows:
            key = record_key(row)
            if key not in seen:
                seen.add(key)
                first.append(row)
        chosen += [int(row[0]) for row in _lockable(connection, first, limit - len(chosen))]
        if len(rows) < window or len(chosen) * WINDOW >= limit:
            break
        # Behind the last row, and without the records that stand there again and again: they have their turn.
        last = [sa.literal(rows[-1]._mapping[column.name], column.type) for column in order]
        left_out += _without(look, rows)
        following = look.where(sa.tuple_(*order) > sa.tuple_(*last), *left_out)
    return chosen[:limit]


def _without(look: sa.Select[Any], rows: Sequence[Any]) -> list[sa.ColumnElement[bool]]:
    """Leave out the records that fill the window, so that the next one shows others."""
    times = Counter(record_key(row) for row in rows)
    source, kind, record_id = (look.selected_columns[name] for name in ("source", "kind", "record_id"))
    return [
        sa.not_(sa.and_(source == key[0], kind == key[1], record_id == key[2]))
        for key, number in times.most_common(CROWDING)
        if number * CROWDING > len(rows)
    ]


def _lockable(connection: Connection, rows: Sequence[Any], wanted: int) -> list[Any]:
    """Keep the rows whose lanes this worker may have; it takes no more lanes than it needs, others want some too."""
    if connection.dialect.name == "sqlite":
        return list(rows[:wanted])
    kept: list[Any] = []
    for start in range(0, len(rows), wanted):
        part = rows[start : start + wanted]
        lanes = lock_lanes(connection, [row.lane for row in part])
        kept += [row for row in part if row.lane in lanes]
        if len(kept) * 2 >= wanted:
            break
    return kept


def _among(connection: Connection, column: str, numbers: list[int]) -> sa.TextClause:
    if connection.dialect.name == "sqlite":
        return sa.text(f"{column} IN (SELECT value FROM json_each(:numbers))").bindparams(numbers=json.dumps(numbers))
    return sa.text(f"{column} = ANY(CAST(:numbers AS bigint[]))").bindparams(numbers=numbers)
