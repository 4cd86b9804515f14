"""Sends several statements to PostgreSQL at once, so that all of them cost one round trip; on SQLite one by one.

What a single event costs is, to a good part, waiting for answers that are not needed before the next question.
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
    may stand before those that rest on it. Raises what SQLAlchemy raises for the first that fails.
    """
    if connection.dialect.name == "sqlite":
        results = [connection.exec_driver_sql(*question) for question in questions]
        return [result.fetchall() if result.returns_rows else [] for result in results]
    driver: Any = connection.connection.driver_connection
    running = questions[0]
    try:
        with driver.pipeline():
            cursors = []
            for running in questions:
                cursors.append(driver.cursor())
                # For whoever listens to the engine, which does not see these by itself.
                connection.dispatch.before_cursor_execute(connection, cursors[-1], *running, None, False)
                cursors[-1].execute(*running)
        return [cursor.fetchall() if cursor.description else [] for cursor in cursors]
    except connection.dialect.loaded_dbapi.Error as error:
        is_gone = bool(driver.closed)
        if is_gone:
            connection.invalidate(error)
        raise sa.exc.DBAPIError.instance(
            running.text, running.parameters, error, connection.dialect.loaded_dbapi.Error,
            connection_invalidated=is_gone, dialect=connection.dialect,
        ) from error  # fmt: skip


def every_column(table: sa.Table) -> str:
    """Return what selects all the table's columns, in the order in which `typed_rows` reads them."""
    return ", ".join(column.name for column in table.columns)


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
