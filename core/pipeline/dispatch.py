"""Dispatches events to plugins in batches: claim, decide, then one transaction for everything that was decided.

On SQLite claiming and deciding happen on a read snapshot, without the write lock; the short write phase checks that
the lease and the configuration still stand. On PostgreSQL all of it is one transaction that holds the lanes' locks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from core.host.plugin import Plugin
from core.host.settings import Configuration
from core.model.outcomes import EventStatus
from core.pipeline import running
from core.pipeline.completion import Written, write_fresh, write_stored
from core.pipeline.driver_locks import Share, check_lease, lock_lanes
from core.pipeline.plan import Surroundings, load_open, load_records, plan_event
from core.pipeline.slot import CallSlot
from core.pipeline.work import EventWork, RecordKey, record_key
from core.store.database import Database
from core.store.row_writes import StaleRow
from core.store.tables import config_versions, deliveries, events, quarantines
from core.time.clock import Clock

CLAIMABLE = "status IN ('available', 'retryable', 'scheduled')"

_log = structlog.get_logger("outrigger.dispatch")


class Redo(Exception):
    """The configuration or a shared row moved between deciding and writing; decide again on fresh rows."""


class ConfigurationSource(Protocol):
    """Gives the configuration version in force, read through the caller's connection."""

    def current(self, connection: Connection) -> Configuration:
        """Return the newest version; cached by its number."""
        ...


