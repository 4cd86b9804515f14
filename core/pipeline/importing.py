"""Runs historical events through the real dispatcher in a database of their own, on a clock that moves with them.

Events are taken in the order of their times; before each one, the timers and retries that fall due up to then have
their turn, each at its own time. So every plugin sees the time at which things happened, and the clock never goes
back. One event is decided after another, and their rows are written many at a time: how many changes no result
(`import_dispatch` says how). Nothing leaves: what plugins would send is kept as `suppressed`.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.host.plugin import Plugin
from core.model.events import event_id
from core.model.instants import format_instant, from_micros
from core.pipeline.dispatch import ConfigurationSource
from core.pipeline.import_dispatch import ImportDispatcher, OneTransaction
from core.pipeline.import_lines import ImportFiles, Line, Refusal, earliest
from core.pipeline.inbox import known_hashes, store
from core.pipeline.work import RecordKey
from core.store.database import Database
from core.store.tables import events
from core.time.clock import FrozenClock

RUN_ON = timedelta(days=30)
"""How far the clock runs on behind the last event, for timers that are still pending."""

BATCH = 500
"""How many events are written together, about; lines are read ahead as far, within the limits below."""

DURABLE = 2000
"""About how many lines and timers share one durable transaction; no more lines are read ahead at once."""

AHEAD = 8 * 1024 * 1024
"""How much text is read ahead at once, in bytes, and up to one line more: what is made of it is several times as large,
and on PostgreSQL the transaction is silent meanwhile."""

Progress = Callable[[int, datetime], None]
"""Told how many lines are behind, and where the clock stands."""


@dataclass(slots=True)
class Imported:
    """What an import did. `accepted + duplicates + refused` is the number of lines read."""

    read: int = 0
    accepted: int = 0
    duplicates: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    follow_ups: int = 0
    timers: int = 0  # how many fired
    began_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def refused(self) -> int:
        """How many lines were refused."""
        return len(self.refusals)

    @property
    def behind(self) -> int:
        """How many lines are done with."""
        return self.accepted + self.duplicates + self.refused

    def reasons(self) -> dict[str, int]:
        """Return how many lines were refused for each reason, the most frequent first."""
        return dict(Counter(refusal.reason for refusal in self.refusals).most_common())


class Importer:
    """One import into one database, which nobody else works at meanwhile."""

    def __init__(
        self,
        database: Database,
        clock: FrozenClock,
        plugins: Mapping[str, Plugin],
        configurations: ConfigurationSource,
        *,
        batch: int = BATCH,
    ) -> None:
        self._inside = OneTransaction(database)
        self._clock = clock
        self._dispatcher = ImportDispatcher(self._inside, clock, plugins, configurations)
        self._batch = batch
        self._lines: Iterator[Line] = iter(())
        self._ahead: deque[Line] = deque()  # lines that are read, in their order
        self._known: set[str] = set()  # the ids among them, and just before, that were accepted already
        self._done = Imported()

    def run(
        self, files: ImportFiles, *, run_on: timedelta = RUN_ON, progress: Progress = lambda behind, at: None
    ) -> Imported:
        """Import what `files` found when they were scanned; an import that was cut short goes on where it ended.

        A line older than the time the database has reached is refused, since the clock never goes back. Raises Conflict
        when somebody else writes events into the database meanwhile.
        """
        done = self._done = Imported(read=files.read, refusals=list(files.refusals))
        self._lines = files.in_order()
        self._begin(earliest(files, self._clock.now()))
        done.began_at = self._clock.now()
        until: datetime | None = None  # known once the last line is behind
        is_more = True
        while is_more:
            with self._inside.begin():
                self._dispatcher.check_alone()
                target = done.behind + done.timers + DURABLE
                while is_more and done.behind + done.timers < target:
                    is_more = self._step(until)
                    if not is_more and until is None:
                        until, is_more = self._clock.now() + run_on, True
                    if self._dispatcher.waiting >= self._batch:
                        self._dispatcher.flush()
                self._dispatcher.flush()
            progress(done.behind, self._clock.now())
        done.ended_at = self._clock.now()
        return done

    def _begin(self, first: int) -> None:
        with self._inside.begin() as connection:
            reached = _reached(connection)
            begins = from_micros(first)
            self._clock.move_to(begins if reached is None else max(reached, begins))
            self._dispatcher.begin()
            self._store(*self._done.refusals)
            self._done.follow_ups += self._dispatcher.work_off()

    def _step(self, until: datetime | None) -> bool:
        """Do what comes next: deliveries tried again, a timer or a line. Return whether there was anything."""
        if not self._ahead:
            self._read_ahead()
        line = self._ahead[0] if self._ahead else None
        if line is not None and line.event.occurred_at < self._clock.now():
            self._take_old(line)
            return True
        horizon = line.event.occurred_at if line is not None else until
        if horizon is None:
            return False
        retry, timer = self._dispatcher.first_due(), self._dispatcher.timers.first()
        if retry is not None and retry <= horizon and (timer is None or retry <= timer["due_at"]):
            self._move_to(retry)
            self._done.follow_ups += self._dispatcher.work_off()
        elif timer is not None and timer["due_at"] <= horizon:
            self._move_to(timer["due_at"])
            if self._dispatcher.is_on(timer["unit"], timer["plugin"]):
                self._done.follow_ups += self._dispatcher.fire(timer)
                self._done.timers += 1
            else:
                self._dispatcher.timers.hold(timer)
        elif line is not None:
            self._move_to(horizon)
            self._take(line)
        else:
            return False
        return True

    def _move_to(self, at: datetime) -> None:
        self._clock.move_to(max(at, self._clock.now()))

    def _read_ahead(self) -> None:
        """Read the next lines, and look up at once what is known of them."""
        most, size = min(self._batch, DURABLE), 0
        while len(self._ahead) < most and size < AHEAD and (line := next(self._lines, None)) is not None:
            self._ahead.append(line)
            size += line.size
        if not self._ahead:
            return
        self._dispatcher.flush()
        found = [line.event for line in self._ahead]
        self._known = set(known_hashes(self._inside.connection, [event_id(e.source, e.dedupe_key) for e in found]))
        keys: list[RecordKey] = [(event.source, event.kind, event.record_id) for event in found]
        self._dispatcher.records.load(list(dict.fromkeys(keys)))

    def _take(self, line: Line) -> None:
        identity = event_id(line.event.source, line.event.dedupe_key)
        if identity in self._known:
            self._store(line)
            self._done.duplicates += 1
        else:
            self._done.follow_ups += self._dispatcher.take(line.event)
            self._done.accepted += 1
            self._known.add(identity)
        self._ahead.popleft()

    def _take_old(self, line: Line) -> None:
        """Take a line from before the time reached: known already, or refused."""
        self._ahead.popleft()
        if event_id(line.event.source, line.event.dedupe_key) in self._known:
            self._done.duplicates += 1
            return
        refusal = line.refused(
            f"Its time is before {format_instant(self._clock.now())}, which this database has reached; import older "
            "events first, or into a database of their own."
        )
        self._done.refusals.append(refusal)
        self._store(refusal)

    def _store(self, *items: Line | Refusal) -> None:
        """Keep what is not dispatched: refused lines, and another text under a known id."""
        self._dispatcher.flush()
        inbound = [item.item() if isinstance(item, Refusal) else item.event for item in items]
        store(self._inside.connection, inbound, self._clock.now())
        self._dispatcher.renumber()


def _reached(connection: Connection) -> datetime | None:
    """Return the time that earlier imports into this database reached; times in it never fall."""
    latest = sa.select(events.c.accepted_at).order_by(events.c.seq.desc()).limit(1)
    found: datetime | None = connection.execute(latest).scalar()
    return found
