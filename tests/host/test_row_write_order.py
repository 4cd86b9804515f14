"""Writes of many deliveries are brought together by table; what comes of it is what their own order gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.model.context import RowWrite
from core.store.database import Database
from core.store.row_writes import apply_writes

ORDERS = sa.MetaData()
_order = sa.Table("order_heads", ORDERS, sa.Column("id", sa.Text, primary_key=True), sa.Column("state", sa.Integer))
_line = sa.Table(
    "order_details", ORDERS, sa.Column("id", sa.Text, primary_key=True),
    sa.Column("head", sa.ForeignKey("order_heads.id")), sa.Column("state", sa.Integer),
)  # fmt: skip
NOTES = sa.MetaData()
_note = sa.Table("order_notes", NOTES, sa.Column("id", sa.Text, primary_key=True), sa.Column("state", sa.Integer))
CIRCLE = sa.MetaData()
_left = sa.Table(
    "circle_left",
    CIRCLE,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("other", sa.ForeignKey("circle_right.id")),
)
_right = sa.Table(
    "circle_right",
    CIRCLE,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("other", sa.ForeignKey("circle_left.id")),
)
TABLES = {table.name: table for metadata in (ORDERS, NOTES, CIRCLE) for table in metadata.tables.values()}
PLAIN = (_order, _line, _note)


@pytest.fixture(autouse=True)
def with_tables(database: Database) -> None:
    with database.write() as connection:
        for metadata in (ORDERS, NOTES):
            metadata.create_all(connection)


UNIQUE = sa.MetaData()
_seat = sa.Table(
    "seats_taken", UNIQUE, sa.Column("id", sa.Text, primary_key=True), sa.Column("place", sa.Integer, unique=True)
)


def _upsert(table: str, ident: str, **values: Any) -> RowWrite:
    return RowWrite("upsert", table, {"id": ident}, {"id": ident, **values}, {})


@st.composite
def _of_a_delivery(draw: st.DrawFn) -> list[RowWrite]:
    """Write what one delivery may: a head before its details, notes anywhere, and now and then take something away."""
    head, state = draw(st.sampled_from("abc")), draw(st.integers(0, 9))
    writes = [_upsert("order_heads", head, state=state)]
    for number in draw(st.lists(st.integers(0, 2), max_size=3)):
        writes.append(_upsert("order_details", f"{head}{number}", head=head, state=state))
    if draw(st.booleans()):
        writes.append(RowWrite("update", "order_heads", {"id": head}, {"state": state + 10}, {"state": state}))
    if draw(st.integers(0, 4)) == 0:
        writes.append(RowWrite("delete", "order_details", {"id": f"{head}1"}, {}, {}))
    writes.insert(draw(st.integers(0, len(writes))), _upsert("order_notes", head, state=state))
    return writes


def _end_of(database: Database, groups: Sequence[Sequence[RowWrite]]) -> list[Any]:
    with database.write() as connection:
        for table in reversed(PLAIN):
            connection.execute(sa.delete(table))
        for writes in groups:
            apply_writes(connection, TABLES, writes)
        return [connection.execute(sa.select(table).order_by(table.c.id)).all() for table in PLAIN]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deliveries=st.lists(_of_a_delivery(), max_size=8))
def test_in_bulk_the_same_rows_come_of_it_as_one_by_one(database: Database, deliveries: list[list[RowWrite]]) -> None:
    writes = [write for delivery in deliveries for write in delivery]
    assert _end_of(database, [writes]) == _end_of(database, [[write] for write in writes])


def test_rows_that_share_a_unique_value_are_written_in_their_own_order(database: Database) -> None:
    with database.write() as connection:
        UNIQUE.create_all(connection)
        connection.execute(sa.insert(_seat), [{"id": "a", "place": 1}, {"id": "b", "place": 2}])
        writes = [
            RowWrite("update", "seats_taken", {"id": "b"}, {"place": 3}, {}),
            RowWrite("update", "seats_taken", {"id": "a"}, {"place": 2}, {}),
        ]
        apply_writes(connection, {"seats_taken": _seat}, writes)
        assert connection.execute(sa.select(_seat.c.place).order_by(_seat.c.id)).scalars().all() == [2, 3]


def test_deliveries_of_several_plugins_are_written_with_a_statement_for_each_table(database: Database) -> None:
    writes = [
        write
        for number in range(40)
        for write in (
            _upsert("order_heads", f"h{number}", state=1), _upsert("order_notes", f"n{number}", state=1),
            _upsert("order_details", f"d{number}", head=f"h{number}", state=1),
        )
    ]  # fmt: skip
    with database.write() as connection, _Counted(connection) as statements:
        apply_writes(connection, TABLES, writes)
        assert len(statements) == 3


class _Counted:
    def __init__(self, connection: sa.Connection) -> None:
        self._connection, self._said = connection, list[str]()

    def __enter__(self) -> list[str]:
        sa.event.listen(self._connection, "before_cursor_execute", self._note)
        return self._said

    def __exit__(self, *_: object) -> None:
        sa.event.remove(self._connection, "before_cursor_execute", self._note)

    def _note(self, _c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        self._said.append(statement)


def test_tables_that_refer_to_one_another_in_a_circle_are_written_in_their_own_order(database: Database) -> None:
    with database.write() as connection:
        for statement in _made_in_a_circle():
            connection.exec_driver_sql(statement)
        writes = [
            RowWrite("insert", "circle_right", {"id": "r1"}, {"id": "r1", "other": None}, {}),
            RowWrite("insert", "circle_left", {"id": "l1"}, {"id": "l1", "other": "r1"}, {}),
            RowWrite("insert", "circle_right", {"id": "r2"}, {"id": "r2", "other": "l1"}, {}),
        ]
        apply_writes(connection, TABLES, writes)
        assert connection.execute(sa.select(_right.c.other).order_by(_right.c.id)).scalars().all() == [None, "l1"]


def _made_in_a_circle() -> Iterator[str]:
    yield "CREATE TABLE circle_left (id TEXT PRIMARY KEY, other TEXT)"
    yield "CREATE TABLE circle_right (id TEXT PRIMARY KEY, other TEXT REFERENCES circle_left (id))"
