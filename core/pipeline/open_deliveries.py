"""What stands open of a record for each plugin and unit: it holds back what comes later, however much of it waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.outcomes import OPEN_DELIVERY
from core.pipeline.work import RecordKey, record_key
from core.store.columns import status_in
from core.store.lists import about_records, by_record
from core.store.tables import deliveries
from core.store.together import Question

_OPEN = f"t.{status_in(*OPEN_DELIVERY)}"
_GROUP = "t.source, t.kind, t.record_id, t.plugin, t.unit"
_COLUMNS = f"{_GROUP}, min(t.event_seq), max(t.event_seq), count(*), CAST(sum(t.event_seq) AS bigint)"

_SAME = ("kind", "record_id", "source", "plugin", "unit")
_BEFORE = sa.select(sa.func.max(deliveries.c.event_seq)).where(
    status_in(*OPEN_DELIVERY),
    *(deliveries.c[name] == sa.bindparam(f"its_{name}") for name in _SAME),
    deliveries.c.event_seq < sa.bindparam("its_event_seq"),
)

OpenKey = tuple[RecordKey, str, str]
"""Whose deliveries: the record, the plugin and the unit."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The open deliveries of one record for one plugin in one unit.

    Two of them are equal when the same deliveries are open: only one could have taken the place of another unseen, and
    then the sum of their events is another.
    """

    earliest: int
    latest: int
    """The numbers of the first and the last event among them."""

    count: int
    events: int
    """The sum of their events' numbers."""


Open = Mapping[OpenKey, Standing]


def load_open(connection: Connection, keys: Sequence[RecordKey]) -> Open:
    """Return what stands open of the records; one row for each plugin and unit, whatever their number."""
    return standing(by_record(connection, _COLUMNS, deliveries.name, list(dict.fromkeys(keys)), _OPEN, group_by=_GROUP))


def open_question(dialect: str, keys: Sequence[RecordKey]) -> Question:
    """Return the question that `load_open` asks, for records of which each is named once; `standing` reads it."""
    return about_records(dialect, _COLUMNS, deliveries.name, keys, _OPEN, group_by=_GROUP)


def standing(answer: Sequence[tuple[Any, ...]]) -> Open:
    """Read the answer to `open_question`."""
    return {((row[0], row[1], row[2]), row[3], row[4]): Standing(*row[5:]) for row in answer}


def key_of(row: Any) -> OpenKey:
    """Return whose delivery a deliveries row is."""
    return record_key(row), row.plugin, row.unit


def stands_alone(row: Any, standing: Open) -> bool:
    """Whether a delivery is the only open one of its record, plugin and unit, so that nothing waits on either side."""
    found = standing.get(key_of(row))
    return found is not None and found.count == 1


def earlier_open(connection: Connection, row: Any, standing: Open) -> int | None:
    """Return the latest event before this delivery's that its plugin has not done with; None when there is none."""
    found = standing.get(key_of(row))
    if found is not None and found.earliest == row.event_seq:
        return None
    named = {f"its_{name}": getattr(row, name) for name in (*_SAME, "event_seq")}
    latest: int | None = connection.execute(_BEFORE, named).scalar()
    return latest
