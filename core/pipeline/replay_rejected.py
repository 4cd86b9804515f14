"""Maps rejected events again, after the mapping was mended: those that map now are accepted like new ones."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import Conflict, ItemRejected, OutriggerError
from core.model.events import event_id
from core.model.inbound import InboundEvent, InboundItem
from core.model.outcomes import EventStatus
from core.pipeline.inbox import store
from core.store.reading.events import EventFilter
from core.store.tables import events

Remap = Callable[[str, str, Mapping[str, str], datetime], InboundItem]
"""Maps what a source once sent again: (source, raw body, headers, when it was received) -> item."""

NO_ADAPTERS = "Rejected events are mapped again by the server; this process has no adapters."
MAX_REASONS = 20
OTHER = "other reasons"


def is_of_rejected(chosen: EventFilter) -> bool:
    """Whether a filter means rejected events, which are mapped again instead of dispatched again."""
    return chosen.status == EventStatus.REJECTED.value


def map_again(remap: Remap | None, row: Any) -> InboundEvent:
    """Map a rejected event again. Raises ItemRejected when it still does not map."""
    if remap is None:
        raise Conflict(NO_ADAPTERS)
    kept = json.loads(row.raw or "{}")
    item = remap(row.source, str(kept.get("raw", "")), dict(kept.get("headers") or {}), row.accepted_at)
    if not isinstance(item, InboundEvent):
        raise ItemRejected(f"It still does not map: {item.reason}", errors=[dict(e) for e in item.errors])
    return item


def accept_mapped(connection: Connection, row: Any, item: InboundEvent, now: datetime) -> list[str]:
    """Store what a rejected event maps to now, and let the rejected one go; return the id."""
    identity = event_id(item.source, item.dedupe_key)
    if identity == row.id:
        # It is accepted now, so it gets its place behind everything that was accepted before now.
        connection.execute(sa.delete(events).where(events.c.seq == row.seq))
    else:
        connection.execute(
            sa.update(events)
            .where(events.c.seq == row.seq)
            .values(status=EventStatus.SKIPPED.value, status_reason=f"mapped later, as {identity}")
        )
    return list(store(connection, [item], now).ids)


def map_batch(
    connection: Connection, remap: Remap | None, rows: Sequence[Any], now: datetime
) -> tuple[list[str], Counter[str]]:
    """Map each of the rows on its own; return the ids accepted, and why the others still do not map."""
    accepted: list[str] = []
    reasons: Counter[str] = Counter()
    for row in rows:
        try:
            item = map_again(remap, row)
        except OutriggerError as error:  # also a source that is no longer configured
            reasons[error.message] += 1
        else:
            accepted += accept_mapped(connection, row, item, now)
    return accepted, reasons


def count_reasons(total: dict[str, int], more: Counter[str]) -> None:
    """Add up reasons; from MAX_REASONS different ones on, the rest share one."""
    for reason, number in more.items():
        name = reason if reason in total or len(total) < MAX_REASONS else OTHER
        total[name] = total.get(name, 0) + number
