"""The courier process: fires due timers, relays follow-up events and sends what waits in the outbox."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import structlog

from core.host.settings import Configuration
from core.model.errors import StorageUnavailable
from core.pipeline.dispatch import ConfigurationSource
from core.pipeline.inbox import store
from core.pipeline.outbox import Sender
from core.pipeline.relay import FollowUps, find_follow_ups, has_follow_ups, is_alone
from core.pipeline.slot import CallSlot
from core.pipeline.timers import DueTimers, find_due, is_any_due, release_held
from core.pipeline.wake import Bell
from core.store.database import Database
from core.store.standing_version import standing_version
from core.time.clock import Clock

IDLE_S = 0.25
LAST_WAIT_S = 15.0
"""How long a courier that stops waits for the messages on their way, so that they are not sent again."""

_log = structlog.get_logger("outrigger.courier")


@dataclass(slots=True)
class Courier:
    """One courier's surroundings. It runs no plugin code, so no plugin can stop it."""

    database: Database
    clock: Clock
    configurations: ConfigurationSource
    slot: CallSlot
    own_bell: Bell
    wake_workers: Callable[[Iterable[int]], None]
    stopping: Callable[[], bool]
    observe: Callable[[str, str], None] = lambda effect, result: None
    step: Callable[[str], None] = lambda name: None
    upkeep: Callable[[], None] = lambda: None  # what else is done now and then, in small steps
    origin: str = ""  # by which this machine's listener knows what was rung here already
    _configuration: Configuration | None = field(default=None)
    _released: int | None = field(default=None)  # the version whose held timers were let go
    _rung: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Work until told to stop; a database that is away is waited for."""
        sender = threading.Thread(target=self._send, name="sender", daemon=True)
        pause = 0.1
        while not self.stopping():
            self.slot.beat()
            try:
                did = self.pass_on()
                self.upkeep()
                pause = 0.1
            except StorageUnavailable as error:
                _log.warning("database_away", reason=error.message, retry_in_s=pause)
                self.own_bell.wait(pause)
                pause = min(pause * 2, 2.0)
                continue
            if sender.ident is None:
                sender.start()  # only now is there a configuration to send by
            if not did:
                self._rung.set()
                self.own_bell.wait(IDLE_S)
        self._rung.set()
        if sender.ident is not None:
            sender.join(timeout=20)

    def _send(self) -> None:
        """Send in a thread of its own, since a slow receiver must not hold up timers and follow-ups."""
        sender = Sender(self.database, self.clock, self._current, observe=self.observe, step=self.step)
        while not self.stopping():
            try:
                did = sender.send_due()
            except StorageUnavailable as error:
                _log.warning("database_away", reason=error.message)
                did = 0
            except Exception as error:
                # A sender that ended silently would be worse than one that tries again.
                _log.exception("sending_failed", error=f"{type(error).__name__}: {error}")
                did = 0
            if not did:
                self._rung.wait(IDLE_S)
                self._rung.clear()
        with contextlib.suppress(StorageUnavailable):
            sender.settle(LAST_WAIT_S)

    def pass_on(self) -> int:
        """Accept due timers and follow-up events as new events; return how many."""
        now = self.clock.now()
        with self.database.read() as reading:
            newest = self.configurations.current(reading)
            is_due = is_any_due(reading, now) or has_follow_ups(reading)
        self._adopt(newest)
        if not is_due:
            return 0
        with self.database.write() as connection:
            # Looked for again inside the transaction: a timer cancelled meanwhile must not fire.
            due = find_due(connection, newest, now)
            if due.are_some_held and standing_version(connection) != newest.number:
                due = DueTimers((), ())  # whoever adopted the newer version has let held timers go; the next pass looks
            follow_ups = find_follow_ups(connection) if is_alone(connection) else FollowUps((), ())
            stored = store(connection, [*follow_ups.events, *due.events], now, origin=self.origin)
            due.mark(connection)
            follow_ups.mark(connection, now)
        count = len(due.marks) + len(follow_ups.messages)
        if count:
            self.wake_workers(stored.lanes)
        return count

    def _current(self) -> Configuration:
        assert self._configuration is not None
        return self._configuration

    def _adopt(self, newest: Configuration) -> None:
        """Take a newer configuration version; timers whose plugin it switches on run again."""
        if self._released == newest.number:
            return
        if self._configuration is None or newest.number != self._configuration.number:
            _log.info("configuration_picked_up", version=newest.number)
        self._configuration = newest
        with self.database.write() as connection:
            released, is_all = release_held(connection, newest)
        if is_all:
            self._released = newest.number  # not before it is committed: else a failure would hold timers for good
        if released:
            _log.info("timers_released", count=released)
