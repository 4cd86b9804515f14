"""What a handler may ask for: frozen values that the recorder turns into rows; a handler decides, it never acts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

from core.model.spans import Span


@dataclass(frozen=True, slots=True)
class Reason:
    """One line of an explanation: what was looked at and what it changed (points, a level, a route)."""

    text: str
    weight: float | int | None = None
    field: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the reason as it is stored and shown."""
        return {"text": self.text, "weight": self.weight, "field": self.field}


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One thing a handler asks for. `key` names it within the delivery, so that a retry keeps its message id."""

    name: ClassVar[str] = "effect"
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decide(Effect):
    """Record a decision: its outcome, the rule that made it, the inputs it rests on and what nearly changed it."""

    name: ClassVar[str] = "decide"
    kind: str
    outcome: str
    summary: str
    rule: str
    reasons: tuple[Reason, ...] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict)
    near_misses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateRecord(Effect):
    """Set fields of the event's record, here and (unless `write_back` is False) in the CRM it came from."""

    name: ClassVar[str] = "update_record"
    fields: Mapping[str, Any]
    write_back: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Still:
    """What must still be true when a message is sent: the row of the plugin's table with `key` holds `values`.

    `Still.row(Request, "R-1", status="pending")` lets a reminder fall silent once the request was decided.
    """

    table: str
    key: Mapping[str, Any]
    values: Mapping[str, Any]

    @classmethod
    def row(cls, model: type[Any], key: Any, **values: Any) -> Still:
        """Name a row by its model and primary key (a tuple for several columns), and the values it must hold."""
        columns = [column.name for column in model.__table__.primary_key.columns]
        parts = key if isinstance(key, tuple) else (key,)
        return cls(table=model.__tablename__, key=dict(zip(columns, parts, strict=True)), values=values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A signed, single-use link to one of the plugin's pages, made for the person who is told and put into the message.

    `subject` says what the page is about, such as a request and its version; the page gets it back as it was signed.
    """

    page: str
    subject: Mapping[str, Any] = field(default_factory=dict)
    valid_for: timedelta = timedelta(hours=72)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify(Effect):
    """Tell a person or role something, by the named template filled with `data`.

    `to` is a role, a person's slug or a CRM's id of one; who stands in for an absent person is told instead. The
    message goes by the first of the person's channels, or by `channel` when that is given. It is dropped when `still`
    is no longer true at the time it is sent. `link` is offered to the template as `link`.
    """

    name: ClassVar[str] = "notify"
    to: str
    template: str
    data: Mapping[str, Any] = field(default_factory=dict)
    channel: str | None = None
    still: Still | None = None
    link: Link | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SendWebhook(Effect):
    """Send a signed webhook of this type to an endpoint named in `[endpoints]` of plugins.toml."""

    name: ClassVar[str] = "send_webhook"
    endpoint: str
    type: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartTimer(Effect):
    """Wake this plugin for this record at `due_at`, or when `after` has passed; a timer of the same name is replaced.

    Exactly one of the two is given. A span in working time is counted by the unit's calendar.
    """

    name: ClassVar[str] = "start_timer"
    timer: str
    due_at: datetime | None = None
    after: Span | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelTimer(Effect):
    """Cancel this plugin's timer of this name for this record; none running is not an error."""

    name: ClassVar[str] = "cancel_timer"
    timer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EmitEvent(Effect):
    """Emit a follow-up event about the same record; it enters by the inbox like any other."""

    name: ClassVar[str] = "emit_event"
    type: str
    data: Mapping[str, Any] = field(default_factory=dict)


EFFECTS: dict[str, type[Effect]] = {
    cls.name: cls for cls in (Decide, UpdateRecord, Notify, SendWebhook, StartTimer, CancelTimer, EmitEvent)
}


def message_id(event_id: str, plugin: str, effect_key: str, generation: int) -> str:
    """Name an effect: the same on every attempt, another for every replay generation (DESIGN section 4, rule 7)."""
    text = f"{event_id}\x1f{plugin}\x1f{effect_key}\x1f{generation}"
    return "msg_" + hashlib.sha256(text.encode()).hexdigest()[:32]


def effect_keys(effects: list[Effect]) -> list[str]:
    """Give every effect its key: its own, or its name and its place among the unnamed ones of that name."""
    counts: dict[str, int] = {}
    keys = []
    for effect in effects:
        if effect.key:
            keys.append(f"{effect.name}:{effect.key}")
        else:
            number = counts.get(effect.name, 0)
            counts[effect.name] = number + 1
            keys.append(f"{effect.name}#{number}")
    return keys


def is_own_type(event_type: str, plugin: str) -> bool:
    """Whether an event type is one that this plugin may emit: its own name, a dot, and names joined by dots."""
    head, _, tail = event_type.partition(".")
    return head == plugin and bool(tail) and all(part.isidentifier() for part in tail.split("."))
