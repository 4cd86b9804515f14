"""Tests of writing many rows at once, to one table or several: the same on both databases."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.store.bulk import Insert, insert_rows, update_rows, write_all
from core.store.database import Database

_METADATA = sa.MetaData()
FIRST, SECOND, THIRD = (
    sa.Table(name, _METADATA, sa.Column("id", sa.BigInteger, primary_key=True), sa.Column("said", sa.Text))
    for name in ("first", "second", "third")
)
TABLES = (FIRST, SECOND, THIRD)
REPLACE = "ON CONFLICT (id) DO UPDATE SET said = excluded.said"


@pytest.fixture
def three(database: Database) -> Database:
    """A database with three tables."""
    with database.write() as connection:
        _METADATA.create_all(connection)
    return database


def rows(texts: dict[int, Any]) -> list[dict[str, Any]]:
    return [{"id": number, "said": text} for number, text in texts.items()]


_texts = st.dictionaries(
    st.integers(-(2**62), 2**62), st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0")), max_size=5
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted=st.lists(_texts, min_size=3, max_size=3))
def test_every_table_holds_its_rows(three: Database, wanted: list[dict[int, Any]]) -> None:
    with three.write() as connection:
        for table in TABLES:
            connection.execute(sa.delete(table))
        write_all(connection, [Insert(table, rows(texts)) for table, texts in zip(TABLES, wanted, strict=True)])
        found = [{row.id: row.said for row in connection.execute(sa.select(table))} for table in TABLES]
    assert found == wanted


def test_they_are_one_statement_on_postgresql_and_one_for_each_table_on_sqlite(three: Database) -> None:
    asked: list[str] = []
    with three.write() as connection:
        sa.event.listen(connection, "before_cursor_execute", lambda c, cursor, text, *rest: asked.append(text))
        write_all(
            connection, [Insert(FIRST, rows({1: "a", 2: "b"})), Insert(SECOND, []), Insert(THIRD, rows({1: "c"}))]
        )
        write_all(connection, [Insert(SECOND, [])])
        assert len(asked) == (2 if three.is_sqlite else 1)


def test_each_says_by_itself_what_becomes_of_a_row_that_is_there(three: Database) -> None:
    with three.write() as connection:
        write_all(connection, [Insert(FIRST, rows({1: "old"})), Insert(SECOND, rows({1: "old"}))])
        write_all(connection, [Insert(FIRST, rows({1: "new"}), REPLACE), Insert(SECOND, rows({2: "new"}))])
        assert connection.execute(sa.select(FIRST.c.said)).scalars().all() == ["new"]
    with pytest.raises(sa.exc.IntegrityError), three.write() as connection:
        write_all(connection, [Insert(FIRST, rows({3: "x"})), Insert(SECOND, rows({1: "again"}))])
    with three.read() as connection:
        assert connection.execute(sa.select(FIRST.c.id)).scalars().all() == [1]


def test_changing_rows_tells_how_many_there_were_and_a_refusal_is_what_sqlalchemy_raises(three: Database) -> None:
    with three.write() as connection:
        insert_rows(connection, FIRST, rows({1: "a", 2: "b"}))
        changes = [{"said": said, "key_id": number} for number, said in ((1, "x"), (2, "y"), (3, "z"))]
        assert update_rows(connection, FIRST, ("id",), changes) == 2
        with pytest.raises(sa.exc.IntegrityError), connection.begin_nested():
            insert_rows(connection, FIRST, rows({3: "c", 1: "again"}))
    with three.read() as connection:
        assert [tuple(row) for row in connection.execute(sa.select(FIRST).order_by(FIRST.c.id))] == [(1, "x"), (2, "y")]
