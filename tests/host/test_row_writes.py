"""What bulk writing promises: the rows a plugin asked for, in its order, or a stale row named."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from core.model.context import RowWrite
from core.store.columns import BigId, JsonColumn
from core.store.database import Database
from core.store.row_writes import StaleRow, apply_writes

metadata = sa.MetaData()
scores = sa.Table(
    "host_scores",
    metadata,
    sa.Column("unit", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("score", sa.Integer),
    sa.Column("why", JsonColumn),
)
notes = sa.Table(
    "host_notes", metadata, sa.Column("id", BigId, primary_key=True), sa.Column("text", sa.Text, default="empty")
)
TABLES = {table.name: table for table in (scores, notes)}


@pytest.fixture(autouse=True)
def with_tables(database: Database) -> None:
    with database.write() as connection:
        metadata.create_all(connection)


def write(operation: str, ident: str = "a", expected: dict[str, Any] | None = None, **values: Any) -> RowWrite:
    key = {"unit": "u", "id": ident}
    values = {**key, **values} if operation in ("insert", "upsert") else values
    return RowWrite(operation, "host_scores", key, values, expected or {})


def rows(database: Database, table: sa.Table = scores) -> list[tuple[Any, ...]]:
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(sa.select(table).order_by(table.c.id))]


def test_rows_are_inserted_updated_upserted_and_deleted_in_their_order(database: Database) -> None:
    with database.write() as connection:
        apply_writes(
            connection,
            TABLES,
            [
                write("insert", "a", score=1, why={"k": [1]}),
                write("insert", "b", score=2, why=None),
                write("upsert", "b", score=3),
                write("upsert", "b", score=4),
                write("upsert", "c", score=5),
                write("update", "a", score=6),
                write("delete", "c"),
                write("delete", "nobody"),
            ],
        )
    assert rows(database) == [("u", "a", 6, {"k": [1]}), ("u", "b", 4, None)]


def test_a_run_of_writes_of_one_shape_is_one_statement(database: Database) -> None:
    statements: list[bool] = []
    with database.write() as connection:
        sa.event.listen(connection, "before_cursor_execute", lambda c, cur, text, p, ctx, many: statements.append(many))
        apply_writes(connection, TABLES, [write("insert", str(number), score=number) for number in range(50)])
        assert statements == [True]
    assert len(rows(database)) == 50


def test_the_database_chooses_a_key_that_was_not_given(database: Database) -> None:
    with database.write() as connection:
        apply_writes(connection, TABLES, [RowWrite("insert", "host_notes", {"id": None}, {"text": "x"}, {})] * 2)
        apply_writes(connection, TABLES, [RowWrite("insert", "host_notes", {"id": None}, {}, {})])
    assert [row[1] for row in rows(database, notes)] == ["x", "x", "empty"]


@pytest.mark.parametrize("expected", [{"score": 1}, {"why": None}, {"score": 1, "why": None}, {}])
def test_an_update_whose_expectation_holds_is_made(database: Database, expected: dict[str, Any]) -> None:
    with database.write() as connection:
        apply_writes(
            connection, TABLES, [write("insert", score=1, why=None), write("update", expected=expected, score=2)]
        )
    assert rows(database)[0][2] == 2


@pytest.mark.parametrize("expected", [{"score": 7}, {"score": None}, {"why": {"k": 1}}])
def test_an_update_whose_expectation_moved_is_stale(database: Database, expected: dict[str, Any]) -> None:
    with pytest.raises(StaleRow, match="host_scores"), database.write() as connection:
        apply_writes(
            connection, TABLES, [write("insert", score=1, why=None), write("update", expected=expected, score=2)]
        )
    assert rows(database) == []


def test_an_update_of_a_row_that_is_gone_is_stale_even_among_others(database: Database) -> None:
    with database.write() as connection:
        apply_writes(connection, TABLES, [write("insert", "a", score=1), write("insert", "c", score=1)])
    with pytest.raises(StaleRow), database.write() as connection:
        apply_writes(connection, TABLES, [write("update", ident, score=2) for ident in "abc"])
    assert [row[2] for row in rows(database)] == [1, 1]


def test_an_update_that_only_checks_changes_nothing(database: Database) -> None:
    with database.write() as connection:
        apply_writes(connection, TABLES, [write("insert", score=1), write("update", expected={"score": 1})])
    assert rows(database)[0][2] == 1


def test_a_key_that_is_there_already_fails_an_insert(database: Database) -> None:
    with pytest.raises(sa.exc.IntegrityError), database.write() as connection:
        apply_writes(connection, TABLES, [write("insert", score=1), write("insert", score=1)])


def test_an_upsert_of_the_key_alone_keeps_the_row(database: Database) -> None:
    with database.write() as connection:
        apply_writes(connection, TABLES, [write("insert", score=1), write("upsert")])
    assert rows(database)[0][2] == 1
