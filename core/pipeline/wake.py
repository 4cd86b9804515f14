"""Wake-ups between the processes of one machine: a pipe one side rings and the other waits at.

A lost or a needless ring does no harm, the tables say what is to be done.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
from typing import Any

import structlog

from core.store.database import Database

_log = structlog.get_logger("outrigger.wake")


class Bell:
    """One pipe: any process rings it without waiting, one process waits at it."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def ring(self) -> None:
        """Wake whoever waits; a full pipe already says so."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._write, b"!")

    def wait(self, timeout_s: float) -> bool:
        """Wait until somebody rings or the time is over; return whether somebody rang."""
        ready, _, _ = select.select([self._read], [], [], max(timeout_s, 0))
        if not ready:
            return False
        try:
            while len(os.read(self._read, 4096)) == 4096:
                pass
        except BlockingIOError:
            pass
        return True


def listen(database: Database, bell: Bell, channel: str = "outrigger_events") -> threading.Thread | None:
    """On PostgreSQL: ring the bell whenever a web process of any machine notifies; the one-second scan backs it up."""
    if database.is_sqlite:
        return None

    def run() -> None:
        import psycopg

        patience: dict[str, Any] = dict(database.patience)
        url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
        while True:
            try:
                with psycopg.connect(url, autocommit=True, **patience) as connection:
                    connection.execute(f"LISTEN {channel}")
                    for _ in connection.notifies():
                        bell.ring()
            except psycopg.Error as error:
                _log.warning("listening_stopped", error=str(error))
                threading.Event().wait(1.0)

    thread = threading.Thread(target=run, name="listener", daemon=True)
    thread.start()
    return thread
