"""Wake-ups: bells between the processes of one machine, and notices through PostgreSQL between machines.

A lost or a needless ring does no harm, the tables say what is to be done.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from typing import Any

import structlog
from sqlalchemy.engine import Connection

from core.store.database import Database

CHANNEL = "outrigger_events"
"""The PostgreSQL channel on which whoever stores events says so."""

_log = structlog.get_logger("outrigger.wake")


class Bell:
    """One pipe: any process rings it without waiting; of those that wait at it one hears what was rung."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._waiting: tuple[int, select.epoll] | None = None  # with the process it belongs to

    def ring(self) -> None:
        """Wake whoever waits; a full pipe already says so."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._write, b"!")

    def wait(self, timeout_s: float) -> bool:
        """Wait until somebody rings or the time is over; return whether a ring was heard."""
        deadline = time.monotonic() + timeout_s
        while True:
            if not self._poll().poll(max(deadline - time.monotonic(), 0)):
                return False
            try:
                while len(os.read(self._read, 4096)) == 4096:
                    pass
            except BlockingIOError:
                continue  # another who waits here has heard it
            return True

    def _poll(self) -> select.epoll:
        # Each process has its own, since bells are hung up before processes are forked.
        if self._waiting is None or self._waiting[0] != os.getpid():
            poll = select.epoll()
            # Exclusive, so that a ring does not wake everybody who waits here.
            poll.register(self._read, select.EPOLLIN | select.EPOLLEXCLUSIVE)
            self._waiting = os.getpid(), poll
        return self._waiting[1]


def notify(connection: Connection) -> None:
    """On PostgreSQL: tell every machine's workers, once the caller's transaction is committed."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"NOTIFY {CHANNEL}")


def listen(database: Database, bell: Bell, *, own: str) -> threading.Thread | None:
    """On PostgreSQL: ring the bell whenever a process of any machine notifies; the scan twice a second backs it up.

    Notices that carry `own` are of this machine's processes, which have rung by themselves.
    """
    if database.is_sqlite:
        return None

    def run() -> None:
        import psycopg

        patience: dict[str, Any] = dict(database.patience)
        url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
        while True:
            try:
                with psycopg.connect(url, autocommit=True, **patience) as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    for notice in connection.notifies():
                        if notice.payload != own:
                            bell.ring()
            except psycopg.Error as error:
                _log.warning("listening_stopped", error=str(error))
                threading.Event().wait(1.0)

    thread = threading.Thread(target=run, name="listener", daemon=True)
    thread.start()
    return thread
