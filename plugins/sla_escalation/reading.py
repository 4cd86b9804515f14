"""Reads clocks for people: lists, one clock with its explanation, and how promises were kept by policy and month."""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.api import Desk, InvalidRequest, NotFound

from .commands import PLUGIN
from .explain import explain, standing_of, state_now
from .models import ClockRow, KeptRule
from .rules import OPEN
from .seen import Seen
from .settings import Rule, rule_of
from .telling import told_of

Units = frozenset[str] | None
GOAL = 95
"""The share of clocks met in time that the business wants, in per cent (resolution rate)."""

_CURSOR = re.compile(r"^(-?\d{1,18}):(clk_[0-9a-f]{32})\Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLAIN = (
    "id", "unit", "source", "kind", "record_id", "clock", "policy", "round", "started_by", "ended_by", "reason",
)  # fmt: skip
_FAR = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What a list is narrowed to; None means everything. `state` may be `open` for all that are not ended."""

    state: str | None = None
    unit: str | None = None
    clock: str | None = None
    policy: str | None = None
    kind: str | None = None
    source: str | None = None
    record_id: str | None = None
    due_before: datetime | None = None


def list_clocks(
    session: Session, filters: Filters, now: datetime, *, units: Units = None, cursor: str | None = None,
    limit: int = 50,
) -> tuple[list[ClockRow], str | None]:  # fmt: skip
    """Return a page of clocks, the earliest due first and those without a due moment last, and the next cursor."""
    due = sa.func.coalesce(ClockRow.due_at, sa.literal(_FAR, ClockRow.due_at.type))
    wanted = sa.select(ClockRow).order_by(due, ClockRow.id).limit(limit + 1)
    for name in ("unit", "clock", "policy", "kind", "source", "record_id"):
        value = getattr(filters, name)
        if value is not None:
            wanted = wanted.where(getattr(ClockRow, name) == value)
    if filters.state is not None:
        wanted = wanted.where(_in_state(filters.state, now))
    if filters.due_before is not None:
        wanted = wanted.where(ClockRow.due_at < filters.due_before)
    if units is not None:
        wanted = wanted.where(ClockRow.unit.in_(sorted(units)))
    if cursor:
        at, identity = _read_cursor(cursor)
        after = sa.literal(at, ClockRow.due_at.type)
        wanted = wanted.where(sa.or_(due > after, sa.and_(due == after, ClockRow.id > identity)))
    found = list(session.scalars(wanted))
    page = found[:limit]
    return page, _cursor(page[-1]) if len(found) > limit else None


def _in_state(state: str, now: datetime) -> Any:
    """Say which rows are in a state now: an open one whose due moment has come is breached, told or not."""
    is_open = ClockRow.state.in_(OPEN)
    is_over = sa.and_(ClockRow.due_at.is_not(None), ClockRow.due_at <= now)
    if state == "open":
        return is_open
    if state == "breached":
        return sa.and_(is_open, sa.or_(ClockRow.state == "breached", is_over))
    if state in OPEN:
        return sa.and_(ClockRow.state == state, sa.not_(is_over))
    return ClockRow.state == state


def read_clock(session: Session, identity: str, units: Units = None) -> ClockRow:
    """Return one clock. Raises NotFound, also for one of a unit that is not among `units`."""
    row = session.get(ClockRow, identity)
    if row is None or (units is not None and row.unit not in units):
        raise NotFound(f'There is no clock "{identity[:80]}"; `outrigger sla-escalation list` shows those there are.')
    return row


def rules_of(session: Session, rows: Iterable[ClockRow]) -> dict[str, Rule]:
    """Return the kept rules of clocks, by id, in one query."""
    wanted = sa.select(KeptRule).where(KeptRule.id.in_(sorted({row.rule for row in rows})))
    return {kept.id: rule_of(kept.body) for kept in session.scalars(wanted)}


def as_json(row: ClockRow, rule: Rule, desk: Desk, now: datetime, *, explained: bool = False) -> dict[str, Any]:
    """Return a clock as the API and `--json` show it, judged at `now`; with its explanation when asked."""
    calendar = desk.calendar(row.unit)
    standing = standing_of(row, rule, calendar, now)
    told: dict[str, Any] = {name: getattr(row, name) for name in _PLAIN}
    for name in ("started_at", "ended_at", "learned_at"):
        told[name] = instant(getattr(row, name))
    told |= {
        "state": state_now(row, standing),
        "due_at": instant(standing.due if row.state in OPEN else row.due_at),
        "title": {"zh": rule.clock.title.zh, "en": rule.clock.title.en},
        "target": str(rule.policy.target),
        "elapsed_s": standing.elapsed.total_seconds(),
        "remaining_s": _remaining(row, standing.target - standing.elapsed),
        "told": [{key: item[key] for key in ("kind", "name", "due", "at", "to", "late", "withdrawn")}
                 for item in row.told],
    }  # fmt: skip
    if explained:
        told["segments"] = row.segments
        told["facts"] = row.facts
        told["explanation"] = [line.as_json() for line in explain(row, rule, seen_by(desk, row, now))]
    return told


def seen_by(desk: Desk, row: ClockRow, now: datetime) -> Seen:
    """Return what a clock's explanation looks at beside the clock."""
    setting = desk.settings.get((row.unit, PLUGIN))
    told = [told_of(item) for item in row.told]
    by_unit: dict[str, list[tuple[str, str]]] = {}
    for item in told:
        by_unit.setdefault(item.unit, []).extend((item.event, key) for key in item.messages)
    return Seen(
        calendar=desk.calendar(row.unit), now=now, title=desk.people(row.unit).title,
        unit=desk.unit(row.unit).title,
        is_on=setting is not None and setting.enabled,
        messages={place: state for unit, places in by_unit.items()
                  for place, state in desk.messages(places, plugin=PLUGIN, unit=unit).items()},
    )  # fmt: skip


