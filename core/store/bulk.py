"""Writes many rows of one table in one statement: `executemany` on SQLite, arrays unnested on PostgreSQL.

The hot paths use this instead of the ORM or row-by-row statements; on PostgreSQL one round trip writes a whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.instants import to_micros
from core.store.array_literals import array_literal
from core.store.columns import InstantColumn, JsonColumn, to_json

Convert = Callable[[Any], Any]


def insert_rows(
    connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]], *, on_conflict: str = ""
) -> None:
    """Insert rows of the same columns; `on_conflict` is SQL behind the values, the same on both databases."""
    if not rows:
        return
    columns = tuple(rows[0])
    statement, converters = _insert(table, columns, connection.dialect.name, on_conflict)
    _run(connection, statement, converters, columns, rows)


def update_rows(
    connection: Connection, table: sa.Table, key: str, rows: Sequence[Mapping[str, Any]], where: str = ""
) -> None:
    """Set the given columns of the rows named by `key`; `where` narrows them, with the table's columns as `t.…`."""
    if not rows:
        return
    columns = (*(name for name in rows[0] if name != key), key)
    statement, converters = _update(table, columns, key, connection.dialect.name, where)
    _run(connection, statement, converters, columns, rows)


def _run(
    connection: Connection,
    statement: str,
    converters: tuple[Convert | None, ...],
    columns: tuple[str, ...],
    rows: Sequence[Mapping[str, Any]],
) -> None:
    by_column = [
        [row[name] for row in rows] if convert is None else [convert(row[name]) for row in rows]
        for name, convert in zip(columns, converters, strict=True)
    ]
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(statement, list(zip(*by_column, strict=True)))
    else:
        connection.exec_driver_sql(statement, tuple(map(array_literal, by_column)))


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
    table: sa.Table, columns: tuple[str, ...], key: str, dialect: str, where: str
) -> tuple[str, tuple[Convert | None, ...]]:
    more = f" AND {where}" if where else ""
    if dialect == "sqlite":
        changes = ", ".join(f"{name} = ?" for name in columns[:-1])
        statement = f"UPDATE {table.name} AS t SET {changes} WHERE t.{key} = ?{more}"
    else:
        changes = ", ".join(f"{name} = v.{name}" for name in columns[:-1])
        arrays = ", ".join(_array(table.c[name]) for name in columns)
        statement = (
            f"UPDATE {table.name} AS t SET {changes} FROM unnest({arrays}) AS v({', '.join(columns)})"
            f" WHERE t.{key} = v.{key}{more}"
        )
    return statement, tuple(_converter(table.c[name]) for name in columns)
