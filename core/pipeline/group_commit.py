"""The group commit of the webhooks: one durable transaction for all requests that wait, and an answer for each.

Nothing is acknowledged before it is on disk; whatever goes wrong becomes a 503 for those it concerns.
"""

from __future__ import annotations

import functools
import queue
import threading
from collections.abc import Callable, Iterable, Sequence

import sqlalchemy as sa
import structlog

from core.model.errors import StorageUnavailable
from core.model.inbound import Accepted, InboundItem
from core.pipeline.inbox import Stored, store
from core.store.database import Database
from core.time.clock import Clock

TOO_MANY = "Too many stored events wait for a worker; send it again later."

_log = structlog.get_logger("outrigger.inbox")


class Waiting:
    """One request's items on their way to the disk; whoever stored them answers for them."""

    __slots__ = ("_answered", "accepted", "error", "items")

    def __init__(self, items: Sequence[InboundItem]) -> None:
        self.items = items
        self.accepted: Accepted | None = None
        self.error: StorageUnavailable | None = None
        self._answered = threading.Lock()
        self._answered.acquire()

    def answer(self, accepted: Accepted | None, error: StorageUnavailable | None = None) -> None:
        """Say how it went, and wake whoever waits."""
        self.accepted, self.error = accepted, error
        self._answered.release()

    def wait(self, patience_s: float) -> bool:
        """Wait for the answer; return whether it came."""
        return self._answered.acquire(timeout=patience_s)

    def result(self) -> Accepted:
        """Return the answer. Raises StorageUnavailable when storing failed."""
        if self.error is not None:
            raise self.error
        assert self.accepted is not None
        return self.accepted


class GroupCommit:
    """Stores the items of many waiting requests in one durable transaction, and answers each."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        wake: Callable[[Iterable[int]], None] = lambda lanes: None,
        observe: Callable[[Sequence[InboundItem], Stored], None] = lambda items, stored: None,
        origin: str = "",
    ) -> None:
        """`wake` tells this machine's workers, whose listener knows the server's own notices by `origin`."""
        self._database = database
        self._clock = clock
        self._wake = wake
        self._observe = observe
        self._origin = origin

    def commit(self, group: Sequence[Waiting], answered: Callable[[], None] = lambda: None) -> None:
        """Store a group and answer it. Never raises: whatever goes wrong becomes the answer of those it concerns.

        `answered` is called once all have their answer, before those who only watch are told.
        """
        kept = self._store_and_answer(group)
        answered()
        for items, stored in kept:
            _guarded(functools.partial(self._observe, items, stored))

    def _store_and_answer(self, group: Sequence[Waiting]) -> list[tuple[Sequence[InboundItem], Stored]]:
        items = [item for waiting in group for item in waiting.items]
        try:
            stored = self._store(items)
        except StorageUnavailable as error:
            for waiting in group:
                waiting.answer(None, error)
            return []
        except Exception as error:
            if len(group) == 1:
                letter = f"The event could not be stored: {type(error).__name__}: {error}"
                group[0].answer(None, StorageUnavailable(letter))
                return []
            # One request's content must not cost the others theirs, so each gets a transaction of its own.
            return [kept for waiting in group for kept in self._store_and_answer([waiting])]
        start = 0
        for waiting in group:
            waiting.answer(stored.slice(start, start + len(waiting.items)))
            start += len(waiting.items)
        return [(items, stored)]

    def _store(self, items: Sequence[InboundItem]) -> Stored:
        for attempt in range(5):
            try:
                with self._database.write() as connection:
                    stored = store(connection, items, self._clock.now(), origin=self._origin)
                break
            except sa.exc.IntegrityError:
                # Another web process stored one of these ids meanwhile; now it is visible and a duplicate.
                if attempt == 4:
                    raise
        _guarded(functools.partial(self._wake, stored.lanes))
        return stored


def _guarded(tell: Callable[[], None]) -> None:
    try:
        tell()
    except Exception as error:
        # The events are on disk. Whoever only watches must not make it look as if they were not.
        _log.error("observer_failed", error=f"{type(error).__name__}: {error}")


class InboxWriter:
    """The group-commit writer for servers of many threads: one thread stores for all who wait."""

    def __init__(
        self,
        group_commit: GroupCommit,
        *,
        is_full: Callable[[], bool] = lambda: False,
        max_waiting: int = 2_000,
        max_batch: int = 500,
        patience_s: float = 10.0,
    ) -> None:
        self._group_commit = group_commit
        self._is_full = is_full
        self._max_batch = max_batch
        self._patience_s = patience_s
        self._queue: queue.Queue[Waiting | None] = queue.Queue(maxsize=max_waiting)
        self._thread = threading.Thread(target=self._run, name="inbox-writer", daemon=True)
        self._thread.start()

    def accept(self, items: Sequence[InboundItem]) -> Accepted:
        """Store the items and return when they are on disk. Raises StorageUnavailable when that failed."""
        if not items:
            return Accepted(event_ids=())
        if self._is_full():
            raise StorageUnavailable(TOO_MANY)
        waiting = Waiting(items)
        try:
            self._queue.put_nowait(waiting)
        except queue.Full:
            raise StorageUnavailable("Too many requests are waiting to be stored; send it again later.") from None
        if not waiting.wait(self._patience_s):
            raise StorageUnavailable(
                "Storing took too long; it may or may not have been stored. Sending it again is safe."
            )
        return waiting.result()

    def close(self) -> None:
        """Store what is waiting, then stop."""
        self._queue.put(None)
        self._thread.join(timeout=self._patience_s)

    def _run(self) -> None:
        while True:
            first = self._queue.get()
            if first is None:
                return
            group, stop = [first], False
            size = len(first.items)
            while size < self._max_batch:
                try:
                    following = self._queue.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    stop = True
                    break
                group.append(following)
                size += len(following.items)
            self._group_commit.commit(group)
            if stop:
                return
