"""Removes events in the order of their numbers, so that what stays can be retried and replayed with the same result.

Nothing goes beyond the first event that has an open delivery: a delivery sees records as of its event, so no event at
or behind it may lack what came before. An event whose timer still runs or whose message is still under way stays where
it is, is passed over, and cannot be replayed any more. What a record's removed events said is folded into a baseline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.outcomes import OPEN_DELIVERY, EventStatus, OutboxStatus, TimerStatus
from core.pipeline.history import MERGED_KINDS, Place, baseline, keep_baselines, records_as_of
from core.store.bulk import insert_rows
from core.store.columns import status_in
from core.store.tables import deliveries, event_keys, events, outbox, record_baselines, record_updates, timers

_OPEN = status_in(*OPEN_DELIVERY)


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did."""

    removed: int
    is_last: bool = True
    is_busy: bool = False  # something is in use, or changed meanwhile; nothing was removed


@dataclass(slots=True)
class Chosen:
    """The events of one step: all up to a number, some of which stay; and what is kept of them."""

    up_to: int = 0
    rows: Sequence[Any] = ()
    staying: frozenset[int] = frozenset()
    held_by: str | None = None
    is_last: bool = True
    baselines: list[dict[str, Any]] = field(default_factory=list)


def choose(connection: Connection, after: int, cutoff: datetime, limit: int) -> Chosen:
    """Choose the next events that were kept long enough, up to the first that holds the others."""
    columns = (events.c.seq, events.c.id, events.c.source, events.c.kind, events.c.record_id, events.c.status,
               events.c.accepted_at, events.c.body_hash)  # fmt: skip
    found = connection.execute(
        sa.select(*columns).where(events.c.seq > after).order_by(events.c.seq).limit(limit)
    ).fetchall()
    rows: list[Any] = []
    held_by: str | None = None
    opened = _open_deliveries(connection, [row.seq for row in found])
    for row in found:
        if row.accepted_at >= cutoff:
            break
        if row.status == EventStatus.ACCEPTED.value:
            held_by = f"{row.id}, which waits to be dispatched"
            break
        if row.seq in opened:
            held_by = f"dlv_{opened[row.seq]}, which is open; retry or discard it"
            break
        rows.append(row)
    if not rows:
        return Chosen(held_by=held_by)
    chosen = Chosen(rows[-1].seq, rows, held_by=held_by, is_last=len(rows) < limit)
    chosen.staying = _staying(connection, rows)
    last: dict[tuple[str, str, str], int] = {
        (row.source, row.kind, row.record_id): row.seq for row in rows if row.kind in MERGED_KINDS
    }
    places: list[Place] = [(*key, seq) for key, seq in last.items()]
    chosen.baselines = [baseline(place, state) for place, state in records_as_of(connection, places).items()]
    return chosen


def remove(connection: Connection, chosen: Chosen, now: datetime) -> Step:
    """Remove the chosen events in the caller's write transaction, unless something of theirs moved meanwhile."""
    numbers = [row.seq for row in chosen.rows]
    if not _locked(connection, numbers) or _open_deliveries(connection, numbers):
        return Step(0, is_busy=True)
    if _staying(connection, chosen.rows) - chosen.staying:
        return Step(0, is_busy=True)
    keep_baselines(connection, chosen.baselines)
    for item in chosen.baselines:
        _forget_before(connection, item)
    gone = [row for row in chosen.rows if row.seq not in chosen.staying]
    keys = [
        {"event_id": row.id, "body_hash": row.body_hash, "accepted_at": row.accepted_at, "removed_at": now}
        for row in gone
    ]
    insert_rows(connection, event_keys, keys, on_conflict="ON CONFLICT DO NOTHING")
    connection.execute(sa.delete(deliveries).where(deliveries.c.event_seq.in_([row.seq for row in gone])))
    removed = connection.execute(sa.delete(events).where(events.c.seq.in_([row.seq for row in gone])))
    return Step(int(removed.rowcount))


def _forget_before(connection: Connection, item: dict[str, Any]) -> None:
    """Remove what a baseline stands for: the baselines before it and the updates that are folded in."""
    for folded in (record_baselines.c.seq, record_updates.c.applied_after_seq):
        table = folded.table
        assert isinstance(table, sa.Table)
        its = [table.c[name] == item[name] for name in ("source", "kind", "record_id")]
        connection.execute(sa.delete(table).where(*its, folded < item["seq"]))


def _open_deliveries(connection: Connection, numbers: Sequence[int]) -> dict[int, int]:
    """Return an open delivery of each of these events that has one."""
    found = connection.execute(
        sa.select(deliveries.c.event_seq, deliveries.c.id).where(deliveries.c.event_seq.in_(numbers), _OPEN)
    )
    return {row.event_seq: row.id for row in found}


def _staying(connection: Connection, rows: Sequence[Any]) -> frozenset[int]:
    """Return the events whose message is under way or whose timer still runs."""
    by_id = {row.id: row.seq for row in rows}
    under_way = connection.execute(
        sa.select(outbox.c.event_seq).where(
            outbox.c.event_seq.in_(list(by_id.values())),
            sa.or_(outbox.c.status == OutboxStatus.AVAILABLE.value, outbox.c.status == OutboxStatus.RETRYABLE.value),
        )
    ).scalars()
    running = connection.execute(
        sa.select(timers.c.started_by).where(
            sa.tuple_(timers.c.kind, timers.c.record_id, timers.c.source).in_(
                sorted({(row.kind, row.record_id, row.source) for row in rows})
            ),
            sa.or_(timers.c.status == TimerStatus.PENDING.value, timers.c.status == TimerStatus.HELD.value),
        )
    ).scalars()
    return frozenset(under_way) | frozenset(by_id[identity] for identity in running if identity in by_id)


def _locked(connection: Connection, numbers: Sequence[int]) -> bool:
    """Lock the events and their deliveries on PostgreSQL.

    False when somebody retries or replays one of them, or when an event is gone: another courier, or a person at the
    command line, removed it after it was chosen here.
    """
    chosen = sa.select(events.c.seq).where(events.c.seq.in_(numbers))
    if connection.dialect.name == "sqlite":
        return len(connection.execute(chosen).fetchall()) == len(numbers)
    if len(connection.execute(chosen.with_for_update(skip_locked=True)).fetchall()) != len(numbers):
        return False
    theirs = sa.select(deliveries.c.event_seq).where(deliveries.c.event_seq.in_(numbers))
    there = len(connection.execute(theirs).fetchall())
    return len(connection.execute(theirs.with_for_update(skip_locked=True)).fetchall()) == there
