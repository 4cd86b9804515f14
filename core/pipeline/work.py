"""What a batch works on: events to merge and plan, deliveries to run, and the record each is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.model.events import PAYLOADS, Event
from core.model.inbound import InboundEvent
from core.model.merge import RecordState
from core.model.outcomes import DeliveryStatus
from core.model.records import KINDS
from core.model.schemas import builder_for, frozen
from core.pipeline.handler import Outcome

RecordKey = tuple[str, str, str]
"""(source, kind, record id)."""


@dataclass(slots=True)
class RecordWork:
    """A record in a batch: its state before, its state after, and its unit."""

    key: RecordKey
    state: RecordState = field(default_factory=RecordState)
    unit: str | None = None
    unit_reason: str | None = None
    last_seq: int = 0
    exists: bool = False
    touched: bool = False


@dataclass(slots=True)
class DeliveryWork:
    """One event for one plugin: planned now, or stored before (then `id` is set)."""

    plugin: str
    unit: str
    generation: int = 0
    id: int | None = None
    status_before: DeliveryStatus | None = None
    attempts: int = 0
    outward: bool = True
    out_of_order: bool = False
    waiting_for: int | None = None
    planned_as: DeliveryStatus | None = None  # waiting, quarantined or available: stored without running
    planned_reason: str | None = None
    outcome: Outcome | None = None


@dataclass(slots=True)
class EventWork:
    """One accepted event in a batch and what comes of it."""

    row: Any
    record: RecordWork
    unit: str = ""
    unit_reason: str | None = None
    skipped: str | None = None
    changed: frozenset[str] = frozenset()
    deliveries: list[DeliveryWork] = field(default_factory=list)
    follow_up: InboundEvent | None = None  # record.unit_changed
    hold_timer: tuple[str, int] | None = None  # id and round of a timer whose plugin is switched off
    event: Event[Any] | None = None


def record_key(row: Any) -> RecordKey:
    """Return the record an events or deliveries row is about."""
    return (row.source, row.kind, row.record_id)


def build_event(
    row: Any, data: Mapping[str, Any], unit: str, state: RecordState, changed: frozenset[str]
) -> Event[Any]:
    """Build what a handler sees from an events row, its parsed data and its record as of that event."""
    payload = PAYLOADS.get(row.type)
    record_class = KINDS.get(row.kind)
    snapshot = {"id": row.record_id, **state.snapshot}
    return Event(
        id=row.id,
        type=row.type,
        source=row.source,
        kind=row.kind,
        record_id=row.record_id,
        unit=unit,
        occurred_at=row.occurred_at,
        accepted_at=row.accepted_at,
        data=builder_for(payload)({"id": row.record_id, **data}) if payload is not None else frozen(data),
        record=builder_for(record_class)(snapshot) if record_class is not None else None,
        changed=changed,
        version=row.version,
        completeness=row.completeness,
        origin=row.origin,
        depth=row.depth,
        caused_by=row.caused_by,
        late=bool(data.get("late", False)) if row.type == "timer.due" else False,
        raw=frozen(data),
    )