class Dispatcher:
    """Works through accepted events and due deliveries of one share of the lanes."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        plugins: Mapping[str, Plugin],
        configurations: ConfigurationSource,
        *,
        share: Share = Share(),
        epoch: int | None = None,
        slot: CallSlot | None = None,
        step: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._plugins = plugins
        self._configurations = configurations
        self._share = share
        self._epoch = epoch
        self._slot = slot or CallSlot()
        self._step = step  # told at every named step; crash tests stop here
        self.one_at_a_time = 0  # after a crash: 2 the batch is planned only, 1 its deliveries run alone, 0 as usual
        self.crashed: frozenset[tuple[str, str]] = frozenset()
        self._careful = 0

    def drain(self) -> Written:
        """Do one batch of what is due: stored deliveries first, then accepted events. Returns what was done."""
        for attempt in range(6):
            try:
                return self._drain_once(careful=attempt > 0 and self._careful > 0)
            except Redo:
                self._careful = 0
            except StaleRow as stale:
                _log.info("decided_again", reason=str(stale), attempt=attempt)
                self._careful = 1
            except (sa.exc.IntegrityError, sa.exc.DataError, sa.exc.StatementError) as error:
                if isinstance(error, (sa.exc.OperationalError, sa.exc.InterfaceError)) or (attempt > 0 and self._careful):
                    raise
                # One delivery's rows do not fit; find it by giving each a savepoint of its own.
                _log.warning("batch_refused", error=str(error.orig if hasattr(error, "orig") else error))
                self._careful = 1
        raise Redo("decided six times and the shared rows moved every time")

    def _drain_once(self, *, careful: bool) -> Written:
        with self._batch() as (reading, writing):
            around = self._surroundings(reading)
            rows = self._due_deliveries(reading, around, 1 if careful or self.one_at_a_time else None)
            if rows:
                return self._run_stored(rows, around, writing, careful=careful)
            fresh, more = self._accepted(reading, around, 1 if careful else None)
            if not fresh:
                self.one_at_a_time = 0
                return Written()
            done = self._run_fresh(fresh, around, writing, careful=careful)
            done.more = more
            return done

    @contextlib.contextmanager
    def _batch(self) -> Iterator[tuple[Connection, Callable[[], contextlib.AbstractContextManager[Connection]]]]:
        if self._database.is_sqlite:
            with self._database.read() as reading:

                @contextlib.contextmanager
                def writing() -> Iterator[Connection]:
                    self._database.end_read(reading)
                    with self._database.write() as connection:
                        yield connection

                yield reading, writing
        else:
            with self._database.write() as connection:
                yield connection, lambda: contextlib.nullcontext(connection)

    def _surroundings(self, reading: Connection) -> Surroundings:
        configuration = self._configurations.current(reading)
        quarantined = reading.execute(
            sa.select(quarantines.c.unit, quarantines.c.plugin).where(quarantines.c.active.is_(True))
        ).fetchall()
        return Surroundings(
            configuration=configuration,
            plugins={name: plugin for name, plugin in self._plugins.items() if plugin.error is None},
            now=self._clock.now(),
            connection=reading,
            quarantined=frozenset((row.unit, row.plugin) for row in quarantined),
            crashed=self.crashed,
        )

    # ---------------------------------------------------------------- claiming

    def _own(self, reading: Connection, rows: Sequence[Any], limit: int) -> list[Any]:
        """Keep at most `limit` rows of lanes this worker may work at, one per record, lowest event first."""
        lanes = None if self._database.is_sqlite else lock_lanes(reading, [row.lane for row in rows])
        seen: set[RecordKey] = set()
        chosen = []
        for row in rows:
            key = record_key(row)
            if (lanes is None or row.lane in lanes) and key not in seen:
                seen.add(key)
                chosen.append(row)
        return chosen[:limit]

    def _accepted(self, reading: Connection, around: Surroundings, limit: int | None) -> tuple[list[Any], bool]:
        limit = limit or around.configuration.dispatch.batch_size
        statement = (
            sa.select(events)
            .where(sa.text(f"status = '{EventStatus.ACCEPTED}'"), sa.text(self._share.condition()))
            .order_by(events.c.seq)
            .limit(limit * 4)
        )
        rows = reading.execute(statement).fetchall()
        chosen = self._own(reading, rows, limit)
        if chosen and not self._database.is_sqlite:
            # Between the look and the lock another worker may have finished these, or an earlier one became visible.
            lanes = {row.lane for row in chosen}
            again = reading.execute(statement).fetchall()
            seen: set[RecordKey] = set()
            chosen = []
            for row in again:
                if row.lane in lanes and record_key(row) not in seen:
                    seen.add(record_key(row))
                    chosen.append(row)
            chosen = chosen[:limit]
        return chosen, len(rows) > len(chosen)

    def _due_deliveries(self, reading: Connection, around: Surroundings, limit: int | None) -> list[Any]:
        limit = limit or around.configuration.dispatch.batch_size
        statement = (
            sa.select(deliveries)
            .where(
                sa.text(CLAIMABLE), deliveries.c.due_at <= around.now, sa.text(self._share.condition("deliveries.lane"))
            )
            .order_by(deliveries.c.due_at, deliveries.c.event_seq)
            .limit(limit * 4)
        )
        rows = reading.execute(statement).fetchall()
        chosen = self._own(reading, rows, limit)
        if chosen and not self._database.is_sqlite:
            ids = {row.id for row in chosen}
            chosen = [row for row in reading.execute(statement).fetchall() if row.id in ids]
        return chosen

    # ---------------------------------------------------------------- deciding and writing

    def _run_fresh(
        self,
        rows: list[Any],
        around: Surroundings,
        writing: Callable[[], contextlib.AbstractContextManager[Connection]],
        *,
        careful: bool,
    ) -> Written:
        keys = [record_key(row) for row in rows]
        records = load_records(around.connection, keys)
        around.open_before = load_open(around.connection, keys)
        run = self.one_at_a_time < 2
        self.one_at_a_time = 1 if not run else 0
        overlay: dict[Any, Any] = {}
        works: list[EventWork] = []
        for row in rows:
            work = plan_event(row, records[record_key(row)], around, run=run)
            for delivery in work.deliveries:
                if delivery.planned_as is None:
                    self._step("plugin_running")
                    running.run(delivery, work.event, around, self._slot, overlay, seq=row.seq)
            works.append(work)
        self._step("decided")
        with writing() as connection:
            self._check_standing(connection, around)
            done = write_fresh(connection, works, around, careful=careful, step=self._step)
        self._step("committed")
        return done

    def _run_stored(
        self,
        rows: list[Any],
        around: Surroundings,
        writing: Callable[[], contextlib.AbstractContextManager[Connection]],
        *,
        careful: bool,
    ) -> Written:
        stored = running.load_stored(around, rows)
        overlay: dict[Any, Any] = {}
        for item in stored:
            if item.delivery.planned_as is None:
                self._step("plugin_running")
                running.run(item.delivery, item.event, around, self._slot, overlay, seq=item.row.event_seq)
        self._step("decided")
        with writing() as connection:
            self._check_standing(connection, around)
            done = write_stored(connection, stored, around, careful=careful, step=self._step)
        self._step("committed")
        return done

    def _check_standing(self, connection: Connection, around: Surroundings) -> None:
        """Check inside the write transaction that nothing the decisions rest on has moved."""
        if not self._database.is_sqlite:
            # A switch that is being committed waits for this batch, or this batch for the switch.
            connection.exec_driver_sql(f"LOCK TABLE {config_versions.name} IN SHARE MODE")
        number = connection.execute(sa.select(sa.func.max(config_versions.c.number))).scalar() or 0
        if number != around.configuration.number:
            raise Redo("the configuration changed")
        if self._epoch is not None:
            check_lease(connection, self._share, self._epoch)

