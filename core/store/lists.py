"""Asks for many keys in one statement whose text does not change with their number."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy.engine import Connection

from core.store.array_literals import array_literal
from core.store.together import Question, ask_together


def in_list(connection: Connection, select: str, values: Sequence[str] | Sequence[int]) -> Sequence[tuple[Any, ...]]:
    """Run `select` (ending in the column to compare) for all `values`; an empty list asks nothing."""
    if not values:
        return []
    [found] = ask_together(connection, [among(connection.dialect.name, (select,), values)])
    return found


def among(dialect: str, selects: Sequence[str], values: Sequence[str] | Sequence[int]) -> Question:
    """Return what `in_list` asks, here of one or more selects of the same columns; there must be a value."""
    if dialect == "sqlite":
        wanted, parameter = "IN (SELECT value FROM json_each(?))", json.dumps(list(values))
    else:
        kind = "bigint" if isinstance(values[0], int) else "text"
        wanted, parameter = f"= ANY(%s::{kind}[])", array_literal(values)
    return Question(" UNION ALL ".join(f"{select} {wanted}" for select in selects), (parameter,) * len(selects))


def by_record(
    connection: Connection,
    columns: str,
    table: str,
    keys: Sequence[tuple[str, str, str]],
    where: str = "",
    *,
    group_by: str = "",
) -> Sequence[tuple[Any, ...]]:
    """Select `columns` of `table` (alias `t`) for records given as (source, kind, record id)."""
    if not keys:
        return []
    [found] = ask_together(
        connection, [about_records(connection.dialect.name, columns, table, keys, where, group_by=group_by)]
    )
    return found


def about_records(
    dialect: str,
    columns: str,
    table: str,
    keys: Sequence[tuple[str, str, str]],
    where: str = "",
    *,
    group_by: str = "",
) -> Question:
    """Return the question that `by_record` asks."""
    condition = (f" WHERE {where}" if where else "") + (f" GROUP BY {group_by}" if group_by else "")
    # CROSS JOIN fixes SQLite's join order: each wanted key is looked up by the index, the table is never scanned.
    if dialect == "sqlite":
        statement = (
            f"SELECT {columns} FROM (SELECT json_extract(value, '$[0]') AS s, json_extract(value, '$[1]') AS k,"
            f" json_extract(value, '$[2]') AS r FROM json_each(?)) AS wanted CROSS JOIN {table} AS t"
            f" ON t.source = wanted.s AND t.kind = wanted.k AND t.record_id = wanted.r{condition}"
        )
        parameters: tuple[Any, ...] = (json.dumps([list(key) for key in keys]),)
    else:
        statement = (
            f"SELECT {columns} FROM unnest(%s::text[], %s::text[], %s::text[]) AS wanted(s, k, r)"
            f" JOIN {table} AS t ON t.source = wanted.s AND t.kind = wanted.k AND t.record_id = wanted.r{condition}"
        )
        parameters = tuple(array_literal(column) for column in zip(*keys, strict=True))
    return Question(statement, parameters)
