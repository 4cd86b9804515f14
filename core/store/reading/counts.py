"""Counts what stands open, by the partial indexes, so that a scrape costs what is open and not what is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.outcomes import OPEN_DELIVERY, EventStatus, OutboxStatus, TimerStatus
from core.store.tables import config_versions, deliveries, events, outbox, quarantines, timers


@dataclass(frozen=True, slots=True)
class Standing:
    """What is waiting at one moment."""

    accepted: int
    oldest_accepted_at: datetime | None
    deliveries: Mapping[str, int]
    outbox: int
    timers: int
    quarantines: int
    oldest_event_at: datetime | None
    config_version: int


def status_in(column: sa.ColumnElement[object], *statuses: str) -> sa.ColumnElement[bool]:
    """Compare with constants in the words of the partial indexes; a bound value would keep SQLite from using them."""
    constants: list[sa.ColumnClause[object]] = [sa.literal_column(f"'{status}'") for status in sorted(statuses)]
    return column.in_(constants) if len(constants) > 1 else column == constants[0]


def standing(connection: Connection) -> Standing:
    """Count what is open now."""
    accepted = status_in(events.c.status, EventStatus.ACCEPTED)
    oldest = sa.select(events.c.accepted_at).where(accepted).order_by(events.c.seq).limit(1)
    by_status = (
        sa.select(deliveries.c.status, sa.func.count())
        .where(status_in(deliveries.c.status, *OPEN_DELIVERY))
        .group_by(deliveries.c.status)
    )
    found = {status.value: 0 for status in OPEN_DELIVERY} | {
        str(status): int(number) for status, number in connection.execute(by_status)
    }
    return Standing(
        accepted=_count(connection, events, accepted),
        oldest_accepted_at=connection.execute(oldest).scalar_one_or_none(),
        deliveries=found,
        outbox=_count(connection, outbox, status_in(outbox.c.status, OutboxStatus.AVAILABLE, OutboxStatus.RETRYABLE)),
        timers=_count(connection, timers, status_in(timers.c.status, TimerStatus.PENDING)),
        quarantines=_count(connection, quarantines, quarantines.c.active.is_(True)),
        oldest_event_at=connection.execute(sa.select(events.c.accepted_at).order_by(events.c.seq).limit(1)).scalar(),
        config_version=int(connection.execute(sa.select(sa.func.max(config_versions.c.number))).scalar_one() or 0),
    )


def _count(connection: Connection, table: sa.Table, condition: sa.ColumnElement[bool]) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(table).where(condition)).scalar_one())
