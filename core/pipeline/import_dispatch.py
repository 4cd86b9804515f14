"""Dispatches a batch of historical events inside one open transaction, each event at its own time."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.outcomes import CLAIMABLE_DELIVERY, OPEN_DELIVERY, OutboxStatus, TimerStatus
from core.pipeline import running
from core.pipeline.care import Care
from core.pipeline.completion import Written, write_fresh
from core.pipeline.dispatch import Dispatcher, Writing
from core.pipeline.plan import Surroundings, latest_open, load_open, load_records, load_timers, plan_event
from core.pipeline.work import record_key
from core.store.columns import status_in
from core.store.database import Database
from core.store.tables import deliveries, outbox, timers

FIRST_TIMER = sa.select(sa.func.min(timers.c.due_at)).where(status_in(TimerStatus.PENDING))
FIRST_DELIVERY = sa.select(sa.func.min(deliveries.c.due_at)).where(status_in(*CLAIMABLE_DELIVERY))
_FOLLOW_UPS = sa.select(outbox.c.type).where(
    status_in(OutboxStatus.AVAILABLE, OutboxStatus.RETRYABLE), outbox.c.target == "inbox"
)
_OPEN = frozenset(status.value for status in OPEN_DELIVERY)


class OneTransaction:
    """A database seen from inside one transaction: a read sees all that was written, a write is a savepoint."""

    def __init__(self, database: Database) -> None:
        self.is_sqlite = database.is_sqlite
        self._database = database
        self._connection: Connection | None = None

    @contextlib.contextmanager
    def begin(self) -> Iterator[Connection]:
        """Open the transaction; it is durable when the block ends, and gone if that raises."""
        with self._database.write() as connection:
            self._connection = connection
            try:
                yield connection
            finally:
                self._connection = None

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """Hand out the transaction's connection."""
        assert self._connection is not None
        yield self._connection

    def end_read(self, connection: Connection) -> None:
        """Go on: nobody else writes here, so no reader is in the way."""

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """Hand out the connection inside a savepoint, which is undone if the block raises."""
        assert self._connection is not None
        with self._connection.begin_nested():
            yield self._connection


class ImportDispatcher(Dispatcher):
    """The dispatcher of an import: what one event led to is written before the next of its batch is decided.

    The time that a handler sees is that at which its event was accepted. A batch ends early when a timer, a delivery
    tried again or a follow-up event that a plugin hears comes before its next event; what is left stays accepted. So a
    batch of any size leads to the same rows as its events one after another.
    """

    has_open = True  # whether a delivery may wait for its time; known only when it was looked for

    def _run_fresh(self, rows: list[Any], around: Surroundings, writing: Writing, care: Care) -> Written:
        keys = [record_key(row) for row in rows]
        records = load_records(around.connection, keys)
        around.open_rows = load_open(around.connection, keys)
        around.open_before = latest_open(around.open_rows)
        around.batch, around.timers = records, load_timers(around.connection, rows)
        done = Written()
        with writing() as connection:
            self._check_standing(connection, around, keys)
            for row, following in zip(rows, [*rows[1:], None], strict=True):
                here = dataclasses.replace(around, now=row.accepted_at, snapshots={})
                work = plan_event(row, records[record_key(row)], here, run=True)
                for delivery in work.deliveries:
                    if delivery.planned_as is None:
                        running.run(delivery, work.event, here, self._slot, {}, seq=row.seq)
                written = write_fresh(connection, [work], here, care=care, step=self._step)
                done.events += 1
                done.deliveries += written.deliveries
                done.finished += written.finished
                if following is not None and self._comes_first(connection, written, here, following):
                    break
        self.has_open |= any(item[2] in _OPEN for item in done.finished)
        return done

    def _comes_first(self, connection: Connection, written: Written, around: Surroundings, following: Any) -> bool:
        if any(item[2] in _OPEN for item in written.finished):
            return True
        if written.wake_outbox and _is_any_heard(connection, around):
            return True
        first = connection.execute(FIRST_TIMER).scalar()
        return first is not None and first <= following.accepted_at


def _is_any_heard(connection: Connection, around: Surroundings) -> bool:
    types: Sequence[str] = connection.execute(_FOLLOW_UPS.distinct()).scalars().all()
    return any(plugin.hears(name) for name in types for plugin in around.plugins.values())
