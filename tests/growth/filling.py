"""Fills a database in bulk by SQL, with the indexes that the migrations make."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa

from tests.growth.rows import Amount, RowMaker
from tests.load.databases import POSTGRES_URL, newest_sqlite3

FILLED = ("events", "event_keys", "deliveries", "decisions", "records", "record_updates", "timers", "outbox")
NUMBERED = {"events": "seq", "outbox": "seq", "deliveries": "id", "decisions": "id", "record_updates": "id"}
_NAMED = ", ".join(f"'{table}'" for table in FILLED)
_OPEN = "('available', 'scheduled', 'retryable', 'waiting')"


@contextlib.contextmanager
def own_database(kind: str, folder: Path) -> Iterator[str]:
    """Name a new SQLite file, or make a PostgreSQL database, whose locks nobody shares; dropped afterwards."""
    if kind == "sqlite":
        path = folder / "outrigger.sqlite3"
        try:
            yield f"sqlite:///{path}"
        finally:
            for file in folder.glob(f"{path.name}*"):
                file.unlink()
        return
    name = f"growth_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(plain(POSTGRES_URL), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    try:
        yield sa.make_url(POSTGRES_URL).set(database=name).render_as_string(hide_password=False)
    finally:
        with psycopg.connect(plain(POSTGRES_URL), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def plain(url: str) -> str:
    """Return the URL as psycopg reads it."""
    return sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def size_mb(url: str) -> float:
    """Return what the database takes on the disk."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return sum(file.stat().st_size for file in Path(str(parsed.database)).parent.glob("*.sqlite3*")) / 1e6
    with psycopg.connect(plain(url)) as connection:
        found = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        return float(found[0]) / 1e6 if found else 0.0


def fill(url: str, amount: Amount) -> float:
    """Fill the migrated, empty database; return the seconds it took."""
    began = time.monotonic()
    is_sqlite = url.startswith("sqlite")
    maker = RowMaker(amount, time.time_ns() // 1000, is_sqlite)
    if is_sqlite:
        _fill_sqlite(Path(str(sa.make_url(url).database)), maker)
    else:
        _fill_postgresql(plain(url), maker)
    return time.monotonic() - began


def _fill_sqlite(path: Path, maker: RowMaker) -> None:
    connection = newest_sqlite3.connect(path, isolation_level=None)
    for pragma in (
        "journal_mode=DELETE", "locking_mode=EXCLUSIVE", "journal_mode=OFF", "synchronous=OFF", "cache_size=-2000000"
    ):  # fmt: skip
        connection.execute(f"PRAGMA {pragma}").fetchall()
    indexes = connection.execute(
        f"SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN ({_NAMED})"
    ).fetchall()
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    connection.execute("BEGIN")
    for statement in [*maker.statements(), *(definition for _, definition in indexes), "ANALYZE"]:
        connection.execute(statement)
    connection.execute("COMMIT")
    connection.close()
    with contextlib.closing(newest_sqlite3.connect(path)) as other:
        other.execute("PRAGMA journal_mode=WAL").fetchall()


def _fill_postgresql(url: str, maker: RowMaker) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute("SET maintenance_work_mem = '512MB'")
        with _without_indexes(connection):
            for statement in maker.statements():
                connection.execute(statement)
        for table, column in NUMBERED.items():
            sequence = f"pg_get_serial_sequence('{table}', '{column}')"
            connection.execute(f"SELECT setval({sequence}, coalesce(max({column}), 1)) FROM {table}")
        connection.execute("VACUUM (ANALYZE)")


@contextlib.contextmanager
def _without_indexes(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Take indexes and unique constraints away while rows are made, and put back what the migrations made."""
    constraints = connection.execute(
        "SELECT c.relname, k.conname, pg_get_constraintdef(k.oid) FROM pg_constraint k JOIN pg_class c"
        f" ON c.oid = k.conrelid WHERE k.contype IN ('p', 'u') AND c.relname IN ({_NAMED})"
    ).fetchall()
    for table, name, _ in constraints:
        connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    indexes = connection.execute(
        f"SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename IN ({_NAMED})"
    ).fetchall()
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    yield
    for table, name, definition in constraints:
        connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
    for _, definition in indexes:
        connection.execute(definition)


def let_fall_due(url: str) -> int:
    """Make all of the backlog that is not in quarantine due now; return how many deliveries it is."""
    now = time.time_ns() // 1000
    return _change(
        url,
        f"UPDATE deliveries SET status = 'retryable', due_at = {now - 1}, waiting_for = NULL WHERE status IN {_OPEN}",
    )


def give_up_backlog(url: str) -> int:
    """Discard every open delivery, since what is open stops removing; return how many deliveries it was."""
    now = time.time_ns() // 1000
    opened = f"status = 'quarantined' OR status IN {_OPEN}"
    return _change(url, f"UPDATE deliveries SET status = 'discarded', finished_at = {now} WHERE {opened}")


def _change(url: str, statement: str) -> int:
    if url.startswith("sqlite"):
        with contextlib.closing(
            newest_sqlite3.connect(str(sa.make_url(url).database), isolation_level=None, timeout=60)
        ) as connection:
            changed = int(connection.execute(statement).rowcount)
            # Else the server's next commit would copy a log of all those rows, and what comes after would wait for it.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            return changed
    with psycopg.connect(plain(url), autocommit=True) as connection:
        changed = int(connection.execute(statement).rowcount)
        connection.execute("VACUUM (ANALYZE) deliveries")
        # Else a checkpoint of all those rows falls into what is measured next, and commits wait for its fsyncs.
        connection.execute("CHECKPOINT")
        return changed
