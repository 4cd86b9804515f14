"""Rebuilds a record as it stood when an event was merged, from the events and updates that came before."""

from __future__ import annotations

import json

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.merge import RecordState, merge, set_own
from core.model.outcomes import EventStatus
from core.store.tables import events, record_updates

MERGED_KINDS = frozenset({"lead", "customer", "quote", "order", "complaint", "market"})


def is_merged(event_type: str, kind: str) -> bool:
    """Whether an event of this type says something about its record that is merged into the snapshot."""
    return kind in MERGED_KINDS and event_type.partition(".")[0] == kind


def record_as_of(connection: Connection, source: str, kind: str, record_id: str, seq: int) -> RecordState:
    """Fold the record's events up to and including `seq`, and the updates applied before it, into its state."""
    key = (source, kind, record_id)
    facts = connection.execute(
        sa.select(events.c.seq, events.c.type, events.c.data, events.c.version, events.c.completeness)
        .where(
            events.c.source == source,
            events.c.kind == kind,
            events.c.record_id == record_id,
            events.c.seq <= seq,
            events.c.status.in_([EventStatus.DISPATCHED, EventStatus.SKIPPED, EventStatus.ACCEPTED]),
        )
        .order_by(events.c.seq)
    ).fetchall()
    updates = connection.execute(
        sa.select(record_updates.c.applied_after_seq, record_updates.c.fields)
        .where(
            record_updates.c.source == key[0],
            record_updates.c.kind == key[1],
            record_updates.c.record_id == key[2],
            record_updates.c.applied_after_seq < seq,
        )
        .order_by(record_updates.c.applied_after_seq, record_updates.c.id)
    ).fetchall()
    state = RecordState()
    waiting = list(updates)
    for fact in facts:
        while waiting and waiting[0].applied_after_seq < fact.seq:
            state = set_own(state, waiting.pop(0).fields)
        if is_merged(fact.type, kind):
            state = merge(state, json.loads(fact.data), fact.version, completeness=fact.completeness).state
    for update in waiting:
        state = set_own(state, update.fields)
    return state
