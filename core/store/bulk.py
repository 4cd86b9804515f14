"""Writes many rows in one statement: `executemany` on SQLite, arrays unnested on PostgreSQL, there of many tables too.

The hot paths use this instead of the ORM or row-by-row statements; on PostgreSQL one round trip writes a whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.instants import to_micros
from core.store.array_literals import array_literal
from core.store.columns import InstantColumn, JsonColumn, to_json
from core.store.together import Question, ask_together, run_for_each

Convert = Callable[[Any], Any]

KEY = "key_"
"""Before the names of the columns by which rows to update are found; their values may be set at the same time."""


def insert_rows(
    connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]], *, on_conflict: str = ""
) -> None:
    """Insert rows of the same columns; `on_conflict` is SQL behind the values, the same on both databases."""
    if not rows:
        return
    columns = tuple(rows[0])
    statement, converters = _insert(table, columns, connection.dialect.name, on_conflict)
    _run(connection, statement, converters, columns, rows)


@dataclass(frozen=True, slots=True)
class Insert:
    """Rows of the same columns for one table, as `insert_rows` takes them."""

    table: sa.Table
    rows: Sequence[Mapping[str, Any]]
    on_conflict: str = ""


@dataclass(frozen=True, slots=True)
class Update:
    """Columns of rows to set, as `update_rows` takes them; how many there were is not asked."""

    table: sa.Table
    keys: tuple[str, ...]
    rows: Sequence[Mapping[str, Any]]
    where: str = ""


def write_all(connection: Connection, inserts: Iterable[Insert], update: Update | None = None) -> None:
    """Make several inserts, and an update behind them; on PostgreSQL all in one round trip.

    There the inserts are one statement, so that they must not build upon each other.
    """
    wanted = [insert for insert in inserts if insert.rows]
    if connection.dialect.name == "sqlite":
        for insert in wanted:
            insert_rows(connection, insert.table, insert.rows, on_conflict=insert.on_conflict)
        if update is not None:
            update_rows(connection, update.table, update.keys, update.rows, update.where)
        return
    statements: list[str] = []
    parameters: list[str] = []
    for insert in wanted:
        columns = tuple(insert.rows[0])
        statement, converters = _insert(insert.table, columns, "postgresql", insert.on_conflict)
        statements.append(statement)
        parameters += map(array_literal, _by_column(converters, columns, insert.rows))
    questions = [Question(_as_one(tuple(statements)), tuple(parameters))] if statements else []
    if update is not None and update.rows:
        columns = _update_columns(update.keys, update.rows)
        statement, converters = _update(update.table, columns, update.keys, "postgresql", update.where)
        questions.append(Question(statement, tuple(map(array_literal, _by_column(converters, columns, update.rows)))))
    if questions:
        ask_together(connection, questions)


def update_rows(
    connection: Connection, table: sa.Table, keys: tuple[str, ...], rows: Sequence[Mapping[str, Any]], where: str = ""
) -> int:
    """Set columns of the rows that `keys` name, and return how many there were.

    Every row gives the columns to set, and what those of `keys` must hold, the latter under names with `key_` before.
    `where` narrows them further, with the table's columns as `t.…`.
    """
    if not rows:
        return 0
    columns = _update_columns(keys, rows)
    statement, converters = _update(table, columns, keys, connection.dialect.name, where)
    return _run(connection, statement, converters, columns, rows)


def _update_columns(keys: tuple[str, ...], rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    named = tuple(f"{KEY}{name}" for name in keys)
    return (*(name for name in rows[0] if name not in named), *named)


def _run(
    connection: Connection,
    statement: str,
    converters: tuple[Convert | None, ...],
    columns: tuple[str, ...],
    rows: Sequence[Mapping[str, Any]],
) -> int:
    by_column = _by_column(converters, columns, rows)
    if connection.dialect.name == "sqlite":
        return run_for_each(connection, statement, list(zip(*by_column, strict=True)))
    return int(connection.exec_driver_sql(statement, tuple(map(array_literal, by_column))).rowcount)


def _by_column(
    converters: tuple[Convert | None, ...], columns: tuple[str, ...], rows: Sequence[Mapping[str, Any]]
) -> list[list[Any]]:
    return [
        [row[name] for row in rows] if convert is None else [convert(row[name]) for row in rows]
        for name, convert in zip(columns, converters, strict=True)
    ]


@lru_cache(maxsize=256)
def _as_one(statements: tuple[str, ...]) -> str:
    *others, last = statements
    if not others:
        return last
    return f"WITH {', '.join(f'w{number} AS ({text})' for number, text in enumerate(others))} {last}"


def _converter(column: sa.Column[Any]) -> Convert | None:
    if isinstance(column.type, InstantColumn):
        return lambda value: None if value is None else to_micros(value)
    if isinstance(column.type, JsonColumn):
        return to_json
    return None


def _array(column: sa.Column[Any]) -> str:
    if isinstance(column.type, (InstantColumn, sa.BigInteger)):
        return "%s::bigint[]"
    if isinstance(column.type, sa.Boolean):
        return "%s::boolean[]"
    if isinstance(column.type, sa.Integer):
        return "%s::integer[]"
    return "%s::text[]"


@lru_cache(maxsize=256)
def _insert(
    table: sa.Table, columns: tuple[str, ...], dialect: str, on_conflict: str
) -> tuple[str, tuple[Convert | None, ...]]:
    names = ", ".join(columns)
    if dialect == "sqlite":
        values = f"VALUES ({', '.join('?' for _ in columns)})"
    else:
        values = f"SELECT * FROM unnest({', '.join(_array(table.c[name]) for name in columns)})"
    statement = f"INSERT INTO {table.name} ({names}) {values}{' ' + on_conflict if on_conflict else ''}"
    return statement, tuple(_converter(table.c[name]) for name in columns)


@lru_cache(maxsize=256)
def _update(
    table: sa.Table, columns: tuple[str, ...], keys: tuple[str, ...], dialect: str, where: str
) -> tuple[str, tuple[Convert | None, ...]]:
    more = f" AND {where}" if where else ""
    changed = columns[: -len(keys)]
    if dialect == "sqlite":
        changes = ", ".join(f"{name} = ?" for name in changed)
        wanted = " AND ".join(f"t.{name} = ?" for name in keys)
        statement = f"UPDATE {table.name} AS t SET {changes} WHERE {wanted}{more}"
    else:
        changes = ", ".join(f"{name} = v.{name}" for name in changed)
        arrays = ", ".join(_array(table.c[name.removeprefix(KEY)]) for name in columns)
        wanted = " AND ".join(f"t.{name} = v.{KEY}{name}" for name in keys)
        statement = (
            f"UPDATE {table.name} AS t SET {changes} FROM unnest({arrays}) AS v({', '.join(columns)})"
            f" WHERE {wanted}{more}"
        )
    return statement, tuple(_converter(table.c[name.removeprefix(KEY)]) for name in columns)
