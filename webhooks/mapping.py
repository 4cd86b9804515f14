"""Small pure steps that adapters share: senders' times, dotted paths and records' fields."""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping
from datetime import UTC, datetime, time
from decimal import Decimal
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from core.model.errors import ItemRejected
from core.model.instants import format_instant, from_micros, parse_instant
from core.model.records import KINDS
from core.model.schemas import known_fields

_NAIVE = re.compile(r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?$")
_EPOCH = re.compile(r"^\d{9,16}$")
_LASTS_ALL_DAY = frozenset({"valid_until", "promised_at", "estimated_at"})
OPENING = {
    "lead": "lead.created",
    "quote": "quote.submitted",
    "order": "order.placed",
    "complaint": "complaint.opened",
}
"""The type by which a record of a kind begins; a kind without one only knows updates."""


@cache
def instant_fields(kind: str) -> frozenset[str]:
    """Return the fields of a kind that hold an instant, as dotted paths."""
    found = set()
    for name, hint in typing.get_type_hints(KINDS[kind]).items():
        if datetime in typing.get_args(hint):
            found.add(name)
    return frozenset(found | ({"price_basis.at"} if kind == "quote" else set()))


def read_instant(value: Any, zone: ZoneInfo | None, *, end_of_day: bool = False) -> datetime | None:
    """Read a sender's time: RFC 3339, a local time of `zone`, or Unix seconds, milliseconds or microseconds.

    A date alone means its first moment, or its last with `end_of_day`. None when it cannot be told.
    """
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        value = format(value, "f").partition(".")[0]
    if not isinstance(value, str):
        return None
    text = value.strip()
    try:
        if _EPOCH.match(text):
            digits = len(text)
            return from_micros(int(text) * (1 if digits > 14 else 1000 if digits > 11 else 1_000_000))
        local = text.replace("/", "-")
        if zone is None or not _NAIVE.match(local):
            return parse_instant(text)
        moment = datetime.fromisoformat(local)
        if len(local) == 10 and end_of_day:
            moment = datetime.combine(moment.date(), time(23, 59, 59))
        return moment.replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def canonical_instant(field: str, value: Any, zone: ZoneInfo | None) -> Any:
    """Return a sender's time as RFC 3339 text in UTC; what is none stays, for the schema to refuse."""
    moment = read_instant(value, zone, end_of_day=field in _LASTS_ALL_DAY)
    return value if moment is None else format_instant(moment)


def put(data: dict[str, Any], path: str, value: Any) -> None:
    """Set a field, or a member of a nested one by a dotted path such as `contact.email`."""
    name, _, member = path.partition(".")
    if member:
        inner = data.setdefault(name, {})
        if isinstance(inner, dict):
            inner[member] = value
    else:
        data[name] = value


def with_extra(data: dict[str, Any], rest: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what nobody mapped in `extra`, under what was mapped there on purpose."""
    mapped = data.get("extra", {})
    if rest and isinstance(mapped, Mapping):
        data["extra"] = {**rest, **mapped}
    return data


def flat(table: Any) -> Any:
    """Write a table's nested keys as dotted paths, so that `contact.email` may be quoted in TOML or not."""
    if not isinstance(table, Mapping):
        return table
    paths: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, Mapping):
            paths |= {f"{name}.{inner}": text for inner, text in flat(value).items()}
        else:
            paths[name] = value
    return paths


def is_field(kind: str, path: str) -> bool:
    """Whether a kind has this field; members such as `contact.email` and anything below `extra` count."""
    name, _, member = path.partition(".")
    if name not in known_fields(kind):
        return False
    if not member or name in ("extra", "counters"):
        return True
    nested = {"contact": {"name", "email", "phone"}, "price_basis": {"metal", "price", "at"}}
    return member in nested.get(name, ())


def zone_of(options: Mapping[str, Any]) -> ZoneInfo | None:
    """Return the zone named by `timezone`, or None when there is none or it is not known."""
    name = options.get("timezone")
    try:
        return ZoneInfo(name) if isinstance(name, str) else None
    except (KeyError, ValueError, OSError):
        return None


def object_of(item: Any) -> dict[str, Any]:
    """Return an item that is a JSON object. Raises ItemRejected for anything else."""
    if not isinstance(item, dict):
        raise ItemRejected("The item is not a JSON object.")
    return item