def lines_of(row: ClockRow, rule: Rule, desk: Desk, now: datetime, language: str) -> list[str]:
    """Return a clock's explanation as plain lines in one language."""
    return [getattr(line, language) for line in explain(row, rule, seen_by(desk, row, now))]


def summary(
    session: Session, now: datetime, *, units: Units = None, unit: str | None = None, policy: str | None = None,
    month: str | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Return, by unit, policy and month of the start, how many clocks were met, missed or are open past their time."""
    state = sa.case((_in_state("breached", now), "breached"), else_=ClockRow.state).label("state_now")
    wanted = sa.select(ClockRow.unit, ClockRow.policy, ClockRow.month, state, sa.func.count()).where(
        ClockRow.state != "handed_over"
    )
    for column, value in ((ClockRow.unit, unit), (ClockRow.policy, policy), (ClockRow.month, month)):
        if value is not None:
            wanted = wanted.where(column == value)
    if units is not None:
        wanted = wanted.where(ClockRow.unit.in_(sorted(units)))
    wanted = wanted.group_by(ClockRow.unit, ClockRow.policy, ClockRow.month, state)
    found: dict[tuple[str, str, str], dict[str, int]] = {}
    for place, name, when, stands, number in session.execute(wanted):
        found.setdefault((when, place, name), {})[stands] = number
    return [_summed(key, found[key]) for key in sorted(found, key=lambda key: (_newest_first(key[0]), key[1:]))]


def _newest_first(month: str) -> int:
    return -int(month.replace("-", ""))


def _summed(key: tuple[str, str, str], counts: Mapping[str, int]) -> dict[str, Any]:
    month, unit, policy = key
    broken = counts.get("missed", 0) + counts.get("breached", 0)
    judged = counts.get("met", 0) + broken
    share = round(100 * counts.get("met", 0) / judged, 1) if judged else None
    return {
        "month": month,
        "unit": unit,
        "policy": policy,
        "met": counts.get("met", 0),
        "missed": counts.get("missed", 0),
        "breached": counts.get("breached", 0),
        "open": counts.get("running", 0) + counts.get("paused", 0),
        "cancelled": counts.get("cancelled", 0),
        "in_time_percent": share,
        "goal_percent": GOAL,
        "reached": share >= GOAL if share is not None else None,
    }


def instant(value: datetime | None) -> str | None:
    """Write an instant as RFC 3339 text in UTC."""
    return None if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _remaining(row: ClockRow, left: timedelta) -> float | None:
    return left.total_seconds() if row.state in OPEN and row.anchor_at is None else None


def _cursor(row: ClockRow) -> str:
    micros = ((row.due_at or _FAR) - _EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(f"{micros}:{row.id}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    with contextlib.suppress(ValueError, OverflowError):
        found = _CURSOR.match(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode())
        if found is not None:
            return _EPOCH + timedelta(microseconds=int(found[1])), found[2]
    raise InvalidRequest(
        "The cursor is not one this list handed out.", errors=[{"path": "cursor", "message": "Unreadable."}]
    )
