"""Runs deliveries: those just planned, and those stored before, on the record as of their event."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.events import Event
from core.model.outcomes import DeliveryStatus, EventStatus
from core.model.records import KINDS
from core.model.schemas import builder_for
from core.pipeline.handler import call_plugin
from core.pipeline.history import Place, record_as_of, records_as_of
from core.pipeline.open_deliveries import earlier_open, load_open
from core.pipeline.plan import Surroundings, load_records
from core.pipeline.slot import Call, CallSlot
from core.pipeline.work import DeliveryWork, RecordKey, RecordWork, build_event, record_key
from core.store.lists import by_record, in_list
from core.store.plugin_session import BufferedSession, Overlay, lay_over
from core.store.tables import deliveries, events


class RecordsAsOf:
    """Implements `ctx.records` for one event."""

    def __init__(self, event: Event[Any], seq: int, around: Surroundings) -> None:
        self._event = event
        self._seq = seq
        self._around = around

    def get(self, kind: str, record_id: str) -> Any | None:
        """Return the record of the event's source, as of the event, or None when it is not known."""
        if (kind, record_id) == (self._event.kind, self._event.record_id):
            return self._event.record
        if kind not in KINDS:
            return None
        key = (self._event.source, kind, record_id)
        last_seq = self._last_seq(key)
        if last_seq is None:
            return None
        if last_seq <= self._seq:
            snapshot = self._around.linked(*key)
        else:
            snapshot = record_as_of(self._around.connection, *key, self._seq).snapshot
        return builder_for(KINDS[kind])({"id": record_id, **snapshot}) if snapshot else None

    def _last_seq(self, key: RecordKey) -> int | None:
        work = self._around.batch.get(key)
        if work is not None:
            return work.last_seq if work.exists or work.touched else None
        rows = by_record(self._around.connection, "t.last_seq", "records", [key])
        return int(rows[0][0]) if rows else None


def run(
    delivery: DeliveryWork,
    event: Event[Any] | None,
    around: Surroundings,
    slot: CallSlot,
    overlay: Overlay,
    *,
    seq: int,
) -> None:
    """Call the delivery's plugin and keep the outcome on the delivery."""
    assert event is not None
    configuration = around.configuration
    place = around.place(delivery.unit)
    session = BufferedSession(around.connection, delivery.plugin, overlay)
    began = time.perf_counter()
    outcome = call_plugin(
        around.plugins[delivery.plugin],
        configuration.plugins[(delivery.unit, delivery.plugin)],
        place.unit,
        event,
        now=around.now,
        session=session,
        records=RecordsAsOf(event, seq, around),
        people=place.people,
        calendar=place.calendar,
        slot=slot,
        call=Call(delivery.unit, delivery.plugin, event.id, seq, delivery.generation),
        limit_s=configuration.dispatch.hook_time_limit_s,
    )
    outcome.seconds = time.perf_counter() - began  # for the metrics alone; no decision sees it
    delivery.outcome = outcome
    if outcome.writes:
        lay_over(overlay, outcome.writes)


_LAST = (
    "SELECT t.source, t.kind, t.record_id, (SELECT e.seq FROM events AS e WHERE e.kind = t.kind"
    f" AND e.record_id = t.record_id AND e.source = t.source AND e.status <> '{EventStatus.ACCEPTED}'"
    " ORDER BY e.seq DESC LIMIT 1) FROM deliveries AS t WHERE t.id"
)


@dataclass(slots=True)
class StoredDelivery:
    """A delivery that was stored before, with its event and its record."""

    row: Any  # deliveries row
    event_row: Any
    event: Event[Any]
    record: RecordWork
    delivery: DeliveryWork


