"""The rows of a replay: which generations an event had before, and the deliveries of a new one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.outcomes import DeliveryStatus
from core.store.tables import deliveries


def earlier_generations(connection: Connection, seqs: Sequence[int]) -> dict[int, tuple[int, frozenset[str]]]:
    """Return, for each event, its newest generation and the units whose plugins had it."""
    statement = sa.select(deliveries.c.event_seq, deliveries.c.unit, sa.func.max(deliveries.c.generation)).where(
        deliveries.c.event_seq.in_(seqs)
    )
    found: dict[int, tuple[int, frozenset[str]]] = {}
    for seq, unit, generation in connection.execute(statement.group_by(deliveries.c.event_seq, deliveries.c.unit)):
        newest, units = found.get(seq, (0, frozenset()))
        found[seq] = (max(newest, generation), units | {unit})
    return found


def replayed_delivery(
    row: Any, plugin: str, unit: str, generation: int, outward: bool, config_version: int, now: datetime
) -> dict[str, Any]:
    """Return the row of one new delivery of an event."""
    return {
        "event_seq": row.seq,
        "event_id": row.id,
        "plugin": plugin,
        "unit": unit,
        "generation": generation,
        "outward": outward,
        "source": row.source,
        "kind": row.kind,
        "record_id": row.record_id,
        "lane": row.lane,
        "status": DeliveryStatus.AVAILABLE.value,
        "reason": None,
        "trace": None,
        "attempts": 0,
        "due_at": now,
        "waiting_for": None,
        "wait_until": None,
        "out_of_order": False,
        "config_version": config_version,
        "created_at": now,
        "finished_at": None,
    }
