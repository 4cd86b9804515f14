"""How long a transaction on PostgreSQL may wait for its process, which may have been stopped: the limit, and its watch.

PostgreSQL counts this by itself only between two statements, and version 15 forgets to where a process was stopped
right behind a pipeline of its driver (the flush message turns the count off); amid a pipeline, or an answer that nobody
reads, no limit of it counts. So our sessions name themselves and their limit, and every worker host ends those that are
over it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

SESSION_NAME = "outrigger"
"""The application name of our sessions, before what they were given by others."""

IDLE_LIMIT_S = 20
"""Seconds that a transaction may wait for its process, unless it has asked for more."""

WORD_AFTER_S = 2
"""Seconds of silence before a process that works says a word; its limit covers these and one call of a plugin."""

SLACK_S = 2
"""Seconds past its limit after which a session is ended by its neighbours: PostgreSQL, where it counts, comes first."""

_END_SILENT = rf"""
SELECT pid, state, wait_event, silent_s, pg_terminate_backend(pid)
FROM (
    SELECT pid, state, wait_event, extract(epoch FROM clock_timestamp() - state_change)\:\:float AS silent_s,
        coalesce(substring(application_name FROM '^{SESSION_NAME} ([0-9]{{1,6}}) s')\:\:int, {IDLE_LIMIT_S}) AS limit_s
    FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user
        AND application_name ~ '^{SESSION_NAME}(: .*| [0-9]{{1,6}} s)?$'
        AND pid <> pg_backend_pid() AND state <> 'idle' AND wait_event_type = 'Client'
) AS waiting
WHERE silent_s > limit_s + :slack_s
"""


class Ended(NamedTuple):
    """A session that was ended: its process on the database's side, what it was at, and for how long it was silent."""

    pid: int
    state: str
    wait_event: str
    silent_s: float


def session_name(own: str = "") -> str:
    """Return the application name of a session; `own` is the one that the database's URL gives."""
    return f"{SESSION_NAME}: {own}" if own else SESSION_NAME


def allow_silence(connection: Connection, seconds: int) -> None:
    """Let the caller's transaction wait for its process for `seconds`, as one that runs a slow plugin must."""
    connection.exec_driver_sql(
        f"SELECT set_config('idle_in_transaction_session_timeout', '{seconds:d}s', true), "
        f"set_config('application_name', '{SESSION_NAME} {seconds:d} s', true)"
    )


class Silence:
    """Keeps a transaction in its limit while plugin after plugin runs in it, each for as long as it may.

    The limit is for a process that was stopped; one that works says a word now and then.
    """

    def __init__(self, connection: Connection, seconds: Callable[[], float]) -> None:
        """Begin at the last statement of `connection`; `seconds` is a clock that only goes forward."""
        self._connection, self._seconds = connection, seconds
        self._since = seconds()

    def end(self) -> None:
        """Ask the database something, if it has heard nothing for WORD_AFTER_S; on SQLite nobody counts."""
        now = self._seconds()
        if now - self._since > WORD_AFTER_S and self._connection.dialect.name == "postgresql":
            self._connection.exec_driver_sql("SELECT 1")
            self._since = now


def end_silent(connection: Connection, *, slack_s: float = SLACK_S) -> list[Ended]:
    """End every session of the caller's database user that waits for its process `slack_s` beyond its limit.

    Only sessions in a transaction or in a statement are meant, and only those that have Outrigger's name: one of
    another installation in the same database would be ended by its own watch as well.
    """
    return [Ended(*row[:4]) for row in connection.execute(sa.text(_END_SILENT), {"slack_s": slack_s})]
