"""The short write phase of a batch: effects, records, deliveries and events become rows of one transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.effects import message_id
from core.model.outcomes import (
    OPEN_DELIVERY,
    DeliveryStatus,
    EventStatus,
    OutboxStatus,
    TimerStatus,
    check_delivery_step,
)
from core.model.schemas import canonical_json
from core.pipeline.backoff import crash_delay, delivery_delay
from core.pipeline.care import Care, take
from core.pipeline.open_deliveries import stands_alone
from core.pipeline.plan import Surroundings
from core.pipeline.recorder import Rows
from core.pipeline.running import StoredDelivery
from core.pipeline.work import DeliveryWork, EventWork, RecordWork
from core.store.bulk import Insert, Update, update_rows
from core.store.row_writes import StaleRow
from core.store.tables import deliveries, events, records, timers
from core.store.waiting import release

REPLACE_RECORD = "ON CONFLICT (source, kind, record_id) DO UPDATE SET " + ", ".join(
    f"{name} = excluded.{name}"
    for name in ("unit", "unit_reason", "snapshot", "versions", "own", "last_seq", "updated_at")
)


_HOLD_TIMER = (
    sa.update(timers)
    .where(
        timers.c.id == sa.bindparam("b_timer"),
        timers.c.round == sa.bindparam("b_round"),
        timers.c.status == TimerStatus.FIRED.value,
    )
    .values(status=TimerStatus.HELD.value)
)


@dataclass(slots=True)
class Written:
    """What a write phase did, for the driver and the observers."""

    events: int = 0
    deliveries: int = 0
    wake_outbox: bool = False
    is_full: bool = False
    """Whether the batch was as large as it may be, so that more may wait."""
    finished: list[tuple[str, str, str, str, float]] = field(default_factory=list)
    """Unit, plugin, status, event id and the seconds its handler took."""


def write_fresh(
    connection: Connection,
    works: Sequence[EventWork],
    around: Surroundings,
    *,
    care: Care,
    step: Callable[[str], None],
) -> Written:
    """Write a batch of events just planned, with their deliveries and everything those asked for."""
    written = Written(events=len(works))
    rows = Rows()
    for work in works:
        for delivery in work.deliveries:
            take(connection, rows, delivery, work.row, work.record, around, care)
        if work.follow_up is not None:
            rows.outbox.append(follow_up_row(work, around))
    delivery_rows = [delivery_row(delivery, work, around) for work in works for delivery in work.deliveries]
    states = _records({work.record.key: work.record for work in works}.values(), around)
    _hold(connection, [work.hold_timer for work in works if work.hold_timer])
    marks = [{"key_seq": work.row.seq, **event_marks(work)} for work in works]
    marked = Update(events, ("seq",), marks, f"t.status = '{EventStatus.ACCEPTED}'")
    rows.write(connection, [states, Insert(deliveries, delivery_rows)], marked)
    step("marked_done")
    written.deliveries = len(delivery_rows)
    written.wake_outbox = rows.has_messages or bool(rows.outbox)
    written.finished = [
        (row["unit"], row["plugin"], row["status"], row["event_id"], _seconds(delivery))
        for row, delivery in zip(
            delivery_rows, (delivery for work in works for delivery in work.deliveries), strict=True
        )
    ]
    return written


def write_stored(
    connection: Connection,
    stored: Sequence[StoredDelivery],
    around: Surroundings,
    *,
    care: Care,
    step: Callable[[str], None],
) -> Written:
    """Write the outcomes of deliveries that were stored before, and let go what waited for them."""
    written = Written(deliveries=len(stored))
    rows = Rows()
    _hold(connection, [timer for item in stored if (timer := _timer_to_hold(item)) is not None])
    for item in stored:
        take(connection, rows, item.delivery, item.event_row, item.record, around, care)
    rows.write(connection, [_records([item.record for item in stored], around)])
    step("effects_written")
    outcomes = [_outcome_columns(item.delivery, around, name=f"dlv_{item.row.id}") for item in stored]
    for item, values in zip(stored, outcomes, strict=True):
        check_delivery_step(DeliveryStatus(item.row.status), DeliveryStatus(values["status"]))
    changes = [
        {**values, "key_id": item.row.id, "key_status": item.row.status}
        for item, values in zip(stored, outcomes, strict=True)
    ]
    if update_rows(connection, deliveries, ("id", "status"), changes) != len(changes):
        raise StaleRow(f"{deliveries.name} of this batch")
    final = []
    for item, values in zip(stored, outcomes, strict=True):
        if values["status"] not in OPEN_DELIVERY and not stands_alone(item.row, around.open_before):
            final.append(item.row._mapping)
        written.finished.append(
            (item.row.unit, item.row.plugin, values["status"], item.row.event_id, _seconds(item.delivery))
        )
    release(connection, final, around.now)
    step("marked_done")
    written.wake_outbox = rows.has_messages or bool(rows.outbox)
    return written


def _timer_to_hold(item: StoredDelivery) -> tuple[str, int] | None:
    """Return id and round of a timer whose due event waited, and whose plugin was switched off meanwhile."""
    delivery = item.delivery
    if item.event_row.type != "timer.due" or delivery.planned_as is not DeliveryStatus.SKIPPED or delivery.generation:
        return None
    data = json.loads(item.event_row.data)
    return data["timer_id"], data["round"]


def _hold(connection: Connection, fired: Sequence[tuple[str, int]]) -> None:
    """Hold timers that fired, given by id and round, so that they fire again when their plugin is switched on."""
    if fired:
        connection.execute(_HOLD_TIMER, [{"b_timer": timer, "b_round": round_} for timer, round_ in fired])


def _seconds(delivery: DeliveryWork) -> float:
    return delivery.outcome.seconds if delivery.outcome is not None else 0.0


def _outcome_columns(delivery: DeliveryWork, around: Surroundings, *, name: str) -> dict[str, Any]:
    """Return the columns that say how a delivery stands now."""
    now, limits = around.now, around.configuration.dispatch
    values: dict[str, Any] = {
        "status": (delivery.planned_as or DeliveryStatus.COMPLETED).value,
        "reason": delivery.planned_reason,
        "trace": None,
        "attempts": delivery.attempts,
        "due_at": now,
        "waiting_for": delivery.waiting_for,
        "wait_until": None,
        "out_of_order": delivery.out_of_order,
        "config_version": around.configuration.number,
        "finished_at": None,
    }
    if delivery.planned_as is DeliveryStatus.WAITING and limits.max_wait is not None:
        values["wait_until"] = now + limits.max_wait
    if delivery.planned_as is DeliveryStatus.RETRYABLE:
        values["due_at"] = now + crash_delay(max(delivery.attempts, 1), name)
    outcome = delivery.outcome
    if outcome is not None and delivery.planned_as is None:
        values |= {"status": outcome.status.value, "reason": outcome.reason, "trace": outcome.trace}
        if outcome.status is DeliveryStatus.SCHEDULED and outcome.delay is not None:
            values["due_at"] = now + outcome.delay
        else:
            values["attempts"] = delivery.attempts + 1
        if outcome.status is DeliveryStatus.RETRYABLE:
            if values["attempts"] >= limits.max_attempts:
                values["status"] = DeliveryStatus.DISCARDED.value
            else:
                values["due_at"] = now + delivery_delay(values["attempts"], name)
    if DeliveryStatus(values["status"]) not in OPEN_DELIVERY:
        values["finished_at"] = now
    return values


def delivery_row(delivery: DeliveryWork, work: EventWork, around: Surroundings) -> dict[str, Any]:
    """Return the row of a delivery that was just planned, and run if it could be."""
    row = work.row
    return {
        "event_seq": row.seq,
        "event_id": row.id,
        "plugin": delivery.plugin,
        "unit": delivery.unit,
        "generation": delivery.generation,
        "outward": delivery.outward,
        "source": row.source,
        "kind": row.kind,
        "record_id": row.record_id,
        "lane": row.lane,
        "created_at": around.now,
        **_outcome_columns(delivery, around, name=f"{row.id}:{delivery.plugin}"),
    }


def event_marks(work: EventWork) -> dict[str, Any]:
    """Return what dispatch notes on an event's row."""
    return {
        "status": (EventStatus.SKIPPED if work.skipped else EventStatus.DISPATCHED).value,
        "status_reason": work.skipped,
        "unit": work.unit,
        "unit_reason": work.unit_reason,
        "changed": json.dumps(sorted(work.changed)) if work.changed else None,
    }