def load_stored(around: Surroundings, rows: Sequence[Any]) -> list[StoredDelivery]:
    """Load what the claimed deliveries need; those that may not run yet are marked with what they become."""
    connection = around.connection
    found = connection.execute(sa.select(events).where(events.c.seq.in_([row.event_seq for row in rows]))).fetchall()
    event_rows = {row.seq: row for row in found}
    keys = [record_key(row) for row in rows]
    records = load_records(connection, keys)
    for key, seq in _last_dispatched(connection, rows):
        records[key].last_seq = max(records[key].last_seq, seq)
    around.open_before = load_open(connection, keys)
    later = _completed_later(around, rows)
    places: dict[int, Place] = {row.id: (row.source, row.kind, row.record_id, row.event_seq) for row in rows}
    states = records_as_of(connection, list(places.values()), around.baselines)
    result = []
    for row in rows:
        event_row = event_rows[row.event_seq]
        state, data = states[places[row.id]], json.loads(event_row.data)
        event = build_event(event_row, data, row.unit, state, frozenset(_names(event_row.changed)))
        delivery = DeliveryWork(
            plugin=row.plugin, unit=row.unit, generation=row.generation, id=row.id,
            status_before=DeliveryStatus(row.status), attempts=row.attempts, outward=row.outward,
            out_of_order=bool(row.out_of_order) or row.id in later,
        )  # fmt: skip
        _gate(delivery, row, around, earlier_open(connection, row, around.open_before))
        if delivery.out_of_order or delivery.generation:
            event = dataclasses.replace(event, out_of_order=delivery.out_of_order, generation=delivery.generation)
        result.append(StoredDelivery(row, event_row, event, records[record_key(row)], delivery))
    return result


def _last_dispatched(connection: Connection, rows: Sequence[Any]) -> list[tuple[RecordKey, int]]:
    """Return the last event of each record that was dispatched: what is set now was not known to any of them."""
    found = in_list(connection, _LAST, [row.id for row in rows])
    return [((row[0], row[1], row[2]), int(row[3])) for row in found if row[3] is not None]


def _names(text: str | None) -> list[str]:
    return list(json.loads(text)) if text else []


def _gate(delivery: DeliveryWork, row: Any, around: Surroundings, earlier: int | None) -> None:
    """Decide whether a claimed delivery may run; when not, say what it becomes instead."""
    held = around.held_because(delivery.unit, delivery.plugin)
    if not around.configuration.is_enabled(delivery.unit, delivery.plugin):
        delivery.planned_as, delivery.planned_reason = DeliveryStatus.SKIPPED, "the plugin was switched off"
    elif held is not None:
        delivery.planned_as, delivery.planned_reason = DeliveryStatus.QUARANTINED, held
    elif earlier is not None and not row.out_of_order:
        delivery.planned_as, delivery.waiting_for = DeliveryStatus.WAITING, earlier
        delivery.planned_reason = "waiting for an earlier event of this record"


def _completed_later(around: Surroundings, rows: Sequence[Any]) -> set[int]:
    """Return the ids of claimed deliveries whose record and plugin already completed a later event."""
    later = (
        sa.select(sa.literal(1))
        .select_from(events.join(deliveries, deliveries.c.event_seq == events.c.seq))
        .where(
            events.c.source == sa.bindparam("its_source"),
            events.c.kind == sa.bindparam("its_kind"),
            events.c.record_id == sa.bindparam("its_id"),
            events.c.seq > sa.bindparam("its_seq"),
            deliveries.c.plugin == sa.bindparam("its_plugin"),
            deliveries.c.unit == sa.bindparam("its_unit"),
            deliveries.c.status == DeliveryStatus.COMPLETED.value,
        )
        .limit(1)
    )
    found = set()
    for row in rows:
        if not row.attempts and row.status == DeliveryStatus.AVAILABLE:
            continue
        its = {"its_source": row.source, "its_kind": row.kind, "its_id": row.record_id, "its_seq": row.event_seq,
               "its_plugin": row.plugin, "its_unit": row.unit}  # fmt: skip
        if around.connection.execute(later, its).first() is not None:
            found.add(row.id)
    return found
