"""The worker process: drains its share of the lanes, batch after batch, until it is told to stop."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog
from sqlalchemy.engine import Connection

from core.host.plugin import Plugin
from core.model.errors import CommitUncertain, StorageUnavailable
from core.pipeline.completion import Written
from core.pipeline.dispatch import ConfigurationSource, Dispatcher, Redo
from core.pipeline.driver_locks import Fenced, Share, take_lease
from core.pipeline.quarantine import is_any_overdue, lifted, record_crash, release_lifted, release_overdue
from core.pipeline.slot import Call, CallSlot
from core.pipeline.switch_news import SwitchNews
from core.pipeline.wake import Bell
from core.store.database import Database
from core.time.clock import Clock

IDLE_S = 0.5
"""How long a worker without work waits for a wake-up before it looks again by itself."""

UPKEEP_S = 1.0

_log = structlog.get_logger("outrigger.worker")


@dataclass(slots=True)
class Worker:
    """One worker's surroundings. `stop` is looked at between batches."""

    database: Database
    clock: Clock
    plugins: Mapping[str, Plugin]
    configurations: ConfigurationSource
    share: Share
    slot: CallSlot
    own_bell: Bell
    wake_courier: Callable[[], None]
    stopping: Callable[[], bool]
    holder: str
    crash: tuple[Call, str] | None = None  # what the worker before this one died of
    observe: Callable[[Written], None] = lambda written: None
    step: Callable[[str], None] = lambda name: None
    _upkeep_at: float = field(default=0.0)

    def run(self) -> None:
        """Work until told to stop; a database that is away is waited for."""
        dispatcher = self._start()
        news = SwitchNews(self.plugins, self.configurations, self.slot)
        pause = 0.1
        while not self.stopping():
            self.slot.beat()
            try:
                self._upkeep(dispatcher, news)
                written = dispatcher.drain()
                pause = 0.1
            except StorageUnavailable as error:
                _log.warning("database_away", reason=error.message, retry_in_s=pause)
                self.own_bell.wait(pause)
                pause = min(pause * 2, 2.0)
                continue
            except Redo as redo:
                _log.info("batch_put_off", reason=str(redo))
                continue
            except Fenced as fenced:
                _log.error("fenced", reason=fenced.message)
                return
            if written.is_full and not self.database.is_sqlite:
                self.own_bell.ring()  # for another worker that waits at it, since more than one batch waits
            if written.wake_outbox:
                self.wake_courier()
            self.observe(written)
            if not (written.events or written.deliveries):
                self.own_bell.wait(IDLE_S)

    def _start(self) -> Dispatcher:
        epoch = None
        if self.database.is_sqlite:
            epoch = take_lease(self.database, self.share, self.holder, self.clock.now())
        dispatcher = Dispatcher(
            self.database, self.clock, self.plugins, self.configurations,
            share=self.share, epoch=epoch, slot=self.slot, step=self.step,
        )  # fmt: skip
        if self.crash is not None:
            call, how = self.crash
            after_crash(
                self.database, self.clock, self.configurations, call, how, slot=self.slot, stopping=self.stopping
            )
            dispatcher.one_at_a_time = 2
            dispatcher.crashed = frozenset({(call.event_id, call.plugin)})
        return dispatcher

    def _upkeep(self, dispatcher: Dispatcher, news: SwitchNews) -> None:
        if time.monotonic() < self._upkeep_at:
            return
        self._upkeep_at = time.monotonic() + UPKEEP_S
        if self.share.index:
            return
        with self.database.read() as connection:
            news.tell(connection)
        keep_up(self.database, self.clock, dispatcher.is_able)


def after_crash(
    database: Database, clock: Clock, configurations: ConfigurationSource, call: Call, how: str, *,
    slot: CallSlot, stopping: Callable[[], bool], pause_s: float = IDLE_S,
) -> None:  # fmt: skip
    """Count a plugin that took its worker down, and say so; a database that is away is waited for.

    Nobody but this process knows of the crash, so it is told before anything else is done.
    """
    while True:
        slot.beat()
        try:
            with database.write() as connection:
                limit = configurations.current(connection).dispatch.crashes_to_quarantine
                active = record_crash(connection, call, how, clock.now(), limit=limit)
            break
        except CommitUncertain as error:
            # Rather one crash too few than one that is counted twice.
            _log.warning("crash_may_be_counted", unit=call.unit, plugin=call.plugin, reason=error.message)
            return
        except StorageUnavailable as error:
            _log.warning("database_away", reason=error.message, retry_in_s=pause_s)
            if stopping():
                return
            time.sleep(pause_s)
    _log.error(
        "plugin_took_worker_down", unit=call.unit, plugin=call.plugin, event_id=call.event_id, how=how,
        quarantined=active,
    )  # fmt: skip


def keep_up(database: Database, clock: Clock, is_able: Callable[[Connection, str, str], bool]) -> None:
    """Let go the deliveries whose plugin is out of quarantine, and those that waited too long; once a second."""
    now = clock.now()
    with database.read() as connection:
        needed = lifted(connection, functools.partial(is_able, connection)) or is_any_overdue(connection, now)
    if needed:
        with database.write() as connection:
            release_lifted(connection, now, functools.partial(is_able, connection))
            release_overdue(connection, now)
