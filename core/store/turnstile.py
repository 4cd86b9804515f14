"""The fair write queue in front of SQLite: writers of all processes and threads take turns.

Two file locks: whoever waits for the write lock holds the queue lock meanwhile, so a writer that comes back at once
stands behind the one already waiting. The kernel drops both locks when a process dies; a stopped process that holds
one is ended by the supervisor, so waiting in the kernel needs no time-out of its own.
"""

from __future__ import annotations

import fcntl
import os
import threading
from types import TracebackType

from core.model.errors import StorageUnavailable


class Turnstile:
    """A lock between processes and threads that nobody can overtake twice; used as a context manager."""

    def __init__(self, path: str, *, wait_s: float = 30.0) -> None:
        self._path = path
        self._wait_s = wait_s
        self._thread_queue = threading.Lock()
        self._thread_write = threading.Lock()
        self._files: tuple[int, int] | None = None
        self._owner_pid = 0

    def _open(self) -> tuple[int, int]:
        # A forked child must not share its parent's locks, so each process opens the files anew.
        if self._files is None or self._owner_pid != os.getpid():
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._files = (os.open(self._path + ".queue", flags, 0o600), os.open(self._path + ".write", flags, 0o600))
            self._owner_pid = os.getpid()
        return self._files

    def __enter__(self) -> Turnstile:
        with self._thread_queue:
            if not self._thread_write.acquire(timeout=self._wait_s):
                raise StorageUnavailable("The write queue is stuck: a writer of this process does not finish.")
            try:
                queue, write = self._open()
                fcntl.flock(queue, fcntl.LOCK_EX)
                try:
                    fcntl.flock(write, fcntl.LOCK_EX)
                finally:
                    fcntl.flock(queue, fcntl.LOCK_UN)
            except BaseException:
                self._thread_write.release()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._files is not None
        fcntl.flock(self._files[1], fcntl.LOCK_UN)
        self._thread_write.release()

    def close(self) -> None:
        """Close the lock files."""
        if self._files is not None and self._owner_pid == os.getpid():
            for descriptor in self._files:
                os.close(descriptor)
        self._files = None
