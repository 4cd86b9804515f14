"""A worker of a fleet: a Celery worker whose only task is to drain a lane, batch after batch, under the lane's lock."""

from __future__ import annotations

import os
import resource
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog
from celery import Celery, signals

from core.fleet.broker import drain_task
from core.fleet.post import LanePost
from core.host.plugin import Plugin
from core.model.errors import StorageUnavailable
from core.pipeline.completion import Written
from core.pipeline.dispatch import ConfigurationSource, Dispatcher, Redo
from core.pipeline.lanes import Lane, clean, mark
from core.pipeline.slot import Call, CallSlot
from core.pipeline.worker import after_crash
from core.store.database import Database
from core.time.clock import Clock

SLICE_S = 1.0
"""How long a worker stays with one lane before the others have their turn; it goes on by a new message."""

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
        worker = self.app.Worker(
            hostname=f"{self.name}.{os.getpid()}@{socket.gethostname()}", pool="solo", concurrency=1,
            without_gossip=True, without_mingle=True, loglevel="WARNING", quiet=True, optimization="fair",
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
    """Drains one lane after another; also without a broker, as the sweeper does while it is away."""

    def __init__(self, around: LaneWorker, post: LanePost) -> None:
        self._around = around
        self.post = post
        self._dispatcher = Dispatcher(
            around.database, around.clock, around.plugins, around.configurations, slot=around.slot, step=around.step
        )

    @property
    def dispatcher(self) -> Dispatcher:
        """What decides and writes."""
        return self._dispatcher

    def drain(self, lane: int) -> None:
        """Work until the lane has nothing more, or the others should have their turn."""
        try:
            with self._around.database.write() as connection:
                clean(connection, lane)
            if self._work(lane):
                self._go_on(lane)
        except StorageUnavailable as error:
            # The lane is found again by the scan as soon as the database is back.
            _log.warning("database_away", lane=lane, reason=error.message)
            time.sleep(AWAY_S)

    def _work(self, lane: int) -> bool:
        """Drain the lane; return whether it has more."""
        self._dispatcher.share = Lane(lane)
        until = time.monotonic() + SLICE_S
        while True:
            try:
                written = self._dispatcher.drain()
            except Redo as redo:
                _log.info("batch_put_off", lane=lane, reason=str(redo))
                return True
            if not (written.events or written.deliveries):
                return False
            if written.wake_outbox:
                self._around.wake_courier()
            self._around.observe(written)
            if self._around.stopping() or time.monotonic() > until:
                return True

    def _go_on(self, lane: int) -> None:
        with self._around.database.write() as connection:
            new = mark(connection, [lane], self._around.clock.now())
        if new:
            self.post.publish(new)

    def mend(self, call: Call, how: str) -> None:
        """Go on where the worker before died: its batch is planned first, and then run one by one."""
        lane = after_crash(self._around.database, self._around.clock, self._around.configurations, call, how)
        self._dispatcher.one_at_a_time = 2
        self._dispatcher.crashed = frozenset({(call.event_id, call.plugin)})
        if lane is not None:
            self.drain(lane)
        self._dispatcher.one_at_a_time = 0


def resident() -> int:
    """Return the process's resident memory in bytes."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:  # not Linux: the peak has to do
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
