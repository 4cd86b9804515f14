"""Counts a plugin's crashes per unit, and puts it into quarantine there when they repeat."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.outcomes import ATTENTION, DeliveryStatus
from core.pipeline.backoff import delivery_delay
from core.pipeline.slot import Call
from core.store import audit
from core.store.columns import status_in
from core.store.tables import deliveries, quarantines

FORGET_AFTER = timedelta(hours=1)
"""A crash this long after the one before starts the count anew."""


def record_crash(connection: Connection, call: Call, how: str, now: datetime, *, limit: int) -> bool:
    """Count a crash of a plugin in a unit; return whether it is in quarantine now.

    The delivery it died on, when it is stored already, becomes retryable like after any other failure.
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
        .where(deliveries.c.id == row.id)
        .values(
            status=DeliveryStatus.RETRYABLE.value,
            attempts=attempts,
            reason=f"the worker was lost: {how}",
            due_at=now + delivery_delay(attempts, f"dlv_{row.id}"),
        )
    )


def lift(connection: Connection, unit: str, plugin: str, by: str, now: datetime) -> bool:
    """End a plugin's quarantine in a unit; its deliveries go on in order. Returns whether there was one."""
    audit.lock(connection)
    changed = connection.execute(
        sa.update(quarantines)
        .where(quarantines.c.unit == unit, quarantines.c.plugin == plugin, quarantines.c.active.is_(True))
        .values(active=False, crashes=0, reason="lifted", changed_at=now, changed_by=by)
    )
    if changed.rowcount:
        audit.append(
            connection, actor=by, action="quarantine.lifted", subject=f"{unit}/{plugin}", unit=unit, now=now
        )  # fmt: skip
    return bool(changed.rowcount)


def release_lifted(
    connection: Connection, now: datetime, is_able: Callable[[str, str], bool] = lambda unit, plugin: True
) -> int:
    """Make available the deliveries whose plugin is no longer in quarantine and able to run. Returns how many."""
    found = connection.execute(
        sa.select(deliveries.c.unit, deliveries.c.plugin)
        .where(status_in(*ATTENTION), deliveries.c.status == DeliveryStatus.QUARANTINED.value)
        .distinct()
    ).fetchall()
    if not found:
        return 0
    active = {
        (row.unit, row.plugin)
        for row in connection.execute(sa.select(quarantines).where(quarantines.c.active.is_(True)))
    }
    released = 0
    for row in found:
        if (row.unit, row.plugin) not in active and is_able(row.unit, row.plugin):
            result = connection.execute(
                sa.update(deliveries)
                .where(
                    status_in(*ATTENTION),
                    deliveries.c.status == DeliveryStatus.QUARANTINED.value,
                    deliveries.c.unit == row.unit,
                    deliveries.c.plugin == row.plugin,
                )
                .values(status=DeliveryStatus.AVAILABLE.value, due_at=now, reason=None)
            )
            released += int(result.rowcount)
    return released


def release_overdue(connection: Connection, now: datetime) -> int:
    """Let go the deliveries that waited longer than the configured maximum, marked out of order. Returns how many."""
    result = connection.execute(
        sa.update(deliveries)
        .where(
            status_in(*ATTENTION),
            deliveries.c.status == DeliveryStatus.WAITING.value,
            deliveries.c.wait_until <= now,
        )
        .values(status=DeliveryStatus.AVAILABLE.value, out_of_order=True, due_at=now, waiting_for=None)
    )
    return int(result.rowcount)
