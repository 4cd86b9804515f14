"""Claims what a worker may work at: the first event, or the first due delivery, of each record in its lanes.

A few events are claimed, with all that deciding about them needs, in one round trip; of many only those are read that
are taken.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.outcomes import CLAIMABLE_DELIVERY, EventStatus
from core.pipeline.driver_locks import Share, lane_locks, lock_lanes
from core.pipeline.open_deliveries import Open, load_open, open_question, standing
from core.pipeline.plan import load_records, record_states, records_question
from core.pipeline.work import RecordKey, RecordWork, record_key
from core.store.columns import status_in
from core.store.lists import among
from core.store.tables import deliveries, events
from core.store.together import Question, ask_together, every_column, typed_rows

WINDOW = 4
"""How many rows are looked at for each one that is wanted, since only one of each record is taken."""

LEAST_WINDOW = 64
"""The fewest rows that are looked at: what falls due together is often of one event, for one plugin after another."""

ENOUGH = 8
"""So many records are enough to end the look, though more were wanted, or a WINDOW-th of those wanted."""

WINDOWS = 16
"""How far the look goes when one record fills the first window, so that the others need not wait for it."""

CROWDING = 8
"""A record that has more than one in so many rows of a window is left out of the next one."""

_ACCEPTED = status_in(EventStatus.ACCEPTED)
_CLAIMABLE = status_in(*CLAIMABLE_DELIVERY)
_IS_DUE = deliveries.c.due_at <= sa.bindparam("now", type_=deliveries.c.due_at.type)
_DUE_ORDER = (deliveries.c.due_at, deliveries.c.event_seq)
_LANE = list(events.columns.keys()).index("lane")
_PLACE = {"sqlite": "?", "postgresql": "%s"}


@dataclass(frozen=True, slots=True)
class Claimed:
    """Accepted events, with their records and what stands open of those, all read under the lanes' locks."""

    events: list[Any]
    records: dict[RecordKey, RecordWork]
    open: Open


def window_question(dialect: str, share: Share, limit: int) -> Question:
    """Return the question for the first accepted events of a share, of which a batch may have `limit`."""
    return Question(
        f"SELECT seq, source, kind, record_id, lane FROM {events.name} WHERE {_ACCEPTED} AND {share.condition()}"
        f" ORDER BY seq LIMIT {_PLACE[dialect]}",
        (limit * WINDOW,),
    )


def claim_with_records(
    connection: Connection, share: Share, limit: int, window: Sequence[tuple[Any, ...]]
) -> Claimed | None:
    """Claim accepted events as `claim_events` does, and read their records; None when there are none.

    `window` is the answer to `window_question`.
    """
    first: dict[RecordKey, tuple[Any, ...]] = {}
    for row in window:
        first.setdefault((row[1], row[2], row[3]), row)
    if len(window) < limit * WINDOW and len(first) <= limit:
        return _claim_together(connection, first)
    rows = claim_events(connection, share, limit)
    keys = [record_key(row) for row in rows]
    return Claimed(rows, load_records(connection, keys), load_open(connection, keys)) if rows else None


def _claim_together(connection: Connection, first: dict[RecordKey, tuple[Any, ...]]) -> Claimed | None:
    """Lock the lanes and read everything at once; what belongs to lanes of others was read in vain."""
    if not first:
        return None
    dialect = connection.dialect.name
    keys = list(first)
    wanted = f"SELECT {every_column(events)} FROM {events.name} WHERE {_ACCEPTED} AND seq"
    questions = [
        among(dialect, (wanted,), [int(row[0]) for row in first.values()]),
        records_question(dialect, keys),
        open_question(dialect, keys),
    ]
    if dialect == "sqlite":
        found, states, standing_open = ask_together(connection, questions)
        mine = found
    else:
        locks = lane_locks([row[4] for row in first.values()])
        held, found, states, standing_open = ask_together(connection, [locks, *questions])
        lanes = {row[0] for row in held}
        mine = [row for row in found if row[_LANE] in lanes]
    rows = sorted(typed_rows(events, connection.dialect)(mine), key=lambda row: int(row.seq))
    chosen = {record_key(row) for row in rows}
    records = {key: work for key, work in record_states(keys, states).items() if key in chosen}
    open_now = {key: what for key, what in standing(standing_open).items() if key[0] in chosen}
    return Claimed(rows, records, open_now) if rows else None


