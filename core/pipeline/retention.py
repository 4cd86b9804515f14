"""Removes what was kept long enough: once a day, in small steps that nobody waits for, and writes down what went.

What each step removes is told in `[retention]`. Events go in the order of their numbers, see `retention_events`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from core.host.settings import RetentionSettings
from core.model.errors import StorageUnavailable
from core.model.outcomes import OutboxStatus
from core.pipeline.retention_events import Step, choose, remove
from core.pipeline.retention_timers import FIRST, Place, choose_done, remove_done
from core.store import audit
from core.store.columns import status_in
from core.store.database import Database
from core.store.reading.retention import removed_up_to
from core.store.tables import decisions, event_keys, idempotency_keys, links, outbox, retention_runs
from core.time.clock import Clock

ROWS = 100
"""How many rows one step removes at most; an event counts with what hangs on it."""

SHARE = 0.2
"""How much of the time goes into removing; the rest of it others may write."""

LOOK_EVERY_S = 60.0
"""How often a courier looks whether a new day has begun."""

RETENTION_LOCK = 0x0C7220
"""The PostgreSQL advisory lock by which one courier of a fleet removes at a time."""

_DONE_WITH = status_in(OutboxStatus.SENT, OutboxStatus.SUPPRESSED, OutboxStatus.DISCARDED)
_log = structlog.get_logger("outrigger.retention")


def cutoffs(settings: RetentionSettings, now: datetime) -> Mapping[str, datetime]:
    """Return the instant before which each kind of row has been kept long enough."""
    days = {
        "events": settings.events_days, "decisions": settings.decisions_days, "messages": settings.messages_days,
        "keys": settings.keys_days, "timers": settings.events_days + settings.keys_days,
        "links": settings.links_days, "idempotency": settings.idempotency_days,
    }  # fmt: skip
    return {name: now - timedelta(days=number) for name, number in days.items()}


@dataclass(slots=True)
class Pruner:
    """Removes what was kept long enough, one step at a time; `actor` is who the trail names for it."""

    database: Database
    clock: Clock
    settings: Callable[[], RetentionSettings]
    actor: str = "retention"
    rows: int = ROWS
    _removed: dict[str, int] = field(default_factory=dict)
    _after: int = 0  # the last event that was looked at in this run
    _timers_after: Place = FIRST
    _held_by: str | None = None
    _began_on: str | None = None  # the day of the run that is not finished

    def run_of_the_day(self) -> Iterator[tuple[str, int]]:
        """Do one step each time it is asked for the next; yields what was removed and how many.

        A run that was interrupted goes on where it was; on another day it looks at all events again, since what stayed
        may go by then. What it removed and no trail tells yet, the trail tells when a run is finished.
        """
        if self._began_on != self._day():
            self._began_on, self._held_by = self._day(), None
            self._after, self._timers_after = 0, FIRST
        for name in ("events", "decisions", "messages", "keys", "timers", "links", "idempotency"):
            while True:
                step = self._step(name)
                if step.is_busy:
                    return  # another courier removes just now, or something is in use: the next look goes on
                yield name, step.removed
                if step.is_last:
                    break
        self._finish()

    def is_due(self) -> bool:
        """Whether nothing was removed yet on this day."""
        with self.database.read() as connection:
            day = sa.select(retention_runs.c.finished_at).where(retention_runs.c.day == self._day())
            return connection.execute(day).scalar() is None

    # ---------------------------------------------------------------- the parts

    def _day(self) -> str:
        return self.clock.now().strftime("%Y-%m-%d")

    def _step(self, name: str) -> Step:
        cutoff = cutoffs(self.settings(), self.clock.now())[name]
        if name == "events":
            return self._events(cutoff)
        if name == "timers":
            return self._timers(cutoff)
        with self.database.write() as connection:
            if not _alone(connection):
                return Step(0, is_busy=True)
            removed = _remove_oldest(connection, name, cutoff, self.rows)
            self._note(connection, name, removed)
        return Step(removed, is_last=removed < self.rows)

    def _events(self, cutoff: datetime) -> Step:
        # What is folded is read before the write begins, and looked at again inside it.
        with self.database.read() as connection:
            chosen = choose(connection, self._after, cutoff, self.rows)
        self._held_by = chosen.held_by or self._held_by
        if not chosen.up_to:
            return Step(0)
        with self.database.write() as connection:
            if not _alone(connection):
                return Step(0, is_busy=True)
            step = remove(connection, chosen, self.clock.now())
            if step.is_busy:
                return step
            self._note(connection, "events", step.removed, chosen.up_to)
        self._after = chosen.up_to
        return Step(step.removed, is_last=chosen.is_last)

    def _timers(self, cutoff: datetime) -> Step:
        with self.database.read() as connection:
            chosen = choose_done(connection, self._timers_after, cutoff, self.rows)
        removed = 0
        if chosen.going:
            with self.database.write() as connection:
                if not _alone(connection):
                    return Step(0, is_busy=True)
                removed = remove_done(connection, chosen)
                self._note(connection, "timers", removed)
        self._timers_after = chosen.following or FIRST
        return Step(removed, is_last=chosen.following is None)

    def _note(self, connection: Connection, name: str, removed: int, up_to: int = 0) -> None:
        row = self._row_of_the_day(connection)
        total = {**row.removed, name: row.removed.get(name, 0) + removed}
        values = {"removed": total, "up_to": max(up_to, row.up_to)}
        connection.execute(sa.update(retention_runs).where(retention_runs.c.day == row.day).values(**values))
        self._removed[name] = self._removed.get(name, 0) + removed

    def _row_of_the_day(self, connection: Connection) -> Any:
        found = sa.select(retention_runs).where(retention_runs.c.day == self._day())
        row = connection.execute(found).one_or_none()
        if row is None:
            new = sa.insert(retention_runs).values(day=self._day(), removed={}, up_to=removed_up_to(connection))
            connection.execute(new)
            row = connection.execute(found).one()
        return row

    def _finish(self) -> None:
        """Close the day: its row says what held older events back, and the trail that something went."""
        removed = {name: number for name, number in sorted(self._removed.items()) if number}
        now = self.clock.now()
        with self.database.write() as connection:
            if removed:
                audit.lock(connection)  # before the day's row, in the order of everybody who appends
            day = self._row_of_the_day(connection).day
            closed = {"finished_at": now, "held_by": self._held_by}
            connection.execute(sa.update(retention_runs).where(retention_runs.c.day == day).values(**closed))
            if removed:
                audit.append(
                    connection, actor=self.actor, action="retention.removed", subject=day, details=removed, now=now
                )  # fmt: skip
        self._removed, self._began_on = {}, None


@dataclass(slots=True)
class Upkeep:
    """Lets a courier remove beside its work: a step now and then, and none while the server is asked to stop."""

    pruner: Pruner
    seconds: Callable[[], float] = time.monotonic
    _steps: Iterator[tuple[str, int]] | None = None
    _again_at: float = 0.0

    def step(self) -> None:
        """Do the next step when it is time for one."""
        if self.seconds() < self._again_at:
            return
        began = self.seconds()
        try:
            if self._steps is None and self.pruner.is_due():
                self._steps = self.pruner.run_of_the_day()
            goes_on = self._steps is not None and next(self._steps, None) is not None
        except StorageUnavailable:
            self._steps = None
            raise
        except Exception as error:
            # Whatever is wrong here, timers and messages go on.
            _log.exception("retention_failed", error=f"{type(error).__name__}: {error}")
            goes_on = False
        if not goes_on:
            self._steps, self._again_at = None, self.seconds() + LOOK_EVERY_S
            return
        self._again_at = self.seconds() + (self.seconds() - began) * (1 / SHARE - 1)


def _alone(connection: Connection) -> bool:
    """Whether no other process removes just now; until this transaction ends none will."""
    if connection.dialect.name == "sqlite":
        return True
    found = connection.exec_driver_sql("SELECT pg_try_advisory_xact_lock(%s, 0)", (RETENTION_LOCK,))
    return bool(found.scalar_one())


def _remove_oldest(connection: Connection, name: str, cutoff: datetime, limit: int) -> int:
    """Remove the oldest rows of a table; each is found by an index and only so many are looked at."""
    if name in ("decisions", "messages"):
        table, key, at = (
            (decisions, decisions.c.id, decisions.c.decided_at)
            if name == "decisions"
            else (outbox, outbox.c.seq, outbox.c.created_at)
        )
        return _remove_in_order(connection, table, key, at, cutoff, limit)
    column: sa.Column[Any] = {
        "keys": event_keys.c.removed_at,
        "links": links.c.expires_at,
        "idempotency": idempotency_keys.c.created_at,
    }[name]
    table = column.table
    primary = next(iter(table.primary_key.columns))
    oldest = sa.select(primary).where(column < cutoff).order_by(column).limit(limit)
    return int(connection.execute(sa.delete(table).where(primary.in_(oldest))).rowcount)


def _remove_in_order(
    connection: Connection, table: sa.Table, key: sa.Column[Any], at: sa.Column[Any], cutoff: datetime, limit: int
) -> int:
    """Remove rows that are numbered as they come, from the first on; messages that are under way stay."""
    done_with = [_DONE_WITH] if table is outbox else []
    statement = sa.select(key, at).order_by(key).limit(limit)
    rows = connection.execute(statement.where(*done_with)).fetchall()
    old = [row[0] for row in rows if row[1] < cutoff]
    if not old:
        return 0
    return int(connection.execute(sa.delete(table).where(key.in_(old), *done_with)).rowcount)
