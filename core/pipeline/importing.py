"""Runs historical events through the real dispatcher in a database of their own, on a clock that moves with them.

Events are taken in the order of their times; before each one, the timers and retries that fall due up to then have
their turn, each at its own time. So every plugin sees the time at which things happened, and the clock never goes
back. Events are dispatched in batches for speed, and a batch of any size gives the same result as one event after
another (`import_dispatch` says how). Nothing leaves: what plugins would send is kept as `suppressed`.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.host.plugin import Plugin
from core.model.events import event_id
from core.model.inbound import InboundEvent
from core.model.instants import format_instant, from_micros, parse_instant
from core.model.outcomes import EventStatus, TimerStatus
from core.pipeline.dispatch import ConfigurationSource
from core.pipeline.import_dispatch import FIRST_DELIVERY, ImportDispatcher, OneTransaction
from core.pipeline.import_lines import Feed, ImportFiles, Line, Refusal, earliest
from core.pipeline.inbox import store
from core.pipeline.relay import find_follow_ups
from core.pipeline.timers import LATE_AFTER, DueTimers, find_due
from core.store.bulk import update_rows
from core.store.database import Database
from core.store.tables import events, timers
from core.time.clock import FrozenClock

RUN_ON = timedelta(days=30)
"""How far the clock runs on behind the last event, for timers that are still pending."""

BATCH = 100
"""How many events are dispatched together at most."""

DURABLE = 1000
"""About how many events and timers share one durable transaction."""

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


@dataclass(frozen=True, slots=True)
class _Item:
    """One thing that happens next: a line's event, or a timer that falls due."""

    at: datetime
    event: InboundEvent
    timer: tuple[str, int] | None = None  # its id and round

    @property
    def record(self) -> tuple[str, str, str]:
        return (self.event.source, self.event.kind, self.event.record_id)


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
        self._configurations = configurations
        self._dispatcher = ImportDispatcher(cast(Database, self._inside), clock, plugins, configurations)
        self._most = batch
        self._size = min(batch, 8)  # of the next batch: grows while batches go through, shrinks when they are cut short
        self._done = Imported()

    def run(
        self, files: ImportFiles, *, run_on: timedelta = RUN_ON, progress: Progress = lambda behind, at: None
    ) -> Imported:
        """Import what `files` found when they were scanned; an import that was cut short goes on where it ended.

        A line older than the time the database has reached is refused, since the clock never goes back.
        """
        done = self._done = Imported(read=files.read, refusals=list(files.refusals))
        self._begin(earliest(files, self._clock.now()))
        done.began_at = self._clock.now()
        feed = Feed(files.in_order())
        until: datetime | None = None  # known once the last line is behind
        is_more = True
        while is_more:
            with self._inside.begin() as connection:
                target = done.behind + done.timers + DURABLE
                while is_more and done.behind + done.timers < target:
                    is_more = self._step(connection, feed, until)
                    if not is_more and until is None:
                        until, is_more = self._clock.now() + run_on, True
            progress(done.behind, self._clock.now())
        done.ended_at = self._clock.now()
        return done

    def _begin(self, first: int) -> None:
        with self._inside.begin() as connection:
            reached = _reached(connection)
            begins = from_micros(first)
            self._clock.move_to(begins if reached is None else max(reached, begins))
            store(connection, [refusal.item() for refusal in self._done.refusals], self._clock.now())
            self._settle(connection)

    def _step(self, connection: Connection, feed: Feed, until: datetime | None) -> bool:
        """Do what comes next: some events and timers, or deliveries tried again. Return whether there was anything."""
        lines = feed.peek(self._size)
        if lines and lines[0].event.occurred_at < self._clock.now():
            self._take_old(connection, lines[0])
            feed.drop()
            return True
        horizon = lines[-1].event.occurred_at if lines else until
        if horizon is None:
            return False
        retry = self._next_retry(connection)
        items = self._next_items(connection, lines, horizon if retry is None else min(horizon, retry), retry)
        if items:
            self._dispatch(connection, feed, items)
            return True
        if retry is None or retry > horizon:
            return False
        self._clock.move_to(max(retry, self._clock.now()))
        self._settle(connection)
        return True

    def _take_old(self, connection: Connection, line: Line) -> None:
        """Take a line from before the time reached: known already, or refused."""
        if _is_known(connection, line.event):
            self._done.duplicates += 1
            return
        refusal = line.refused(
            f"Its time is before {format_instant(self._clock.now())}, which this database has reached; import older "
            "events first, or into a database of their own."
        )
        self._done.refusals.append(refusal)
        store(connection, [refusal.item()], self._clock.now())

    def _next_retry(self, connection: Connection) -> datetime | None:
        """Return when the first delivery that waits for its time is due."""
        if not self._dispatcher.has_open:
            return None
        found: datetime | None = connection.execute(FIRST_DELIVERY).scalar()
        self._dispatcher.has_open = found is not None
        return found

    def _next_items(
        self, connection: Connection, lines: Sequence[Line], horizon: datetime, before: datetime | None
    ) -> list[_Item]:
        """Return what happens next in its order, timers first at the same instant, at most one item for each record."""
        coming = [_Item(line.event.occurred_at, line.event) for line in lines]
        merged = sorted([*self._due_timers(connection, horizon), *coming], key=lambda item: item.at)
        chosen: dict[tuple[str, str, str], _Item] = {}
        for item in merged[: self._size]:
            if item.record in chosen or item.at > horizon or (before is not None and item.at >= before):
                break
            chosen[item.record] = item
        return list(chosen.values())

    def _due_timers(self, connection: Connection, horizon: datetime) -> list[_Item]:
        now = self._clock.now()
        items = []
        for event in self._due_events(connection, horizon):
            due = parse_instant(event.data["due_at"])
            at = max(due, now)
            data = {**event.data, "late": at - due > LATE_AFTER}
            timer = (str(data["timer_id"]), int(data["round"]))
            items.append(_Item(at, dataclasses.replace(event, data=data), timer))
        # Timers of one instant fire in the order of their ids, on every database.
        return sorted(items, key=lambda item: (item.at, item.event.occurred_at, item.timer))

    def _due_events(self, connection: Connection, horizon: datetime) -> Sequence[InboundEvent]:
        """Return the first timers that are due, all of an instant or none; those whose plugin is off are held."""
        configuration = self._configurations.current(connection)
        limit = self._size + 1
        while True:
            found = find_due(connection, configuration, horizon, limit=limit)
            held = [mark for mark in found.marks if mark["new_status"] == TimerStatus.HELD]
            if held:
                DueTimers((), held).mark(connection)
                continue
            if len(found.events) < limit:
                return found.events
            whole = [event for event in found.events if event.occurred_at < found.events[-1].occurred_at]
            if whole:
                return whole
            limit *= 2

    def _dispatch(self, connection: Connection, feed: Feed, items: Sequence[_Item]) -> None:
        """Accept the items and dispatch them; those behind the point where something else comes first are put back."""
        self._clock.move_to(items[-1].at)
        stored = store(connection, [item.event for item in items], self._clock.now())
        new = [place for place, is_new in enumerate(stored.is_new) if is_new]
        times = [{"id": stored.ids[place], "accepted_at": items[place].at} for place in new]
        update_rows(connection, events, "id", times)
        fired = [item for item in items if item.timer is not None]
        DueTimers((), [_mark(item) for item in fired]).mark(connection)
        count = 0
        while new and not count:  # deliveries that are due come in between; the dispatcher takes turns
            count = self._dispatcher.drain().events
        end = len(items) if count == len(new) else new[count]
        if end < len(items):
            self._put_back(connection, [stored.ids[place] for place in new[count:]], items[end:])
            self._clock.move_to(items[end - 1].at)
        self._size = min(self._most, 2 * self._size) if end >= self._size else max(1, end)
        self._count(feed, items[:end], stored.is_new)
        self._settle(connection)

    def _count(self, feed: Feed, items: Sequence[_Item], is_new: Sequence[bool]) -> None:
        for item, new in zip(items, is_new, strict=False):
            if item.timer is not None:
                self._done.timers += 1
                continue
            feed.drop()
            self._done.accepted += new
            self._done.duplicates += not new

    def _put_back(self, connection: Connection, ids: Sequence[str], items: Sequence[_Item]) -> None:
        connection.execute(sa.delete(events).where(events.c.id.in_(ids), events.c.status == EventStatus.ACCEPTED.value))
        names = [item.timer[0] for item in items if item.timer is not None]
        if names:
            again = sa.update(timers).where(timers.c.id.in_(names), timers.c.status == TimerStatus.FIRED.value)
            connection.execute(again.values(status=TimerStatus.PENDING.value, fired_at=None))

    def _settle(self, connection: Connection) -> None:
        """Dispatch what is accepted and what follows from it, until nothing is left to do at this instant."""
        while True:
            if self._dispatcher.has_open or self._has_accepted(connection):
                written = self._dispatcher.drain()
                if written.events or written.deliveries:
                    continue
            if not self._relay(connection):
                return

    def _has_accepted(self, connection: Connection) -> bool:
        waiting = sa.select(events.c.seq).where(sa.text(f"status = '{EventStatus.ACCEPTED}'")).limit(1)
        return connection.execute(waiting).first() is not None

    def _relay(self, connection: Connection) -> int:
        """Accept the follow-up events that wait; they are no more outward than what they follow from."""
        now = self._clock.now()
        found = find_follow_ups(connection, now)
        if found.events:
            store(connection, [dataclasses.replace(item, outward=False) for item in found.events], now)
            found.mark(connection, now)
            self._done.follow_ups += len(found.events)
        return len(found.events)


def _mark(item: _Item) -> dict[str, object]:
    assert item.timer is not None
    identity, round_ = item.timer
    return {"b_timer": identity, "its_round": round_, "new_status": TimerStatus.FIRED.value, "fired": item.at}


def _reached(connection: Connection) -> datetime | None:
    """Return the time that earlier imports into this database reached; times in it never fall."""
    latest = sa.select(events.c.accepted_at).order_by(events.c.seq.desc()).limit(1)
    found: datetime | None = connection.execute(latest).scalar()
    return found


def _is_known(connection: Connection, event: InboundEvent) -> bool:
    known = sa.select(events.c.seq).where(events.c.id == event_id(event.source, event.dedupe_key))
    return connection.execute(known).first() is not None