def claim_events(connection: Connection, share: Share, limit: int) -> list[Any]:
    """Return accepted events, at most one of each record, lowest first; on PostgreSQL their lanes are locked."""
    numbers = _first_of_each(connection, _accepted(share), (events.c.seq,), limit, {})
    if not numbers:
        return []
    return list(connection.execute(_chosen_events(connection.dialect.name), _listed(connection, numbers)))


def claim_deliveries(connection: Connection, share: Share, now: datetime, limit: int) -> list[Any]:
    """Return due deliveries, at most one of each record, longest due first; on PostgreSQL their lanes are locked."""
    at = {"now": now}
    numbers = _first_of_each(connection, _due(share), _DUE_ORDER, limit, at)
    if not numbers:
        return []
    return list(connection.execute(_chosen_deliveries(connection.dialect.name), _listed(connection, numbers) | at))


# Statements are built once: what a small batch costs is, to a good part, what building them costs.


@lru_cache(maxsize=64)
def _accepted(share: Share) -> sa.Select[Any]:
    e = events.c
    look = sa.select(e.seq, e.source, e.kind, e.record_id, e.lane).where(_ACCEPTED, sa.text(share.condition()))
    return look.order_by(e.seq).limit(sa.bindparam("window", type_=sa.Integer))


@lru_cache(maxsize=64)
def _due(share: Share) -> sa.Select[Any]:
    d = deliveries.c
    look = sa.select(d.id, d.source, d.kind, d.record_id, d.lane, *_DUE_ORDER)
    look = look.where(_CLAIMABLE, _IS_DUE, sa.text(share.condition())).order_by(*_DUE_ORDER)
    return look.limit(sa.bindparam("window", type_=sa.Integer))


@lru_cache
def _chosen_events(dialect: str) -> sa.Select[Any]:
    return sa.select(events).where(_ACCEPTED, _among(dialect, "seq")).order_by(events.c.seq)


@lru_cache
def _chosen_deliveries(dialect: str) -> sa.Select[Any]:
    return sa.select(deliveries).where(_CLAIMABLE, _IS_DUE, _among(dialect, "id")).order_by(*_DUE_ORDER)


def _among(dialect: str, column: str) -> sa.TextClause:
    if dialect == "sqlite":
        return sa.text(f"{column} IN (SELECT value FROM json_each(:numbers))")
    return sa.text(f"{column} = ANY(CAST(:numbers AS bigint[]))")


def _listed(connection: Connection, numbers: list[int]) -> dict[str, Any]:
    return {"numbers": json.dumps(numbers) if connection.dialect.name == "sqlite" else numbers}


def _first_of_each(
    connection: Connection, look: sa.Select[Any], order: Sequence[sa.Column[Any]], limit: int, values: dict[str, Any]
) -> list[int]:
    """Return the numbers of the first row of each record. What is behind them is read only once the lanes are held."""
    window = max(limit * WINDOW, LEAST_WINDOW)
    enough = min(limit, max(limit // WINDOW, ENOUGH))
    seen: set[RecordKey] = set()
    chosen: list[int] = []
    following = look
    left_out: list[sa.ColumnElement[bool]] = []
    for _ in range(WINDOWS):
        rows = connection.execute(following, {**values, "window": window}).fetchall()
        first = []
        for row in rows:
            key = record_key(row)
            if key not in seen:
                seen.add(key)
                first.append(row)
        chosen += [int(row[0]) for row in _lockable(connection, first, limit - len(chosen))]
        if len(rows) < window or len(chosen) >= enough:
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
