"""Holds what an import knows and has not written yet: records, running timers, and rows that go out in bulk.

Nobody else works at an import's database, so what was read or decided once need not be asked again. Only the plugins'
own rows are written at once, since their handlers may ask the database anything; all others wait for `flush`.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.outcomes import OutboxStatus, TimerStatus
from core.pipeline.completion import REPLACE_RECORD, record_row
from core.pipeline.plan import load_records
from core.pipeline.recorder import Rows
from core.pipeline.work import RecordKey, RecordWork
from core.store.bulk import insert_rows
from core.store.lists import by_record
from core.store.tables import decisions, deliveries, events, links, outbox, record_updates, records, timers

KEPT_RECORDS = 10_000
"""How many records stay in memory between flushes."""

KEPT_TEXT = 64 * 1024 * 1024
"""How many characters their snapshots may have as JSON, all together, about."""

_RUNNING = (TimerStatus.PENDING.value, TimerStatus.HELD.value)
_REPLACE_TIMER = "ON CONFLICT (id) DO UPDATE SET " + ", ".join(
    f"{name} = excluded.{name}"
    for name in ("round", "due_at", "status", "data", "started_by", "outward", "depth", "fired_at")
)

TimerRow = dict[str, Any]


class KnownRecords(Mapping[RecordKey, RecordWork]):
    """Records by (source, kind, id), read when they are first asked for; one that is not known yet starts empty."""

    def __init__(self, connection: Callable[[], Connection]) -> None:
        self._connection = connection
        self._kept: OrderedDict[RecordKey, RecordWork] = OrderedDict()
        # When first and last since the last flush, and by which event last. A later event that says nothing of the
        # record raises its number in memory alone; what is written may not depend on where a flush falls.
        self._changed: dict[RecordKey, tuple[datetime, datetime, int]] = {}
        self._sizes: dict[RecordKey, int] = {}  # of those that are stored
        self._size = 0

    def __getitem__(self, key: RecordKey) -> RecordWork:
        if key not in self._kept:
            self.load([key])
        self._kept.move_to_end(key)
        return self._kept[key]

    def __contains__(self, key: object) -> bool:
        return True

    def __iter__(self) -> Iterator[RecordKey]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def load(self, keys: Sequence[RecordKey]) -> None:
        """Read those that are not in memory, in one statement."""
        missing = [key for key in keys if key not in self._kept]
        if missing:
            found = load_records(self._connection(), missing)
            self._kept.update(found)
            for key, record in found.items():
                if record.exists:
                    self._note_size(key, len(str(record.state.snapshot)))

    def note(self, record: RecordWork, now: datetime) -> None:
        """Remember to write a record that was touched."""
        if record.touched:
            first = self._changed[record.key][0] if record.key in self._changed else now
            self._changed[record.key] = (first, now, record.last_seq)
            record.touched, record.exists = False, True

    def flush(self, connection: Connection) -> None:
        """Write the records that changed, and forget those that were not asked for in a long time."""
        rows = [
            record_row(self._kept[key], first, last) | {"last_seq": last_seq}
            for key, (first, last, last_seq) in self._changed.items()
        ]
        insert_rows(connection, records, rows, on_conflict=REPLACE_RECORD)
        for key, row in zip(self._changed, rows, strict=True):
            self._note_size(key, len(row["snapshot"]))
        self._changed.clear()
        # The one asked for last may be at work.
        while len(self._kept) > KEPT_RECORDS or (self._size > KEPT_TEXT and len(self._kept) > 1):
            self.forget([next(iter(self._kept))])

    def forget(self, keys: Sequence[RecordKey]) -> None:
        """Read these again when they are next asked for; nothing of them may wait to be written."""
        for key in keys:
            self._kept.pop(key, None)
            self._size -= self._sizes.pop(key, 0)

    def _note_size(self, key: RecordKey, size: int) -> None:
        self._size += size - self._sizes.get(key, 0)
        self._sizes[key] = size


class RunningTimers:
    """All timers' rounds and the rows of those that run, with the next one due at hand.

    A timer that was ever started costs some 120 bytes of memory, one that runs about a kilobyte.
    """

    def __init__(self) -> None:
        self._rounds: dict[bytes, int] = {}
        self._running: dict[str, TimerRow] = {}
        self._due: list[tuple[datetime, str, int]] = []  # heap; what no longer stands is dropped when it comes up
        self._changed: dict[str, TimerRow] = {}

    def load(self, connection: Connection, keys: Sequence[RecordKey] | None = None) -> None:
        """Read the timers of the database, or of some records; nothing of them may wait to be written."""
        if keys is None:
            for identity, round_ in connection.execute(sa.select(timers.c.id, timers.c.round)):
                self._rounds[_short(identity)] = round_
            chosen = sa.select(timers).where(timers.c.status.in_(_RUNNING))
        else:
            ids = [row[0] for row in by_record(connection, "t.id", "timers", list(keys))]
            for identity in ids:
                self._running.pop(identity, None)
            chosen = sa.select(timers).where(timers.c.id.in_(ids))
        for row in connection.execute(chosen):
            self._rounds[_short(row.id)] = row.round
            if row.status in _RUNNING:
                self._runs(dict(row._mapping))

    def _runs(self, row: TimerRow) -> None:
        self._running[row["id"]] = row
        if row["status"] == TimerStatus.PENDING.value:
            heapq.heappush(self._due, (row["due_at"], row["id"], row["round"]))

    def start(self, row: TimerRow) -> None:
        """Start a timer, or start it again."""
        short = _short(row["id"])
        row = row | {"round": self._rounds.get(short, 0) + 1, "due_at": row["due_at"].astimezone(UTC)}
        self._rounds[short] = row["round"]
        self._changed[row["id"]] = row
        self._runs(row)

    def cancel(self, identity: str) -> None:
        """Cancel a timer if it runs."""
        row = self._running.pop(identity, None)
        if row is not None:
            self._changed[identity] = row | {"status": TimerStatus.CANCELLED.value}

    def first(self) -> TimerRow | None:
        """Return the pending timer that is due first, by its id among those of one instant."""
        while self._due:
            due_at, identity, round_ = self._due[0]
            row = self._running.get(identity)
            if row is not None and (row["due_at"], row["round"]) == (due_at, round_) and _is_pending(row):
                return row
            heapq.heappop(self._due)
        return None

    def fire(self, row: TimerRow, at: datetime) -> None:
        """Mark a timer fired."""
        del self._running[row["id"]]
        self._changed[row["id"]] = row | {"status": TimerStatus.FIRED.value, "fired_at": at}

    def hold(self, row: TimerRow) -> None:
        """Mark a timer held: its plugin is switched off."""
        held = row | {"status": TimerStatus.HELD.value}
        self._running[row["id"]] = self._changed[row["id"]] = held

    def flush(self, connection: Connection) -> None:
        """Write the timers that changed."""
        insert_rows(connection, timers, list(self._changed.values()), on_conflict=_REPLACE_TIMER)
        self._changed.clear()


class WaitingRows:
    """Rows of events that are decided, until the next flush; follow-up events among them are handed out at once."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.deliveries: list[dict[str, Any]] = []
        self._outbox: list[dict[str, Any]] = []
        self._rows = Rows()

    def add(self, rows: Rows, now: datetime) -> list[SimpleNamespace]:
        """Keep what one delivery led to; return the messages of its follow-up events, which count as sent."""
        self._rows.decisions += rows.decisions
        self._rows.updates += rows.updates
        self._rows.links += rows.links
        messages = [{**row, "channel_data": None, "still_true": None} for row in rows.outbox] + rows.notices
        found = []
        for row in messages:
            row["sent_at"] = None
            if row["target"] == "inbox":
                row |= {"status": OutboxStatus.SENT.value, "sent_at": now, "attempts": 1}
                found.append(SimpleNamespace(**row))
        self._outbox += messages
        return found

    def flush(self, connection: Connection) -> None:
        """Write everything, each table in one statement."""
        insert_rows(connection, events, self.events)
        insert_rows(connection, deliveries, self.deliveries)
        insert_rows(connection, decisions, self._rows.decisions)
        insert_rows(connection, record_updates, self._rows.updates)
        insert_rows(connection, outbox, self._outbox)
        insert_rows(connection, links, self._rows.links)
        self.events, self.deliveries, self._outbox, self._rows = [], [], [], Rows()


def _is_pending(row: TimerRow) -> bool:
    return bool(row["status"] == TimerStatus.PENDING.value)


def _short(identity: str) -> bytes:
    """Return a timer's id in half the memory; ids are a prefix and hexadecimal digits."""
    return bytes.fromhex(identity.partition("_")[2])
