"""The database keeps its word: durable settings, whole transactions, fair turns, and a clear answer when it cannot."""

from __future__ import annotations

import contextlib
import multiprocessing
import sqlite3
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

import core.store.database as database_module
from core.model.effects import Decide, StartTimer
from core.model.errors import CommitUncertain, ConfigurationRefused, StorageUnavailable
from core.store import tables
from core.store.database import Database
from core.store.faults import is_storage_fault
from core.store.migrate import migrate
from tests.pipeline.kit import Kit, plugin

notes = sa.Table("notes", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("who", sa.Text))


def note(connection: sa.Connection, who: str) -> None:
    connection.execute(sa.insert(notes).values(who=who))


def written(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.scalars(sa.select(notes.c.who).order_by(notes.c.id)))


@pytest.fixture
def paper(database: Database) -> Database:
    """A database with one table to write to."""
    with database.write() as connection:
        notes.create(connection)
    return database


# ------------------------------------------------------------------------------------------- durability


def test_the_settings_that_durability_rests_on_are_read_back(database: Database) -> None:
    settings = database.settings()
    if database.is_sqlite:
        assert (settings["journal_mode"], settings["synchronous"]) in {("wal", "FULL"), ("delete", "EXTRA")}
    else:
        assert settings["synchronous_commit"] == "on"


def test_every_connection_of_the_pool_has_them(database: Database) -> None:
    opened = [database.engine.connect() for _ in range(5)]
    asked = "PRAGMA synchronous" if database.is_sqlite else "SHOW synchronous_commit"
    assert {str(connection.exec_driver_sql(asked).scalar_one()) for connection in opened} <= {"2", "3", "on"}
    for connection in opened:
        connection.close()


def test_a_block_that_raises_leaves_nothing_behind(paper: Database) -> None:
    with pytest.raises(RuntimeError), paper.write() as connection:
        note(connection, "lost")
        raise RuntimeError("no")
    with paper.write() as connection:
        note(connection, "kept")
    assert written(paper) == ["kept"]


def test_a_savepoint_loses_its_own_part_alone(paper: Database) -> None:
    with paper.write() as connection:
        note(connection, "before")
        with pytest.raises(sa.exc.IntegrityError), connection.begin_nested():
            note(connection, "inside")
            connection.execute(sa.insert(notes).values(id=1, who="twice"))
        note(connection, "after")
    assert written(paper) == ["before", "after"]


def test_a_reader_on_sqlite_sees_one_state_while_others_write(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    with database.write() as connection:
        notes.create(connection)
    count = sa.select(sa.func.count()).select_from(notes)
    if database.settings()["journal_mode"] == "wal":
        with database.read() as reading:
            assert reading.execute(count).scalar_one() == 0
            with database.write() as writing:
                note(writing, "meanwhile")
            assert reading.execute(count).scalar_one() == 0
    with database.read() as reading:
        assert reading.execute(count).scalar_one() <= 1
    database.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("no url at all", "no database URL"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
        ("mysql://root@127.0.0.1/x", 'not in "mysql"'),
    ],
)
def test_a_url_that_cannot_be_served_is_refused_with_a_letter(url: str, said: str) -> None:
    with pytest.raises(ConfigurationRefused, match=said):
        Database(url)


# ------------------------------------------------------------------------------------------- away and back


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
    database: Database, monkeypatch: pytest.MonkeyPatch, is_trusted: bool
) -> None:
    if database.is_sqlite:
        pytest.skip("SQLite has no server that could end a connection")
    monkeypatch.setattr(database_module, "TRUSTED_S", 3600.0 if is_trusted else -1.0)
    database.engine.dispose()
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


def limit_pages(database: Database, pages: int) -> Any:
    """Let an SQLite database grow no further; the answer is a function that lifts the limit."""

    def limit(driver: Any, record: Any, proxy: Any) -> None:
        driver.execute(f"PRAGMA max_page_count={pages}")

    sa.event.listen(database.engine, "checkout", limit)

    def lift() -> None:
        nonlocal pages
        pages = 1_073_741_823

    return lift


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


# ------------------------------------------------------------------------------------------- taking turns


def test_threads_of_one_process_lose_nothing_and_take_turns(paper: Database) -> None:
    ready = threading.Barrier(4)

    def write(who: str) -> None:
        ready.wait()
        for _ in range(25):
            with paper.write() as connection:
                note(connection, who)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = written(paper)
    assert sorted(found) == sorted("abcd" * 25)


