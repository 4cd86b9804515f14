"""What the machine and the databases can do without us: cores, the time of an fsync, single-row durable commits."""

from __future__ import annotations

import os
import platform
import statistics
import time
from pathlib import Path

import psycopg
import sqlalchemy as sa

from core.store.database import Database, journal_mode, sqlite_module
from tests.load.wire import COMPLAINT, event_body

BODY = event_body("complaint.replied", "R-1", 1, 1, **COMPLAINT, batch="B0001").decode()


def describe(folder: Path) -> str:
    """Return one line about this machine."""
    return (
        f"{os.cpu_count()} cores, Python {platform.python_version()}, fsync of 4 kB: median "
        f"{fsync_ms(folder):.2f} ms, load average {os.getloadavg()[0]:.1f} before the start"
    )


def fsync_ms(folder: Path, times: int = 50) -> float:
    """Return the median time of appending 4 kB to a file and syncing it."""
    taken = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(times):
            began = time.perf_counter()
            file.write(bytes(4096))
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1000


def durability(url: str) -> dict[str, str]:
    """Read back what durability rests on, on a connection opened as the server opens its own."""
    database = Database(url)
    try:
        return database.settings()
    finally:
        database.close()


def raw_commits(url: str, folder: Path, seconds: float) -> float:
    """Return how many single-row transactions a second one connection of the same database commits durably."""
    return _sqlite_commits(folder, seconds) if url.startswith("sqlite") else _postgresql_commits(url, seconds)


def _sqlite_commits(folder: Path, seconds: float) -> float:
    connection = sqlite_module().connect(folder / "raw.sqlite3", isolation_level=None)
    mode = journal_mode()
    connection.execute(f"PRAGMA journal_mode={mode}")
    connection.execute(f"PRAGMA synchronous={'FULL' if mode == 'wal' else 'EXTRA'}")
    connection.execute("CREATE TABLE IF NOT EXISTS raw (id INTEGER PRIMARY KEY, body TEXT NOT NULL)")
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        connection.execute("INSERT INTO raw (body) VALUES (?)", (BODY,))
        count += 1
    took = time.perf_counter() - began
    connection.close()
    return count / took


def _postgresql_commits(url: str, seconds: float) -> float:
    plain = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = on")
        connection.execute("CREATE TABLE IF NOT EXISTS raw (id bigserial PRIMARY KEY, body text NOT NULL)")
        count, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            connection.execute("INSERT INTO raw (body) VALUES (%s)", (BODY,), prepare=True)
            count += 1
        return count / (time.perf_counter() - began)