def _records(works: Iterable[RecordWork], around: Surroundings) -> Insert:
    rows = [record_row(work, around.now, around.now) for work in works if work.touched]
    return Insert(records, rows, REPLACE_RECORD)


def record_row(work: RecordWork, created_at: datetime, updated_at: datetime) -> dict[str, Any]:
    """Return a record's row; `created_at` counts only when the record is new."""
    source, kind, record_id = work.key
    return {
        "source": source,
        "kind": kind,
        "record_id": record_id,
        "unit": work.unit,
        "unit_reason": work.unit_reason,
        "snapshot": canonical_json(work.state.snapshot),
        "versions": json.dumps(work.state.versions),
        "own": json.dumps(sorted(work.state.own)),
        "last_seq": work.last_seq,
        "created_at": created_at,
        "updated_at": updated_at,
    }


def follow_up_row(work: EventWork, around: Surroundings) -> dict[str, Any]:
    """Return the message of the event that the core itself emits after this one."""
    event = work.follow_up
    assert event is not None
    return {
        "id": message_id(work.row.id, "core", event.type, 0),
        "effect": "emit_event",
        "target": "inbox",
        "type": event.type,
        "body": canonical_json({"data": dict(event.data), "depth": event.depth, "outward": work.row.outward}),
        "event_seq": work.row.seq,
        "event_id": work.row.id,
        "plugin": "core",
        "unit": work.unit,
        "source": event.source,
        "kind": event.kind,
        "record_id": event.record_id,
        "status": OutboxStatus.AVAILABLE.value,
        "attempts": 0,
        "due_at": around.now,
        "reason": None,
        "created_at": around.now,
    }
