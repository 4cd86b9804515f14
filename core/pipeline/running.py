"""Runs deliveries: those just planned, and those stored before, on the record as of their event."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.model.events import Event
from core.model.outcomes import DeliveryStatus, EventStatus
from core.model.records import KINDS
from core.model.schemas import builder_for
from core.pipeline.handler import call_plugin
from core.pipeline.history import Place, fold, fold_question, record_as_of
from core.pipeline.open_deliveries import earlier_open, open_question, standing
from core.pipeline.plan import Surroundings, record_states, records_question
from core.pipeline.slot import Call, CallSlot
from core.pipeline.work import DeliveryWork, RecordWork, build_event, record_key
from core.store.lists import among
from core.store.plugin_session import BufferedSession, Overlay, lay_over
from core.store.tables import events
from core.store.together import ask_together, every_column, typed_rows


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
        found = self._around.linked(*key)
        if found is None:
            return None
        snapshot = found.snapshot
        if found.last_seq > self._seq:
            snapshot = record_as_of(self._around.connection, *key, self._seq).snapshot
        return builder_for(KINDS[kind])({"id": record_id, **snapshot}) if snapshot else None


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


_SAME_RECORD = "e.kind = t.kind AND e.record_id = t.record_id AND e.source = t.source"
# The last event of the record that was dispatched: what is set now was not known to any of them. And, of a delivery
# that has waited for more than its first turn, whether its plugin has completed a later event, as it then may have.
_LAST_AND_LATER = (
    "SELECT t.id, t.source, t.kind, t.record_id, (SELECT e.seq FROM events AS e"
    f" WHERE {_SAME_RECORD} AND e.status <> '{EventStatus.ACCEPTED}' ORDER BY e.seq DESC LIMIT 1),"
    f" CASE WHEN t.attempts > 0 OR t.status <> '{DeliveryStatus.AVAILABLE}' THEN"
    f" (SELECT 1 FROM events AS e JOIN deliveries AS d ON d.event_seq = e.seq WHERE {_SAME_RECORD}"
    f" AND e.seq > t.event_seq AND d.plugin = t.plugin AND d.unit = t.unit"
    f" AND d.status = '{DeliveryStatus.COMPLETED}' LIMIT 1) END FROM deliveries AS t WHERE t.id"
)
_EVENTS = f"SELECT {every_column(events)} FROM {events.name} WHERE seq"


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
    connection, dialect = around.connection, around.connection.dialect.name
    keys = list(dict.fromkeys(record_key(row) for row in rows))
    places: dict[int, Place] = {row.id: (row.source, row.kind, row.record_id, row.event_seq) for row in rows}
    wanted = list(dict.fromkeys(places.values()))
    found, states, standing_open, last_and_later, histories = ask_together(
        connection,
        [
            among(dialect, (_EVENTS,), [row.event_seq for row in rows]),
            records_question(dialect, keys),
            open_question(dialect, keys),
            among(dialect, (_LAST_AND_LATER,), [row.id for row in rows]),
            fold_question(dialect, wanted),
        ],
    )
    event_rows = {row.seq: row for row in typed_rows(events, connection.dialect)(found)}
    records = record_states(keys, states)
    later = set()
    for number, *key, last, is_completed in last_and_later:
        record = records[key[0], key[1], key[2]]
        record.last_seq = max(record.last_seq, int(last or 0))
        if is_completed:
            later.add(number)
    around.open_before = standing(standing_open)
    states_then = fold(wanted, histories, around.baselines)
    result = []
    for row in rows:
        event_row = event_rows[row.event_seq]
        state, data = states_then[places[row.id]], json.loads(event_row.data)
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
