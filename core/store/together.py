"""Asks the driver itself: on PostgreSQL several statements at once, all of them in one round trip; on SQLite in turn.

What a single event costs is, to a good part, waiting for answers that are not needed before the next question, and what
the library between us and the driver makes of each.
"""

from __future__ import annotations

import contextlib
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
    driver: Any = connection.connection.driver_connection
    # A pipeline says more to the server than a statement by itself, and SQLite has none.
    at_once = len(questions) > 1 and connection.dialect.name != "sqlite"
    running = questions[0]
    answers: list[Any] = []
    try:
        with driver.pipeline() if at_once else contextlib.nullcontext():
            for running in questions:
                cursor = driver.cursor()
                _tell_listeners(connection, cursor, running)
                cursor.execute(*running)
                answers.append(cursor if at_once else _rows(cursor))
        return [_rows(answer) for answer in answers] if at_once else answers
    except connection.dialect.loaded_dbapi.Error as error:
        raise _as_sqlalchemy_says(connection, error, running) from error


def run_for_each(connection: Connection, text: str, rows: Sequence[tuple[Any, ...]]) -> int:
    """On SQLite: run a statement once for each of `rows`, its parameters; return how many rows of the table it changed.

    Raises what SQLAlchemy raises.
    """
    driver: Any = connection.connection.driver_connection
    running = Question(text, tuple(rows))
    try:
        cursor = driver.cursor()
        _tell_listeners(connection, cursor, running, many=True)
        cursor.executemany(text, rows)
        return int(cursor.rowcount)
    except connection.dialect.loaded_dbapi.Error as error:
        raise _as_sqlalchemy_says(connection, error, running) from error


def _rows(cursor: Any) -> Sequence[tuple[Any, ...]]:
    return cursor.fetchall() if cursor.description else []


def _tell_listeners(connection: Connection, cursor: Any, running: Question, *, many: bool = False) -> None:
    """Tell whoever listens to the engine, which does not see these statements by itself."""
    connection.dispatch.before_cursor_execute(connection, cursor, *running, None, many)


def _as_sqlalchemy_says(connection: Connection, error: Exception, running: Question) -> Exception:
    is_gone = bool(getattr(connection.connection.driver_connection, "closed", False))
    if is_gone:
        connection.invalidate(error)
    return sa.exc.DBAPIError.instance(
        running.text, running.parameters, error, connection.dialect.loaded_dbapi.Error,
        connection_invalidated=is_gone, dialect=connection.dialect,
    )  # fmt: skip


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
