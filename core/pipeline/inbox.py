"""The one entrance: stores events durably, once each, and wakes the dispatcher.

CRM webhooks, follow-up events and due timers all come in through `store`; webhooks through the group commit of
`InboxWriter`, so that many waiting requests share one durable commit. Nothing is acknowledged before it returns.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from core.model.errors import StorageUnavailable
from core.model.events import event_id, lane_of
from core.model.inbound import Accepted, InboundEvent, InboundItem
from core.model.outcomes import EventStatus
from core.model.schemas import canonical_json
from core.store.bulk import insert_rows
from core.store.database import Database
from core.store.lists import in_list
from core.store.tables import event_keys, events
from core.time.clock import Clock

TOO_MANY = "Too many stored events wait for a worker; send it again later."

INBOX_LOCK = 0x0C721A
"""The PostgreSQL advisory lock under which events get their numbers."""

_log = structlog.get_logger("outrigger.inbox")

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

    def slice(self, start: int, end: int) -> Accepted:
        """Summarise the items from `start` to `end`."""
        return Accepted(
            event_ids=tuple(self.ids[start:end]),
            duplicates=self.is_new[start:end].count(False),
            rejected=sum(a and b for a, b in zip(self.is_new[start:end], self.is_rejected[start:end], strict=True)),
            conflicts=self.is_conflict[start:end].count(True),
        )


def store(connection: Connection, items: Sequence[InboundItem], now: datetime) -> Stored:
    """Store the items inside the caller's write transaction; a known id is a duplicate and gets the same event id.

    The first body under an id wins; a different one is counted on the event and its digest kept.
    """
    if connection.dialect.name == "postgresql":
        # PostgreSQL hands out numbers before it commits; only in turn do the events of a record become visible in
        # their order, and two that wait for each other cannot arise. The lock ends with the commit.
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s, 0)", (INBOX_LOCK,))
    result = Stored(ids=[event_id(item.source, item.dedupe_key) for item in items])
    known = _known_hashes(connection, result.ids)
    rows: list[dict[str, Any]] = []
    conflicts: list[dict[str, Any]] = []
    for item, identity in zip(items, result.ids, strict=True):
        is_new = identity not in known
        is_conflict = not is_new and known[identity] != item.body_hash
        if is_new:
            known[identity] = item.body_hash
            rows.append(_row(item, identity, now))
        elif is_conflict:
            conflicts.append({"event": identity, "digest": item.body_hash})
        result.is_new.append(is_new)
        result.is_conflict.append(is_conflict)
        result.is_rejected.append(not isinstance(item, InboundEvent))
    if rows:
        insert_rows(connection, events, rows)
    if conflicts:
        connection.execute(_CONFLICT, conflicts)
    return result


def _known_hashes(connection: Connection, ids: Sequence[str]) -> dict[str, str]:
    known = dict(in_list(connection, "SELECT id, body_hash FROM events WHERE id", ids))
    if len(known) < len(ids):
        missing = [identity for identity in ids if identity not in known]
        known |= dict(in_list(connection, f"SELECT event_id, body_hash FROM {event_keys.name} WHERE event_id", missing))
    return known


def _row(item: InboundItem, identity: str, now: datetime) -> dict[str, Any]:
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
        "data": json.dumps({"errors": [dict(error) for error in item.errors]}, ensure_ascii=False),
        "raw": json.dumps({"raw": item.raw, "headers": dict(item.headers)}, ensure_ascii=False),
    }


def is_backlog_full(connection: Connection, limit: int) -> bool:
    """Whether `limit` accepted events or more wait for a worker."""
    waiting = f"SELECT 1 FROM events WHERE status = '{EventStatus.ACCEPTED}' LIMIT {limit:d}"
    counted = f"SELECT count(*) FROM ({waiting}) AS w"
    return int(connection.exec_driver_sql(counted).scalar_one()) >= limit


class Waiting:
    """One request's items on their way to the disk; whoever stored them answers for them."""

    __slots__ = ("_answered", "accepted", "error", "items")

    def __init__(self, items: Sequence[InboundItem]) -> None:
        self.items = items
        self.accepted: Accepted | None = None
        self.error: StorageUnavailable | None = None
        self._answered = threading.Lock()
        self._answered.acquire()

    def answer(self, accepted: Accepted | None, error: StorageUnavailable | None = None) -> None:
        """Say how it went, and wake whoever waits."""
        self.accepted, self.error = accepted, error
        self._answered.release()

    def wait(self, patience_s: float) -> bool:
        """Wait for the answer; return whether it came."""
        return self._answered.acquire(timeout=patience_s)

    def result(self) -> Accepted:
        """Return the answer. Raises StorageUnavailable when storing failed."""
        if self.error is not None:
            raise self.error
        assert self.accepted is not None
        return self.accepted


