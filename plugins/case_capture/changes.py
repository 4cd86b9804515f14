"""One change of a case as values: its step is checked here, and its three rows are built together.

Handlers and people's commands differ only in the session they write with; neither changes a case otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .models import Case
from .rules import missing_fields
from .search import search_row
from .states import Step, next_status


@dataclass(frozen=True, slots=True)
class Change:
    """What is written: columns of the case, the whole history row and the whole search row."""

    case: Mapping[str, Any]
    history: Mapping[str, Any]
    search: Mapping[str, Any]


def begin(values: Mapping[str, Any], *, actor: str, reason: str, now: datetime) -> Change:
    """Return the rows of a new draft; `values` are the columns that tell its origin and what it says."""
    case = {
        "status": str(next_status(None, Step.DRAFT)),
        "version": 1,
        "edited": [],
        "created_at": now,
        "updated_at": now,
        "reviewed_by": None,
        "published_by": None,
        "published_at": None,
        "doubt": None,
        "proposed": None,
        **values,
        **_read_off(values["kind"], values["fields"]),
    }
    return _change(case, Step.DRAFT, None, list(values["fields"]), actor=actor, reason=reason, now=now)


def change(case: Case, step: Step, values: Mapping[str, Any], *, actor: str, reason: str, now: datetime) -> Change:
    """Return the rows of one step of a case. Raises Conflict when the step is not possible from its state."""
    status = str(next_status(case.status, step))
    written = {**values, "status": status, "version": case.version + 1, "updated_at": now}
    if "fields" in values:
        written |= _read_off(case.kind, values["fields"])
    if status == "draft" and case.status != "draft":
        written |= {"reviewed_by": None, "published_by": None, "published_at": None}
    whole = {column.name: getattr(case, column.name) for column in Case.__table__.columns} | written
    changed = [name for name, text in whole["fields"].items() if case.fields.get(name) != text]
    changed += [name for name in case.fields if name not in whole["fields"]]
    made = _change(whole, step, case.status, changed, actor=actor, reason=reason, now=now)
    return Change(written, made.history, made.search)


def _read_off(kind: str, fields: Mapping[str, str]) -> dict[str, Any]:
    """Return the columns that follow from the fields, for lists and filters."""
    return {
        "product": fields.get("product"),
        "alloy": fields.get("alloy"),
        "missing": list(missing_fields(kind, fields)),
    }


def _change(
    case: Mapping[str, Any],
    step: Step,
    before: str | None,
    changed: list[str],
    *,
    actor: str,
    reason: str,
    now: datetime,
) -> Change:
    history = {
        "case_id": case["id"],
        "version": case["version"],
        "step": str(step),
        "from_status": before,
        "to_status": case["status"],
        "actor": actor,
        "reason": reason,
        "changed": sorted(changed),
        "at": now,
    }
    search = search_row(
        case["id"],
        unit=case["unit"],
        status=case["status"],
        kind=case["kind"],
        title=case["title"],
        fields=case["fields"],
    )
    return Change(case, history, search)
