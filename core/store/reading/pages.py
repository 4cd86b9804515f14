"""Pages of a list: opaque cursors that stay right while new rows arrive, because they name a place and no offset."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.sql.util import ClauseAdapter

from core.model.errors import InvalidRequest

MAX_LIMIT = 200
LOOK = 5000
"""How many rows are tried for one page at most."""
_BIGGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its items, newest first, and the cursor of the next page if there may be one."""

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
    key: sa.Column[Any],
    *,
    leading: Sequence[sa.ColumnElement[bool]] = (),
    others: Sequence[sa.ColumnElement[bool]] = (),
    cursor: str | None,
    limit: int,
    look: int | None = LOOK,
) -> tuple[Sequence[Any], str | None]:
    """Return the rows of the table of `key` that fit, its highest number first, and the next cursor.

    `leading` are the conditions that an index answers, `others` are tried on the rows those give. With `look` at most
    so many rows are tried for one page, so that no question costs more however much is stored: a page may then have
    fewer rows than `limit`, or none, and still a next cursor.
    """
    table = key.table
    assert isinstance(table, sa.Table)
    place = decode_cursor(table.name, cursor, int)
    led = sa.select(table).where(*leading).order_by(key.desc())
    if place is not None:
        led = led.where(key < place[0])
    rows, last = first_that_fit(connection, led, others, limit, key, look=look)
    return rows, None if last is None else encode_cursor(table.name, int(last[0]))


def first_that_fit(
    connection: Connection,
    led: sa.Select[Any],
    others: Sequence[sa.ColumnElement[bool]],
    limit: int,
    *place: sa.ColumnElement[Any],
    look: int | None = LOOK,
) -> tuple[Sequence[Any], Sequence[Any] | None]:
    """Return the first rows of the ordered `led` that fit `others`, trying `look` rows, and where to go on.

    The columns of `place` name a row's place in the order.
    """
    if look is None or not others:
        statement = led.where(*others)
    else:
        # A scan of an ordered subquery that has a limit keeps its order on both databases and ends with the last row
        # that is wanted; ordered once more, SQLite would sort all that are tried.
        looked = led.limit(look).subquery("looked")
        statement = sa.select(looked).where(*map(ClauseAdapter(looked).traverse, others))
    rows = connection.execute(statement.limit(limit + 1)).fetchall()
    if len(rows) > limit:
        last = rows[limit - 1]._mapping
        return rows[:limit], [last[column.name] for column in place]
    if look is None or not others:
        return rows, None
    return rows, connection.execute(led.with_only_columns(*place).limit(1).offset(look - 1)).one_or_none()


def only_units(column: sa.Column[Any], units: frozenset[str] | None) -> list[sa.ColumnElement[bool]]:
    """Return the condition that keeps a caller inside its units; none for a caller who may see all."""
    return [] if units is None else [column.in_(sorted(units))]


def pick(row: Any, *names: str) -> dict[str, Any]:
    """Return these columns of a row as a dict."""
    values: Mapping[str, Any] = row._mapping
    return {name: values[name] for name in names}
