"""Reads the journey of a record: everything that happened to it and why, in the order of time."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.sql.util import ClauseAdapter

from core.model.outcomes import OPEN_DELIVERY, DeliveryStatus, EventStatus, TimerStatus
from core.store.columns import status_in
from core.store.reading.decisions import decision_json
from core.store.reading.deliveries import deliveries_json
from core.store.reading.events import event_json, visible
from core.store.reading.outbox import message_json, timer_json
from core.store.reading.pages import LOOK, first_that_fit, only_units
from core.store.reading.records import find_record, record_json
from core.store.tables import decisions, deliveries, events, outbox, record_updates, timers

MAX_STEPS = 1000
MOST_HIDDEN = 1000
"""How many steps of other units are counted of each kind; beyond that there are at least so many."""
_RANK = {"event": 0, "delivery": 1, "decision": 2, "update": 3, "timer": 4, "message": 5}

Step = dict[str, Any]


def show_record(
    connection: Connection,
    kind: str,
    record_id: str,
    *,
    source: str | None = None,
    units: frozenset[str] | None = None,
    limit: int = 200,
) -> dict[str, Any]:
    """Return a record's snapshot and the last `limit` steps of its journey. Raises NotFound or InvalidRequest.

    A caller of some units sees the steps of those units only; `hidden` says how many others there are.
    """
    row = find_record(connection, kind, record_id, source=source, units=units)
    found: list[Step] = []
    hidden, more = 0, False
    for read in _READERS:
        steps, others, is_cut = read(connection, row, units, limit)
        found += steps
        hidden += others
        more = more or is_cut
    found.sort(key=lambda step: (step["at"], step["order"], _RANK[step["step"]], step["number"]))
    more = more or len(found) > limit
    for step in found:
        del step["order"], step["number"]
    return {**record_json(connection, row), "journey": found[-limit:], "more": more, "hidden": hidden}


def _about(table: sa.Table, row: Any) -> list[sa.ColumnElement[bool]]:
    return [
        table.c.kind == row.kind,
        table.c.record_id == row.record_id,
        table.c.source == row.source,
    ]


def _read(
    connection: Connection,
    table: sa.Table,
    record: Any,
    conditions: Sequence[sa.ColumnElement[bool]],
    limit: int,
) -> tuple[Sequence[Any], int, bool]:
    """Return the newest rows the caller may see, how many others there are, and whether there are older ones.

    For a caller of some units LOOK rows are tried, so that a record with very many events costs no more than another.
    """
    key = table.c.due_at if table is timers else next(iter(table.primary_key.columns))
    led = sa.select(table).where(*_about(table, record)).order_by(key.desc())
    rows, behind = first_that_fit(connection, led, conditions, limit, key)
    hidden = 0
    if conditions:
        looked = led.limit(LOOK).subquery("looked")
        others = sa.not_(ClauseAdapter(looked).traverse(sa.and_(*conditions)))
        hidden = _count(connection, sa.select(looked.c[key.name]).where(others))
    return rows, hidden, behind is not None


def _count(connection: Connection, statement: sa.Select[Any]) -> int:
    """Count rows, up to MOST_HIDDEN of them, so that a record with very many events costs no more than another."""
    return int(
        connection.execute(sa.select(sa.func.count()).select_from(statement.limit(MOST_HIDDEN).subquery())).scalar_one()
    )


def _step(kind: str, at: datetime, order: int, number: int, row: Any, text: str, **details: Any) -> Step:
    return {
        "at": at,
        "step": kind,
        "order": order,
        "number": number,
        "unit": row.unit if hasattr(row, "unit") else None,
        "plugin": row.plugin if hasattr(row, "plugin") else None,
        "text": text,
        **details,
    }


Reader = Callable[[Connection, Any, "frozenset[str] | None", int], tuple[list[Step], int, bool]]


def _events(
    connection: Connection, record: Any, units: frozenset[str] | None, limit: int
) -> tuple[list[Step], int, bool]:
    rows, hidden, more = _read(connection, events, record, visible(units), limit)
    steps = [
        _step(
            "event", row.accepted_at, row.seq, row.seq, row, _event_text(row),
            id=row.id, event_id=row.id, status=row.status, details=event_json(row),
        )
        for row in rows
    ]  # fmt: skip
    return steps, hidden, more


def _event_text(row: Any) -> str:
    changed = json.loads(row.changed) if row.changed else []
    text = f"{row.type} from {row.source}" if row.origin == "crm" else f"{row.type} by {row.origin}"
    if row.status == EventStatus.SKIPPED.value:
        return f"{text}: skipped, {row.status_reason}"
    if row.status == EventStatus.ACCEPTED.value:
        return f"{text}: accepted, not dispatched yet"
    return f"{text}: changed {', '.join(changed)}" if changed else text


def _deliveries(
    connection: Connection, record: Any, units: frozenset[str] | None, limit: int
) -> tuple[list[Step], int, bool]:
    numbers = _delivery_numbers(connection, record, limit)
    allowed = only_units(deliveries.c.unit, units)
    statement = sa.select(deliveries).where(deliveries.c.id.in_(numbers))
    rows = connection.execute(statement.where(*allowed).order_by(deliveries.c.id.desc()).limit(limit + 1)).fetchall()
    hidden = _count(connection, statement.where(sa.not_(allowed[0]))) if allowed else 0
    more, rows = len(rows) > limit, rows[:limit]
    steps = [
        _step(
            "delivery", row.finished_at or row.created_at, row.event_seq, row.id, row, _delivery_text(row, shown),
            id=shown["id"], event_id=row.event_id, status=row.status, details=shown,
        )
        for row, shown in zip(rows, deliveries_json(connection, rows), strict=True)
    ]  # fmt: skip
    return steps, hidden, more


def _delivery_numbers(connection: Connection, record: Any, limit: int) -> list[int]:
    """Return the deliveries that a journey may show: those of the record's last events, the open and the replayed ones.

    Each of the three has an index; a record may have so many events that not all of them can be looked through.
    """
    about = _about(deliveries, record)
    last = sa.select(events.c.seq).where(*_about(events, record)).order_by(events.c.seq.desc()).limit(limit + 1)
    found = (
        sa.select(deliveries.c.id).where(deliveries.c.event_seq.in_(last)),
        sa.select(deliveries.c.id).where(*about, status_in(*OPEN_DELIVERY)).limit(limit + 1),
        sa.select(deliveries.c.id)
        .where(*about, sa.text("generation > 0"))
        .order_by(deliveries.c.id.desc())
        .limit(limit + 1),
    )
    return sorted({int(number) for statement in found for (number,) in connection.execute(statement)})


def _delivery_text(row: Any, shown: Step) -> str:
    text = f"{row.plugin}: {shown['standing']}"
    if row.reason and row.status != DeliveryStatus.WAITING.value:
        text += f" ({row.reason})"
    if DeliveryStatus(row.status) in OPEN_DELIVERY and row.attempts:
        text += f", attempt {row.attempts}"
    if row.generation:
        text += f", replay {row.generation}" + ("" if row.outward else " without messages")
    return text + (", out of order" if row.out_of_order else "")


def _decisions(
    connection: Connection, record: Any, units: frozenset[str] | None, limit: int
) -> tuple[list[Step], int, bool]:
    rows, hidden, more = _read(connection, decisions, record, only_units(decisions.c.unit, units), limit)
    steps = [
        _step(
            "decision", row.decided_at, row.event_seq, row.id, row,
            f"{row.decided_by or row.plugin} decided {row.decision}: {row.summary or row.outcome}",
            id=f"dec_{row.id}", event_id=row.event_id, status=row.outcome, details=decision_json(row),
        )
        for row in rows
    ]  # fmt: skip
    return steps, hidden, more


def _updates(
    connection: Connection, record: Any, units: frozenset[str] | None, limit: int
) -> tuple[list[Step], int, bool]:
    # An update has no unit of its own: it belongs to that of its event.
    conditions: list[sa.ColumnElement[bool]] = []
    if units is not None:
        mine = sa.select(events.c.seq).where(events.c.seq == record_updates.c.event_seq, *visible(units))
        conditions = [mine.exists()]
    rows, hidden, more = _read(connection, record_updates, record, conditions, limit)
    seqs = sorted({row.event_seq for row in rows})
    names = connection.execute(sa.select(events.c.seq, events.c.id).where(events.c.seq.in_(seqs)))
    ids = {row.seq: row.id for row in names}
    steps = [
        _step(
            "update", row.at, row.event_seq, row.id, row,
            f"{row.plugin} set " + ", ".join(f"{name} = {_short(value)}" for name, value in row.fields.items()),
            id=f"upd_{row.id}", event_id=ids.get(row.event_seq), status=None, details={"fields": row.fields},
        )
        for row in rows
    ]  # fmt: skip
    return steps, hidden, more


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"


def _timers(
    connection: Connection, record: Any, units: frozenset[str] | None, limit: int
) -> tuple[list[Step], int, bool]:
    rows, hidden, more = _read(connection, timers, record, only_units(timers.c.unit, units), limit)
    steps = [
        _step(
            "timer", row.fired_at or row.due_at, 0, row.round, row, _timer_text(row),
            id=row.id, event_id=row.started_by, status=row.status, details=timer_json(row),
        )
        for row in rows
    ]  # fmt: skip
    return steps, hidden, more


def _timer_text(row: Any) -> str:
    meaning = {
        TimerStatus.PENDING.value: "will fire",
        TimerStatus.HELD.value: "is held, because its plugin is switched off",
        TimerStatus.FIRED.value: "fired",
        TimerStatus.CANCELLED.value: "was cancelled before it fell due",
    }
    return f"timer {row.timer} of {row.plugin} {meaning[row.status]}"


def _messages(
    connection: Connection, record: Any, units: frozenset[str] | None, limit: int
) -> tuple[list[Step], int, bool]:
    rows, hidden, more = _read(connection, outbox, record, only_units(outbox.c.unit, units), limit)
    steps = [
        _step(
            "message", row.sent_at or row.created_at, row.event_seq, row.seq, row,
            f"{row.effect} to {row.target}: {row.status}" + (f" ({row.reason})" if row.reason else ""),
            id=row.id, event_id=row.event_id, status=row.status, details=message_json(row),
        )
        for row in rows
    ]  # fmt: skip
    return steps, hidden, more


_READERS: tuple[Reader, ...] = (_events, _deliveries, _decisions, _updates, _timers, _messages)