class GroupCommit:
    """Stores the items of many waiting requests in one durable transaction, and answers each."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        wake: Callable[[], None] = lambda: None,
        observe: Callable[[Sequence[InboundItem], Stored], None] = lambda items, stored: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._wake = wake
        self._observe = observe

    def commit(self, group: Sequence[Waiting]) -> None:
        """Store a group and answer it. Never raises: whatever goes wrong becomes the answer of those it concerns."""
        try:
            answers = self._store(group)
        except StorageUnavailable as error:
            for waiting in group:
                waiting.answer(None, error)
            return
        except Exception as error:
            if len(group) == 1:
                letter = f"The event could not be stored: {type(error).__name__}: {error}"
                group[0].answer(None, StorageUnavailable(letter))
                return
            # One request's content must not cost the others theirs, so each gets a transaction of its own.
            for waiting in group:
                self.commit([waiting])
            return
        for waiting, answer in zip(group, answers, strict=True):
            waiting.answer(answer)

    def _store(self, group: Sequence[Waiting]) -> list[Accepted]:
        items = [item for waiting in group for item in waiting.items]
        for attempt in range(5):
            try:
                with self._database.write() as connection:
                    stored = store(connection, items, self._clock.now())
                    if not self._database.is_sqlite:
                        connection.exec_driver_sql("NOTIFY outrigger_events")
                break
            except sa.exc.IntegrityError:
                # Another web process stored one of these ids meanwhile; now it is visible and a duplicate.
                if attempt == 4:
                    raise
        self._tell(items, stored)
        answers, start = [], 0
        for waiting in group:
            answers.append(stored.slice(start, start + len(waiting.items)))
            start += len(waiting.items)
        return answers

    def _tell(self, items: Sequence[InboundItem], stored: Stored) -> None:
        try:
            self._wake()
            self._observe(items, stored)
        except Exception as error:
            # The events are on disk. Whoever only watches must not make it look as if they were not.
            _log.error("observer_failed", error=f"{type(error).__name__}: {error}")


class InboxWriter:
    """The group-commit writer for servers of many threads: one thread stores for all who wait."""

    def __init__(
        self,
        group_commit: GroupCommit,
        *,
        is_full: Callable[[], bool] = lambda: False,
        max_waiting: int = 2_000,
        max_batch: int = 500,
        patience_s: float = 10.0,
    ) -> None:
        self._group_commit = group_commit
        self._is_full = is_full
        self._max_batch = max_batch
        self._patience_s = patience_s
        self._queue: queue.Queue[Waiting | None] = queue.Queue(maxsize=max_waiting)
        self._thread = threading.Thread(target=self._run, name="inbox-writer", daemon=True)
        self._thread.start()

    def accept(self, items: Sequence[InboundItem]) -> Accepted:
        """Store the items and return when they are on disk. Raises StorageUnavailable when that failed."""
        if not items:
            return Accepted(event_ids=())
        if self._is_full():
            raise StorageUnavailable(TOO_MANY)
        waiting = Waiting(items)
        try:
            self._queue.put_nowait(waiting)
        except queue.Full:
            raise StorageUnavailable("Too many requests are waiting to be stored; send it again later.") from None
        if not waiting.wait(self._patience_s):
            raise StorageUnavailable(
                "Storing took too long; it may or may not have been stored. Sending it again is safe."
            )
        return waiting.result()

    def close(self) -> None:
        """Store what is waiting, then stop."""
        self._queue.put(None)
        self._thread.join(timeout=self._patience_s)

    def _run(self) -> None:
        while True:
            first = self._queue.get()
            if first is None:
                return
            group, stop = [first], False
            size = len(first.items)
            while size < self._max_batch:
                try:
                    following = self._queue.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    stop = True
                    break
                group.append(following)
                size += len(following.items)
            self._group_commit.commit(group)
            if stop:
                return
