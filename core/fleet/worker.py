"""A worker of a fleet: a Celery worker whose only task is to drain a lane, batch after batch, under the lane's lock."""

from __future__ import annotations

import logging
import os
import resource
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog
from celery import Celery, bootsteps, signals
from celery.worker import state

from core.fleet.broker import drain_task
from core.fleet.post import LanePost
from core.host.plugin import Plugin
from core.model.errors import StorageUnavailable
from core.pipeline.completion import Written
from core.pipeline.dispatch import ConfigurationSource, Dispatcher, Redo
from core.pipeline.lanes import clean, is_marked, left_behind, mark
from core.pipeline.slot import Call, CallSlot
from core.pipeline.worker import after_crash
from core.store.database import Database
from core.time.clock import Clock

SLICE_S = 1.0
"""How long a worker works for one message; it goes on by new ones, so that it can be told to stop in between."""

AND_ANOTHER = 2
"""How many messages follow one whose time was over before its work was: so more workers come until all are at work."""

AWAY_S = 0.5
"""How long a worker waits for a database that is away before it gives the message back to the tables."""

_log = structlog.get_logger("outrigger.fleet")


@dataclass(slots=True)
class LaneWorker:
    """One worker process's surroundings."""

    database: Database
    clock: Clock
    plugins: Mapping[str, Plugin]
    configurations: ConfigurationSource
    app: Celery
    slot: CallSlot
    wake_courier: Callable[[], None]
    stopping: Callable[[], bool]
    name: str
    memory_limit: int
    """Bytes of resident memory after which the process ends between two messages, for a fresh one to take its place."""
    crash: tuple[Call, str] | None = None  # what the worker before this one died of
    observe: Callable[[Written], None] = lambda written: None
    step: Callable[[str], None] = lambda name: None

    def run(self) -> None:
        """Take messages until told to stop, or until memory has grown too far."""
        drainer = LaneDrainer(self, LanePost(self.database, self.clock, self.app))
        if self.crash is not None:
            drainer.mend(*self.crash)
        drain_task(self.app, drainer.drain)
        signals.setup_logging.connect(_keep_logging, weak=False)
        self.app.steps["worker"].add(_heeding(self.stopping))
        worker = self.app.Worker(
            hostname=f"{self.name}.{os.getpid()}@{socket.gethostname()}", pool="solo", concurrency=1,
            without_gossip=True, without_mingle=True, quiet=True, optimization="fair",
        )  # fmt: skip

        def ended(**_: object) -> None:
            if resident() > self.memory_limit:
                _log.info("memory_limit_reached", worker=self.name, resident_mb=resident() // 1_000_000)
                worker.stop()
                raise SystemExit(0)

        signals.task_postrun.connect(ended, weak=False)
        worker.start()
        drainer.post.close()


class LaneDrainer:
    """Drains what lanes hold, one message after another; without a broker the sweeper does it."""

    def __init__(self, around: LaneWorker, post: LanePost) -> None:
        self._around = around
        self.post = post
        self.dispatcher = Dispatcher(
            around.database, around.clock, around.plugins, around.configurations, slot=around.slot, step=around.step
        )

    def drain(self, lane: int, *, is_sure: bool = False) -> None:
        """Do what a message asks for, unless somebody has come for its lane already.

        `is_sure` says that somebody may have come and died, as when the broker delivers a message again.
        """
        try:
            if not is_sure:
                with self._around.database.statements() as connection:
                    if not is_marked(connection, lane):
                        return
            self.work()
        except StorageUnavailable as error:
            # The lane is found again by the scan as soon as the database is back.
            _log.warning("database_away", lane=lane, reason=error.message)
            time.sleep(AWAY_S)

    def work(self) -> None:
        """Work until nothing is left or the time is over; what is left then is told of anew."""
        until = time.monotonic() + SLICE_S
        has_cleaned = False
        while not self._around.stopping() and time.monotonic() < until:
            try:
                written = self.dispatcher.drain()
            except Redo as redo:
                _log.info("batch_put_off", reason=str(redo))
                continue
            if not (written.events or written.deliveries):
                if has_cleaned:
                    return  # whatever came since then has a mark of its own, and a message
                with self._around.database.statements() as connection:
                    clean(connection)
                has_cleaned = True
                continue  # with a last look, at what came while the marks still stood
            has_cleaned = False
            if written.wake_outbox:
                self._around.wake_courier()
            self._around.observe(written)
        self._go_on()

    def _go_on(self) -> None:
        now = self._around.clock.now()
        with self._around.database.statements() as connection:
            waiting = left_behind(connection, now, after=None)
            mark(connection, waiting, now)
        if waiting:
            self.post.publish(waiting, AND_ANOTHER)

    def mend(self, call: Call, how: str) -> None:
        """Go on where the worker before died: its batch is planned first, and then run one by one."""
        around = self._around
        after_crash(
            around.database, around.clock, around.configurations, call, how, slot=around.slot, stopping=around.stopping
        )
        self.dispatcher.one_at_a_time = 2
        self.dispatcher.crashed = frozenset({(call.event_id, call.plugin)})
        try:
            self.work()
        except StorageUnavailable as error:
            # The next message finds the dispatcher as careful as it is now.
            _log.warning("database_away", reason=error.message)


def _heeding(stopping: Callable[[], bool]) -> type:
    """Return the step by which a starting worker heeds a signal that came before Celery listened to signals."""

    class Heed(bootsteps.StartStopStep):  # type: ignore[misc]
        """Comes after Celery has taken the signals over and before it connects to the broker."""

        def start(self, parent: object) -> None:
            if stopping():
                state.should_stop = 0  # as its own handler says it

    return Heed


def _keep_logging(**_: object) -> None:
    """Be there: Celery sets up logging of its own, and drops what is less than a warning, when nobody answers this."""
    logging.getLogger("celery").setLevel(logging.WARNING)


def resident() -> int:
    """Return the process's resident memory in bytes."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:  # not Linux: the peak has to do
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
