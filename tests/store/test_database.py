"""The database keeps its word: durable settings, whole transactions, and URLs it cannot serve refused."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from core.model.errors import ConfigurationRefused
from core.store.database import Database
from tests.store.notes import note, notes, with_notes, written


@pytest.fixture
def paper(database: Database) -> Database:
    """A database with one table to write to."""
    return with_notes(database)


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
