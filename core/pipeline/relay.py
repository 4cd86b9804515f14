"""Follow-up events on their way from the outbox to the inbox: read here, accepted there, marked in one transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.events import EVENT_TYPES, Completeness, Origin
from core.model.inbound import InboundEvent
from core.model.outcomes import OutboxStatus
from core.model.versions import version_key
from core.store.tables import outbox

_WAITING = sa.text("status IN ('available', 'retryable') AND target = 'inbox'")
"""The words of the partial index, so that messages that wait for a receiver cost a look for follow-ups nothing."""

RELAY_LOCK = "hashtext('outrigger follow-ups of ' || current_schema())"
"""SQL for the class of the PostgreSQL advisory lock by which one courier of a fleet passes follow-up events on."""

_SENT = (
    sa.update(outbox)
    .where(outbox.c.seq == sa.bindparam("message"))
    .values(status=OutboxStatus.SENT.value, sent_at=sa.bindparam("at"), attempts=1)
)


@dataclass(frozen=True, slots=True)
class FollowUps:
    """Follow-up events that wait in the outbox, and their messages' numbers."""

    events: Sequence[InboundEvent]
    messages: Sequence[int]

    def mark(self, connection: Connection, now: datetime) -> None:
        """Mark the messages sent, in the transaction that accepts their events."""
        if self.messages:
            connection.execute(_SENT, [{"message": seq, "at": now} for seq in self.messages])


def has_follow_ups(connection: Connection) -> bool:
    """Whether a follow-up event waits."""
    return connection.execute(sa.select(outbox.c.seq).where(_WAITING).limit(1)).first() is not None


def is_alone(connection: Connection) -> bool:
    """Whether no other courier passes follow-up events on just now; until this transaction ends none will.

    A second one could pass over those that the first has found and not yet accepted, and accept later ones of the same
    record before them.
    """
    if connection.dialect.name == "sqlite":
        return True
    return bool(connection.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({RELAY_LOCK}, 0)").scalar_one())


def find_follow_ups(connection: Connection, *, limit: int = 200) -> FollowUps:
    """Find follow-up events that wait, in the order in which they were written.

    That is the order of their numbers: a record's are written one after another under the lock of its lane. The time
    they bear is of whichever machine wrote them.
    """
    statement = sa.select(outbox).where(_WAITING).order_by(outbox.c.seq).limit(limit)
    rows = connection.execute(statement.with_for_update()).fetchall()
    return FollowUps([follow_up_event(row) for row in rows], [row.seq for row in rows])


def follow_up_event(row: Any) -> InboundEvent:
    """Return the event that a message to the inbox carries."""
    body = json.loads(row.body)
    return InboundEvent(
        source=row.source,
        type=row.type,
        kind=row.kind,
        record_id=row.record_id,
        dedupe_key=f"effect:{row.id}",
        occurred_at=row.created_at,
        data=body["data"],
        version=version_key(None, row.created_at),
        completeness=Completeness.DELTA,
        unit=row.unit,
        origin=Origin.CORE if row.type in EVENT_TYPES else Origin.PLUGIN,
        depth=int(body["depth"]),
        caused_by=row.event_id,
        outward=bool(body.get("outward", True)),
        body_hash=row.id,
    )
