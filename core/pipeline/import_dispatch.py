"""Dispatches historical events one after another inside an open transaction, each at its own time."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.host.plugin import Plugin
from core.model.errors import Conflict
from core.model.events import event_id
from core.model.inbound import InboundEvent
from core.model.instants import from_micros, to_micros
from core.model.outcomes import CLAIMABLE_DELIVERY, OPEN_DELIVERY
from core.pipeline import running
from core.pipeline.care import Care, take
from core.pipeline.claim import Claimed
from core.pipeline.completion import Written, delivery_row, event_marks, follow_up_row
from core.pipeline.dispatch import ConfigurationSource, Dispatcher, Writing
from core.pipeline.import_rows import KnownRecords, RunningTimers, TimerRow, WaitingRows
from core.pipeline.inbox import event_row
from core.pipeline.open_deliveries import load_open
from core.pipeline.plan import Surroundings, plan_event
from core.pipeline.recorder import Rows
from core.pipeline.relay import find_follow_ups, follow_up_event
from core.pipeline.timers import due_event
from core.pipeline.work import EventWork, RecordKey, record_key
from core.store.columns import status_in
from core.store.database import Database
from core.store.tables import deliveries, events
from core.time.clock import Clock

_FIRST_DELIVERY = sa.select(sa.func.min(deliveries.c.due_at)).where(status_in(*CLAIMABLE_DELIVERY))
_ANY_OPEN = sa.select(deliveries.c.id).where(status_in(*OPEN_DELIVERY)).limit(1)
_LAST_NUMBER = sa.select(sa.func.coalesce(sa.func.max(events.c.seq), 0))
_MOVE_SEQUENCE = "SELECT setval(pg_get_serial_sequence('events', 'seq'), %s)"
_OPEN = frozenset(status.value for status in OPEN_DELIVERY)
_NO_VALUES = dict.fromkeys(column.name for column in events.columns)


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

    @property
    def connection(self) -> Connection:
        """The connection of the transaction that is open."""
        assert self._connection is not None
        return self._connection

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """Hand out the transaction's connection."""
        yield self.connection

    def end_read(self, connection: Connection) -> None:
        """Go on: nobody else writes here, so no reader is in the way."""

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """Hand out the connection inside a savepoint, which is undone if the block raises."""
        with self.connection.begin_nested():
            yield self.connection


