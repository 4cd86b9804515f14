"""Reads events: a filtered list, and one event with everything that came of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import NotFound
from core.model.outcomes import EventStatus
from core.store.reading.counts import status_in
from core.store.reading.decisions import decision_json
from core.store.reading.deliveries import deliveries_json
from core.store.reading.outbox import message_json
from core.store.reading.pages import LOOK, Page, newest_first, only_units, pick
from core.store.reading.records import explain_version
from core.store.reading.retention import is_removed
from core.store.reading.sources import only_source
from core.store.reading.times import accepted_between
from core.store.tables import decisions, deliveries, events, outbox

_PLAIN = (
    "id", "type", "source", "kind", "record_id", "unit", "unit_reason", "status", "status_reason", "occurred_at",
    "occurred_at_original", "accepted_at", "completeness", "origin", "depth", "caused_by", "conflicts",
)  # fmt: skip
_NOT_DISPATCHED = (EventStatus.REJECTED, EventStatus.SKIPPED)
_INDEXED = {EventStatus.ACCEPTED: (EventStatus.ACCEPTED,), **dict.fromkeys(_NOT_DISPATCHED, _NOT_DISPATCHED)}
"""The states that have an index, each with all the states that its index holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events are meant; `units` keeps the caller inside its own (None: all)."""

    type: str | None = None
    source: str | None = None
    unit: str | None = None
    status: str | None = None
    kind: str | None = None
    record_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    units: frozenset[str] | None = None

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """Return the filter as conditions on the events table."""
        leading, others = self.by_index()
        return leading + others

    def by_index(self) -> tuple[list[sa.ColumnElement[bool]], list[sa.ColumnElement[bool]]]:
        """Return the conditions that one index answers, and the others."""
        equal = {"kind": self.kind, "record_id": self.record_id, "source": self.source, "unit": self.unit,
                 "type": self.type}  # fmt: skip
        others = {name: events.c[name] == value for name, value in equal.items() if value is not None}
        leading: list[sa.ColumnElement[bool]] = []
        rest: list[sa.ColumnElement[bool]] = []
        if "kind" in others and "record_id" in others:
            leading = [others.pop(name) for name in ("kind", "record_id", "source") if name in others]
        if self.status is not None:
            status = EventStatus(self.status)
            is_led = not leading and status in _INDEXED
            (leading if is_led else rest).append(status_in(events.c.status, status))
            if is_led:
                leading.append(status_in(events.c.status, *_INDEXED[status]))  # the words of its index
        if not leading:
            name = next((name for name in ("unit", "type") if name in others), None)
            leading = [others.pop(name)] if name else []
        rest += others.values()
        if self.since is not None:
            rest.append(events.c.accepted_at >= self.since)
        if self.until is not None:
            rest.append(events.c.accepted_at < self.until)
        return leading, rest + visible(self.units)


def visible(units: frozenset[str] | None) -> list[sa.ColumnElement[bool]]:
    """Return the condition that keeps a caller inside its units.

    Until dispatch has said which unit an event belongs to, its unit is only the sender's claim: such an event, and a
    rejected one, which has no unit, are seen only by those who see all units.
    """
    if units is None:
        return []
    return [*only_units(events.c.unit, units), events.c.status != EventStatus.ACCEPTED.value]


def list_events(
    connection: Connection,
    chosen: EventFilter,
    *,
    cursor: str | None = None,
    limit: int = 50,
    look: int | None = LOOK,
) -> Page:
    """Return the events that fit, newest first; `look` as of `newest_first`."""
    source = chosen.source or only_source(connection, chosen.kind, chosen.record_id)
    leading, others = replace(chosen, source=source).by_index()
    times = accepted_between(connection, chosen.since, chosen.until)
    rows, following = newest_first(
        connection, events.c.seq, leading=[*leading, *times], others=others, cursor=cursor, limit=limit, look=look
    )
    return Page([event_json(row) for row in rows], following)


def event_json(row: Any) -> dict[str, Any]:
    """Return an event as lists show it."""
    return {**pick(row, *_PLAIN), "changed": json.loads(row.changed) if row.changed else []}


def show_event(connection: Connection, identity: str, units: frozenset[str] | None = None) -> dict[str, Any]:
    """Return one event with its data, deliveries, decisions, messages and follow-up events. Raises NotFound."""
    row = connection.execute(sa.select(events).where(events.c.id == identity, *visible(units))).one_or_none()
    if row is None and units is None and is_removed(connection, identity):
        raise NotFound(
            f"The event {identity} was removed when its time was up; `[retention]` says how long one is kept."
        )
    if row is None:
        raise NotFound(f'There is no event "{identity[:80]}".')
    data = json.loads(row.data)
    rejected = row.status == EventStatus.REJECTED.value
    found = {
        **event_json(row),
        "version": explain_version(row.version),
        "data": {} if rejected else data,
        "errors": data.get("errors", []) if rejected else [],
        "raw": json.loads(row.raw).get("raw") if row.raw else None,
        "deliveries": _of_event(connection, deliveries, row, units, deliveries_json),
        "decisions": [],
        "messages": [],
        "follow_ups": [],
    }
    if row.kind:
        found["decisions"] = _of_event(connection, decisions, row, units, _each(decision_json))
        found["messages"] = _of_event(connection, outbox, row, units, _each(message_json))
        found["follow_ups"] = _follow_ups(connection, row, units)
    return found


def _each(convert: Any) -> Any:
    return lambda connection, rows: [convert(row) for row in rows]


def _of_event(
    connection: Connection, table: sa.Table, event: Any, units: frozenset[str] | None, convert: Any
) -> list[dict[str, Any]]:
    key = next(iter(table.primary_key.columns))
    rows = connection.execute(
        sa.select(table)
        .where(table.c.event_seq == event.seq, *only_units(table.c.unit, units))
        .order_by(key)
        .limit(1000)
    ).fetchall()
    result: list[dict[str, Any]] = convert(connection, rows)
    return result


def _follow_ups(connection: Connection, event: Any, units: frozenset[str] | None) -> list[dict[str, Any]]:
    statement = sa.select(events.c.id, events.c.type, events.c.status, events.c.accepted_at).where(
        events.c.caused_by == event.id,
        *visible(units),
    )
    return [dict(row._mapping) for row in connection.execute(statement.order_by(events.c.seq).limit(200))]
