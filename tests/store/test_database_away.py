"""A database that is away, full, locked or answers no more: a clear answer, nothing half done, and back by itself."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

import core.store.database as database_module
from core.model.errors import CommitUncertain, StorageUnavailable
from core.store.database import Database
from core.store.faults import is_storage_fault
from tests.store.full_disk import limit_pages
from tests.store.notes import note, notes, written


def test_a_database_that_is_away_is_an_ordinary_answer(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/no/such/folder/x.sqlite3", "postgresql+psycopg://postgres@127.0.0.1:9/test"):
        database = Database(url)
        with pytest.raises((StorageUnavailable, FileNotFoundError)), database.read():
            pass
        database.close()


@pytest.mark.parametrize("how", ["terminated", "idle for too long"])
def test_a_connection_that_postgresql_ends_is_answered_and_replaced(postgres_url: str, how: str) -> None:
    database = Database(postgres_url)
    with pytest.raises(StorageUnavailable), database.write() as connection:
        notes.create(connection)
        if how == "terminated":
            pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            with database.write() as other:
                other.exec_driver_sql("SELECT pg_terminate_backend(%s)", (pid,))
        else:
            connection.exec_driver_sql("SET idle_in_transaction_session_timeout = '20ms'")
            threading.Event().wait(0.2)
        note(connection, "late")
    with database.write() as connection:
        notes.create(connection)
    assert written(database) == []
    database.close()


def _fault_of(database: Database, statement: str, *parameters: Any) -> sa.exc.DBAPIError:
    with database.engine.connect() as connection, pytest.raises(sa.exc.DBAPIError) as raised:
        connection.exec_driver_sql(statement, tuple(parameters))
    return raised.value


def test_a_connection_to_postgresql_does_not_wait_for_ever_for_a_silent_network(postgres_url: str) -> None:
    for url, seconds in ((postgres_url, "5"), (f"{postgres_url}&keepalives_idle=77", "77")):
        database = Database(url, pool_size=1)
        try:
            with database.read() as connection:
                used = connection.connection.driver_connection.info.get_parameters()
                assert (used["keepalives_idle"], used["tcp_user_timeout"]) == (seconds, "10000")
                # On a socket of the machine itself there is no network to be silent.
                assert connection.exec_driver_sql("SHOW tcp_user_timeout").scalar_one() in ("20s", "20000", "0")
        finally:
            database.close()


def test_a_statement_that_is_wrong_is_not_taken_for_a_database_that_is_away(database: Database) -> None:
    mark = "?" if database.is_sqlite else "%s"
    assert not is_storage_fault(_fault_of(database, "SELECT * FROM nothing_of_this_name"))
    assert not is_storage_fault(_fault_of(database, "SELEC 1"))
    assert not is_storage_fault(_fault_of(database, f"SELECT {mark}", object()))
    assert not is_storage_fault(_fault_of(database, "INSERT INTO leases (name) VALUES ('x')"))
    if not database.is_sqlite:
        assert not is_storage_fault(_fault_of(database, "SELECT 1/0"))
    assert not is_storage_fault(RuntimeError("something else")) and not is_storage_fault(None)


def test_a_locked_or_full_database_is_a_storage_fault(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/x.sqlite3", connect_args={"timeout": 0, "isolation_level": None})
    with engine.connect() as one, engine.connect() as other:
        one.exec_driver_sql("CREATE TABLE t (a)")
        one.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(sa.exc.OperationalError) as locked:
            other.exec_driver_sql("BEGIN IMMEDIATE")
        one.exec_driver_sql("PRAGMA max_page_count=3")
        with pytest.raises(sa.exc.OperationalError) as full:
            one.exec_driver_sql("INSERT INTO t VALUES (zeroblob(100000))")
    assert is_storage_fault(locked.value) and is_storage_fault(full.value)
    engine.dispose()


@pytest.mark.parametrize("is_trusted", [False, True], ids=["long unused", "just used"])
def test_a_connection_that_broke_is_found_before_its_next_use_unless_it_was_just_used(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, is_trusted: bool
) -> None:
    database = Database(postgres_url)
    monkeypatch.setattr(database_module, "TRUSTED_S", 3600.0 if is_trusted else -1.0)
    with database.read() as connection:
        broken = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    other = Database(database.url)
    with other.write() as connection:
        connection.exec_driver_sql("SELECT pg_terminate_backend(%s, 5000)", (broken,))
    other.close()
    if is_trusted:  # it costs one attempt, and none after it
        with pytest.raises(StorageUnavailable), database.read() as connection:
            connection.exec_driver_sql("SELECT 1")
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one() != broken
    database.close()


def test_a_full_disk_loses_the_transaction_and_nothing_else(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    with database.write() as connection:
        notes.create(connection)
        note(connection, "before")
    lift = limit_pages(database, 10)
    with pytest.raises(StorageUnavailable, match="full"), database.write() as connection:
        for _ in range(50):
            note(connection, "x" * 10_000)
    assert written(database) == ["before"]
    lift()
    with database.write() as connection:
        note(connection, "after")
    assert written(database) == ["before", "after"]
    database.close()


def test_a_commit_whose_answer_is_lost_is_not_called_undone(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = psycopg.Connection.commit

    def commit_without_an_answer(self: Any) -> None:
        commit(self)
        self.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    with contextlib.closing(Database(postgres_url)) as database:
        with database.write() as connection:
            connection.exec_driver_sql("CREATE TABLE kept (n int)")
        with monkeypatch.context() as away:
            away.setattr(psycopg.Connection, "commit", commit_without_an_answer)
            with pytest.raises(CommitUncertain, match="Look before you repeat it"), database.write() as connection:
                connection.exec_driver_sql("INSERT INTO kept VALUES (1)")
        with database.read() as connection:
            assert connection.exec_driver_sql("SELECT n FROM kept").fetchall() == [(1,)]
        # Before the commit nothing is uncertain.
        with pytest.raises(StorageUnavailable) as refused, database.write() as connection:
            connection.connection.driver_connection.close()  # type: ignore[union-attr]
            connection.exec_driver_sql("INSERT INTO kept VALUES (2)")
        assert refused.value.code == "storage.unavailable"
