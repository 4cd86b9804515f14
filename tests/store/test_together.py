"""Tests of statements that are sent at once: they are done in order, and fail as each would by itself."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from core.model.errors import StorageUnavailable
from core.store import tables
from core.store.database import Database
from core.store.together import Question, ask_together, every_column, typed_rows
from tests.pipeline.kit import Kit

notes = sa.Table("notes", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("who", sa.Text))


@pytest.fixture
def paper(database: Database) -> Database:
    """A database with one table to write to."""
    with database.write() as connection:
        notes.create(connection)
    return database


def insert(database: Database, number: int, who: str) -> Question:
    places = "?, ?" if database.is_sqlite else "%s, %s"
    return Question(f"INSERT INTO notes (id, who) VALUES ({places})", (number, who))


COUNT = Question("SELECT count(*) FROM notes")
ALL = Question("SELECT id, who FROM notes ORDER BY id")


def test_each_sees_what_those_before_it_did(paper: Database) -> None:
    with paper.write() as connection:
        answers = ask_together(connection, [COUNT, insert(paper, 1, "甲"), COUNT, insert(paper, 2, "乙"), ALL])
    assert answers == [[(0,)], [], [(1,)], [], [(1, "甲"), (2, "乙")]]
    with paper.read() as connection:
        assert ask_together(connection, [ALL]) == [[(1, "甲"), (2, "乙")]]


def test_the_transaction_around_them_decides_whether_they_count(paper: Database) -> None:
    with pytest.raises(RuntimeError), paper.write() as connection:
        ask_together(connection, [insert(paper, 1, "a")])
        raise RuntimeError("something else went wrong")
    with paper.write() as connection:
        with pytest.raises(RuntimeError), connection.begin_nested():
            ask_together(connection, [insert(paper, 1, "a")])
            raise RuntimeError("in a savepoint")
        assert ask_together(connection, [COUNT]) == [[(0,)]]


def test_one_that_fails_raises_what_it_would_raise_by_itself_and_its_savepoint_undoes_all(paper: Database) -> None:
    with paper.write() as connection:
        ask_together(connection, [insert(paper, 1, "first")])
        with pytest.raises(sa.exc.IntegrityError), connection.begin_nested():
            ask_together(connection, [insert(paper, 2, "second"), insert(paper, 1, "again"), COUNT])
        with pytest.raises(sa.exc.DBAPIError), connection.begin_nested():
            ask_together(connection, [Question("SELECT nothing FROM nowhere")])
        ask_together(connection, [insert(paper, 3, "third")])
    with paper.read() as connection:
        assert ask_together(connection, [ALL]) == [[(1, "first"), (3, "third")]]


@pytest.mark.parametrize("is_alone", [True, False], ids=["alone", "with others"])
def test_a_connection_that_is_lost_meanwhile_is_a_database_that_is_away(paper: Database, is_alone: bool) -> None:
    if paper.is_sqlite:
        pytest.skip("SQLite has no server that could end a connection")
    end = Question("SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(StorageUnavailable), paper.write() as connection:
        ask_together(connection, [insert(paper, 1, "a")])
        ask_together(connection, [end] if is_alone else [insert(paper, 3, "c"), end, COUNT])
    with paper.write() as connection:
        assert ask_together(connection, [COUNT, insert(paper, 2, "b")]) == [[(0,)], []]


def test_rows_are_as_sqlalchemy_would_make_them(database: Database) -> None:
    kit = Kit(database, {})
    for number in range(3):
        kit.send("lead.created", f"L{number}", version=number, minutes=number, name="张三")
    kit.drain()
    with database.read() as connection:
        for table in (tables.events, tables.records):
            order = list(table.primary_key.columns)
            expected = connection.execute(sa.select(table).order_by(*order)).fetchall()
            question = Question(
                f"SELECT {every_column(table)} FROM {table.name} ORDER BY {', '.join(c.name for c in order)}"
            )
            found = typed_rows(table, connection.dialect)(*ask_together(connection, [question]))
            assert [tuple(row) for row in expected] == found
            assert [row._fields for row in found] == [tuple(row._mapping) for row in expected]
