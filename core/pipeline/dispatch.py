"""Dispatches events to plugins in batches: claim, decide, then one transaction for everything that was decided.

On SQLite claiming and deciding happen on a read snapshot, without the write lock; the short write phase checks that
the lease and the configuration still stand. On PostgreSQL all of it is one transaction that holds the lanes' locks.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from core.host.plugin import Plugin
from core.host.settings import Configuration, DispatchSettings
from core.model.errors import StorageUnavailable, printable
from core.pipeline import running
from core.pipeline.care import Care
from core.pipeline.claim import WINDOW, Claimed, claim_deliveries, claim_with_records, window_question
from core.pipeline.completion import Written, write_fresh, write_stored
from core.pipeline.driver_locks import EVERYTHING, Fenced, Share, check_lease
from core.pipeline.first_look import FirstLook, look_question, looked
from core.pipeline.history import keep_baselines
from core.pipeline.open_deliveries import load_open
from core.pipeline.plan import Surroundings, load_timers, plan_event
from core.pipeline.slot import CallSlot
from core.pipeline.work import EventWork, RecordKey, record_key
from core.store.database import Database
from core.store.faults import is_storage_fault
from core.store.idle_limit import WORD_AFTER_S, Silence, allow_silence
from core.store.row_writes import StaleRow
from core.store.standing_version import standing_version
from core.store.tables import quarantines
from core.store.together import ask_together
from core.time.clock import Clock

ATTEMPTS = 6
"""How often one batch is decided, when what it rests on moves each time, before it is put off."""

BATCH_S = 2.0
"""When slow plugins take this long the batch is written with what was decided so far, and the rest waits its turn."""

FEW = 4
"""The fewest events a batch may have, however slow they are: each batch has a cost of its own."""

FEW_STORED = 8
"""The same of deliveries stored before, whose batches cost more: else they would cost little but that."""

MAX_BATCH = 1000
"""The most events of one batch, as `[dispatch] batch_size` may ask for."""

PICK_UP_S = 0.4
"""How long a whole batch should take: a switch counts from the next batch on, and the one that runs is redone."""

GIVE_WAY_S = 0.005
"""How long a batch of deliveries stored before should take while events come: they take turns, and wait for it."""

NOBODY_WAITS_S = 0.02
"""The same while none come: larger batches cost less for each delivery, and the first event waits for one at most."""

COMING_S = 1.0
"""For how long after the last event others are expected."""

SLOW_HOOK_S = 10.0
"""A time limit above this is more than a connection's usual patience with a transaction that does nothing."""

CAREFUL_BATCHES = 64
"""How many batches of one are done after a batch was refused, so that what does not fit is surely behind."""

_QUARANTINED = sa.select(quarantines.c.unit, quarantines.c.plugin).where(quarantines.c.active.is_(True))

Writing = Callable[[], contextlib.AbstractContextManager[Connection]]
"""Begins the short write phase of a batch."""

_log = structlog.get_logger("outrigger.dispatch")


class Redo(Exception):
    """The configuration or a shared row moved between deciding and writing; decide again on fresh rows."""


def _is_refusal(error: Exception) -> bool:
    """Whether one delivery's rows may be to blame; not when the database is away or another worker took over."""
    if isinstance(error, StorageUnavailable):
        return error.__cause__ is not None and not is_storage_fault(error.__cause__)
    return not isinstance(error, Fenced)


