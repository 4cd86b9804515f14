"""Messages on their way out: sent at least once under an id that never changes, retried, given up loudly."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.egress.whole_attempt import WHOLE_ATTEMPT_S
from core.host.settings import Configuration
from core.model.errors import printable
from core.model.outcomes import OutboxStatus
from core.pipeline.backoff import outbox_delay
from core.pipeline.ready import Withheld, make_ready
from core.pipeline.receivers import Pace, Place, Receiver, address_of, place_of
from core.pipeline.turns import is_our_turn, keep_attempts, read_attempts
from core.store.database import Database
from core.store.tables import outbox
from core.time.clock import Clock

CLAIM = timedelta(seconds=WHOLE_ATTEMPT_S + 5)
"""On PostgreSQL, where several couriers may share the outbox: how long a message belongs to the one that took it.

An attempt is cut off before that; the rest is for what comes before it and for writing down how it ended."""

LOOK_BACK = 5_000
"""How many of the newest messages a courier that starts looks at, to know what channels were just sent."""

GATHER_S = 0.02
PATIENCE_S = 0.2
_DUE = sa.text("status IN ('available', 'retryable')")

_TAKE = sa.update(outbox).where(outbox.c.seq == sa.bindparam("message")).values(due_at=sa.bindparam("until"))

_VALUES: dict[str, Any] = {
    "status": sa.bindparam("new_status"),
    "attempts": sa.bindparam("tries"),
    "due_at": sa.bindparam("due"),
    "reason": sa.bindparam("why"),
    "sent_at": sa.bindparam("at"),
}
# What a person decided while a message was on its way stays, but for one thing: what was sent was sent.
_ENDED = (
    sa.update(outbox)
    .where(
        outbox.c.seq == sa.bindparam("message"),
        outbox.c.status == sa.bindparam("old_status"),
        outbox.c.attempts == sa.bindparam("old_tries"),
    )
    .values(_VALUES)
)
_SENT = (
    sa.update(outbox)
    .where(outbox.c.seq == sa.bindparam("message"), sa.or_(_DUE, outbox.c.status == OutboxStatus.DISCARDED.value))
    .values(
        _VALUES
        | {
            "reason": sa.case(
                (
                    outbox.c.status == OutboxStatus.DISCARDED.value,
                    "it was on its way already; before that: " + outbox.c.reason,
                ),
                else_=sa.bindparam("why"),
            )
        }
    )
)


@dataclass(slots=True)
class Sender:
    """Takes due messages, sends them side by side, and writes down what became of each as soon as it is known."""

    database: Database
    clock: Clock
    configuration: Callable[[], Configuration]
    observe: Callable[[str, str], None] = lambda effect, result: None
    step: Callable[[str], None] = lambda name: None
    workers: int = 32
    _receivers: dict[Place, Receiver] = field(default_factory=dict)
    _paces: dict[Place, Pace] = field(default_factory=dict)
    _given_back: dict[Place, list[datetime]] = field(default_factory=dict)  # turns the others still count
    _flying: dict[int, Future[dict[str, Any]]] = field(default_factory=dict)
    _rows: dict[int, tuple[Any, datetime]] = field(default_factory=dict)  # with the time at which each was taken
    _pool: ThreadPoolExecutor | None = None

    def send_due(self, limit: int = 64) -> int:
        """Start what is due and write down what ended meanwhile; return how many messages that concerned.

        A slow receiver is not waited for: what is still on its way is written down by a later call.
        """
        now = self.clock.now()
        configuration = self.configuration()
        self._set_paces(configuration, now)
        started = self._take(now, min(limit, self.workers - len(self._flying)))
        if started:
            self._pool = self._pool or ThreadPoolExecutor(self.workers, thread_name_prefix="outbox")
            for row in started:
                place = place_of(row)
                self._receivers[place].in_flight += 1
                if place in self._paces:
                    self._paces[place].note(now)
                self._rows[row.seq] = row, now
                self._flying[row.seq] = self._pool.submit(self._send_one, row, configuration)
        if self._flying and wait(self._flying.values(), GATHER_S).not_done:
            wait(self._flying.values(), PATIENCE_S, return_when="FIRST_COMPLETED")
        return len(started) + self._write_down()

    def settle(self, timeout_s: float) -> int:
        """Wait for what is on its way and write it down; return how many are still on their way."""
        wait(self._flying.values(), timeout_s)
        self._write_down()
        return len(self._flying)

    def _take(self, now: datetime, limit: int) -> Sequence[Any]:
        if limit <= 0:
            return []
        if self.database.is_sqlite:
            with self.database.read() as connection:
                return self._with_room(connection.execute(self._due(now)).fetchall(), now, limit)
        # The locks and the later due time keep other couriers from sending the same. Neither is held while a receiver
        # takes its time: a transaction that waits for one would be ended, and what it sent would be sent again.
        with self.database.write() as connection:
            rows, ours = self._due_in_turn(connection, now)
            taken = self._with_room(rows, now, limit)
            if taken:
                connection.execute(_TAKE, [{"message": row.seq, "until": now + CLAIM} for row in taken])
            counts = Counter(place_of(row) for row in taken)
            for place in ours:
                begun = [(now, counts[place])] if counts[place] else []
                if begun or place in self._given_back:
                    keep_attempts(connection, place[1], [*self._paces[place].attempts, *begun], now)
        for place in ours:
            self._given_back.pop(place, None)
        return taken

    def _due_in_turn(self, connection: Connection, now: datetime) -> tuple[Sequence[Any], set[Place]]:
        """Return what is due, and the channels with a rate whose attempts no other courier counts before the commit."""
        ours: set[Place] = set()
        busy: set[Place] = set()
        while True:
            rows = connection.execute(self._due(now, busy).with_for_update(skip_locked=True)).fetchall()
            new = {place_of(row) for row in rows} & (self._paces.keys() - ours - busy)
            for place in sorted(new):
                if is_our_turn(connection, place[1]):
                    ours.add(place)
                    self._learn(place, read_attempts(connection, place[1]), now)
                else:
                    busy.add(place)
            # A channel that turns out to be full or another's turn must not take the places of what may go.
            if all(place in ours and self._room(place, now) for place in new):
                return rows, ours

    def _learn(self, place: Place, attempts: Iterable[tuple[datetime, int]], now: datetime) -> None:
        """Take over what all couriers began; where nothing of it counts, what this one knows from the outbox stays."""
        before = self._paces[place]
        pace = Pace.after((before.messages, before.seconds), attempts)
        if pace.room(now) < pace.messages:
            for began in self._given_back.get(place, ()):
                pace.forget(began)
            self._paces[place] = pace

    def _due(self, now: datetime, passed_over: Collection[Place] = ()) -> sa.Select[Any]:
        statement = sa.select(outbox).where(_DUE, outbox.c.due_at <= now, outbox.c.target != "inbox")
        closed = {place for place in self._receivers if not self._room(place, now)}.union(passed_over)
        for is_channel in (False, True):
            full = sorted(place[1] for place in closed if place[0] is is_channel)
            if full:
                is_such = outbox.c.effect == "notify" if is_channel else outbox.c.effect != "notify"
                statement = statement.where(sa.not_(sa.and_(is_such, outbox.c.target.in_(full))))
        if self._flying:
            statement = statement.where(outbox.c.seq.not_in(list(self._flying)))
        return statement.order_by(outbox.c.due_at, outbox.c.seq).limit(2 * self.workers)

    def _with_room(self, rows: Sequence[Any], now: datetime, limit: int) -> list[Any]:
        taken: list[Any] = []
        counts: dict[Place, int] = {}
        for row in rows:
            place = place_of(row)
            if counts.get(place, 0) < self._room(place, now) and len(taken) < limit:
                counts[place] = counts.get(place, 0) + 1
                taken.append(row)
        return taken

    def _room(self, place: Place, now: datetime) -> int:
        room = self._receivers.setdefault(place, Receiver()).room(now)
        return min(room, self._paces[place].room(now)) if place in self._paces else room

    def _set_paces(self, configuration: Configuration, now: datetime) -> None:
        """Keep a pace for each channel that has a rate; what was just sent counts, also before this courier began."""
        for slug, channel in configuration.channels.items():
            place = (True, slug)
            before = self._paces.get(place)
            if channel.rate is None:
                self._paces.pop(place, None)
            elif before is None or (before.messages, before.seconds) != channel.rate:
                known = before.attempts if before is not None else self._lately(slug, channel.rate, now)
                self._paces[place] = Pace.after(channel.rate, known)

    def _lately(self, slug: str, rate: tuple[int, float], now: datetime) -> list[tuple[datetime, int]]:
        newest = sa.select(sa.func.max(outbox.c.seq)).scalar_subquery()
        statement = sa.select(outbox.c.sent_at).where(
            outbox.c.seq > newest - LOOK_BACK,
            outbox.c.effect == "notify",
            outbox.c.target == slug,
            outbox.c.sent_at > now - timedelta(seconds=rate[1]),
        )
        with self.database.read() as connection:
            return [(at, 1) for at in connection.execute(statement).scalars()]

    def _write_down(self) -> int:
        ended = {seq: future.result() for seq, future in self._flying.items() if future.done()}
        if ended:
            # Only when it is written down are they forgotten: while the database is away they are not sent again.
            with self.database.write() as connection:
                results = list(ended.values())
                for statement, is_sent in ((_SENT, True), (_ENDED, False)):
                    its = [one for one in results if (one["new_status"] == OutboxStatus.SENT.value) is is_sent]
                    if its:
                        connection.execute(statement, its)
        for seq, result in ended.items():
            del self._flying[seq]
            row, taken_at = self._rows.pop(seq)
            place = place_of(row)
            self._receivers[place].in_flight -= 1
            if result["new_status"] == OutboxStatus.SUPPRESSED.value and place in self._paces:
                self._paces[place].forget(taken_at)
                if not self.database.is_sqlite:
                    self._given_back.setdefault(place, []).append(taken_at)
            self.observe(row.effect, result["new_status"])
        return len(ended)

    def _send_one(self, row: Any, configuration: Configuration) -> dict[str, Any]:
        """Try one message; return what to write down. Runs in a thread of the pool, and never raises."""
        try:
            return self._try(row, configuration)
        except Exception as error:
            # One message that cannot even be tried must not end the thread that sends all the others.
            return self._failed(row, printable(error, before=f"{type(error).__name__}: "), is_final=False, wait_s=None)

    def _try(self, row: Any, configuration: Configuration) -> dict[str, Any]:
        now = self.clock.now()
        address = address_of(row, configuration)
        if address.send is None:
            return _result(row, OutboxStatus.SUPPRESSED, row.attempts, now, address.missing)
        try:
            message = make_ready(self.database, row, now)
        except Withheld as withheld:
            return _result(row, OutboxStatus.SUPPRESSED, row.attempts, now, withheld.reason)
        began = time.perf_counter()
        sent = address.send(message, now, configuration.dispatch.egress_allow)
        self.step("sent_not_recorded")
        ended = self.clock.now()
        receiver = self._receivers[place_of(row)]
        # Who refuses one message for good is well, and need not be spared.
        is_well = sent.is_ok or (sent.is_final and sent.status is not None)
        receiver.note(is_well, time.perf_counter() - began, ended)
        if row.effect == "notify" and sent.retry_after_s is not None:
            receiver.spare(sent.retry_after_s, ended)
        if not sent.is_ok:
            return self._failed(row, sent.reason, is_final=sent.is_final, wait_s=sent.retry_after_s)
        return _result(row, OutboxStatus.SENT, row.attempts + 1, ended, None, at=ended)

    def _failed(self, row: Any, reason: str, *, is_final: bool, wait_s: float | None) -> dict[str, Any]:
        now, tries = self.clock.now(), row.attempts + 1
        delay = outbox_delay(tries, row.id)
        if is_final or delay is None:
            return _result(row, OutboxStatus.DISCARDED, tries, now, reason)
        if wait_s is not None:
            delay = max(delay, timedelta(seconds=wait_s))
        return _result(row, OutboxStatus.RETRYABLE, tries, now + delay, reason)


def _result(
    row: Any, status: OutboxStatus, tries: int, due: datetime, why: str | None, at: datetime | None = None
) -> dict[str, Any]:
    said = printable(why) if why else None
    return {
        "message": row.seq, "old_status": row.status, "old_tries": row.attempts,
        "new_status": status.value, "tries": tries, "due": due, "why": said, "at": at,
    }  # fmt: skip
