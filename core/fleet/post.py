"""Publishes which lanes have work, from a thread of its own: whoever stores events never waits for a broker."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

import structlog
from celery import Celery

from core.fleet.broker import DRAIN
from core.pipeline.lanes import mark
from core.store.database import Database
from core.time.clock import Clock

LULL_S = 5.0
"""How long nothing is published after the broker did not answer; until then the scan of the tables takes over."""

WAKING = 4
"""How many workers are woken for lanes that were marked together. More messages would be in the way of later ones: a
message that comes too late for its lane still has to be taken and acknowledged."""

_log = structlog.get_logger("outrigger.fleet")


class LanePost:
    """Marks lanes and publishes their messages, each once until a worker has come for it."""

    def __init__(self, database: Database, clock: Clock, app: Celery) -> None:
        self._database = database
        self._clock = clock
        self._app = app
        self._waiting: set[int] = set()
        self._news = threading.Condition()
        self._closing = False
        self._away_until = 0.0
        self.is_away = False
        self._thread = threading.Thread(target=self._run, name="lane-post", daemon=True)
        self._thread.start()

    def ring(self, lanes: Iterable[int]) -> None:
        """Say that events of these lanes were committed; returns at once."""
        with self._news:
            self._waiting.update(lanes)
            self._news.notify()

    def publish(self, lanes: Sequence[int], most: int = WAKING) -> bool:
        """Publish messages for lanes that were marked together, for `most` of them; return whether the broker took all.

        Whoever comes for one of them works at all of them, so the others only wake more workers.
        """
        try:
            with self._app.producer_or_acquire() as producer:
                for lane in lanes[:most]:
                    self._app.send_task(DRAIN, (lane,), producer=producer, retry=False)
        except Exception as error:
            # Which exceptions a broker's library raises differs with the broker; the tables say what is to be done.
            if not self.is_away:
                _log.warning("broker_away", reason=f"{type(error).__name__}: {error}")
            self.is_away = True
            self._app.pool.force_close_all()
            return False
        if self.is_away:
            _log.info("broker_back")
        self.is_away = False
        return True

    def close(self) -> None:
        """Publish what waits, then stop."""
        with self._news:
            self._closing = True
            self._news.notify()
        self._thread.join(timeout=10.0)

    def _run(self) -> None:
        while True:
            with self._news:
                while not self._waiting and not self._closing:
                    self._news.wait()
                lanes, self._waiting = self._waiting, set()
                if not lanes:
                    return
            try:
                with self._database.statements() as connection:
                    new = mark(connection, lanes, self._clock.now())
            except Exception as error:
                # The scan finds these lanes; a thread that ended would leave all later ones to it.
                _log.warning("lanes_not_marked", reason=f"{type(error).__name__}: {error}")
                continue
            if new and not self.publish(new):
                threading.Event().wait(LULL_S if not self._closing else 0)