class ImportDispatcher(Dispatcher):
    """The dispatcher of an import: an event is planned, run and kept in memory; `flush` writes many of them.

    It numbers the events itself, since it alone adds to the database. Deliveries that were put off (retried, snoozed,
    waiting) are worked at where they are stored, as in a running server.
    """

    def __init__(
        self,
        inside: OneTransaction,
        clock: Clock,
        plugins: Mapping[str, Plugin],
        configurations: ConfigurationSource,
    ) -> None:
        super().__init__(cast(Database, inside), clock, plugins, configurations)
        self._inside = inside
        self.records = KnownRecords(lambda: inside.connection)
        self.timers = RunningTimers()
        self._rows = WaitingRows()
        self._around: Surroundings | None = None
        self._fired: TimerRow | None = None
        self._last_number = 0
        self._is_any_open = True  # whether a delivery may be open; known only when it was looked for
        self._may_be_due = True  # whether one of them may have a time at which it is due

    def begin(self) -> None:
        """Look at what the database holds, once nothing waits in its inbox; the configuration stays as it is now."""
        connection = self._inside.connection
        self._around = self._surroundings(connection, self._look(connection))
        self._around.batch = self.records
        self.timers.load(connection)
        self.renumber()

    def renumber(self) -> None:
        """Go on behind the last event, after something else was added to the inbox."""
        self._last_number = self._number_stored()

    def check_alone(self) -> None:
        """Raise Conflict when the database holds an event that this import did not put there."""
        if self._number_stored() > self._last_number:
            raise Conflict(
                "Somebody else writes events into this database: another import, or a server that runs on it. What was"
                " imported before stays. End the other one, or begin again with a database of its own (--into)."
            )

    def _number_stored(self) -> int:
        return int(self._inside.connection.execute(_LAST_NUMBER).scalar_one())

    @property
    def waiting(self) -> int:
        """How many events wait to be written."""
        return len(self._rows.events)

    def flush(self) -> None:
        """Write everything that was decided."""
        connection = self._inside.connection
        added = bool(self._rows.events)
        self.records.flush(connection)
        self._rows.flush(connection)
        self.timers.flush(connection)
        if added and not self._inside.is_sqlite:
            connection.exec_driver_sql(_MOVE_SEQUENCE, (self._last_number,))

    def is_on(self, unit: str, plugin: str) -> bool:
        """Whether a plugin is switched on for a unit."""
        assert self._around is not None
        return self._around.configuration.is_enabled(unit, plugin)

    def first_due(self) -> datetime | None:
        """Return when the first delivery that was put off is due."""
        if not self._may_be_due:
            return None
        self.flush()
        connection = self._inside.connection
        found: datetime | None = connection.execute(_FIRST_DELIVERY).scalar()
        self._may_be_due = found is not None
        self._is_any_open = found is not None or connection.execute(_ANY_OPEN).first() is not None
        return found

    def work_off(self) -> int:
        """Work at the deliveries that are due now, with all that follows; return how many events were added."""
        count = 0
        while True:
            self.flush()
            written = self.drain()
            if not written.deliveries and not written.events:
                return count
            count += self._relay()

    def take(self, event: InboundEvent) -> int:
        """Accept an event now and dispatch it, with all that follows from it; return how many events followed.

        It must not have been accepted before.
        """
        waiting = deque([event])
        count = -1
        while waiting:
            count += 1
            waiting += [_follow_up(message) for message in self._dispatch(waiting.popleft())]
        return count

    def fire(self, timer: TimerRow) -> int:
        """Let a timer fire now, late if it was due a while ago; return how many events followed."""
        now = self._clock.now()
        self.timers.fire(timer, now)
        self._fired = timer | {"fired_at": now}
        return self.take(due_event(SimpleNamespace(**timer), now))

    def _relay(self) -> int:
        """Take the follow-up events of deliveries that were stored; they are no more outward than what they follow."""
        count = 0
        now = self._clock.now()
        while (found := find_follow_ups(self._inside.connection)).events:
            found.mark(self._inside.connection, now)
            for event in found.events:
                count += 1 + self.take(_quiet(event))
        return count

    def _dispatch(self, event: InboundEvent) -> list[SimpleNamespace]:
        assert self._around is not None
        connection, around, now = self._inside.connection, self._around, self._clock.now()
        around.connection = connection
        around.move_to(now)
        self._last_number += 1
        values = event_row(event, event_id(event.source, event.dedupe_key), now)
        values["occurred_at"] = from_micros(to_micros(values["occurred_at"]))
        row = SimpleNamespace(**(_NO_VALUES | values | {"seq": self._last_number}))
        record = self.records[record_key(row)]
        self._look_at_open(record.key)
        work = plan_event(row, record, around, run=True)
        for delivery in work.deliveries:
            if delivery.planned_as is None:
                running.run(delivery, work.event, around, self._slot, {}, seq=row.seq)
        messages = self._keep(work)
        if work.hold_timer is not None and self._fired is not None:
            self.timers.hold(self._fired)
        self._rows.events.append(row.__dict__ | event_marks(work))
        rows = [delivery_row(delivery, work, around) for delivery in work.deliveries]
        self._rows.deliveries += rows
        if any(item["status"] in _OPEN for item in rows):
            self._is_any_open = self._may_be_due = True
        self.records.note(record, now)
        return messages

    def _look_at_open(self, key: RecordKey) -> None:
        """Learn which earlier deliveries of the record are open, for these hold back the next of their plugin."""
        assert self._around is not None
        self._around.open_before = {}
        if self._is_any_open:
            self.flush()
            self._around.open_before = load_open(self._inside.connection, [key])

    def _keep(self, work: EventWork) -> list[SimpleNamespace]:
        """Keep what the event's deliveries asked for; return the messages of its follow-up events."""
        assert self._around is not None
        around, messages = self._around, []
        for delivery in work.deliveries:
            rows = Rows()
            take(self._inside.connection, rows, delivery, work.row, work.record, around, Care.PLUGIN_ROWS)
            for timer in rows.timers.values():
                self.timers.start(timer)
            for identity in rows.cancelled_timers:
                self.timers.cancel(identity)
            messages += self._rows.add(rows, around.now)
        if work.follow_up is not None:
            messages += self._rows.add(Rows(outbox=[follow_up_row(work, around)]), around.now)
        return messages

    # What runs where it is stored writes its rows itself, so what is remembered of its records is read again.

    def _run_stored(self, rows: list[Any], around: Surroundings, writing: Writing, care: Care) -> Written:
        written = super()._run_stored(rows, around, writing, care)
        self._read_again([record_key(row) for row in rows])
        return written

    def _run_fresh(self, claimed: Claimed, around: Surroundings, writing: Writing, care: Care) -> Written:
        written = super()._run_fresh(claimed, around, writing, care)
        self._read_again(list(claimed.records))
        return written

    def _read_again(self, keys: list[RecordKey]) -> None:
        self.records.forget(keys)
        self.timers.load(self._inside.connection, keys)


def _follow_up(message: SimpleNamespace) -> InboundEvent:
    return _quiet(follow_up_event(message))


def _quiet(event: InboundEvent) -> InboundEvent:
    return dataclasses.replace(event, outward=False)
