"""Reads one event in our own vocabulary: `type`, `timestamp` and `data`, as webhooks carry it and imports hold it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from core.model.errors import ItemRejected, did_you_mean
from core.model.events import Completeness, Origin
from core.model.inbound import InboundEvent, inbound_event
from core.model.instants import parse_instant

_WORDS = tuple(str(word) for word in Completeness)


def standard_event(
    body: Mapping[str, Any],
    *,
    source: str,
    dedupe_key: str,
    body_hash: str = "",
    sent_at: datetime | None = None,
    origin: str = Origin.CRM,
) -> InboundEvent:
    """Check one body and make it an event; `version`, `completeness` and `unit` are taken out of `data`.

    `sent_at` is the time of a body that says none. Raises ItemRejected naming what does not fit.
    """
    event_type, data = body.get("type"), body.get("data")
    if not isinstance(event_type, str):
        raise ItemRejected('The body needs a "type", a text such as lead.created.')
    if not isinstance(data, dict):
        raise ItemRejected('The body needs "data", an object with at least the record\'s "id".')
    said = body.get("timestamp")
    occurred_at = sent_at if said is None else _instant(said)
    if occurred_at is None:
        raise ItemRejected('The body needs a "timestamp", the time of the event such as 2026-11-22T08:30:00Z.')
    fields = dict(data)
    return inbound_event(
        source=source,
        type=event_type,
        version=_version(fields.pop("version", None)),
        completeness=_completeness(fields.pop("completeness", None)),
        unit=_unit(fields.pop("unit", None)),
        data=fields,
        dedupe_key=dedupe_key,
        occurred_at=occurred_at,
        occurred_at_original=said,
        body_hash=body_hash,
        origin=origin,
    )


def _instant(said: Any) -> datetime:
    try:
        return parse_instant(said if isinstance(said, str) else "")
    except ValueError as error:
        raise ItemRejected(f"timestamp: {error}") from None


def _version(value: Any) -> int | str | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    if isinstance(value, str) and 1 <= len(value) <= 200 and value.isprintable():
        return value
    raise ItemRejected("data.version: a version is a whole number from 0, or a text of 1 to 200 characters.")


def _completeness(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and value in _WORDS):
        return value
    hint = did_you_mean(value, _WORDS) if isinstance(value, str) else ""
    raise ItemRejected(f"data.completeness: one of {', '.join(_WORDS)}.{hint}")


def _unit(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and len(value) <= 100 and value.isprintable()):
        return value
    raise ItemRejected("data.unit: the slug of a business unit, a text.")
