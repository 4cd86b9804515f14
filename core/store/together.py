"""Statements that need no answer of each other, asked one after the other.

They are not sent at once: behind a pipeline of the driver PostgreSQL 15 no longer counts how long a transaction is
idle, and a worker that is stopped there would keep its lanes until it goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection


class Question(NamedTuple):
    """One statement in the driver's own form, with its parameters."""

    text: str
    parameters: tuple[Any, ...] = ()


def ask_together(connection: Connection, questions: Sequence[Question]) -> list[Sequence[tuple[Any, ...]]]:
    """Run statements in their order and return the rows of each, none for one that returns none.

    Each sees what those before it did, and on PostgreSQL what others committed until it began: one that takes a lock
    may stand before those that rest on it.
    """
    results = [connection.exec_driver_sql(*question) for question in questions]
    return [result.fetchall() if result.returns_rows else [] for result in results]


@lru_cache(maxsize=64)
def typed_rows(table: sa.Table, dialect: sa.Dialect) -> Callable[[Sequence[tuple[Any, ...]]], list[Any]]:
    """Return what makes rows of all the table's columns, in their order, of what the driver returned for them."""
    row_type: Any = NamedTuple(f"{table.name}_row", [(column.name, Any) for column in table.columns])  # type: ignore[misc]
    converters = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in table.columns]

    def typed(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        return [
            row_type._make(
                value if convert is None else convert(value) for value, convert in zip(row, converters, strict=True)
            )
            for row in rows
        ]

    return typed
