"""Serves the webhook requests of one web process in its event loop, so that many of them share one durable commit.

With a thread for each request, threads hand the interpreter to one another at every system call, which costs more than
the work. Here each request runs in a greenlet until its items are to be stored; what got that far is stored by one
transaction in one committing thread, and then each request goes on to its answer. Other requests keep their threads.
"""

from __future__ import annotations

import functools
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import greenlet
import structlog
from waitress.task import ThreadedTaskDispatcher

from core.model.errors import StorageUnavailable
from core.model.inbound import Accepted, InboundItem
from core.pipeline.group_commit import TOO_MANY, GroupCommit, InboxWriter, Waiting
from core.web.refusals import Refusals

MAX_GROUP = 128
MAX_PARKED = 2_000
MAX_ITEMS = 5_000
"""From how many items on a group takes no more requests; the others wait unread, so that bodies of a thousand items
neither fill the memory nor make one transaction for which everybody else waits."""

WEBHOOKS = "/webhooks/"

PATIENCE_S = 0.02
"""How long the event loop waits for a commit before it goes on with other connections. While it waits, the committing
thread has the interpreter to itself; a database that is slow or away must not keep health checks from their answer."""

_log = structlog.get_logger("outrigger.web")


@dataclass(slots=True)
class _Group:
    """Requests whose items are stored by one transaction."""

    waiting: list[Waiting] = field(default_factory=list)
    requests: list[greenlet.greenlet] = field(default_factory=list)
    items: int = 0
    stored: threading.Event = field(default_factory=threading.Event)


class AcknowledgingDispatcher(ThreadedTaskDispatcher):
    """Waitress's task dispatcher, but for webhooks: those are served in groups by the event loop, at each `turn`."""

    def __init__(
        self,
        group_commit: GroupCommit,
        writer: InboxWriter,
        is_full: Callable[[], bool],
        refusals: Refusals | None = None,
    ) -> None:
        super().__init__()
        self._refusals = refusals
        self._group_commit = group_commit
        self._writer = writer
        self._is_full = is_full
        self._channels: deque[Any] = deque()
        self._parked = _Group()
        self._in_flight: _Group | None = None
        self._hub: greenlet.greenlet | None = None
        self._to_commit: queue.SimpleQueue[_Group] = queue.SimpleQueue()
        self._wake_loop: Callable[[], None] = lambda: None
        threading.Thread(target=self._commit_groups, name="committer", daemon=True).start()

    @property
    def busy(self) -> int:
        """How many requests are being served or wait for it."""
        in_flight = len(self._in_flight.requests) if self._in_flight is not None else 0
        return len(self._channels) + len(self._parked.requests) + in_flight + int(self.active_count) + len(self.queue)

    def add_task(self, task: Any) -> None:
        """Take a channel whose next request is complete."""
        request = task.requests[0] if getattr(task, "requests", None) else None
        if request is not None and request.error:
            self._note_refusal(task, request)
        if request is None or request.error or not request.path.startswith(WEBHOOKS):
            super().add_task(task)
            return
        self._channels.append(task)
        self._wake_loop()

    def _note_refusal(self, channel: Any, request: Any) -> None:
        """Write down a webhook that the server itself refuses, before the app sees it: it is far too large, mostly."""
        path, error = getattr(request, "path", None) or "", request.error
        if self._refusals is None or not path.startswith(WEBHOOKS):
            return
        code = "webhook.too_large" if error.code == 413 else "bad_request"
        self._refusals.note(path, status=error.code, code=code, reason=f"{error.reason}", client=channel.addr[0])

    def accept(self, items: Sequence[InboundItem]) -> Accepted:
        """Store the items durably: with its group when called by the event loop, else through the writer thread."""
        hub, current = self._hub, greenlet.getcurrent()
        if hub is None or current.parent is not hub:
            return self._writer.accept(items)
        if not items:
            return Accepted(event_ids=())
        if self._is_full() or len(self._parked.requests) >= MAX_PARKED:
            raise StorageUnavailable(TOO_MANY)
        waiting = Waiting(items)
        self._parked.waiting.append(waiting)
        self._parked.requests.append(current)
        self._parked.items += len(items)
        hub.switch()
        return waiting.result()

    def begin(self, wake_loop: Callable[[], None]) -> None:
        """Make the calling thread's loop the one that serves webhooks; `wake_loop` interrupts its poll."""
        self._hub = greenlet.getcurrent()
        self._wake_loop = wake_loop

    def turn(self) -> None:
        """Answer what was stored, serve what arrived as far as its items, and hand those to the committing thread."""
        if self._in_flight is not None and self._in_flight.stored.is_set():
            self._answer(self._in_flight)
        for _ in range(min(len(self._channels), MAX_GROUP)):
            if self._parked.items >= MAX_ITEMS:
                break  # that group is handed on, and its end wakes the loop
            greenlet.greenlet(_service).switch(self._channels.popleft())
        if self._parked.requests and self._in_flight is None:
            group, self._parked = self._parked, _Group()
            self._in_flight = group
            self._to_commit.put(group)
            if group.stored.wait(PATIENCE_S):
                self._answer(group)

    def _answer(self, group: _Group) -> None:
        self._in_flight = None
        for request in group.requests:
            request.switch()

    def _commit_groups(self) -> None:
        while True:
            group = self._to_commit.get()
            self._group_commit.commit(group.waiting, functools.partial(self._stored, group))

    def _stored(self, group: _Group) -> None:
        group.stored.set()
        self._wake_loop()


def _service(channel: Any) -> None:
    """Serve a channel's next request; waitress turns an exception of the app into a 500 itself."""
    try:
        channel.service()
        if channel.connected and channel.writable():
            channel.handle_write()  # at once, as this is the event loop's thread, instead of after another poll
    except Exception as error:
        # A connection that broke while its answer was written concerns nobody else in the group.
        _log.warning("channel_failed", error=f"{type(error).__name__}: {error}")
