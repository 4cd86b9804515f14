"""Canonical events: the types there are, and the envelope in which a fact about one record travels."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

from core.model.errors import ItemRejected, did_you_mean
from core.model.records import KINDS, TimerDue, UnitChange

RecordT = TypeVar("RecordT", covariant=True)


class Completeness(StrEnum):
    """How much of its record an event carries."""

    FULL = "full"
    DELTA = "delta"
    ID_ONLY = "id_only"


class Origin(StrEnum):
    """Who made an event."""

    CRM = "crm"
    PLUGIN = "plugin"
    TIMER = "timer"
    CORE = "core"
    PERSON = "person"
    IMPORT = "import"


@dataclass(frozen=True, slots=True)
class EventType:
    """One canonical event type: its wire name, the kind of record it is about and the hook it calls."""

    name: str
    kind: str | None
    summary: str

    @property
    def hook(self) -> str:
        """The hook's name: `lead.created` calls `on_lead_created`."""
        return "on_" + self.name.replace(".", "_")

    @property
    def is_update(self) -> bool:
        """Whether a newer event makes this one pointless; life-cycle facts are always delivered."""
        return self.name.endswith(".updated")


_SUMMARIES: dict[str, str] = {
    "lead.created": "A lead was captured in the CRM.",
    "lead.updated": "Fields of a lead changed.",
    "lead.converted": "A lead became a customer or a deal.",
    "lead.lost": "A lead was given up.",
    "quote.submitted": "A quote was handed in for review.",
    "quote.updated": "Fields of a quote changed.",
    "quote.accepted": "The customer accepted a quote: the deal is won.",
    "quote.rejected": "The customer declined a quote: the deal is lost.",
    "quote.expired": "A quote's validity ended without an answer.",
    "order.placed": "An order was placed.",
    "order.updated": "Fields of an order changed.",
    "order.delayed": "An order's delivery will be later than promised.",
    "order.cancelled": "An order was cancelled.",
    "order.fulfilled": "An order was delivered in full.",
    "order.paid": "An order was paid.",
    "complaint.opened": "A customer complained.",
    "complaint.updated": "Fields of a complaint changed.",
    "complaint.replied": "The customer or the service team answered.",
    "complaint.resolved": "A complaint was solved.",
    "complaint.reopened": "A solved complaint came back.",
    "complaint.closed": "A complaint was closed.",
    "customer.updated": "Fields of a customer changed, or the customer is new.",
    "market.price_changed": "A raw-material price moved.",
}

EVENT_TYPES: dict[str, EventType] = {
    name: EventType(name=name, kind=name.partition(".")[0], summary=summary) for name, summary in _SUMMARIES.items()
} | {
    "record.unit_changed": EventType("record.unit_changed", None, "A record moved to another business unit."),
    "timer.due": EventType("timer.due", None, "A timer that a plugin started fell due."),
}

PAYLOADS: dict[str, type[Any]] = {
    name: KINDS[kind.kind] for name, kind in EVENT_TYPES.items() if kind.kind is not None
} | {"record.unit_changed": UnitChange, "timer.due": TimerDue}
"""The class of `event.data` for each canonical type; a plugin's own types carry a plain mapping."""


def kind_of(event_type: str) -> str:
    """Return the record kind a sender's event type is about. Raises ItemRejected with the nearest known type."""
    known = EVENT_TYPES.get(event_type)
    if known is None or known.kind is None:
        senders = [name for name, item in EVENT_TYPES.items() if item.kind is not None]
        raise ItemRejected(f'"{event_type[:80]}" is no event type a CRM may send.{did_you_mean(event_type, senders)}')
    return known.kind


def event_id(source: str, dedupe_key: str) -> str:
    """Name an event by its source and the key that makes it the same event: a duplicate gets the same id."""
    return "evt_" + hashlib.sha256(f"{source}\x1f{dedupe_key}".encode()).hexdigest()[:32]


def lane_of(source: str, kind: str, record_id: str, lanes: int = 256) -> int:
    """Return the lane of a record: a stable hash, the same on every machine and in every release."""
    return zlib.crc32(f"{source}\x1f{kind}\x1f{record_id}".encode()) % lanes


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Generic[RecordT]):
    """A fact about one record, as a plugin sees it.

    `data` is what this event itself said (often only what changed); `record` is the record as known when the event
    was merged, earlier events included, later ones not. `changed` names the record's fields this event changed.
    """

    id: str
    type: str
    source: str
    kind: str
    record_id: str
    unit: str
    occurred_at: datetime
    accepted_at: datetime
    data: RecordT
    record: Any = None
    changed: frozenset[str] = frozenset()
    version: str = ""
    completeness: str = Completeness.DELTA
    origin: str = Origin.CRM
    depth: int = 0
    caused_by: str | None = None
    generation: int = 0
    late: bool = False
    out_of_order: bool = False
    raw: Mapping[str, Any] = field(default_factory=dict)