class ConfigurationSource(Protocol):
    """Gives the configuration version in force, read through the caller's connection."""

    def current(self, connection: Connection, number: int | None = None) -> Configuration:
        """Return the newest version; cached by its number, which a caller that knows it gives."""
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
        share: Share = EVERYTHING,
        epoch: int | None = None,
        slot: CallSlot | None = None,
        step: Callable[[str], None] = lambda name: None,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._clock = clock
        self._plugins = plugins
        self._configurations = configurations
        self._share = share
        self._epoch = epoch
        self._slot = slot or CallSlot()
        self._seconds = seconds  # only to end a long batch early; no decision sees it
        self._step = step  # told at every named step; crash tests stop here
        self.one_at_a_time = 0  # after a crash: 2 the batch is planned only, 1 its deliveries run alone, 0 as usual
        self.crashed: frozenset[tuple[str, str]] = frozenset()
        self._careful = 0  # how many batches are still written with a savepoint for each delivery
        self._was_stored = False
        self._version = 0  # of the configuration that the batch before was decided by
        self._batch_size = DispatchSettings().batch_size  # as that configuration has it
        self._fits = MAX_BATCH  # how many events a batch may have by the pace of the one before
        self._stored_pace = 0.0  # how many deliveries stored before it did a second; 0 while that is not known
        self._had_events_at = -COMING_S

    def drain(self) -> Written:
        """Do one batch: due deliveries that were stored before, or accepted events, in turn. Returns what was done."""
        for attempt in range(ATTEMPTS):
            began = self._seconds()
            care = Care.NONE if not self._careful else Care.LAST if attempt == ATTEMPTS - 1 else Care.SAVEPOINTS
            try:
                done = self._drain_once(care)
            except Redo as redo:
                _log.debug("decided_again", reason=str(redo), attempt=attempt)
            except StaleRow as stale:
                _log.info("decided_again", reason=str(stale), attempt=attempt)
                self._careful = CAREFUL_BATCHES
            except Exception as error:
                if self._careful or not _is_refusal(error):
                    raise
                # One delivery's rows do not fit; find it by giving each a savepoint of its own.
                _log.warning("batch_refused", error=printable(getattr(error, "orig", None) or error))
                self._careful = CAREFUL_BATCHES
            else:
                self._careful = max(self._careful - 1, 0) if done.events or done.deliveries else 0
                ended = self._seconds()
                taken = max(ended - began, 0.001)
                if done.events:
                    self._fits = min(max(FEW, int(done.events / taken * PICK_UP_S)), MAX_BATCH)
                    self._had_events_at = ended
                elif done.deliveries:
                    self._stored_pace = done.deliveries / taken
                return done
        raise Redo("decided again and again, and each time something had moved")

    def _drain_once(self, care: Care) -> Written:
        with self._batch() as (reading, writing):
            question = window_question(reading.dialect.name, self._share, min(self._batch_size, self._fits))
            answer, window = ask_together(reading, [look_question(self._share), question])
            look = looked(answer, self._clock.now())
            if not (look.has_deliveries or look.has_events) and look.number == self._version:
                self.one_at_a_time = 0
                return Written()
            around = self._surroundings(reading, look)
            is_alone = care is not Care.NONE or self.one_at_a_time > 0
            # In turn, so that a plugin whose every delivery is tried again does not keep new events from the others.
            for is_stored in (True, False) if is_alone or not self._was_stored else (False, True):
                done = None
                if is_stored and look.has_deliveries:
                    done = self._drain_stored(around, writing, care, is_alone=is_alone)
                elif look.has_events and not is_stored:
                    done = self._drain_fresh(around, writing, care, window)
                if done is not None:
                    self._was_stored = is_stored
                    return done
            self.one_at_a_time = 0
            return Written()

    def _drain_stored(self, around: Surroundings, writing: Writing, care: Care, *, is_alone: bool) -> Written | None:
        limit = 1 if is_alone else min(around.configuration.dispatch.batch_size, self._stored_fit())
        rows = claim_deliveries(around.connection, self._share, around.now, limit)
        if not rows:
            return None
        done = self._run_stored(rows, around, writing, care)
        done.is_full = len(rows) * WINDOW >= limit  # the look ends there, however many wait
        return done

    def _stored_fit(self) -> int:
        """Return how many deliveries stored before a batch may have by the pace of the last one."""
        are_coming = self._seconds() - self._had_events_at < COMING_S
        fit = int(self._stored_pace * (GIVE_WAY_S if are_coming else NOBODY_WAITS_S))
        return min(max(FEW_STORED, fit), MAX_BATCH)

    def _drain_fresh(
        self, around: Surroundings, writing: Writing, care: Care, window: Sequence[tuple[Any, ...]]
    ) -> Written | None:
        limit = 1 if care is not Care.NONE else min(around.configuration.dispatch.batch_size, self._fits)
        claimed = claim_with_records(around.connection, self._share, limit, window)
        if claimed is None:
            return None
        done = self._run_fresh(claimed, around, writing, care)
        done.is_full = len(claimed.events) >= limit
        return done

    @contextlib.contextmanager
    def _batch(self) -> Iterator[tuple[Connection, Writing]]:
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

    def _look(self, reading: Connection) -> FirstLook:
        [answer] = ask_together(reading, [look_question(self._share)])
        return looked(answer, self._clock.now())

    def _surroundings(self, reading: Connection, look: FirstLook) -> Surroundings:
        configuration = self._configurations.current(reading, look.number)
        if configuration.number != self._version:
            _log.info("configuration_picked_up", version=configuration.number)
            self._version, self._batch_size = configuration.number, configuration.dispatch.batch_size
        limit_s = configuration.dispatch.hook_time_limit_s
        if not self._database.is_sqlite and limit_s > SLOW_HOOK_S:
            allow_silence(reading, int(limit_s + WORD_AFTER_S) + 10)
        quarantined = reading.execute(_QUARANTINED).fetchall() if look.has_quarantine else []
        return Surroundings(
            configuration=configuration,
            plugins={name: plugin for name, plugin in self._plugins.items() if plugin.error is None},
            now=look.now,
            connection=reading,
            quarantined=frozenset((row.unit, row.plugin) for row in quarantined),
            crashed=self.crashed,
        )

    def is_able(self, connection: Connection, unit: str, plugin: str) -> bool:
        """Whether a plugin's code and its settings for a unit could be loaded, so that it can run there."""
        return self._surroundings(connection, self._look(connection)).unable(unit, plugin) is None

    # ---------------------------------------------------------------- deciding and writing

    def _run_fresh(self, claimed: Claimed, around: Surroundings, writing: Writing, care: Care) -> Written:
        rows, records = claimed.events, claimed.records
        around.open_before = claimed.open
        around.batch, around.timers = records, load_timers(around.connection, rows)
        run = self.one_at_a_time < 2
        overlay: dict[Any, Any] = {}
        works: list[EventWork] = []
        began = self._seconds()
        silence = Silence(around.connection, self._seconds)
        for row in rows:
            work = plan_event(row, records[record_key(row)], around, run=run)
            for delivery in work.deliveries:
                if delivery.planned_as is None:
                    silence.end()
                    self._step("plugin_running")
                    running.run(delivery, work.event, around, self._slot, overlay, seq=row.seq)
            works.append(work)
            if self._seconds() - began > BATCH_S:
                break
        self._step("decided")
        with writing() as connection:
            self._check_standing(connection, around, list(records))
            done = write_fresh(connection, works, around, care=care, step=self._step)
        self.one_at_a_time = 0 if run else 1
        self._step("committed")
        return done

    def _run_stored(self, rows: list[Any], around: Surroundings, writing: Writing, care: Care) -> Written:
        stored = running.load_stored(around, rows)
        overlay: dict[Any, Any] = {}
        began = self._seconds()
        silence = Silence(around.connection, self._seconds)
        for number, item in enumerate(stored, 1):
            if item.delivery.planned_as is None:
                silence.end()
                self._step("plugin_running")
                running.run(item.delivery, item.event, around, self._slot, overlay, seq=item.row.event_seq)
            if self._seconds() - began > BATCH_S:
                del stored[number:]
                break
        self._step("decided")
        with writing() as connection:
            self._check_standing(connection, around, [record_key(row) for row in rows])
            done = write_stored(connection, stored, around, care=care, step=self._step)
            keep_baselines(connection, around.baselines)
        self._step("committed")
        return done

    def _check_standing(self, connection: Connection, around: Surroundings, keys: list[RecordKey]) -> None:
        """Check inside the write transaction that nothing the decisions rest on has moved."""
        if standing_version(connection) != around.configuration.number:
            raise Redo("the configuration changed")
        # On PostgreSQL whoever retries or discards a delivery waits for its lane; here it may have happened meanwhile.
        if self._database.is_sqlite and load_open(connection, keys) != around.open_before:
            raise Redo("a delivery that holds others back changed")
        if self._epoch is not None:
            check_lease(connection, self._share, self._epoch)
