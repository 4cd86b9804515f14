"""Reads decisions: what a plugin or a person decided, by which rule, on which inputs, and what nearly changed it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.store.reading.pages import LOOK, Page, newest_first, only_units, pick
from core.store.reading.sources import only_source
from core.store.tables import decisions

_PLAIN = (
    "event_id", "plugin", "plugin_version", "unit", "generation", "source", "kind", "record_id", "decision",
    "outcome", "summary", "rule", "reasons", "inputs", "near_misses", "config_version", "decided_by", "decided_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionFilter:
    """Which decisions are meant; `units` keeps the caller inside its own (None: all)."""

    plugin: str | None = None
    unit: str | None = None
    decision: str | None = None
    outcome: str | None = None
    kind: str | None = None
    record_id: str | None = None
    units: frozenset[str] | None = None


def list_decisions(
    connection: Connection,
    chosen: DecisionFilter,
    *,
    cursor: str | None = None,
    limit: int = 50,
    look: int | None = LOOK,
) -> Page:
    """Return the decisions that fit, newest first; `look` as of `newest_first`."""
    leading: list[sa.ColumnElement[bool]] = []
    others = only_units(decisions.c.unit, chosen.units)
    is_of_record = chosen.kind is not None and chosen.record_id is not None
    for name in ("plugin", "unit", "decision", "outcome", "kind", "record_id"):
        value = getattr(chosen, name)
        if value is not None:
            by_index = name in ("kind", "record_id") if is_of_record else name == "unit"
            (leading if by_index else others).append(decisions.c[name] == value)
    source = only_source(connection, chosen.kind, chosen.record_id)
    if source is not None:
        leading.append(decisions.c.source == source)
    rows, following = newest_first(
        connection, decisions.c.id, leading=leading, others=others, cursor=cursor, limit=limit, look=look
    )
    return Page([decision_json(row) for row in rows], following)


def decision_json(row: Any) -> dict[str, Any]:
    """Return a decision as it is shown."""
    return {"id": f"dec_{row.id}", **pick(row, *_PLAIN)}
