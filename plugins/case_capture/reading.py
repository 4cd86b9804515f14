"""Lists and searches the case library for people: what the API and the command line show."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.api import InvalidRequest

from . import ranking
from .engine import Scope
from .models import Case, CaseHistory
from .search import Hit, find, parse_query
from .text import tokenise

Units = frozenset[str] | None
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = (
    "id",
    "unit",
    "kind",
    "status",
    "version",
    "title",
    "language",
    "product",
    "alloy",
    "industry",
    "source",
    "record_kind",
    "record_id",
    "missing",
    "duplicate_of",
    "doubt",
    "reviewed_by",
    "published_by",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What a list is narrowed to; None means everything."""

    unit: str | None = None
    kind: str | None = None
    status: str | None = None
    product: str | None = None
    alloy: str | None = None
    record_id: str | None = None
    doubtful: bool | None = None


def list_cases(
    session: Session, filters: Filters, *, units: Units = None, cursor: str | None = None, limit: int = 50
) -> tuple[list[Case], str | None]:
    """Return a page of cases, the last changed first, and the cursor of the next page."""
    wanted = sa.select(Case).order_by(Case.updated_at.desc(), Case.id.desc()).limit(limit + 1)
    for name in ("unit", "kind", "status", "product", "alloy", "record_id"):
        value = getattr(filters, name)
        if value is not None:
            wanted = wanted.where(getattr(Case, name) == value)
    if filters.doubtful is not None:
        wanted = wanted.where(Case.doubt.is_not(None) if filters.doubtful else Case.doubt.is_(None))
    if units is not None:
        wanted = wanted.where(Case.unit.in_(sorted(units)))
    if cursor:
        at, case_id = _read_cursor(cursor)
        wanted = wanted.where(sa.or_(Case.updated_at < at, sa.and_(Case.updated_at == at, Case.id < case_id)))
    found = list(session.scalars(wanted))
    page = found[:limit]
    return page, _cursor(page[-1]) if len(found) > limit else None


def search_cases(
    session: Session,
    text: str,
    *,
    units: Units = None,
    drafts: bool = False,
    kind: str | None = None,
    limit: int = 20,
) -> list[dict[str, Any]]:
    """Return the best cases for what a person typed, with score, words in common and their places.

    With `drafts` unpublished cases are found too, for those who review them.
    """
    statuses = frozenset({"draft", "reviewed", "published"} if drafts else {"published"})
    scope = Scope(units, statuses, frozenset({kind}) if kind else None)
    hits = find(
        lambda statement: session.execute(statement).all(),
        session.get_bind().dialect.name,
        parse_query(text),
        scope,
        limit=limit,
    )
    wanted = sa.select(Case).where(Case.id.in_([hit.case_id for hit in hits]))
    known = {case.id: case for case in session.scalars(wanted)} if hits else {}
    return [_match(known[hit.case_id], hit) for hit in hits if hit.case_id in known]


def as_json(case: Case, history: list[CaseHistory] | None = None) -> dict[str, Any]:
    """Return a case as the API and `--json` show it; the history only when it is given."""
    told: dict[str, Any] = {name: getattr(case, name) for name in _COLUMNS}
    for name in ("occurred_at", "created_at", "updated_at", "published_at"):
        told[name] = instant(getattr(case, name))
    told |= {
        "fields": case.fields,
        "edited": case.edited,
        "duplicates": case.duplicates,
        "proposed": case.proposed,
    }
    if history is not None:
        told["history"] = [
            {
                "version": row.version,
                "step": row.step,
                "from": row.from_status,
                "to": row.to_status,
                "actor": row.actor,
                "reason": row.reason,
                "changed": row.changed,
                "at": instant(row.at),
            }
            for row in history
        ]
    return told


def instant(value: datetime | None) -> str | None:
    """Write an instant as RFC 3339 text in UTC."""
    return None if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def highlights(title: str, fields: Mapping[str, str], hit: Hit) -> list[dict[str, Any]]:
    """Return where the query's words stand: the field, and start and end in characters of its text."""
    found = []
    for name, text in {"title": title, **fields}.items():
        for start, end in ranking.spans(tokenise(text), hit.codes):
            found.append({"field": name, "start": start, "end": end})
    return found


def _match(case: Case, hit: Hit) -> dict[str, Any]:
    return {
        "case": as_json(case),
        "score": hit.score,
        "similarity": hit.coverage,
        "matched": list(hit.matched),
        "highlights": highlights(case.title, case.fields, hit),
    }


def _cursor(case: Case) -> str:
    micros = (case.updated_at - _EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(f"{micros}:{case.id}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    try:
        text = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode()
        micros, _, case_id = text.partition(":")
        return _EPOCH + timedelta(microseconds=int(micros)), case_id
    except (ValueError, OverflowError, binascii.Error):
        raise InvalidRequest(
            "The cursor is not one this list handed out.",
            errors=[{"path": "cursor", "message": "Unreadable."}],
        ) from None
