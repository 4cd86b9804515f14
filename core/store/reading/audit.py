"""Reads the audit trail: a filtered list, one row, and all of it as lines that can be checked without a database."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import NotFound, UnreadableBody
from core.model.strict_json import loads
from core.store.audit import rows
from core.store.audit_chain import Row, canonical
from core.store.reading.pages import LOOK, Page, newest_first, only_units, pick
from core.store.tables import audit

_PLAIN = ("seq", "at", "actor", "action", "subject", "unit")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which rows are meant; `units` keeps the caller inside its own (None: all, and what concerns every unit)."""

    action: str | None = None
    actor: str | None = None
    unit: str | None = None
    since: datetime | None = None
    units: frozenset[str] | None = None


def list_audit(
    connection: Connection,
    chosen: AuditFilter,
    *,
    cursor: str | None = None,
    limit: int = 50,
    look: int | None = LOOK,
) -> Page:
    """Return the rows that fit, newest first; `look` as of `newest_first`."""
    others = only_units(audit.c.unit, chosen.units)
    for name in ("action", "actor", "unit"):
        value = getattr(chosen, name)
        if value is not None:
            others.append(audit.c[name] == value)
    if chosen.since is not None:
        others.append(audit.c.at >= chosen.since)
    found, following = newest_first(connection, audit.c.seq, others=others, cursor=cursor, limit=limit, look=look)
    return Page([_shown(row) for row in found], following)


def show_audit(connection: Connection, seq: int, units: frozenset[str] | None = None) -> dict[str, Any]:
    """Return one row with its place in the chain. Raises NotFound."""
    row = connection.execute(sa.select(audit).where(audit.c.seq == seq, *only_units(audit.c.unit, units))).one_or_none()
    if row is None:
        raise NotFound(f"There is no row {seq} in the audit trail, or it is not yours to see.")
    return {**_shown(row), **pick(row, "previous", "hash")}


def export_lines(connection: Connection) -> Iterator[str]:
    """Give out every row as one line of canonical JSON, oldest first."""
    for row in rows(connection):
        # A value of a kind that no row holds was put there; the export must still show it.
        plain = {name: v if v is None or isinstance(v, (str, int)) else repr(v) for name, v in row.items()}
        yield canonical(plain)


def read_lines(lines: Iterable[bytes]) -> Iterator[Row]:
    """Read an export's lines; one that is no JSON object comes as an empty row, which no chain holds."""
    for line in lines:
        if line.strip():
            try:
                row = loads(line)
            except UnreadableBody:  # also a name that stands twice: readers could see the wrong one of the two
                row = {}
            yield row if isinstance(row, dict) else {}


def _shown(row: Any) -> dict[str, Any]:
    try:
        details = json.loads(row.details)
    except ValueError:  # tampered with; `audit verify` names the row
        details = row.details
    return {**pick(row, *_PLAIN), "details": details}
