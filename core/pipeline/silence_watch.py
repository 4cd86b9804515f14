"""Ends database sessions whose process was stopped amid its transaction, so that others get what it holds."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from core.model.errors import StorageUnavailable
from core.store.database import Database
from core.store.idle_limit import end_silent

EVERY_S = 1.0

_log = structlog.get_logger("outrigger.silence")


def watch_for_silence(
    database: Database, *, stopping: Callable[[], bool], every_s: float = EVERY_S
) -> threading.Thread | None:
    """On PostgreSQL: look every `every_s` seconds until told to stop, in a thread that no lock can hold up.

    Every worker host looks, so that a host whose processes are all stopped has neighbours to end its sessions.
    """
    if database.is_sqlite:
        return None  # processes of one machine take turns by locks that the supervisor frees by ending who is silent

    def run() -> None:
        while not stopping():
            try:
                with database.statements() as connection:
                    ended = end_silent(connection)
                for session in ended:
                    _log.warning("silent_session_ended", **session._asdict())
            except StorageUnavailable:
                pass  # the courier says so
            except Exception as error:
                # A watch that ended would be missed only when it is needed.
                _log.exception("watching_failed", error=f"{type(error).__name__}: {error}")
            threading.Event().wait(every_s)

    thread = threading.Thread(target=run, name="silence-watch", daemon=True)
    thread.start()
    return thread
