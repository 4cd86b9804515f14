"""Pages of a list: opaque cursors that stay right while new rows arrive, because they name a place and no offset."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import InvalidRequest

MAX_LIMIT = 200
_BIGGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its items, newest first, and the cursor of the next page if there is one."""

    items: list[dict[str, Any]]
    next: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the page as lists answer it."""
        return {"items": self.items, "next": self.next}


def encode_cursor(listing: str, *place: str | int) -> str:
    """Return the cursor that names `place` in `listing`."""
    text = json.dumps([listing, *place], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(listing: str, cursor: str | None, *shape: type) -> list[Any] | None:
    """Return the place a cursor names, or None without one. Raises InvalidRequest for any other text."""
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        value = json.loads(base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, list) and len(value) == len(shape) + 1 and value[0] == listing:
        place = value[1:]
        fits = all(type(item) is kind for item, kind in zip(place, shape, strict=True))
        if fits and all(0 <= item <= _BIGGEST if isinstance(item, int) else "\x00" not in item for item in place):
            return place
    raise InvalidRequest(
        "The cursor is not one this list gave out; start again without it.",
        errors=[{"path": "cursor", "message": "Not a cursor of this list."}],
    )


def newest_first(
    connection: Connection,
    listing: str,
    statement: sa.Select[Any],
    key: sa.Column[Any],
    *,
    cursor: str | None,
    limit: int,
) -> tuple[Sequence[Any], str | None]:
    """Run `statement` ordered by its number `key`, newest first, from the cursor on; return rows and next cursor."""
    place = decode_cursor(listing, cursor, int)
    if place is not None:
        statement = statement.where(key < place[0])
    rows = connection.execute(statement.order_by(key.desc()).limit(limit + 1)).fetchall()
    more = len(rows) > limit
    rows = rows[:limit]
    return rows, encode_cursor(listing, int(rows[-1]._mapping[key])) if more else None


def only_units(column: sa.Column[Any], units: frozenset[str] | None) -> list[sa.ColumnElement[bool]]:
    """Return the condition that keeps a caller inside its units; none for a caller who may see all."""
    return [] if units is None else [column.in_(sorted(units))]


def pick(row: Any, *names: str) -> dict[str, Any]:
    """Return these columns of a row as a dict."""
    values: Mapping[str, Any] = row._mapping
    return {name: values[name] for name in names}
