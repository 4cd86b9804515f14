"""Reads deliveries: one event for one plugin, with what it waits for in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import NotFound
from core.model.outcomes import ATTENTION, DeliveryStatus
from core.store.reading.counts import status_in
from core.store.reading.pages import LOOK, Page, newest_first, only_units, pick
from core.store.tables import deliveries, events

_PLAIN = (
    "event_id", "plugin", "unit", "generation", "outward", "source", "kind", "record_id", "status", "reason",
    "attempts", "due_at", "wait_until", "out_of_order", "config_version", "created_at", "finished_at",
)  # fmt: skip
_NAME = re.compile(r"^(?:dlv_)?([0-9]{1,18})$", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFilter:
    """Which deliveries are meant; `units` keeps the caller inside its own (None: all)."""

    status: str | None = None
    plugin: str | None = None
    unit: str | None = None
    event: str | None = None
    units: frozenset[str] | None = None


def delivery_number(name: str) -> int:
    """Return the number in a delivery's name, `dlv_17` or `17`. Raises NotFound."""
    found = _NAME.match(name)
    if found is None:
        raise NotFound(f'There is no delivery "{name[:80]}".')
    return int(found.group(1))


def list_deliveries(
    connection: Connection,
    chosen: DeliveryFilter,
    *,
    cursor: str | None = None,
    limit: int = 50,
    look: int | None = LOOK,
) -> Page:
    """Return the deliveries that fit, newest first; `look` as of `newest_first`."""
    leading: list[sa.ColumnElement[bool]] = []
    others = only_units(deliveries.c.unit, chosen.units)
    if chosen.event is not None:
        number = sa.select(events.c.seq).where(events.c.id == chosen.event).scalar_subquery()
        leading.append(deliveries.c.event_seq == number)
    if chosen.status is not None:
        status = DeliveryStatus(chosen.status)
        by_index = chosen.event is None and status in ATTENTION
        (leading if by_index else others).append(status_in(deliveries.c.status, status))
        if by_index and connection.dialect.name == "sqlite":
            # The words of the index. PostgreSQL needs none, and with both would expect next to no rows and sort them.
            leading.append(status_in(deliveries.c.status, *ATTENTION))
    if chosen.unit is not None:
        (others if leading else leading).append(deliveries.c.unit == chosen.unit)
    if chosen.plugin is not None:
        others.append(deliveries.c.plugin == chosen.plugin)
    rows, following = newest_first(
        connection, deliveries.c.id, leading=leading, others=others, cursor=cursor, limit=limit, look=look
    )
    return Page(deliveries_json(connection, rows), following)


def show_delivery(connection: Connection, number: int, units: frozenset[str] | None = None) -> dict[str, Any]:
    """Return one delivery with the trace of its last failure. Raises NotFound."""
    statement = sa.select(deliveries).where(deliveries.c.id == number, *only_units(deliveries.c.unit, units))
    rows = connection.execute(statement).fetchall()
    if not rows:
        raise NotFound(f"There is no delivery dlv_{number}.")
    return {**deliveries_json(connection, rows)[0], "trace": rows[0].trace}


def deliveries_json(connection: Connection, rows: Sequence[Any]) -> list[dict[str, Any]]:
    """Return deliveries as they are shown; a waiting one names the event it waits for."""
    waited = {row.waiting_for for row in rows if row.waiting_for is not None}
    statement = sa.select(events.c.seq, events.c.id, events.c.type).where(events.c.seq.in_(sorted(waited)))
    names = {row.seq: row for row in connection.execute(statement)} if waited else {}
    return [_one(row, names.get(row.waiting_for)) for row in rows]


def _one(row: Any, waits_for: Any) -> dict[str, Any]:
    standing = str(row.status)
    if row.status == DeliveryStatus.WAITING.value and waits_for is not None:
        standing = f"waiting for {waits_for.type} {waits_for.id}"
    return {
        "id": f"dlv_{row.id}",
        **pick(row, *_PLAIN),
        "waiting_for": waits_for.id if waits_for is not None else None,
        "standing": standing,
    }
