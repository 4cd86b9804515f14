"""Somebody else at the same PostgreSQL: connections of their own, and a thread that waits behind the test's locks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from core.store.database import Database

PATIENCE_S = 20.0
_WAITS = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = ANY(%s)"


class Somebody:
    """Acts in a thread, through a database object of its own."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        self._pids: list[int] = []
        self._thread: threading.Thread | None = None
        self._result: list[Any] = []
        sa.event.listen(self.database.engine, "connect", lambda driver, _: self._pids.append(driver.info.backend_pid))

    def begins(self, act: Callable[[], Any]) -> None:
        """Let `act` run until it waits for a lock that another transaction holds."""

        def run() -> None:
            try:
                self._result.append(act())
            except Exception as error:
                self._result.append(error)

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        give_up_at = time.monotonic() + PATIENCE_S
        while not self._waits():
            assert self._thread.is_alive(), f"nobody was waited for: {self._result}"
            assert time.monotonic() < give_up_at, "it neither waits nor ends"
            threading.Event().wait(0.01)

    def ends(self) -> Any:
        """Wait until `act` is done; return what it returned, or the exception it raised."""
        assert self._thread is not None
        self._thread.join(PATIENCE_S)
        return self._result[0]

    def _waits(self) -> bool:
        with self.database.read() as connection:
            own = connection.connection.driver_connection.info.backend_pid  # type: ignore[union-attr]
            others = [pid for pid in self._pids if pid != own]
            return bool(connection.exec_driver_sql(_WAITS, (others,)).scalar_one())


@contextmanager
def somebody(url: str) -> Iterator[Somebody]:
    """Give a test somebody else at the database of `url`."""
    who = Somebody(url)
    try:
        yield who
    finally:
        who.database.close()
