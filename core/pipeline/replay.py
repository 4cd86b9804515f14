"""Replays stored events: each gets new deliveries under a new generation, which the dispatcher picks up as open ones.

Messages of a replay stay in the house unless they are asked for, because receivers drop repeats only of the same id
and a new generation has new ids. A rejected event is mapped again and, when it maps now, accepted like a new one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.host.plugin import Plugin
from core.host.settings import Configuration
from core.model.errors import (
    CommitUncertain,
    Conflict,
    InvalidRequest,
    NotFound,
    OutriggerError,
    ReplayCutOff,
    did_you_mean,
)
from core.model.outcomes import EventStatus
from core.pipeline.inbox import wait_for_turn
from core.pipeline.listening import hears
from core.pipeline.replay_rejected import (
    NO_ADAPTERS,
    Remap,
    accept_mapped,
    count_reasons,
    is_of_rejected,
    map_again,
    map_batch,
)
from core.pipeline.replay_rows import earlier_generations, replayed_delivery
from core.pipeline.wake import notify
from core.store import audit
from core.store.database import Database
from core.store.reading.events import EventFilter
from core.store.reading.retention import is_removed, removed_up_to
from core.store.tables import deliveries, events
from core.time.clock import Clock

BATCH = 250
MAX_SET = 100_000

__all__ = ["Estimate", "Remap", "Replayed", "Replayer", "is_of_rejected"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """What replaying a set would do; `up_to` fixes the set against events that come later."""

    events: int
    deliveries: int
    by_type: Mapping[str, int]
    by_plugin: Mapping[str, int]
    up_to: int


@dataclass(slots=True)
class Replayed:
    """What a replay did."""

    events: int = 0
    deliveries: list[int] = field(default_factory=list)  # ids of the new deliveries
    accepted: list[str] = field(default_factory=list)  # ids of rejected events that map now
    still_rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)  # why those still do not map, and how many of them each


@dataclass(frozen=True, slots=True)
class Replayer:
    """Replays one event or a filtered set. `wake` tells the dispatcher of this process, if there is one."""

    database: Database
    clock: Clock
    configuration: Callable[[], Configuration]
    plugins: Callable[[], Mapping[str, Plugin]]
    remap: Remap | None = None
    wake: Callable[[], None] = lambda: None

    def replay_event(
        self,
        identity: str,
        *,
        plugin: str | None = None,
        outward: bool = False,
        units: frozenset[str] | None = None,
        actor: str,
    ) -> Replayed:
        """Replay one event, for one plugin only if named. `units` limits which units' plugins run (None: all).

        Raises NotFound, Conflict for an event that starts nothing yet or at all, ItemRejected when a rejected event
        still does not map.
        """
        with self.database.write() as connection:
            its_status = sa.select(events.c.status).where(events.c.id == identity)
            if connection.execute(its_status).scalar() == EventStatus.REJECTED:
                wait_for_turn(connection)
            row = connection.execute(sa.select(events).where(events.c.id == identity).with_for_update()).one_or_none()
            if row is None and units is None and is_removed(connection, identity):
                raise Conflict(f"The event {identity} was removed when its time was up, so it cannot be replayed.")
            if row is None or (units is not None and row.unit not in units):
                raise NotFound(f'There is no event "{identity[:80]}".')
            if row.status == EventStatus.REJECTED:
                result = self._map_again(connection, row)
            else:
                _check_replayable(row, removed_up_to(connection))
                result = self._add(connection, [row], plugin, outward, units)
                if not result.deliveries:
                    raise Conflict(self._nobody(row, plugin))
            self._record(connection, [row], result, row.unit, {"plugin": plugin, "outward": outward}, actor)
            notify(connection)
        self.wake()
        return result

    def estimate(self, chosen: EventFilter, *, plugin: str | None = None, up_to: int | None = None) -> Estimate:
        """Count what replaying the set would do; writes nothing."""
        self._check_set(chosen, plugin)
        with self.database.read() as connection:
            if up_to is None:
                up_to = connection.execute(sa.select(sa.func.max(events.c.seq))).scalar() or 0
            by_type: dict[str, int] = {}
            by_plugin: dict[str, int] = {}
            number = 0
            for rows in self._batches(connection, chosen, up_to):
                number += len(rows)
                for row in rows:
                    by_type[row.type] = by_type.get(row.type, 0) + 1
                if number > MAX_SET:
                    raise InvalidRequest(f"More than {MAX_SET} events fit; narrow the filter and replay in parts.")
                if is_of_rejected(chosen):
                    continue  # who will get them is known when they map
                earlier = earlier_generations(connection, [row.seq for row in rows])
                for row in rows:
                    for name, _ in self._audience(row, earlier.get(row.seq, (0, frozenset()))[1], plugin, chosen.units):
                        by_plugin[name] = by_plugin.get(name, 0) + 1
        return Estimate(
            events=number,
            deliveries=sum(by_plugin.values()),
            by_type=dict(sorted(by_type.items())),
            by_plugin=dict(sorted(by_plugin.items())),
            up_to=up_to,
        )

    def replay_set(
        self,
        chosen: EventFilter,
        confirmed: Estimate,
        *,
        plugin: str | None = None,
        outward: bool = False,
        progress: Callable[[int, int], None] = lambda done, total: None,
        actor: str,
    ) -> Replayed:
        """Replay the set the estimate counted, oldest first; `progress` is told (events done, events in all).

        Of a set of rejected events each is mapped again on its own; those that do not map stay as they are.

        Raises Conflict, before anything is written, when the set is another one by now, and ReplayCutOff when something
        ends it after a first part is committed.
        """
        fresh = self.estimate(chosen, plugin=plugin, up_to=confirmed.up_to)
        if (fresh.events, fresh.deliveries) != (confirmed.events, confirmed.deliveries):
            raise Conflict(
                f"The estimate said {confirmed.events} events and {confirmed.deliveries} deliveries; by now it is"
                f" {fresh.events} and {fresh.deliveries}. Ask for a new estimate."
            )
        total, last = Replayed(), None
        try:
            while batch := self._replay_batch(chosen, confirmed.up_to, last, plugin, outward, total, actor):
                last = batch[-1]
                self.wake()
                progress(total.events, confirmed.events)
        except Exception as error:
            if last is None:
                raise
            raise _cut_off(total.events, confirmed.events, last.id, error) from error
        return total

    # -- the parts

    def _replay_batch(
        self,
        chosen: EventFilter,
        up_to: int,
        last: Any,
        plugin: str | None,
        outward: bool,
        total: Replayed,
        actor: str,
    ) -> Sequence[Any]:
        """Replay the events of a set that come next after `last`, count them in `total` and return what came next."""
        done, reasons = Replayed(), Counter[str]()
        with self.database.write() as connection:
            if is_of_rejected(chosen):
                wait_for_turn(connection)
            batch = self._batch(connection, chosen, last.seq if last is not None else 0, up_to)
            rows = self._still_there(connection, chosen, batch)
            if not rows:
                return batch
            if is_of_rejected(chosen):
                done.accepted, reasons = map_batch(connection, self.remap, rows, self.clock.now())
            else:
                done = self._add(connection, rows, plugin, outward, chosen.units)
            self._record(connection, rows, done, chosen.unit, {"plugin": plugin, "outward": outward}, actor)
            notify(connection)
        total.events += len(rows)
        total.deliveries += done.deliveries
        total.accepted += done.accepted
        total.still_rejected += sum(reasons.values())
        count_reasons(total.reasons, reasons)
        return batch

    def _still_there(self, connection: Connection, chosen: EventFilter, batch: Sequence[Any]) -> Sequence[Any]:
        """Lock the events of a batch and return those that still belong to the set.

        Until the new deliveries are committed retention must not remove an event, and a second replay of it waits, so
        that each makes a generation of its own and a rejected event is mapped once.
        """
        numbers = [row.seq for row in batch]
        locked = sa.select(events).where(*_meant(chosen), events.c.seq.in_(numbers)).order_by(events.c.seq)
        rows = connection.execute(locked.with_for_update()).fetchall() if numbers else []
        removed = removed_up_to(connection) if rows and not is_of_rejected(chosen) else 0
        return [row for row in rows if row.seq > removed]

    def _batches(self, connection: Connection, chosen: EventFilter, up_to: int) -> Any:
        after = 0
        while rows := self._batch(connection, chosen, after, up_to):
            after = rows[-1].seq
            yield rows

    def _batch(self, connection: Connection, chosen: EventFilter, after: int, up_to: int) -> Sequence[Any]:
        after = max(after, removed_up_to(connection) if not is_of_rejected(chosen) else 0)
        statement = sa.select(events).where(*_meant(chosen), events.c.seq > after, events.c.seq <= up_to)
        return connection.execute(statement.order_by(events.c.seq).limit(BATCH)).fetchall()

    def _add(
        self,
        connection: Connection,
        rows: Sequence[Any],
        plugin: str | None,
        outward: bool,
        units: frozenset[str] | None,
    ) -> Replayed:
        """Insert one new generation of deliveries for the rows of one batch."""
        if plugin is not None:
            self._known_plugin(plugin)
        now, number = self.clock.now(), self.configuration().number
        earlier = earlier_generations(connection, [row.seq for row in rows])
        new = [
            replayed_delivery(row, name, unit, generation + 1, outward, number, now)
            for row in rows
            for generation, old_units in (earlier.get(row.seq, (0, frozenset())),)
            for name, unit in self._audience(row, old_units, plugin, units)
        ]
        result = Replayed(events=len(rows))
        if new:
            inserted = connection.execute(sa.insert(deliveries).returning(deliveries.c.id), new)
            result.deliveries = sorted(int(identity) for (identity,) in inserted)
        return result

    def _audience(
        self, row: Any, old_units: frozenset[str], plugin: str | None, allowed: frozenset[str] | None
    ) -> list[tuple[str, str]]:
        """Return (plugin, unit): who is switched on today and hears the event, in the units it was delivered to."""
        configuration, plugins = self.configuration(), self.plugins()
        only = json.loads(row.data).get("plugin") if row.type == "timer.due" else None
        units = sorted(old_units | ({row.unit} if row.unit else set()))
        return [
            (name, unit)
            for unit in units
            if allowed is None or unit in allowed
            for name in configuration.enabled_plugins(unit)
            if (plugin is None or name == plugin)
            and (only is None or name == only)
            and name in plugins
            and hears(plugins[name], row.type)
        ]

    def _known_plugin(self, plugin: str) -> None:
        if plugin not in self.plugins():
            raise InvalidRequest(f'There is no plugin "{plugin[:80]}".{did_you_mean(plugin, self.plugins())}')

    def _nobody(self, row: Any, plugin: str | None) -> str:
        who = f"The plugin {plugin} is not" if plugin else "No plugin is"
        return f"{who} switched on for {row.type} in unit {row.unit}, so there is nothing to replay."

    def _check_set(self, chosen: EventFilter, plugin: str | None) -> None:
        """Check that a set can be replayed at all. Raises InvalidRequest or Conflict."""
        if plugin is not None:
            self._known_plugin(plugin)
        if chosen.status not in (None, EventStatus.DISPATCHED, EventStatus.REJECTED):
            raise InvalidRequest("Only dispatched and rejected events can be replayed.")
        if not is_of_rejected(chosen):
            return
        if self.remap is None:
            raise Conflict(NO_ADAPTERS)
        if plugin is not None:
            raise InvalidRequest("A rejected event that maps now goes to every plugin, so none can be named.")

    def _map_again(self, connection: Connection, row: Any) -> Replayed:
        item = map_again(self.remap, row)
        return Replayed(events=1, accepted=accept_mapped(connection, row, item, self.clock.now()))

    def _record(
        self,
        connection: Connection,
        rows: Sequence[Any],
        done: Replayed,
        unit: str | None,
        how: Mapping[str, Any],
        actor: str,
    ) -> None:
        """Write one row for what was replayed in this transaction, a single event or a batch of a set."""
        what = {"events": len(rows), "deliveries": len(done.deliveries), "accepted": len(done.accepted)}
        first, last = rows[0].id, rows[-1].id
        audit.append(
            connection, actor=actor, unit=unit, now=self.clock.now(),
            action="rejected.replayed" if rows[0].status == EventStatus.REJECTED else "event.replayed",
            subject=first if first == last else f"{first} to {last}", details={**how, **what},
        )  # fmt: skip


def _meant(chosen: EventFilter) -> list[sa.ColumnElement[bool]]:
    # Only dispatched events can be dispatched again; skipped ones started nothing and start nothing now.
    return replace(chosen, status=chosen.status or EventStatus.DISPATCHED.value).conditions()


def _cut_off(done: int, of: int, last: str, error: Exception) -> ReplayCutOff:
    why = error.message if isinstance(error, OutriggerError) and error.http_status < 500 else type(error).__name__
    # The batch whose answer was lost is counted nowhere: it is replayed wholly or not at all.
    doubtful = (
        f" Whether the next {min(BATCH, of - done)} are replayed too is not known: look at their deliveries first."
    )
    return ReplayCutOff(
        f"The replay ended after {done} of {of} events, of which {last} was the last; these are replayed and stay so."
        f"{doubtful if isinstance(error, CommitUncertain) else ''}"
        f" For the others ask for an estimate of what came after it, by `since`. The reason was: {why}"
    )


def _check_replayable(row: Any, up_to: int) -> None:
    if row.seq <= up_to:
        raise Conflict(
            "What came before this event was removed when its time was up, so no plugin could see the record as it was"
            " then; the event cannot be replayed."
        )
    if row.status == EventStatus.ACCEPTED:
        raise Conflict("The event is not dispatched yet; there is nothing to do again.")
    if row.status == EventStatus.SKIPPED:
        raise Conflict(f"The event was skipped ({row.status_reason}); it started nothing and starts nothing now.")
