"""Counts a plugin's crashes per unit, and puts it into quarantine there when they repeat."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import printable
from core.model.outcomes import DeliveryStatus
from core.pipeline.backoff import crash_delay
from core.pipeline.slot import Call
from core.store import audit
from core.store.columns import status_in
from core.store.tables import deliveries, quarantines

FORGET_AFTER = timedelta(hours=1)
"""A crash this long after the one before starts the count anew."""

RELEASED = 2000
"""How many deliveries one write lets go."""

# Said of the row that is changed as well as where it is looked for: on PostgreSQL a change that waited for another
# asks the row's own condition once more, and finds a delivery that was finished meanwhile.
_QUARANTINED = status_in(DeliveryStatus.QUARANTINED)
_WAITING = status_in(DeliveryStatus.WAITING)

# Neither database skips in an index by itself from one value to the next, so each step asks for the next one.
_NEXT = f"FROM deliveries AS d WHERE d.status = '{DeliveryStatus.QUARANTINED}'"
_PAIRS = f"""
WITH RECURSIVE units(unit) AS (
    SELECT (SELECT min(d.unit) {_NEXT})
    UNION ALL
    SELECT (SELECT min(d.unit) {_NEXT} AND d.unit > units.unit) FROM units WHERE units.unit IS NOT NULL
), pairs(unit, plugin) AS (
    SELECT units.unit, (SELECT min(d.plugin) {_NEXT} AND d.unit = units.unit) FROM units WHERE units.unit IS NOT NULL
    UNION ALL
    SELECT pairs.unit, (SELECT min(d.plugin) {_NEXT} AND d.unit = pairs.unit AND d.plugin > pairs.plugin)
    FROM pairs WHERE pairs.plugin IS NOT NULL
)
SELECT unit, plugin FROM pairs WHERE plugin IS NOT NULL ORDER BY unit, plugin
"""


def record_crash(connection: Connection, call: Call, how: str, now: datetime, *, limit: int) -> bool:
    """Count a crash of a plugin in a unit; return whether it is in quarantine now.

    The delivery it died on, when it is stored already, becomes retryable; the first time it waits for a second only.
    """
    _fail_delivery(connection, call, how, now)
    audit.lock(connection)  # before the quarantine's row, which a switch that lifts it takes in this order too
    where = (quarantines.c.unit == call.unit, quarantines.c.plugin == call.plugin)
    row = connection.execute(sa.select(quarantines).where(*where)).first()
    crashes = 1 if row is None or now - row.changed_at > FORGET_AFTER else row.crashes + 1
    active = crashes >= limit
    values = {
        "crashes": crashes,
        "active": active,
        "reason": f"{how}; {crashes} in a row" if crashes > 1 else how,
        "event_id": call.event_id,
        "changed_at": now,
        "changed_by": "supervisor",
    }
    if row is None:
        connection.execute(sa.insert(quarantines).values(unit=call.unit, plugin=call.plugin, **values))
    else:
        connection.execute(sa.update(quarantines).where(*where).values(**values))
    if active and (row is None or not row.active):
        audit.append(
            connection, actor="supervisor", action="quarantine.made", subject=f"{call.unit}/{call.plugin}",
            unit=call.unit, details={"crashes": crashes, "event_id": call.event_id}, now=now,
        )  # fmt: skip
    return active


def _fail_delivery(connection: Connection, call: Call, how: str, now: datetime) -> None:
    row = connection.execute(
        sa.select(deliveries.c.id, deliveries.c.attempts, deliveries.c.status).where(
            deliveries.c.event_seq == call.event_seq,
            deliveries.c.plugin == call.plugin,
            deliveries.c.unit == call.unit,
            deliveries.c.generation == call.generation,
        )
    ).first()
    claimable = (DeliveryStatus.AVAILABLE, DeliveryStatus.RETRYABLE, DeliveryStatus.SCHEDULED)
    if row is None or row.status not in claimable:
        return
    attempts = row.attempts + 1
    connection.execute(
        sa.update(deliveries)
        .where(deliveries.c.id == row.id, deliveries.c.status == row.status)  # another worker may have finished it
        .values(
            status=DeliveryStatus.RETRYABLE.value,
            attempts=attempts,
            reason=f"the worker was lost: {how}",
            due_at=now + crash_delay(attempts, f"dlv_{row.id}"),
        )
    )


def lift(connection: Connection, unit: str, plugin: str, by: str, now: datetime, reason: str = "") -> bool:
    """End a plugin's quarantine in a unit; its deliveries go on in order. Returns whether there was one.

    `reason` is why somebody thinks that it runs again; it stands in the trail and beside the plugin.
    """
    audit.lock(connection)
    changed = connection.execute(
        sa.update(quarantines)
        .where(quarantines.c.unit == unit, quarantines.c.plugin == plugin, quarantines.c.active.is_(True))
        .values(
            active=False, crashes=0, reason=f"lifted: {reason}" if reason else "lifted", changed_at=now, changed_by=by
        )
    )
    if changed.rowcount:
        audit.append(
            connection, actor=by, action="quarantine.lifted", subject=f"{unit}/{plugin}", unit=unit,
            details={"reason": printable(reason, longest=500)} if reason else None, now=now,
        )  # fmt: skip
    return bool(changed.rowcount)


def lifted(
    connection: Connection, is_able: Callable[[str, str], bool] = lambda unit, plugin: True
) -> list[tuple[str, str]]:
    """Return (unit, plugin) where deliveries are quarantined though the plugin no longer is, and is able to run."""
    found = _quarantined(connection)
    if not found:
        return []
    rows = connection.execute(sa.select(quarantines.c.unit, quarantines.c.plugin).where(quarantines.c.active.is_(True)))
    active = {(row.unit, row.plugin) for row in rows}
    return [pair for pair in found if pair not in active and is_able(*pair)]


def _quarantined(connection: Connection) -> list[tuple[str, str]]:
    """Return the (unit, plugin) with quarantined deliveries: from pair to pair in the index, however many there are."""
    return [(row[0], row[1]) for row in connection.exec_driver_sql(_PAIRS)]


def release_lifted(
    connection: Connection, now: datetime, is_able: Callable[[str, str], bool] = lambda unit, plugin: True
) -> int:
    """Make available the deliveries whose plugin is no longer in quarantine and able to run. Returns how many.

    Of each plugin in a unit RELEASED are let go at a time, the oldest first, so that nobody waits long for this write.
    """
    released = 0
    for unit, plugin in lifted(connection, is_able):
        oldest = (
            sa.select(deliveries.c.id)
            .where(_QUARANTINED, deliveries.c.unit == unit, deliveries.c.plugin == plugin)
            .order_by(deliveries.c.id)
            .limit(RELEASED)
        )
        result = connection.execute(
            sa.update(deliveries)
            .where(_QUARANTINED, deliveries.c.id.in_(oldest))
            .values(status=DeliveryStatus.AVAILABLE.value, due_at=now, reason=None)
        )
        released += int(result.rowcount)
    return released


def is_any_overdue(connection: Connection, now: datetime) -> bool:
    """Whether a delivery waited longer than the configured maximum."""
    return connection.execute(_overdue(now).limit(1)).first() is not None


def release_overdue(connection: Connection, now: datetime) -> int:
    """Let go the deliveries that waited longer than the configured maximum, marked out of order. Returns how many."""
    result = connection.execute(
        sa.update(deliveries)
        .where(_WAITING, deliveries.c.id.in_(_overdue(now).order_by(deliveries.c.wait_until).limit(RELEASED)))
        .values(status=DeliveryStatus.AVAILABLE.value, out_of_order=True, due_at=now, waiting_for=None)
    )
    return int(result.rowcount)


def _overdue(now: datetime) -> sa.Select[Any]:
    return sa.select(deliveries.c.id).where(_WAITING, deliveries.c.wait_until <= now)
