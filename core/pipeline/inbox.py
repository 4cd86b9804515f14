"""The one entrance: stores events durably, once each, and wakes the dispatcher.

CRM webhooks, follow-up events and due timers all come in through `store`; webhooks by way of a group commit, so that
many waiting requests share one durable transaction. Nothing is acknowledged before it returns.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.events import event_id, lane_of
from core.model.inbound import Accepted, InboundEvent, InboundItem
from core.model.outcomes import EventStatus
from core.model.schemas import canonical_json
from core.pipeline.wake import CHANNEL
from core.store.bulk import insert_rows
from core.store.lists import among
from core.store.tables import event_keys, events
from core.store.together import Question, ask_together

INBOX_LOCK = 0x0C721A
"""The PostgreSQL advisory lock under which events get their numbers."""

# PostgreSQL hands out numbers before it commits; only in turn do the events of a record become visible in their order,
# and two that wait for each other cannot arise. The lock ends with the commit.
_IN_TURN = "pg_advisory_xact_lock(%s, 0)"

_KEPT = f"SELECT id, body_hash FROM {events.name} WHERE id"
_REMOVED = f"SELECT event_id, body_hash FROM {event_keys.name} WHERE event_id"

_CONFLICT = (
    sa.update(events)
    .where(events.c.id == sa.bindparam("event"))
    .values(conflicts=events.c.conflicts + 1, conflict_raw=sa.bindparam("digest"))
)


@dataclass(slots=True)
class Stored:
    """What became of each item, in order: its event id and whether it was new, a duplicate or a rejected item."""

    ids: list[str] = field(default_factory=list)
    is_new: list[bool] = field(default_factory=list)
    is_rejected: list[bool] = field(default_factory=list)
    is_conflict: list[bool] = field(default_factory=list)
    lanes: set[int] = field(default_factory=set)
    """The lanes that have work by the new events."""

    def slice(self, start: int, end: int) -> Accepted:
        """Summarise the items from `start` to `end`."""
        return Accepted(
            event_ids=tuple(self.ids[start:end]),
            duplicates=self.is_new[start:end].count(False),
            rejected=sum(a and b for a, b in zip(self.is_new[start:end], self.is_rejected[start:end], strict=True)),
            conflicts=self.is_conflict[start:end].count(True),
        )


def wait_for_turn(connection: Connection) -> None:
    """Take, before any lock on an event, the turn that `store` takes: who stores holds it while waiting for events."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT {_IN_TURN}", (INBOX_LOCK,))


def store(connection: Connection, items: Sequence[InboundItem], now: datetime, *, origin: str = "") -> Stored:
    """Store the items inside the caller's write transaction; a known id is a duplicate and gets the same event id.

    The first body under an id wins; a different one is counted on the event and its digest kept. On PostgreSQL the
    workers of every machine are told at the commit, but for those of `origin`, which the caller wakes itself.
    """
    result = Stored(ids=[event_id(item.source, item.dedupe_key) for item in items])
    in_turn = Question(f"SELECT {_IN_TURN}, pg_notify('{CHANNEL}', %s)", (INBOX_LOCK, origin))
    known = known_hashes(connection, result.ids, *([in_turn] if connection.dialect.name == "postgresql" else []))
    rows: list[dict[str, Any]] = []
    conflicts: list[dict[str, Any]] = []
    for item, identity in zip(items, result.ids, strict=True):
        is_new = identity not in known
        is_conflict = not is_new and known[identity] != item.body_hash
        if is_new:
            known[identity] = item.body_hash
            rows.append(event_row(item, identity, now))
        elif is_conflict:
            conflicts.append({"event": identity, "digest": item.body_hash})
        result.is_new.append(is_new)
        result.is_conflict.append(is_conflict)
        result.is_rejected.append(not isinstance(item, InboundEvent))
    if rows:
        insert_rows(connection, events, rows)
        result.lanes = {row["lane"] for row in rows if row["status"] == EventStatus.ACCEPTED.value}
    if conflicts:
        # In the order of their numbers, in which workers and replays take events: nobody waits in a circle.
        named = sa.select(events.c.seq).where(events.c.id.in_([conflict["event"] for conflict in conflicts]))
        connection.execute(named.order_by(events.c.seq).with_for_update(key_share=True)).fetchall()
        connection.execute(_CONFLICT, conflicts)
    return result


def known_hashes(connection: Connection, ids: Sequence[str], *before: Question) -> dict[str, str]:
    """Return the digests of the bodies of those ids that were accepted before, be the event still kept or not.

    What must be done `before` goes along with the question.
    """
    questions = [*before, among(connection.dialect.name, (_KEPT, _REMOVED), ids)] if ids else [*before]
    answers = ask_together(connection, questions) if questions else []
    return dict(answers[-1]) if ids else {}


def event_row(item: InboundItem, identity: str, now: datetime) -> dict[str, Any]:
    """Return the row of an event, or of a rejected item, accepted at `now` under the id `identity`."""
    row: dict[str, Any] = {
        "id": identity,
        "source": item.source,
        "type": item.type,
        "accepted_at": now,
        "body_hash": item.body_hash,
        "conflicts": 0,
    }
    if isinstance(item, InboundEvent):
        return row | {
            "kind": item.kind,
            "record_id": item.record_id,
            "lane": lane_of(item.source, item.kind, item.record_id),
            "status": EventStatus.ACCEPTED.value,
            "status_reason": None,
            "unit": item.unit,
            "occurred_at": item.occurred_at,
            "occurred_at_original": item.occurred_at_original,
            "version": item.version,
            "completeness": str(item.completeness),
            "origin": str(item.origin),
            "depth": item.depth,
            "caused_by": item.caused_by,
            "outward": item.outward,
            "data": canonical_json(item.data),
            "raw": None,
        }
    return row | {
        "kind": "",
        "record_id": "",
        "lane": 0,
        "status": EventStatus.REJECTED.value,
        "status_reason": item.reason,
        "unit": None,
        "occurred_at": now,
        "occurred_at_original": None,
        "version": "",
        "completeness": "",
        "origin": "crm",
        "depth": 0,
        "caused_by": None,
        "outward": True,
        "data": json.dumps({"errors": [dict(error) for error in item.errors]}, ensure_ascii=False),
        "raw": json.dumps({"raw": item.raw, "headers": dict(item.headers)}, ensure_ascii=False),
    }


def is_backlog_full(connection: Connection, limit: int) -> bool:
    """Whether `limit` accepted events or more wait for a worker.

    Numbers are given in turn, so as long as few lie between the first and the last that wait nothing is counted.
    """
    accepted = f"FROM events WHERE status = '{EventStatus.ACCEPTED}'"
    ends = f"SELECT (SELECT min(seq) {accepted}), (SELECT max(seq) {accepted})"
    first, last = connection.exec_driver_sql(ends).one()
    if first is None or last - first + 1 < limit:
        return False
    waiting = f"SELECT 1 FROM events WHERE status = '{EventStatus.ACCEPTED}' LIMIT {limit:d}"
    counted = f"SELECT count(*) FROM ({waiting}) AS w"
    return int(connection.exec_driver_sql(counted).scalar_one()) >= limit
