"""Turns what handlers asked for into rows: decisions, messages, timers, record updates and the plugins' own rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.context import RowWrite
from core.model.effects import (
    CancelTimer,
    Decide,
    Effect,
    EmitEvent,
    Notify,
    SendWebhook,
    StartTimer,
    UpdateRecord,
)
from core.model.errors import EffectRefused, did_you_mean
from core.model.events import event_id
from core.model.instants import format_instant
from core.model.merge import set_own
from core.model.outcomes import OutboxStatus, TimerStatus
from core.model.schemas import canonical, canonical_json, canonical_text, check_fields
from core.pipeline.about import About
from core.pipeline.notices import Notice, make_notice
from core.pipeline.work import RecordWork
from core.store.bulk import Insert, Update, insert_rows, write_all
from core.store.columns import JsonText
from core.store.lists import in_list
from core.store.row_writes import apply_writes
from core.store.tables import decisions, links, outbox, record_updates, timers


@dataclass(slots=True)
class Rows:
    """The rows of many deliveries, gathered so that each table is written once."""

    decisions: list[dict[str, Any]] = field(default_factory=list)
    outbox: list[dict[str, Any]] = field(default_factory=list)
    notices: list[dict[str, Any]] = field(default_factory=list)  # messages to people, which have columns of their own
    links: list[Mapping[str, Any]] = field(default_factory=list)
    updates: list[dict[str, Any]] = field(default_factory=list)
    timers: dict[str, dict[str, Any]] = field(default_factory=dict)
    cancelled_timers: dict[str, None] = field(default_factory=dict)
    writes: list[RowWrite] = field(default_factory=list)
    tables: dict[str, sa.Table] = field(default_factory=dict)
    has_messages: bool = False  # whether messages were already written

    def write(self, connection: Connection, others: Iterable[Insert] = (), then: Update | None = None) -> None:
        """Write everything in as few round trips as can be, and what others add and then change along with it."""
        self.write_plugin_rows(connection)
        # Timers by themselves and first, as whoever fires them takes their rows before any others.
        insert_rows(connection, timers, list(self.timers.values()), on_conflict=_REPLACE_TIMER)
        if self.cancelled_timers:
            _cancel_timers(connection, list(self.cancelled_timers))
        own = (
            Insert(decisions, self.decisions),
            Insert(record_updates, self.updates),
            Insert(outbox, self.outbox),
            Insert(outbox, self.notices),
            Insert(links, self.links),
        )
        write_all(connection, [*own, *others], then)

    def write_plugin_rows(self, connection: Connection) -> None:
        """Write the plugins' own rows only, once."""
        if self.writes:
            apply_writes(connection, self.tables, self.writes)
            self.writes = []

    def add(self, staged: Rows) -> None:
        """Take over the rows of a later delivery."""
        self.decisions += staged.decisions
        self.outbox += staged.outbox
        self.notices += staged.notices
        self.links += staged.links
        self.has_messages |= bool(staged.notices)
        self.updates += staged.updates
        for identity in staged.cancelled_timers:
            self.timers.pop(identity, None)
            self.cancelled_timers[identity] = None
        for identity, row in staged.timers.items():
            self.cancelled_timers.pop(identity, None)
            self.timers[identity] = row
        self.writes += staged.writes
        self.tables |= staged.tables


_QUIET = "a replay sends nothing outward unless asked"

_REPLACE_TIMER = (
    "ON CONFLICT (id) DO UPDATE SET due_at = excluded.due_at, status = excluded.status, data = excluded.data, "
    "started_by = excluded.started_by, outward = excluded.outward, depth = excluded.depth, "
    "fired_at = excluded.fired_at, round = timers.round + 1"
)


def timer_id(plugin: str, unit: str, source: str, kind: str, record_id: str, timer: str) -> str:
    """Name a timer by what it is for: the same name replaces the timer."""
    text = "\x1f".join((plugin, unit, source, kind, record_id, timer))
    return "tmr_" + hashlib.sha256(text.encode()).hexdigest()[:32]


