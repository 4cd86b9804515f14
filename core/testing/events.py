"""Builds events as a handler sees them, from a few fields or from a plugin's example files."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.model.errors import InvalidRequest, did_you_mean
from core.model.events import EVENT_TYPES, PAYLOADS, Event, Origin, event_id
from core.model.instants import parse_instant
from core.model.records import KINDS, Complaint, Customer, Lead, MarketPrice, Order, Quote, TimerDue, UnitChange
from core.model.schemas import builder_for, known_fields, validate_record

NOW = datetime(2026, 11, 23, 1, 30, tzinfo=UTC)
"""A Monday, 09:30 in Shanghai: the time at which events and contexts of tests stand unless told otherwise."""

IDS = {"lead": "L-1", "customer": "C-1", "quote": "Q-1", "order": "O-1", "complaint": "T-1", "market": "aluminium"}

Fields = Mapping[str, Any]


def lead_event(type: str = "lead.created", *, known: Fields | None = None, event: Fields | None = None,
               **fields: Any) -> Event[Lead]:  # fmt: skip
    """Build an event about a lead.

    `fields` is what the event itself says; `known` what was known of the record before; `event` changes the
    envelope, such as `{"late": True}`. Amounts and times may be given as text. Unknown fields are refused.
    """
    return _record_event(type, "lead", known, event, fields)


def quote_event(type: str = "quote.submitted", *, known: Fields | None = None, event: Fields | None = None,
                **fields: Any) -> Event[Quote]:  # fmt: skip
    """Build an event about a quote; see `lead_event`."""
    return _record_event(type, "quote", known, event, fields)


def order_event(type: str = "order.placed", *, known: Fields | None = None, event: Fields | None = None,
                **fields: Any) -> Event[Order]:  # fmt: skip
    """Build an event about an order; see `lead_event`."""
    return _record_event(type, "order", known, event, fields)


def complaint_event(type: str = "complaint.opened", *, known: Fields | None = None, event: Fields | None = None,
                    **fields: Any) -> Event[Complaint]:  # fmt: skip
    """Build an event about a complaint; see `lead_event`."""
    return _record_event(type, "complaint", known, event, fields)


def customer_event(type: str = "customer.updated", *, known: Fields | None = None, event: Fields | None = None,
                   **fields: Any) -> Event[Customer]:  # fmt: skip
    """Build an event about a customer; see `lead_event`."""
    return _record_event(type, "customer", known, event, fields)


def market_event(type: str = "market.price_changed", *, known: Fields | None = None, event: Fields | None = None,
                 **fields: Any) -> Event[MarketPrice]:  # fmt: skip
    """Build an event about a market price; see `lead_event`."""
    return _record_event(type, "market", known, event, fields)


def timer_event(
    timer: str, *, plugin: str, kind: str = "lead", record_id: str = "", due_at: datetime = NOW, late: bool = False,
    data: Fields | None = None, record: Any = None, event: Fields | None = None,
) -> Event[TimerDue]:  # fmt: skip
    """Build the `timer.due` of a timer that `plugin` started for a record."""
    ident = record_id or (record.id if record is not None else IDS[kind])
    due = TimerDue(id=ident, plugin=plugin, timer=timer, due_at=due_at, late=late, data=data or {})
    more = {"late": late, "record": record, "origin": Origin.TIMER, **(event or {})}
    return _envelope("timer.due", kind, ident, due, more, {})


def unit_changed_event(
    *, from_unit: str, to_unit: str, kind: str = "lead", record: Any = None, event: Fields | None = None
) -> Event[UnitChange]:
    """Build the `record.unit_changed` of a record that moved from one unit to another."""
    ident = record.id if record is not None else IDS[kind]
    change = UnitChange(id=ident, from_unit=from_unit, to_unit=to_unit, reason="a test moved it")
    more = {"record": record, "unit": to_unit, "origin": Origin.CORE, **(event or {})}
    return _envelope("record.unit_changed", kind, ident, change, more, {})


def plugin_event(
    type: str, data: Fields | None = None, *, kind: str = "lead", record: Any = None, event: Fields | None = None
) -> Event[Any]:
    """Build an event of a plugin's own type, such as `lead_scoring.graded`; its data is a plain mapping."""
    ident = record.id if record is not None else IDS[kind]
    more = {"record": record, "origin": Origin.PLUGIN, **(event or {})}
    return _envelope(type, kind, ident, dict(data or {}), more, data or {})


