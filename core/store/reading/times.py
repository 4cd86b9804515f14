"""Finds where in the order of their numbers the events of a span of time lie, since they are numbered as they come."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.store.tables import events

SLACK = timedelta(hours=1)
"""How far the clocks of those who accepted may have been apart, or set back."""


def accepted_between(
    connection: Connection, since: datetime | None, until: datetime | None
) -> list[sa.ColumnElement[bool]]:
    """Return bounds on the number of events accepted in [since, until); a little wide, so compare the time as well."""
    found: list[sa.ColumnElement[bool]] = []
    if since is not None:
        found.append(events.c.seq >= first_accepted(connection, since - SLACK))
    if until is not None:
        found.append(events.c.seq < first_accepted(connection, until + SLACK))
    return found


def first_accepted(connection: Connection, at: datetime) -> int:
    """Return the number of the first event accepted at `at` or later, or the number after the last one: by halving."""
    low = connection.execute(sa.select(sa.func.min(events.c.seq))).scalar() or 0
    high = (connection.execute(sa.select(sa.func.max(events.c.seq))).scalar() or 0) + 1
    nearest = sa.select(events.c.seq, events.c.accepted_at).where(events.c.seq >= sa.bindparam("middle"))
    nearest = nearest.order_by(events.c.seq).limit(1)
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(nearest, {"middle": middle}).one_or_none()
        if row is None or row.accepted_at >= at:
            high = middle
        else:
            low = int(row.seq) + 1
    return low
