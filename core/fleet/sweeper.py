"""The sweeper of a worker host: finds lanes left behind, has them drained, and drains them itself without a broker."""

from __future__ import annotations

import time
from dataclasses import dataclass

import structlog

from core.fleet.post import LanePost
from core.fleet.worker import LaneDrainer, LaneWorker
from core.model.errors import StorageUnavailable
from core.pipeline.lanes import left_behind, mark, renew
from core.pipeline.switch_news import SwitchNews
from core.pipeline.worker import keep_up

EVERY_S = 1.0

_log = structlog.get_logger("outrigger.fleet")


@dataclass(slots=True)
class Sweeper:
    """One sweeper. Any number may run: one of them alone renews a lane's mark, and its lock keeps the others out."""

    around: LaneWorker

    def run(self) -> None:
        """Look once a second until told to stop."""
        around = self.around
        post = LanePost(around.database, around.clock, around.app)
        drainer = LaneDrainer(around, post)
        if around.crash is not None:
            drainer.mend(*around.crash)
        news = SwitchNews(around.plugins, around.configurations, around.slot)
        version = 0
        while not around.stopping():
            around.slot.beat()
            began = time.monotonic()
            try:
                with around.database.read() as connection:
                    news.tell(connection)
                    newest = around.configurations.current(connection).number
                    if version != newest:
                        _log.info("configuration_picked_up", version=newest)
                    version = newest
                    waiting = left_behind(connection, around.clock.now())
                keep_up(around.database, around.clock, drainer.dispatcher.is_able)
                self._have_drained(waiting, drainer)
            except StorageUnavailable as error:
                _log.warning("database_away", reason=error.message)
            while time.monotonic() < began + EVERY_S and not around.stopping():
                time.sleep(0.05)
        post.close()

    def _have_drained(self, waiting: list[int], drainer: LaneDrainer) -> None:
        around = self.around
        if not waiting:
            return
        with around.database.statements() as connection:
            now = around.clock.now()
            lost = mark(connection, waiting, now) + renew(connection, waiting, now)
        if lost and drainer.post.publish(lost):
            return
        if drainer.post.is_away:
            drainer.work()