def _write_many(url: str, who: str, ready: Any, times: int) -> None:
    database = Database(url)
    with database.read():
        pass
    ready.wait()
    for _ in range(times):
        with database.write() as connection:
            note(connection, who)
    database.close()


def test_two_processes_lose_nothing_and_neither_starves(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    with database.write() as connection:
        notes.create(connection)
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(2)
    processes = [context.Process(target=_write_many, args=(sqlite_url, who, ready, 80)) for who in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    found = "".join(written(database))
    assert sorted(found) == sorted("a" * 80 + "b" * 80)
    together = found[: min(found.rindex("a"), found.rindex("b")) + 1]
    longest = max(len(run) for run in together.replace("ab", "a b").replace("ba", "b a").split())
    assert longest <= 10, f"one process wrote {longest} times while the other waited: {together}"
    database.close()


def _hold(url: str, holds: Any) -> None:
    with Database(url).write():
        holds.set()
        threading.Event().wait(60)


def test_the_turn_of_a_process_that_is_killed_goes_to_the_next(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    with database.write() as connection:
        notes.create(connection)
    context = multiprocessing.get_context("spawn")
    holds = context.Event()
    process = context.Process(target=_hold, args=(sqlite_url, holds))
    process.start()
    assert holds.wait(60)
    process.kill()
    with database.write() as connection:
        note(connection, "next")
    assert written(database) == ["next"]
    process.join()
    database.close()


def test_a_writer_that_never_ends_does_not_hold_up_others_for_ever(sqlite_url: str) -> None:
    database = Database(sqlite_url, lock_wait_s=0.05)
    answers: list[str] = []

    def second() -> None:
        try:
            with database.write():
                pass
        except StorageUnavailable as error:
            answers.append(error.message)

    with database.write():
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(10)
    assert answers == ["The write queue is stuck: a writer of this process does not finish."]
    with database.write():
        pass
    database.close()


# ------------------------------------------------------------------------------------------- without a safe WAL


@pytest.fixture
def old_sqlite(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """The system's SQLite, taken for one whose WAL is not safe."""
    monkeypatch.setattr(database_module, "sqlite_module", lambda: sqlite3)
    monkeypatch.setattr(database_module, "journal_mode", lambda: "delete")
    database = Database(sqlite_url)
    migrate(database, [])
    yield database
    database.close()


def test_an_sqlite_that_loses_wal_data_gets_a_rollback_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    for version, mode in (((3, 40, 1), "delete"), ((3, 51, 2), "delete"), ((3, 51, 3), "wal"), ((3, 53, 0), "wal")):
        module = type("module", (), {"sqlite_version_info": version})
        monkeypatch.setattr(database_module, "sqlite_module", lambda module=module: module)
        assert database_module.journal_mode() == mode


def test_with_a_rollback_journal_everything_works_from_end_to_end(old_sqlite: Database) -> None:
    settings = old_sqlite.settings()
    assert (settings["journal_mode"], settings["synchronous"]) == ("delete", "EXTRA")
    calls: list[str] = []

    def handler(event: Any, ctx: Any) -> list[Any]:
        calls.append(event.type)
        if len(calls) == 1:
            raise RuntimeError("the first time")
        return [Decide(kind="k", outcome="o", summary="甲", rule="r"), StartTimer(timer="t", due_at=ctx.now)]

    kit = Kit(
        old_sqlite,
        {"alpha": plugin("alpha", on_lead_created=handler, on_timer_due=lambda event, ctx: calls.append("due") or [])},
    )
    kit.send("lead.created", "L1")
    kit.drain()
    kit.clock.move(timedelta(minutes=1))
    kit.drain()
    assert calls == ["lead.created", "lead.created", "due"]
    assert len(kit.rows(tables.decisions)) == 1


def test_with_a_rollback_journal_a_reader_and_writers_do_not_lock_each_other_out(old_sqlite: Database) -> None:
    with old_sqlite.write() as connection:
        notes.create(connection)
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            with old_sqlite.read() as connection:
                connection.execute(sa.select(notes)).fetchall()

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(30):
        with old_sqlite.write() as connection:
            note(connection, str(number))
    stop.set()
    reader.join()
    assert written(old_sqlite) == [str(number) for number in range(30)]


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