def due_key(timer: str, round: int) -> str:
    """Return the key that makes the due event of one round of a timer the same event, however often it is found."""
    return f"timer:{timer}:{round}"


def _cancel_timers(connection: Connection, ids: list[str]) -> None:
    cancel = sa.update(timers).where(timers.c.id == sa.bindparam("b_timer")).values(status=TimerStatus.CANCELLED.value)
    # Not IN: a statement for many timers at once takes no list.
    running = sa.or_(timers.c.status == TimerStatus.PENDING.value, timers.c.status == TimerStatus.HELD.value)
    connection.execute(cancel.where(running), [{"b_timer": identity} for identity in ids])
    # One that fired may still be on its way: its due event lies behind the event that cancels it.
    fired = in_list(connection, "SELECT id, source, round FROM timers WHERE status = 'fired' AND id", ids)
    due = {event_id(source, due_key(identity, round)): identity for identity, source, round in fired}
    waiting = in_list(connection, "SELECT id FROM events WHERE status = 'accepted' AND id", list(due))
    if waiting:
        connection.execute(cancel, [{"b_timer": due[row[0]]} for row in waiting])


def gather(rows: Rows, about: About, record: RecordWork) -> None:
    """Add the rows of one completed delivery; the record's state follows its updates.

    Raises EffectRefused or ItemRejected when an effect cannot be carried out; then nothing was added.
    """
    outcome = about.delivery.outcome
    assert outcome is not None
    staged = Rows()
    state = record.state
    for key, effect in outcome.effects:
        if isinstance(effect, UpdateRecord):
            fields = check_fields(about.event.kind, effect.fields)
            state = set_own(state, fields)
            staged.updates.append(_update_row(about, fields, max(record.last_seq, about.event.seq)))
            if effect.write_back:
                staged.outbox.append(_message(about, key, effect, about.event.source, _write_back_body(about, fields)))
        else:
            _stage(staged, about, key, effect)
    if state is not record.state:
        record.state, record.touched = state, True
    staged.writes, staged.tables = outcome.writes, dict(outcome.tables)
    rows.add(staged)


def _stage(staged: Rows, about: About, key: str, effect: Effect) -> None:
    if isinstance(effect, Decide):
        staged.decisions.append(_decision_row(about, effect))
    elif isinstance(effect, StartTimer):
        identity = _timer_identity(about, effect.timer)
        staged.cancelled_timers.pop(identity, None)
        staged.timers[identity] = _timer_row(about, effect, identity)
    elif isinstance(effect, CancelTimer):
        identity = _timer_identity(about, effect.timer)
        staged.timers.pop(identity, None)
        staged.cancelled_timers[identity] = None
    elif isinstance(effect, EmitEvent):
        body = {
            "data": canonical(effect.data),
            "depth": about.event.depth + 1,
            "outward": about.delivery.outward,
        }
        staged.outbox.append(_message(about, key, effect, "inbox", body, type=effect.type))
    elif isinstance(effect, SendWebhook):
        _known_endpoint(about, effect.endpoint)
        body = {
            "type": effect.type,
            "timestamp": format_instant(about.now),
            "data": {"record_id": about.event.record_id, "unit": about.delivery.unit, **canonical(effect.data)},
        }
        staged.outbox.append(_message(about, key, effect, effect.endpoint, body, type=effect.type))
    elif isinstance(effect, Notify):
        notice = make_notice(about, key, effect)
        staged.notices.append(_notice_row(about, key, effect, notice))
        if notice.link is not None:
            staged.links.append(notice.link)
    else:
        raise EffectRefused(f'The effect "{effect.name}" is not known to the recorder.')


def _known_endpoint(about: About, endpoint: str) -> None:
    known = about.configuration.endpoints
    if endpoint not in known:
        raise EffectRefused(
            f'{about.plugin.name} sends to the endpoint "{endpoint}", which plugins.toml does not define under'
            f" [endpoints].{did_you_mean(endpoint, known)}"
        )


