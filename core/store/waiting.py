"""Lets go the deliveries that were held back by others which are now final."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from core.model.outcomes import DeliveryStatus
from core.store.array_literals import array_literal
from core.store.bulk import update_rows
from core.store.tables import deliveries
from core.store.together import Question, ask_together

_WAITING = f"t.status = '{DeliveryStatus.WAITING}'"
_RECORD = ("kind", "record_id", "source", "plugin", "unit")
_COLUMNS = (*_RECORD, "event_seq")
# One look into the index of what waits for an event. By record it would go through all that stand open of it, so where
# the planner may choose, `+` (SQLite) and OFFSET 0 (PostgreSQL) keep it from that.
_FOR = f"t.waiting_for = v.event_seq AND {_WAITING}"
_FIND = {
    "sqlite": "SELECT t.id FROM (SELECT {} FROM json_each(?)) AS v CROSS JOIN deliveries AS t ON {} AND {}".format(
        ", ".join(f"json_extract(value, '$[{number}]') AS {name}" for number, name in enumerate(_COLUMNS)),
        _FOR,
        " AND ".join(f"+t.{name} = v.{name}" for name in _RECORD),
    ),
    "postgresql": (
        f"SELECT w.id FROM unnest({', '.join(['%s::text[]'] * 5)}, %s::bigint[]) AS v({', '.join(_COLUMNS)})"
        f" CROSS JOIN LATERAL (SELECT t.id, {', '.join(f't.{name}' for name in _RECORD)} FROM deliveries AS t"
        f" WHERE {_FOR} OFFSET 0) AS w WHERE {' AND '.join(f'w.{name} = v.{name}' for name in _RECORD)}"
    ),
}


def release(connection: Connection, final: Iterable[Mapping[str, Any]], now: datetime) -> int:
    """Make available what waited for these deliveries (rows of the table); return how many it were.

    The next claim looks again whether something earlier is still open, so releasing too much is harmless.
    """
    wanted = [tuple(delivery[name] for name in _COLUMNS) for delivery in final]
    if not wanted:
        return 0
    is_sqlite = connection.dialect.name == "sqlite"
    parameters = (json.dumps(wanted),) if is_sqlite else tuple(map(array_literal, zip(*wanted, strict=True)))
    [found] = ask_together(connection, [Question(_FIND[connection.dialect.name], parameters)])
    available = {"status": DeliveryStatus.AVAILABLE.value, "waiting_for": None, "due_at": now}
    changes = [{**available, "key_id": number} for (number,) in found]
    return update_rows(connection, deliveries, ("id",), changes, _WAITING)