def event_from_body(body: Fields) -> Event[Any]:
    """Build an event from a Standard Webhooks body: `type`, `timestamp`, and the record's fields in `data`.

    Types that no CRM sends are read alike, `timer.due`, `record.unit_changed` and plugins' own, with the record's
    `kind` beside them and, in `record`, what is known of it. Raises InvalidRequest for a type that does not exist.
    """
    name, data = str(body["type"]), dict(body["data"])
    at = parse_instant(str(body["timestamp"])) if "timestamp" in body else NOW
    envelope = {"occurred_at": at, "accepted_at": at}
    if _is_about_a_record(name):
        for key in ("version", "completeness", "unit"):
            if key in data and key not in known_fields(_kind_of(name)):
                envelope[key] = data.pop(key)
        return _record_event(name, _kind_of(name), None, envelope, data, allow_unknown=True)
    kind = str(body.get("kind", "lead"))
    ident = str(data.setdefault("id", IDS[kind]) if name in EVENT_TYPES else data.get("id", IDS[kind]))
    more = {**envelope, "record": known_record(kind, ident, body.get("record")), "origin": _ORIGINS.get(name)}
    if name not in EVENT_TYPES:
        return _envelope(name, kind, ident, data, {**more, "origin": Origin.PLUGIN}, data)
    payload_class: type = PAYLOADS[name]
    try:
        payload = builder_for(payload_class)(data)
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"The data of a {name} does not fit: {error}.") from None
    own = {"late": payload.late} if isinstance(payload, TimerDue) else {"unit": payload.to_unit or "default"}
    return _envelope(name, kind, ident, payload, {**more, **own}, data)


_ORIGINS = {"timer.due": Origin.TIMER, "record.unit_changed": Origin.CORE}


def _is_about_a_record(name: str) -> bool:
    """Whether a CRM sends this type; a misspelt one counts, so that it is refused instead of taken for a plugin's."""
    known = EVENT_TYPES.get(name)
    if known is not None:
        return known.kind is not None
    return name.partition(".")[0] in (*KINDS, "timer", "record") or "." not in name


def known_record(kind: str, ident: str, fields: Fields | None) -> Any:
    """Build the record of which these fields are known; None when there are none."""
    if fields is None:
        return None
    record_class: type = KINDS[kind]
    return builder_for(record_class)(validate_record(kind, {**fields, "id": ident}))


def example_events(folder: Path) -> list[Event[Any]]:
    """Read the example events of a plugin, `tests/events/*.json`, in the order of their names.

    `folder` is the plugin's own; each file holds one body as a CRM sends it to a `standard` source.
    """
    return [
        event_from_body(json.loads(path.read_text(encoding="utf-8")))
        for path in sorted((folder / "tests" / "events").glob("*.json"))
    ]


def _kind_of(event_type: str) -> str:
    known = EVENT_TYPES.get(event_type)
    if known is None or known.kind is None:
        types = [name for name, item in EVENT_TYPES.items() if item.kind is not None]
        raise InvalidRequest(f'"{event_type}" is no event type about a record.{did_you_mean(event_type, types)}')
    return known.kind


def _record_event(
    name: str, kind: str, known: Fields | None, event: Fields | None, fields: Fields, *, allow_unknown: bool = False
) -> Event[Any]:
    if _kind_of(name) != kind:
        raise InvalidRequest(f'"{name}" is not about a {kind}.')
    names = known_fields(kind)
    for field in () if allow_unknown else (*fields, *(known or {})):
        if field not in names:
            raise InvalidRequest(f'A {kind} has no field "{field}".{did_you_mean(field, names)}')
    ident = fields.get("id") or (known or {}).get("id") or IDS[kind]
    said = validate_record(kind, {"id": ident, **{key: _as_sent(value) for key, value in fields.items()}})
    before = validate_record(kind, {"id": ident, **{key: _as_sent(value) for key, value in (known or {}).items()}})
    record_class: type = KINDS[kind]
    payload_class: type = PAYLOADS[name]
    record = builder_for(record_class)({**before, **said})
    more = {"record": record, "changed": frozenset(fields) - {"id"}, **(event or {})}
    return _envelope(name, kind, str(ident), builder_for(payload_class)(said), more, said)


def _envelope(type: str, kind: str, record_id: str, data: Any, more: Fields, raw: Fields) -> Event[Any]:
    values: dict[str, Any] = {
        "id": event_id("crm", f"{type}:{record_id}"),
        "type": type,
        "source": "crm",
        "kind": kind,
        "record_id": record_id,
        "unit": "default",
        "occurred_at": NOW,
        "accepted_at": NOW,
        "data": data,
        "raw": dict(raw),
    }
    return Event(**{**values, **more})


def _as_sent(value: Any) -> Any:
    """Turn typed values into what a sender writes, so that they pass the same checks."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
        return {name: _as_sent(inner) for name, inner in fields.items() if inner is not None}
    if isinstance(value, Mapping):
        return {key: _as_sent(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_sent(inner) for inner in value]
    return value
