"""Makes fresh databases for campaigns, and looks into them from outside, without the product's own code."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa

try:
    import pysqlite3.dbapi2 as newest_sqlite3
except ImportError:  # no wheel for this platform
    newest_sqlite3 = sqlite3

POSTGRES_URL = os.environ.get("OUTRIGGER_TEST_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/test")
KINDS = ("sqlite", "postgresql")

_PENDING = (
    "EXISTS (SELECT 1 FROM events WHERE status = 'accepted') OR EXISTS (SELECT 1 FROM deliveries"
    " WHERE status IN ('available', 'scheduled', 'retryable', 'waiting', 'quarantined'))"
)


def postgres_answers() -> bool:
    """Whether the PostgreSQL that campaigns use can be reached."""
    try:
        with psycopg.connect(_plain(POSTGRES_URL), connect_timeout=3):
            return True
    except psycopg.OperationalError:
        return False


def _plain(url: str) -> str:
    return sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


@contextlib.contextmanager
def fresh_database(kind: str, folder: Path) -> Iterator[str]:
    """Name a new SQLite file in `folder`, or a new PostgreSQL schema that is dropped afterwards; yields the URL."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/outrigger.sqlite3"
        return
    schema = f"campaign_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(_plain(POSTGRES_URL), autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
    url = sa.make_url(POSTGRES_URL).update_query_dict({"options": f"-csearch_path={schema}"})
    try:
        yield url.render_as_string(hide_password=False)
    finally:
        with psycopg.connect(_plain(POSTGRES_URL), autocommit=True) as connection:
            connection.execute("SELECT set_config('lock_timeout', '10s', false)")
            connection.execute(f"DROP SCHEMA {schema} CASCADE")


class Outside:
    """A connection of the harness's own; every query is a transaction of its own."""

    def __init__(self, url: str) -> None:
        parsed = sa.make_url(url)
        self.kind = parsed.get_backend_name()
        if self.kind == "sqlite":
            self.path = Path(str(parsed.database))
            self._connection: Any = newest_sqlite3.connect(
                self.path, isolation_level=None, timeout=30, check_same_thread=False
            )
        else:
            # Not prepared: a plan made for any value scans the table where the plan for this value uses the index.
            self._connection = psycopg.connect(_plain(url), autocommit=True, prepare_threshold=None)

    def rows(self, query: str, *values: Any) -> Sequence[Any]:
        """Run a query with `?` for values and return its rows."""
        if self.kind != "sqlite":
            query = query.replace("%", "%%").replace("?", "%s")
        return self._connection.execute(query, values).fetchall()  # type: ignore[no-any-return]

    def one(self, query: str, *values: Any) -> Any:
        """Return the first column of the first row, or None."""
        found = self.rows(query, *values)
        return found[0][0] if found else None

    def is_pending(self) -> bool:
        """Whether an accepted event is not dispatched yet, or a delivery is open."""
        return bool(self.one(f"SELECT {_PENDING}"))

    def is_anything_left(self) -> bool:
        """Whether anything is still to be done: an event, a delivery, a follow-up or a timer waits.

        It is one statement, so that it sees one moment: between two, a timer becomes an event, or an event a timer,
        and neither would see it.
        """
        return bool(
            self.one(
                f"SELECT {_PENDING} OR EXISTS (SELECT 1 FROM timers WHERE status = 'pending') OR EXISTS"
                " (SELECT 1 FROM outbox WHERE target = 'inbox' AND status IN ('available', 'retryable'))"
            )
        )

    def backlog(self) -> int:
        """Return how many accepted events are not dispatched yet."""
        return int(self.one("SELECT count(*) FROM events WHERE status = 'accepted'"))

    def integrity(self) -> str:
        """Return what SQLite finds about its file; PostgreSQL has no such check for us to run."""
        return str(self.one("PRAGMA integrity_check")) if self.kind == "sqlite" else "ok"

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