def _write_back_body(about: About, fields: Mapping[str, Any]) -> dict[str, Any]:
    event = about.event
    return {
        "type": "record.update",
        "timestamp": format_instant(about.now),
        "data": {
            "kind": event.kind,
            "id": event.record_id,
            "unit": about.delivery.unit,
            "fields": dict(fields),
            "sequence": event.seq,  # rises with every event of the record, so that a receiver can drop an older one
            "decided_by": about.plugin.name,
            "because_of": event.id,
        },
    }


def _message(
    about: About, key: str, effect: Effect, target: str, body: Mapping[str, Any], type: str = "record.update"
) -> dict[str, Any]:
    is_quiet = not about.delivery.outward and not isinstance(effect, EmitEvent)
    return _outbox_row(about, key, effect, target, type, canonical_json(body), _QUIET if is_quiet else None)


def _notice_row(about: About, key: str, effect: Effect, notice: Notice) -> dict[str, Any]:
    held_back = notice.missing if about.delivery.outward else _QUIET
    row = _outbox_row(about, key, effect, notice.target, notice.type, notice.body, held_back)
    return row | {"channel_data": notice.channel_data, "still_true": notice.still_true}


def _outbox_row(
    about: About, key: str, effect: Effect, target: str, type: str, body: str, held_back: str | None
) -> dict[str, Any]:
    return about.common() | {
        "id": about.message_id(key),
        "effect": effect.name,
        "target": target,
        "type": type,
        "body": body,
        "status": (OutboxStatus.SUPPRESSED if held_back else OutboxStatus.AVAILABLE).value,
        "attempts": 0,
        "due_at": about.now,
        "reason": held_back,
        "created_at": about.now,
    }


def _decision_row(about: About, effect: Decide) -> dict[str, Any]:
    return about.common() | {
        "plugin_version": about.plugin.manifest.version,
        "generation": about.delivery.generation,
        "decision": effect.kind,
        "outcome": effect.outcome,
        "summary": effect.summary,
        "rule": effect.rule,
        "reasons": [reason.as_json() for reason in effect.reasons],
        "inputs": JsonText(canonical_text(effect.inputs)),
        "near_misses": list(effect.near_misses),
        "config_version": about.configuration.number,
        "decided_by": None,
        "decided_at": about.now,
    }


def _update_row(about: About, fields: Mapping[str, Any], after: int) -> dict[str, Any]:
    return {
        "source": about.event.source,
        "kind": about.event.kind,
        "record_id": about.event.record_id,
        "applied_after_seq": after,
        "event_seq": about.event.seq,
        "plugin": about.delivery.plugin,
        "fields": dict(fields),
        "at": about.now,
    }


def _timer_identity(about: About, timer: str) -> str:
    event, delivery = about.event, about.delivery
    return timer_id(delivery.plugin, delivery.unit, event.source, event.kind, event.record_id, timer)


def _timer_row(about: About, effect: StartTimer, identity: str) -> dict[str, Any]:
    event = about.event
    return {
        "id": identity,
        "plugin": about.delivery.plugin,
        "unit": about.delivery.unit,
        "source": event.source,
        "kind": event.kind,
        "record_id": event.record_id,
        "timer": effect.timer,
        "round": 1,
        "due_at": _due_at(about, effect),
        "status": TimerStatus.PENDING.value,
        "data": canonical(effect.data),  # values, since an import reads them from here
        "started_by": event.id,
        "outward": about.delivery.outward,
        "depth": event.depth,
        "fired_at": None,
    }


def _due_at(about: About, effect: StartTimer) -> datetime:
    if (effect.due_at is None) == (effect.after is None):
        raise EffectRefused(f'The timer "{effect.timer}" needs exactly one of `due_at` and `after`.')
    if effect.after is not None:
        return effect.after.due(about.now, about.configuration.calendar_of(about.delivery.unit))
    assert effect.due_at is not None
    if effect.due_at.tzinfo is None:
        raise EffectRefused(f'The timer "{effect.timer}" is due at a time without an offset; use ctx.now plus a span.')
    return effect.due_at
