"""An SQLite whose write-ahead log is not safe gets a rollback journal, and everything works with it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

import core.store.database as database_module
from core.model.effects import Decide, StartTimer
from core.store import tables
from core.store.database import Database
from core.store.migrate import migrate
from tests.pipeline.kit import Kit, plugin
from tests.store.notes import note, notes, written


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
