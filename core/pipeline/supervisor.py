"""Runs the server's processes: starts them, restarts what crashed or hangs, names the culprit, stops gracefully.

The supervisor itself opens no database and runs no plugin. Children are forked from it with everything imported, so
a new one works within milliseconds; each dies with the supervisor, which it notices by the end of a shared pipe.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from core.pipeline.slot import Call, CallSlot

POLL_S = 0.05
KILL_SLACK_S = 0.1
SILENT_LIMIT_S = 30.0
GRACE_S = 28.0
STOPPING = (signal.SIGTERM, signal.SIGINT)

_log = structlog.get_logger("outrigger.supervisor")


@dataclass(frozen=True, slots=True)
class Start:
    """What a new child is told: its slot, whether to stop, and what the one before it died of."""

    slot: CallSlot
    stopping: Callable[[], bool]
    crash: tuple[Call, str] | None


@dataclass(slots=True)
class Child:
    """One process to keep running."""

    name: str
    target: Callable[[Start], None]
    slot: CallSlot = field(default_factory=CallSlot)
    watch_silence: bool = True
    pid: int = 0
    started_at: float = 0.0
    quick_deaths: int = 0
    start_after: float = 0.0
    crash: tuple[Call, str] | None = None
    killed_because: str = ""
    suspicion: int = 0

    @property
    def works(self) -> bool:
        """Whether it has come so far that it tells of its life; who never tells is believed."""
        return bool(self.pid) and (not self.watch_silence or self.slot.has_beaten_since(self.started_at))


class Supervisor:
    """Keeps children alive until a signal says stop; `run` returns the exit code."""

    def __init__(
        self, children: list[Child], *,
        on_started: Callable[[], None] = lambda: None,
        on_ready: Callable[[], object] = lambda: None,
        on_stopping: Callable[[], object] = lambda: None,
    ) -> None:  # fmt: skip
        """`on_ready` is called once, when every child has said that it works; `on_stopping` when a signal says stop."""
        self.children = children
        self._on_started, self._on_ready, self._on_stopping = on_started, on_ready, on_stopping
        self._is_ready = False
        self._stop_at = 0.0
        self._lifeline_read, self._lifeline_write = os.pipe()
        self._signal_read, self._signal_write = os.pipe()
        os.set_blocking(self._signal_write, False)
        os.set_blocking(self._signal_read, False)

    def run(self) -> int:
        """Start every child and watch over them until SIGTERM or SIGINT; returns 0 when all stopped in time."""
        signal.set_wakeup_fd(self._signal_write, warn_on_full_buffer=False)
        for number in STOPPING:
            signal.signal(number, self._begin_stop)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        gc.freeze()  # so that collections of the children leave the pages alone that they share
        for child in self.children:
            self._start(child)
        self._on_started()
        while True:
            self._wait()
            self._reap()
            if self._stop_at:
                if not any(child.pid for child in self.children):
                    return 0
                if time.monotonic() > self._stop_at + GRACE_S:
                    return self._give_up()
                continue
            for child in self.children:
                if child.pid:
                    self._watch(child)
                elif time.monotonic() >= child.start_after:
                    self._start(child)
            if not self._is_ready and all(child.works for child in self.children):
                self._is_ready = True
                self._on_ready()

    def _begin_stop(self, number: int, frame: object) -> None:
        if self._stop_at:
            return
        self._stop_at = time.monotonic()
        self._on_stopping()
        for child in self.children:
            if child.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGTERM)

    def _give_up(self) -> int:
        for child in self.children:
            if child.pid:
                _log.error("killed_at_stop", child=child.name, pid=child.pid)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGKILL)
        return 1

    def _wait(self) -> None:
        select.select([self._signal_read], [], [], POLL_S)
        with contextlib.suppress(BlockingIOError):
            os.read(self._signal_read, 4096)

    def _start(self, child: Child) -> None:
        # A signal to stop waits until the child listens to it by itself, and until it is known whom to pass it on to.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        try:
            if not self._stop_at:
                self._fork(child)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)

    def _fork(self, child: Child) -> None:
        crash, child.crash = child.crash, None
        child.slot.clear()
        child.killed_because, child.suspicion = "", 0
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._be(child, crash)
        child.pid, child.started_at = pid, time.monotonic()
        _log.info("started", child=child.name, pid=pid)

    def _be(self, child: Child, crash: tuple[Call, str] | None) -> None:
        """Be the child; never returns."""
        status = 70
        try:
            signal.set_wakeup_fd(-1)
            os.close(self._lifeline_write)
            stopping = threading.Event()
            signal.signal(signal.SIGTERM, lambda number, frame: stopping.set())
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C reaches the supervisor, which decides
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
            threading.Thread(target=self._die_with_parent, daemon=True, name="lifeline").start()
            child.target(Start(child.slot, stopping.is_set, crash))
            status = 0
        except SystemExit as leaving:
            status = leaving.code if isinstance(leaving.code, int) else 1
        except BaseException as error:
            _log.exception("child_failed", child=child.name, error=str(error))
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _die_with_parent(self) -> None:
        os.read(self._lifeline_read, 1)
        os._exit(71)

    def _reap(self) -> None:
        for child in self.children:
            if not child.pid:
                continue
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                self._ended(child, status)

    def _ended(self, child: Child, status: int) -> None:
        lived = time.monotonic() - child.started_at
        code = os.waitstatus_to_exitcode(status)
        child.pid = 0
        if self._stop_at:
            return
        how = child.killed_because or (f"signal {-code}" if code < 0 else f"exit code {code}")
        call = child.slot.current()
        if call is not None:
            child.crash = (call, how)
        child.quick_deaths = child.quick_deaths + 1 if lived < 2.0 else 0
        # The first restarts are immediate; a child that cannot live is tried ever more rarely, at most every 10 s.
        pause = 0.0 if child.quick_deaths < 3 else min(0.2 * 2 ** (child.quick_deaths - 3), 10.0)
        child.start_after = time.monotonic() + pause
        _log.error(
            "child_ended", child=child.name, how=how, lived_s=round(lived, 3), restart_in_s=pause,
            plugin=call.plugin if call else None, unit=call.unit if call else None,
        )  # fmt: skip
        if not pause:
            self._start(child)

    def _watch(self, child: Child) -> None:
        why = ""
        if child.slot.overdue_s() > KILL_SLACK_S:
            call = child.slot.current()
            why = f"hung in plugin {call.plugin}" if call else "hung"
        elif child.watch_silence and child.slot.silent_s() > SILENT_LIMIT_S:
            why = f"silent for {SILENT_LIMIT_S:.0f} s"
        # Two looks in a row must agree, since a child is not killed on one reading of what it is just writing.
        child.suspicion = child.suspicion + 1 if why else 0
        if child.suspicion >= 2:
            self._kill(child, why)

    def _kill(self, child: Child, why: str) -> None:
        child.killed_because = why
        _log.error("killing", child=child.name, pid=child.pid, why=why)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
