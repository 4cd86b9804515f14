"""Due timers come back as events, exactly once each; those missed while the server was down fire late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.host.settings import Configuration
from core.model.events import Completeness, Origin
from core.model.inbound import InboundEvent
from core.model.instants import format_instant
from core.model.outcomes import TimerStatus
from core.model.versions import version_key
from core.pipeline.recorder import due_key
from core.store.tables import timers

LATE_AFTER = timedelta(seconds=5)
"""A timer that fires later than this after it was due is marked late."""

_FIRE = (
    sa.update(timers)
    .where(
        timers.c.id == sa.bindparam("b_timer"),
        timers.c.round == sa.bindparam("its_round"),
        timers.c.status == TimerStatus.PENDING.value,
    )
    .values(status=sa.bindparam("new_status"), fired_at=sa.bindparam("fired"))
)


@dataclass(frozen=True, slots=True)
class DueTimers:
    """What a poll found: events to accept, and the marks that go into the same transaction."""

    events: Sequence[InboundEvent]
    marks: Sequence[dict[str, Any]]

    @property
    def are_some_held(self) -> bool:
        """Whether one is not fired, since its plugin is switched off."""
        return len(self.events) < len(self.marks)

    def mark(self, connection: Connection) -> None:
        """Mark the timers fired or held, in the transaction that accepts their events."""
        if self.marks:
            connection.execute(_FIRE, list(self.marks))


def find_due(connection: Connection, configuration: Configuration, now: datetime, *, limit: int = 500) -> DueTimers:
    """Find due timers, the longest overdue first; on PostgreSQL inside the caller's write transaction."""
    statement = (
        sa.select(timers)
        .where(sa.text(f"status = '{TimerStatus.PENDING}'"), timers.c.due_at <= now)
        .order_by(timers.c.due_at, timers.c.id)
        .limit(limit)
    )
    if connection.dialect.name == "postgresql":
        statement = statement.with_for_update(skip_locked=True)
    accepted, marks = [], []
    for row in connection.execute(statement).fetchall():
        is_on = configuration.is_enabled(row.unit, row.plugin)
        if is_on:
            accepted.append(due_event(row, now))
        marks.append(
            {
                "b_timer": row.id,
                "its_round": row.round,
                "new_status": (TimerStatus.FIRED if is_on else TimerStatus.HELD).value,
                "fired": now if is_on else None,
            }
        )
    return DueTimers(accepted, marks)


def due_event(row: Any, now: datetime) -> InboundEvent:
    """Return the event of a timer that fires at `now`."""
    return InboundEvent(
        source=row.source,
        type="timer.due",
        kind=row.kind,
        record_id=row.record_id,
        dedupe_key=due_key(row.id, row.round),
        occurred_at=row.due_at,
        data={
            "id": row.record_id,
            "timer_id": row.id,
            "plugin": row.plugin,
            "timer": row.timer,
            "due_at": format_instant(row.due_at),
            "late": now - row.due_at > LATE_AFTER,
            "round": row.round,
            "data": row.data,
        },
        version=version_key(None, row.due_at),
        completeness=Completeness.DELTA,
        unit=row.unit,
        origin=Origin.TIMER,
        depth=row.depth + 1,
        caused_by=row.started_by,
        outward=row.outward,
        body_hash=f"{row.id}:{row.round}",
    )


def release_held(connection: Connection, configuration: Configuration) -> tuple[int, bool]:
    """Let timers run again whose plugin was switched on; those overdue fire late.

    Returns how many, and whether that is all: what somebody else is writing at this moment is passed over, since who
    waits here for several workers, in an order that is not theirs, may wait in a circle.
    """
    is_held = sa.text(f"status = '{TimerStatus.HELD}'")
    released, is_all = 0, True
    for row in connection.execute(sa.select(timers.c.plugin, timers.c.unit).where(is_held).distinct()).fetchall():
        if configuration.is_enabled(row.unit, row.plugin):
            its = sa.select(timers.c.id).where(is_held, timers.c.plugin == row.plugin, timers.c.unit == row.unit)
            result = connection.execute(
                sa.update(timers)
                .where(is_held, timers.c.id.in_(its.with_for_update(skip_locked=True)))
                .values(status=TimerStatus.PENDING.value, round=timers.c.round + 1)
            )
            released += int(result.rowcount)
            is_all = is_all and connection.execute(its.limit(1)).first() is None
    return released, is_all


def is_any_due(connection: Connection, now: datetime) -> bool:
    """Whether a timer is due; one look into an index, however many timers are pending."""
    first = connection.execute(
        sa.select(sa.func.min(timers.c.due_at)).where(sa.text(f"status = '{TimerStatus.PENDING}'"))
    ).scalar()
    return first is not None and first <= now
