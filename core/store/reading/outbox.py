"""Reads messages on their way out, and the timers that will wake a plugin."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import NotFound
from core.model.instants import from_micros, to_micros
from core.model.outcomes import OutboxStatus, TimerStatus
from core.store.reading.counts import status_in
from core.store.reading.pages import (
    LOOK,
    Page,
    decode_cursor,
    encode_cursor,
    first_that_fit,
    newest_first,
    only_units,
    pick,
)
from core.store.tables import outbox, timers

_FAR = datetime(9999, 1, 1, tzinfo=UTC)
_MESSAGE = (
    "id", "effect", "target", "type", "event_id", "plugin", "unit", "source", "kind", "record_id", "status",
    "attempts", "due_at", "reason", "created_at", "sent_at",
)  # fmt: skip
_TIMER = (
    "id", "plugin", "unit", "source", "kind", "record_id", "timer", "round", "due_at", "status", "data", "started_by",
    "fired_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFilter:
    """Which messages are meant; `units` keeps the caller inside its own (None: all)."""

    status: str | None = None
    effect: str | None = None
    target: str | None = None
    plugin: str | None = None
    unit: str | None = None
    units: frozenset[str] | None = None


def list_messages(
    connection: Connection,
    chosen: MessageFilter,
    *,
    cursor: str | None = None,
    limit: int = 50,
    look: int | None = LOOK,
) -> Page:
    """Return the messages that fit, newest first; `look` as of `newest_first`."""
    leading: list[sa.ColumnElement[bool]] = []
    others = only_units(outbox.c.unit, chosen.units)
    if chosen.status is not None:
        status = OutboxStatus(chosen.status)
        by_index = status is OutboxStatus.DISCARDED
        (leading if by_index else others).append(status_in(outbox.c.status, status))
    for name in ("effect", "target", "plugin", "unit"):
        value = getattr(chosen, name)
        if value is not None:
            others.append(outbox.c[name] == value)
    rows, following = newest_first(
        connection, outbox.c.seq, leading=leading, others=others, cursor=cursor, limit=limit, look=look
    )
    return Page([message_json(row) for row in rows], following)


def show_message(connection: Connection, identity: str, units: frozenset[str] | None = None) -> dict[str, Any]:
    """Return one message with the body that is sent on every attempt. Raises NotFound."""
    row = connection.execute(
        sa.select(outbox).where(outbox.c.id == identity, *only_units(outbox.c.unit, units))
    ).one_or_none()
    if row is None:
        raise NotFound(f'There is no message "{identity[:80]}".')
    return {**message_json(row), "body": json.loads(row.body), **_path_to_people(row.channel_data)}


def _path_to_people(channel_data: str | None) -> dict[str, Any]:
    """Return how a notice found its person and its channel; the address itself is shown to nobody."""
    data = json.loads(channel_data) if channel_data else {}
    return {"asked": data.get("asked"), "tried": data.get("tried", [])} if data else {}


def message_json(row: Any) -> dict[str, Any]:
    """Return a message as lists show it, without its body."""
    return pick(row, *_MESSAGE)


def list_timers(
    connection: Connection,
    *,
    status: str = TimerStatus.PENDING,
    plugin: str | None = None,
    unit: str | None = None,
    units: frozenset[str] | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page:
    """Return timers of one status, the next due first; as `newest_first` it tries so many of them for one page."""
    led = sa.select(timers).where(status_in(timers.c.status, TimerStatus(status)))
    others = only_units(timers.c.unit, units)
    if plugin is not None:
        others.append(timers.c.plugin == plugin)
    if unit is not None:
        others.append(timers.c.unit == unit)
    place = decode_cursor("timers", cursor, int, str)
    if place is not None:
        at = from_micros(min(place[0], to_micros(_FAR)))
        behind = sa.tuple_(timers.c.due_at, timers.c.id) > sa.tuple_(sa.literal(at, timers.c.due_at.type), place[1])
        led = led.where(behind)
    led = led.order_by(timers.c.due_at, timers.c.id)
    rows, last = first_that_fit(connection, led, others, limit, timers.c.due_at, timers.c.id)
    following = None if last is None else encode_cursor("timers", to_micros(last[0]), last[1])
    return Page([timer_json(row) for row in rows], following)


def timer_json(row: Any) -> dict[str, Any]:
    """Return a timer as it is shown."""
    return pick(row, *_TIMER)
