"""Lists and shows requests for people: what the API, the command line and the pages tell."""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.api import InvalidRequest

from .models import Asked, Request

Units = frozenset[str] | None
_CURSOR = re.compile(r"^(-?\d{1,18})/(apr_[0-9a-f]{24})\Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = (
    "id", "unit", "source", "status", "version", "customer", "owner", "rule", "reason", "level", "stuck", "overdue",
    "question", "answer", "decided_by", "comment", "content_hash", "content", "facts", "faults", "near_misses", "route",
)  # fmt: skip
_INSTANTS = ("asked_at", "deadline_at", "created_at", "updated_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What a list is narrowed to; None means everything. `person` keeps what waits for this person."""

    unit: str | None = None
    status: str | None = None
    person: str | None = None
    quote: str | None = None
    overdue: bool | None = None


def list_requests(
    session: Session, filters: Filters, *, units: Units = None, cursor: str | None = None, limit: int = 50
) -> tuple[list[Request], str | None]:
    """Return a page of requests, the newest first, and the cursor of the next page."""
    wanted = sa.select(Request).order_by(Request.created_at.desc(), Request.id.desc()).limit(limit + 1)
    for column, value in (
        (Request.unit, filters.unit),
        (Request.status, filters.status),
        (Request.record_id, filters.quote),
        (Request.overdue, filters.overdue),
    ):
        if value is not None:
            wanted = wanted.where(column == value)
    if filters.person is not None:
        waiting = sa.select(Asked.request_id).where(
            Asked.person == filters.person, Asked.state == "open", Asked.level == Request.level
        )
        wanted = wanted.where(Request.status == "pending", Request.id.in_(waiting))
    if units is not None:
        wanted = wanted.where(Request.unit.in_(sorted(units)))
    if cursor:
        at, ident = _read_cursor(cursor)
        wanted = wanted.where(sa.or_(Request.created_at < at, sa.and_(Request.created_at == at, Request.id < ident)))
    found = list(session.scalars(wanted))
    page = found[:limit]
    return page, _cursor(page[-1]) if len(found) > limit else None


def asked_about(session: Session, request_id: str) -> list[Asked]:
    """Return everybody who was asked about a request, level by level."""
    wanted = sa.select(Asked).where(Asked.request_id == request_id)
    return list(session.scalars(wanted.order_by(Asked.level, Asked.slot, Asked.asked_at, Asked.person)))


def waited_for(session: Session, requests: Sequence[Request]) -> dict[str, list[str]]:
    """Return, by request id, the names of those whose decision is waited for."""
    pending = {item.id: item.level for item in requests if item.status == "pending"}
    wanted = sa.select(Asked).where(Asked.request_id.in_(pending), Asked.state == "open")
    names: dict[str, list[str]] = {item.id: [] for item in requests}
    for row in session.scalars(wanted.order_by(Asked.level, Asked.slot, Asked.asked_at, Asked.person)):
        if pending[row.request_id] == row.level:
            names[row.request_id].append(row.name)
    return names


def steps_of(row: Asked) -> list[dict[str, str]]:
    """Return how a request led to a person, step by step in both languages; what is stored by old code is English."""
    return [step if isinstance(step, dict) else {"zh": step, "en": step} for step in row.path]


def as_json(request: Request, asked: Sequence[Asked] | None = None) -> dict[str, Any]:
    """Return a request as the API and `--json` show it; who was asked only when it is given."""
    shown: dict[str, Any] = {name: getattr(request, name) for name in _COLUMNS}
    shown["quote"] = request.record_id
    shown |= {name: _instant(getattr(request, name)) for name in _INSTANTS}
    if asked is not None:
        shown["asked"] = [
            {
                "level": row.level,
                "slot": row.slot,
                "person": row.person,
                "name": row.name,
                "via": row.via,
                "asked": row.asked,
                "path": [step["en"] for step in steps_of(row)],
                "path_zh": [step["zh"] for step in steps_of(row)],
                "state": row.state,
                "asked_at": _instant(row.asked_at),
                "decided_at": _instant(row.decided_at),
                "comment": row.comment,
                "how": row.how,
            }
            for row in asked
        ]
    return shown


def _instant(value: datetime | None) -> str | None:
    return None if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _cursor(last: Request) -> str:
    micros = (last.created_at - _EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(f"{micros}/{last.id}".encode()).decode().rstrip("=")


def _read_cursor(text: str) -> tuple[datetime, str]:
    with contextlib.suppress(ValueError, OverflowError):
        found = _CURSOR.match(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode())
        if found is not None:
            return _EPOCH + timedelta(microseconds=int(found[1])), found[2]
    errors = [{"path": "cursor", "message": "Not one that a list gave."}]
    raise InvalidRequest("The cursor is not one that a list gave; leave it out to begin.", errors=errors)
