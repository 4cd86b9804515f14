"""Tests of the watch over transactions whose process was stopped: it ends those beyond their limit, and no others."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import StorageUnavailable
from core.pipeline.driver_locks import lock_lanes
from core.pipeline.silence_watch import watch_for_silence
from core.store.database import Database
from core.store.idle_limit import IDLE_LIMIT_S, allow_silence, end_silent
from core.store.migrate import migrate

PATIENCE_S = 20.0
LANE = 7


@pytest.fixture
def server(postgres_url: str) -> Iterator[Database]:
    """A database on PostgreSQL."""
    database = Database(postgres_url)
    migrate(database, [])
    yield database
    database.close()


def pid_of(connection: Connection) -> int:
    return int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())


def is_there(database: Database, pid: int) -> bool:
    with database.read() as connection:
        asked = connection.exec_driver_sql("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", (pid,))
        return bool(asked.scalar_one())


def wait_until_gone(database: Database, pid: int) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while is_there(database, pid):
        if time.monotonic() > deadline:
            return False
        threading.Event().wait(0.01)
    return True


def look(database: Database) -> list[int]:
    """Look once, without the slack."""
    with database.statements() as connection:
        return [session.pid for session in end_silent(connection, slack_s=0)]


def fall_silent_between_two_statements(connection: Connection) -> None:
    """Hold a lane and say nothing more."""


def fall_silent_behind_a_pipeline(connection: Connection) -> None:
    """Send what the driver sends at a pipeline's end: a sync and then a flush, at which PostgreSQL 15 stumbles."""
    send(connection, with_sync=True)


def fall_silent_amid_a_pipeline(connection: Connection) -> None:
    """Ask something and never say that this was all, as who is stopped between two statements of a pipeline."""
    send(connection, with_sync=False)


def fall_silent_amid_a_message(connection: Connection) -> None:
    """Send the head of a message and not the rest of it, as one does who is stopped amid many rows."""
    with open(wire(connection).socket, "wb", buffering=0, closefd=False) as socket:
        socket.write(b"Q" + (1_000_000).to_bytes(4, "big") + b"SELECT '")


def fall_silent_amid_an_answer(connection: Connection) -> None:
    """Ask for more than the network holds and read nothing of it."""
    wire(connection).send_query(b"SELECT repeat('x', 1000) FROM generate_series(1, 200000)")


def send(connection: Connection, *, with_sync: bool) -> None:
    driver = wire(connection)
    driver.enter_pipeline_mode()
    driver.send_query_params(b"SELECT 1", None)
    if with_sync:
        driver.pipeline_sync()
    driver.send_flush_request()
    driver.flush()


def wire(connection: Connection) -> Any:
    """Return the driver's connection at its lowest level; one whose owner is done with it must not be used again."""
    driver: Any = connection.connection.driver_connection
    return driver.pgconn


@pytest.mark.parametrize(
    "fall_silent",
    [
        fall_silent_between_two_statements,
        fall_silent_behind_a_pipeline,
        fall_silent_amid_a_pipeline,
        fall_silent_amid_a_message,
        fall_silent_amid_an_answer,
    ],
)
def test_a_lane_is_free_again_however_its_worker_fell_silent(server: Database, fall_silent: Any) -> None:
    with server.engine.connect() as connection:
        pid = pid_of(connection)
        allow_silence(connection, 0)  # for PostgreSQL this means no limit, as if it had forgotten to count
        assert lock_lanes(connection, [LANE]) == {LANE}
        fall_silent(connection)
        deadline = time.monotonic() + PATIENCE_S
        while is_there(server, pid) and time.monotonic() < deadline:
            look(server)
            threading.Event().wait(0.01)
        assert not is_there(server, pid)
        with server.write() as other:
            assert lock_lanes(other, [LANE]) == {LANE}
        connection.invalidate()


def test_who_was_ended_cannot_write_when_it_goes_on(server: Database) -> None:
    with pytest.raises(StorageUnavailable), server.write() as connection:
        pid = pid_of(connection)
        connection.exec_driver_sql("CREATE TABLE late (id integer)")
        allow_silence(connection, 0)
        while is_there(server, pid):
            look(server)
        connection.exec_driver_sql("INSERT INTO late VALUES (1)")
    with server.read() as connection:
        assert not sa.inspect(connection).has_table("late")


def test_who_is_within_its_limit_goes_on(server: Database) -> None:
    with server.write() as usual, server.write() as slow:
        allow_silence(slow, 3_600)
        pids = {pid_of(usual), pid_of(slow)}
        threading.Event().wait(0.05)
        assert not pids & set(look(server))
        assert pid_of(usual) in pids and pid_of(slow) in pids


def test_more_patience_ends_with_the_transaction_that_asked_for_it(server: Database) -> None:
    names = "SELECT current_setting('application_name'), current_setting('idle_in_transaction_session_timeout')"
    with server.engine.connect() as connection:
        with connection.begin():
            allow_silence(connection, 72)
            assert connection.exec_driver_sql(names).one() == ("outrigger 72 s", "72s")
        with connection.begin():
            assert connection.exec_driver_sql(names).one() == ("outrigger", f"{IDLE_LIMIT_S}s")


def test_sessions_bear_the_name_they_are_given_behind_ours(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGAPPNAME", "host 7")
    for url, name in ((postgres_url, "host 7"), (f"{postgres_url}&application_name=plant 2", "plant 2")):
        database = Database(url)
        with database.read() as connection:
            assert connection.exec_driver_sql("SHOW application_name").scalar_one() == f"outrigger: {name}"
        database.close()


@pytest.mark.parametrize("name", ["", "psql", "pg_dump of outrigger 0 s"])
def test_sessions_that_are_not_ours_are_left_alone(server: Database, name: str) -> None:
    url = server.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, application_name=name) as strange:
        strange.execute("SELECT 1")
        threading.Event().wait(0.05)
        assert strange.info.backend_pid not in look(server)
        assert strange.execute("SELECT 2").fetchone() == (2,)


def test_a_session_between_two_transactions_may_be_silent_for_ever(server: Database) -> None:
    with server.statements() as connection:
        connection.exec_driver_sql("SET application_name = 'outrigger 0 s'")
        pid = pid_of(connection)
        threading.Event().wait(0.05)
        assert pid not in look(server)
        assert pid_of(connection) == pid


def test_the_watch_looks_until_it_is_told_to_stop(server: Database) -> None:
    stop = threading.Event()
    watch = watch_for_silence(server, stopping=stop.is_set, every_s=0.01)
    assert watch is not None
    with server.engine.connect() as connection:
        pid = pid_of(connection)
        allow_silence(connection, 0)
        assert wait_until_gone(server, pid)
        connection.invalidate()
    stop.set()
    watch.join(PATIENCE_S)
    assert not watch.is_alive()


def test_the_watch_goes_on_when_the_database_was_away(server: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = iter([StorageUnavailable("away"), RuntimeError("something else")])
    looked, stop = threading.Event(), threading.Event()

    def stumble(connection: Connection) -> list[Any]:
        for fault in faults:
            raise fault
        looked.set()
        return []

    monkeypatch.setattr("core.pipeline.silence_watch.end_silent", stumble)
    watch = watch_for_silence(server, stopping=stop.is_set, every_s=0.01)
    assert watch is not None and looked.wait(PATIENCE_S)
    stop.set()
    watch.join(PATIENCE_S)


def test_sqlite_needs_no_watch(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    assert watch_for_silence(database, stopping=lambda: False) is None
    database.close()
