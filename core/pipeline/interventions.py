"""What a person may do to one delivery or one message that is stuck: try it again, or give it up with a reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core import signals
from core.model.errors import Conflict, NotFound
from core.model.outcomes import OPEN_DELIVERY, DeliveryStatus, OutboxStatus, check_delivery_step
from core.pipeline.driver_locks import wait_for_lane
from core.pipeline.wake import notify
from core.store import audit
from core.store.database import Database
from core.store.reading.retention import removed_up_to
from core.store.tables import deliveries, events, outbox, quarantines
from core.store.waiting import release
from core.time.clock import Clock

_RETRY_FROM = frozenset(
    {DeliveryStatus.DISCARDED, DeliveryStatus.CANCELLED, DeliveryStatus.RETRYABLE, DeliveryStatus.SCHEDULED,
     DeliveryStatus.QUARANTINED}
)  # fmt: skip
_RESEND_FROM = frozenset({OutboxStatus.DISCARDED, OutboxStatus.SUPPRESSED, OutboxStatus.RETRYABLE})
_STOP_FROM = frozenset({OutboxStatus.AVAILABLE, OutboxStatus.RETRYABLE})


@dataclass(frozen=True, slots=True)
class Interventions:
    """Retries and discards on behalf of `actor`. `units` limits whose things may be touched (None: all)."""

    database: Database
    clock: Clock
    wake: Callable[[], None] = lambda: None

    def retry_delivery(self, identity: int, *, actor: str, units: frozenset[str] | None = None) -> None:
        """Make a delivery available again with all its attempts. Raises NotFound or Conflict."""
        with self.database.write() as connection:
            row = _delivery(connection, identity, units)
            before = DeliveryStatus(row.status)
            if before is DeliveryStatus.WAITING:
                raise Conflict(f"It {_waits_for(connection, row)}; retry or discard that one first.")
            if before not in _RETRY_FROM:
                raise Conflict(f"A {before} delivery cannot be retried; replay its event instead.")
            if before is DeliveryStatus.QUARANTINED and _is_quarantined(connection, row.unit, row.plugin):
                raise Conflict(
                    f"{row.plugin} is still in quarantine in {row.unit}; switch it on again first, then its"
                    " deliveries run in order."
                )
            if row.event_seq <= removed_up_to(connection):
                raise Conflict(
                    "What came before this event was removed when its time was up, so the plugin could not see the"
                    " record as it was then; the delivery cannot be retried."
                )
            check_delivery_step(before, DeliveryStatus.AVAILABLE)
            _update(
                connection, deliveries, deliveries.c.id == row.id, row.status,
                status=DeliveryStatus.AVAILABLE.value, reason=f"retried by {actor}", attempts=0,
                due_at=self.clock.now(), finished_at=None, out_of_order=row.out_of_order or _is_late(connection, row),
            )  # fmt: skip
            self._record(connection, "delivery.retried", f"dlv_{row.id}", row, actor)
            notify(connection)
        self.wake()

    def discard_delivery(self, identity: int, *, actor: str, reason: str, units: frozenset[str] | None = None) -> None:
        """Give up an open delivery and let go what waited for it. Raises NotFound or Conflict."""
        now = self.clock.now()
        with self.database.write() as connection:
            row = _delivery(connection, identity, units)
            before = DeliveryStatus(row.status)
            if before not in OPEN_DELIVERY:
                raise Conflict(f"It is {before} already; only an open delivery can be discarded.")
            check_delivery_step(before, DeliveryStatus.DISCARDED)
            why = f"discarded by {actor}: {reason}"
            _update(
                connection, deliveries, deliveries.c.id == row.id, row.status,
                status=DeliveryStatus.DISCARDED.value, reason=why, finished_at=now, waiting_for=None, wait_until=None,
            )  # fmt: skip
            release(connection, [row._mapping], now)
            self._record(connection, "delivery.discarded", f"dlv_{row.id}", row, actor)
            notify(connection)
        self.wake()
        signals.notify_observers(
            signals.delivery_discarded, row.unit, plugin=row.plugin, event_id=row.event_id, reason=why
        )

    def retry_message(self, identity: str, *, actor: str, units: frozenset[str] | None = None) -> None:
        """Send a message again under its old id, with all its attempts. Raises NotFound or Conflict."""
        with self.database.write() as connection:
            row = _message(connection, identity, units)
            if OutboxStatus(row.status) not in _RESEND_FROM:
                raise Conflict(f"A message that is {row.status} cannot be sent again.")
            _update(
                connection, outbox, outbox.c.seq == row.seq, row.status,
                status=OutboxStatus.AVAILABLE.value, attempts=0, due_at=self.clock.now(), reason=f"retried by {actor}",
            )  # fmt: skip
            self._record(connection, "message.retried", row.id, row, actor)
            notify(connection)
        self.wake()

    def discard_message(self, identity: str, *, actor: str, reason: str, units: frozenset[str] | None = None) -> None:
        """Give up a message that waits to be sent. Raises NotFound or Conflict."""
        with self.database.write() as connection:
            row = _message(connection, identity, units)
            if OutboxStatus(row.status) not in _STOP_FROM:
                raise Conflict(f"A message that is {row.status} cannot be discarded.")
            _update(
                connection, outbox, outbox.c.seq == row.seq, row.status,
                status=OutboxStatus.DISCARDED.value, reason=f"discarded by {actor}: {reason}",
            )  # fmt: skip
            self._record(connection, "message.discarded", row.id, row, actor)

    def _record(self, connection: Connection, action: str, subject: str, row: Any, actor: str) -> None:
        # The reason somebody gave may speak of a customer; it stays in the row, where it can be erased.
        details = {"plugin": row.plugin, "event_id": row.event_id, "was": row.status}
        audit.append(
            connection, actor=actor, action=action, subject=subject, unit=row.unit, details=details,
            now=self.clock.now(),
        )  # fmt: skip


def _delivery(connection: Connection, identity: int, units: frozenset[str] | None) -> Any:
    # First the lane, then the row: in the other order this and a worker at the lane would wait for each other.
    lane = connection.execute(sa.select(deliveries.c.lane).where(deliveries.c.id == identity)).scalar_one_or_none()
    if lane is not None:
        wait_for_lane(connection, lane)
    row = connection.execute(sa.select(deliveries).where(deliveries.c.id == identity).with_for_update()).one_or_none()
    if row is None or (units is not None and row.unit not in units):
        raise NotFound(f"There is no delivery dlv_{identity}.")
    return row


def _message(connection: Connection, identity: str, units: frozenset[str] | None) -> Any:
    row = connection.execute(sa.select(outbox).where(outbox.c.id == identity).with_for_update()).one_or_none()
    if row is None or (units is not None and row.unit not in units):
        raise NotFound(f'There is no message "{identity[:80]}".')
    return row


def _update(connection: Connection, table: sa.Table, key: sa.ColumnElement[bool], before: str, **values: Any) -> None:
    changed = connection.execute(sa.update(table).where(key, table.c.status == before).values(**values))
    if changed.rowcount != 1:
        raise Conflict


def _waits_for(connection: Connection, row: Any) -> str:
    earlier = connection.execute(
        sa.select(deliveries.c.id, deliveries.c.status).where(
            deliveries.c.event_seq == row.waiting_for,
            deliveries.c.plugin == row.plugin,
            deliveries.c.unit == row.unit,
        )
    ).fetchall()
    open_ones = [f"dlv_{item.id}" for item in earlier if DeliveryStatus(item.status) in OPEN_DELIVERY]
    return f"is waiting for {', '.join(open_ones) or 'an earlier event of its record'}"


def _is_quarantined(connection: Connection, unit: str, plugin: str) -> bool:
    statement = sa.select(quarantines.c.active).where(quarantines.c.unit == unit, quarantines.c.plugin == plugin)
    return bool(connection.execute(statement).scalar_one_or_none())


def _is_late(connection: Connection, row: Any) -> bool:
    """Whether a later event of the same record was completed for this plugin meanwhile."""
    later = (
        sa.select(deliveries.c.id)
        .join(events, events.c.seq == deliveries.c.event_seq)
        .where(
            events.c.kind == row.kind,
            events.c.record_id == row.record_id,
            events.c.source == row.source,
            events.c.seq > row.event_seq,
            deliveries.c.plugin == row.plugin,
            deliveries.c.unit == row.unit,
            deliveries.c.status == DeliveryStatus.COMPLETED.value,
        )
        .limit(1)
    )
    return connection.execute(later).first() is not None
