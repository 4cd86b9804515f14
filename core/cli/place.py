"""Where the processes of one machine work, and the bells by which they wake each other."""

from __future__ import annotations

import functools
import gc
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.host.assembly import Assembly
from core.host.environment import Environment
from core.pipeline.driver_locks import Share
from core.pipeline.wake import Bell
from core.store.database import Database
from core.time.clock import SystemClock


@dataclass(frozen=True, slots=True)
class Bells:
    """The wake-ups between this machine's processes."""

    workers: Sequence[Bell]
    """One for each share of the lanes; or a single one at which all workers wait, and which wakes one of them."""

    courier: Bell = field(default_factory=Bell)
    origin: str = field(default_factory=functools.partial(secrets.token_hex, 8))
    """Names this machine's processes in notices through the database: the bells have told them already."""

    def of(self, share: Share) -> Bell:
        """Return the bell at which the worker of a share waits."""
        return self.workers[share.index % len(self.workers)]

    def ring_workers(self, lanes: Iterable[int] = ()) -> None:
        """Wake the workers whose shares hold `lanes`; without lanes, all."""
        number = len(self.workers)
        for index in {lane % number for lane in lanes} or range(number):
            self.workers[index].ring()


Wake = Callable[[Iterable[int]], None]
"""Says that these lanes have work."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process works: the parts put together by the composition root, and the environment."""

    assembly: Assembly
    environment: Environment

    def database(self, pool_size: int = 8) -> Database:
        """Open the database."""
        return Database(self.environment.database_url, pool_size=pool_size)

    def waking(self, ring: Wake) -> Wake:
        """Return what wakes workers: messages of the fleet's broker where there is one, else `ring`."""
        if self.environment.broker_url is None:
            return ring
        from core.fleet.broker import celery_app
        from core.fleet.post import LanePost

        return LanePost(
            self.database(2), SystemClock(), celery_app(self.environment.broker_url, self.environment.broker_queue)
        ).ring

    def roots(self) -> tuple[Path, ...]:
        """Return the folders that may hold plugins."""
        return self.assembly.roots(self.environment)


def settle() -> None:
    """Take all that is loaded for good out of the garbage collector's sight.

    Else a whole collection, which comes about once in a while, goes through it and stops the process for 60 ms or more.
    """
    gc.collect()
    gc.freeze()
