"""Reads records: the merged snapshot with each field's version and origin, and the list of leads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import InvalidRequest, NotFound, did_you_mean
from core.model.instants import format_instant, from_micros, to_micros
from core.model.merge import FLOOR, NESTED
from core.model.records import KINDS
from core.store.reading.decisions import decision_json
from core.store.reading.pages import LOOK, Page, decode_cursor, encode_cursor, first_that_fit, only_units
from core.store.tables import decisions, record_updates, records

GRADED = "lead_grade"
"""What the decision that grades a lead is called."""
_FAR = datetime(9999, 1, 1, tzinfo=UTC)


def find_record(
    connection: Connection, kind: str, record_id: str, *, source: str | None, units: frozenset[str] | None
) -> Any:
    """Return the records row.

    Raises NotFound when there is none the caller may see, InvalidRequest when several sources have one.
    """
    if kind not in KINDS:
        raise NotFound(f'There is no kind of record "{kind[:80]}".{did_you_mean(kind, KINDS)}')
    statement = sa.select(records).where(
        records.c.kind == kind, records.c.record_id == record_id, *only_units(records.c.unit, units)
    )
    if source is not None:
        statement = statement.where(records.c.source == source)
    rows = connection.execute(statement.order_by(records.c.source)).fetchall()
    if not rows:
        raise NotFound(f'There is no {kind} "{record_id[:80]}"' + (f" of source {source[:80]}." if source else "."))
    if len(rows) > 1:
        sources = ", ".join(row.source for row in rows)
        raise InvalidRequest(
            f"Several sources have a {kind} of this id: {sources}. Say which one with ?source=.",
            errors=[{"path": "source", "message": f"One of: {sources}"}],
        )
    return rows[0]


def record_json(connection: Connection, row: Any) -> dict[str, Any]:
    """Return a record: its snapshot, and for each field its version and who said so."""
    versions: Mapping[str, str] = json.loads(row.versions)
    own = set(json.loads(row.own))
    snapshot = json.loads(row.snapshot)
    setters = _setters(connection, row) if own else {}
    fields = [
        _field(path, versions, setters.get(path) if path in own else None, path in own) for path in _paths(snapshot)
    ]
    return {
        "source": row.source,
        "kind": row.kind,
        "id": row.record_id,
        "unit": row.unit,
        "unit_reason": row.unit_reason,
        "snapshot": snapshot,
        "fields": fields,
        "complete_as_of": explain_version(versions.get(FLOOR)),
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def _paths(snapshot: Mapping[str, Any]) -> Iterator[str]:
    for name, value in sorted(snapshot.items()):
        if name in NESTED and isinstance(value, Mapping):
            yield from (f"{name}.{member}" for member in sorted(value))
        else:
            yield name


def _field(path: str, versions: Mapping[str, str], setter: Any, is_own: bool) -> dict[str, Any]:
    return {
        "path": path,
        "version": explain_version(versions.get(path)),
        "origin": "outrigger" if is_own else "crm",
        "plugin": setter.plugin if setter is not None else None,
        "set_at": setter.at if setter is not None else None,
    }


def _setters(connection: Connection, row: Any) -> dict[str, Any]:
    """Return the last update by a plugin for each path."""
    statement = (
        sa.select(record_updates)
        .where(
            record_updates.c.kind == row.kind,
            record_updates.c.record_id == row.record_id,
            record_updates.c.source == row.source,
        )
        .order_by(record_updates.c.id.desc())
        .limit(500)
    )
    found: dict[str, Any] = {}
    for update in connection.execute(statement):
        for path in _paths(update.fields):
            found.setdefault(path, update)
    return found


def explain_version(key: str | None) -> str | None:
    """Turn a sortable version key back into what the sender said: a number, a time, or its own text."""
    if not key:
        return None
    if key[0] == "v":
        return key[1:].lstrip("0") or "0"
    if key[0] == "t" and key[1:].isdigit():
        return format_instant(from_micros(min(int(key[1:]), to_micros(_FAR))))
    return key[1:]


def list_leads(
    connection: Connection,
    *,
    unit: str | None = None,
    grade: str | None = None,
    owner: str | None = None,
    units: frozenset[str] | None = None,
    cursor: str | None = None,
    limit: int = 50,
    look: int | None = LOOK,
) -> Page:
    """Return leads, the last changed first, with score, grade, owner and why the grade was given.

    `look` is how many leads are tried for one page, as of `newest_first`.
    """
    led = sa.select(records).where(sa.text("kind = 'lead'"))  # as the index of leads says it
    others = only_units(records.c.unit, units)
    if unit is None and units is not None and len(units) == 1:
        unit = min(units)
    if unit is not None:
        led = led.where(records.c.unit == unit)
    for name, value in (("grade", grade), ("owner", owner)):
        if value is not None:
            others.append(_snapshot_text(connection, name) == value)
    place = decode_cursor("leads", cursor, int, str, str)
    if place is not None:
        at = from_micros(min(place[0], to_micros(_FAR)))
        behind = sa.tuple_(records.c.source, records.c.record_id) > sa.tuple_(*map(sa.literal, place[1:]))
        # The first condition is the bound for the index.
        led = led.where(
            records.c.updated_at <= at, sa.or_(records.c.updated_at < at, sa.and_(records.c.updated_at == at, behind))
        )
    order = (records.c.updated_at, records.c.source, records.c.record_id)
    led = led.order_by(order[0].desc(), *order[1:])
    rows, last = first_that_fit(connection, led, others, limit, *order, look=look)
    following = None if last is None else encode_cursor("leads", to_micros(last[0]), last[1], last[2])
    grades = _grade_decisions(connection, rows, units)
    return Page([_lead(row, grades.get((row.source, row.record_id))) for row in rows], following)


def _snapshot_text(connection: Connection, name: str) -> sa.ColumnElement[Any]:
    if connection.dialect.name == "sqlite":
        return sa.func.json_extract(records.c.snapshot, f"$.{name}")
    return sa.func.json_extract_path_text(sa.cast(records.c.snapshot, sa.JSON), name)


def _grade_decisions(
    connection: Connection, rows: Sequence[Any], units: frozenset[str] | None
) -> dict[tuple[str, str], Any]:
    """Return the latest grading decision for each lead."""
    if not rows:
        return {}
    newest = (
        sa.select(sa.func.max(decisions.c.id))
        .where(
            decisions.c.kind == "lead",
            decisions.c.record_id.in_([row.record_id for row in rows]),
            decisions.c.decision == GRADED,
            *only_units(decisions.c.unit, units),
        )
        .group_by(decisions.c.source, decisions.c.record_id)
    )
    found = connection.execute(sa.select(decisions).where(decisions.c.id.in_(newest)))
    return {(row.source, row.record_id): row for row in found}


def _lead(row: Any, grade: Any) -> dict[str, Any]:
    snapshot = json.loads(row.snapshot)
    shown = ("name", "company", "industry", "region", "city", "owner", "status", "score", "grade")
    return {
        "source": row.source,
        "id": row.record_id,
        "unit": row.unit,
        **{name: snapshot.get(name) for name in shown},
        "decision": decision_json(grade) if grade is not None else None,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }
