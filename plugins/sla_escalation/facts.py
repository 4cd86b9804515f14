"""Which facts of a record clocks may look at, and what one event said of them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from core.api import Complaint, Context, Event, Lead, Order, Quote

RECORDS: dict[str, type[Any]] = {"lead": Lead, "quote": Quote, "order": Order, "complaint": Complaint}

TEXTS = frozenset({
    "requirement", "body", "subject", "resolution", "cause", "delay_reason", "need", "solution", "strategy",
    "lost_reason", "rejected_reason", "name", "company",
})  # fmt: skip
"""Facts of which only a fingerprint is kept: they may be long or personal, and only whether they are known counts."""

_NESTED = frozenset({"id", "extra", "contact", "price_basis", "lines", "counters", "activities", "products"})
CUSTOMER_FACTS = ("customer.tier", "customer.industry", "customer.region")
ACTIVITY_TYPES = "activities.types"
EXTRA = "extra."
OF_EVENT = "event."
"""What stands before a value that another plugin's event carries, such as `event.status`."""


def fact_names(kind: str) -> list[str]:
    """Return the facts of a kind of record; beside them there is every `extra.<name>`."""
    own = [item.name for item in dataclasses.fields(RECORDS[kind]) if item.name not in _NESTED]
    return [*own, *CUSTOMER_FACTS, *([ACTIVITY_TYPES] if kind == "lead" else [])]


def is_fact(kind: str, name: str) -> bool:
    """Whether clocks may look at this fact of a kind of record."""
    return name in fact_names(kind) or any(name.startswith(head) and name != head for head in (EXTRA, OF_EVENT))


def said_by(event: Event[Any], watched: Iterable[str], ctx: Context[Any], *, named: bool) -> dict[str, Any]:
    """Return what an event itself said of the watched facts; what it left out is absent.

    `named` says that a clock names the event's type; else the customer is only looked up when something was said.
    """
    said: dict[str, Any] = {}
    of_customer = []
    for name in watched:
        if name in CUSTOMER_FACTS:
            of_customer.append(name)
        elif name == ACTIVITY_TYPES:
            if event.raw.get("activities"):
                said[name] = sorted({str(item.get("type")) for item in event.raw["activities"]})
        elif name.startswith(EXTRA):
            extra, member = event.raw.get("extra"), name.removeprefix(EXTRA)
            if isinstance(extra, Mapping) and member in extra:
                said[name] = kept(name, extra[member])
        elif name in event.raw:
            said[name] = kept(name, event.raw[name])
        elif event.completeness == "full" and getattr(event.record, name, None) is None:
            said[name] = None  # a full event says of what it omits that it is not there
    if said or named:
        said |= _of_customer(event, of_customer, ctx)
    return said


def record_facts(event: Event[Any], watched: Iterable[str], ctx: Context[Any]) -> dict[str, Any]:
    """Return the watched facts of the record as it stands, plugins' own decisions and the event's values included."""
    found: dict[str, Any] = {}
    if event.record is None:
        return found
    for name in watched:
        if name.startswith(EXTRA):
            found[name] = kept(name, event.record.extra.get(name.removeprefix(EXTRA)))
        elif name == ACTIVITY_TYPES:
            found[name] = sorted({item.type for item in event.record.activities}) or None
        elif name.startswith(OF_EVENT):
            member = name.removeprefix(OF_EVENT)
            if isinstance(event.data, Mapping) and member in event.data:
                found[name] = kept(name, event.data[member])
        elif name not in CUSTOMER_FACTS:
            found[name] = kept(name, getattr(event.record, name, None))
    return found | _of_customer(event, [name for name in watched if name in CUSTOMER_FACTS], ctx)


def _of_customer(event: Event[Any], wanted: list[str], ctx: Context[Any]) -> dict[str, Any]:
    """Return facts of the record's customer, as far as that is known; never what the record itself claims."""
    ident = getattr(event.record, "customer_id", None)
    customer = ctx.records.get("customer", ident) if wanted and ident else None
    if customer is None:
        return {}
    found = {name: getattr(customer, name.partition(".")[2]) for name in wanted}
    return {name: value for name, value in found.items() if value is not None}


def kept(name: str, value: Any) -> Any:
    """Return a value as it is kept with the clocks: JSON, instants in UTC, texts as a fingerprint only."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str) and name not in TEXTS and len(value) <= 200:
        return _instant_text(value)
    if value in ("", (), []):
        return None
    text = value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True)
    return "#" + hashlib.sha256(text.encode()).hexdigest()[:12]


def _instant_text(text: str) -> str:
    """Write an instant in one way, so that the same one from the event and from the record compare equal."""
    if len(text) < 20 or text[4] != "-" or "T" not in text:
        return text
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return text
    return read.astimezone(UTC).isoformat() if read.tzinfo is not None else text
