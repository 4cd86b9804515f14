"""Makes the row writes that plugins' sessions kept, in bulk: one statement for each run of writes of one shape."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from core.model.context import RowWrite


class StaleRow(Exception):
    """A row that an update counted on is gone or no longer holds what was expected; decide again on fresh rows."""

    def __init__(self, table: str) -> None:
        self.table = table
        super().__init__(f"a row of {table} changed since it was read")


Shape = tuple[str, str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]
"""What writes of one statement share: operation, table, and the columns of key, values and expectation."""


def apply_writes(connection: Connection, tables: Mapping[str, sa.Table], writes: Sequence[RowWrite]) -> None:
    """Make `writes` in their order inside the caller's transaction; consecutive writes of one shape go in bulk.

    Raises StaleRow when an update matches no row, be it for its key or for its `expected` values; the caller rolls
    back to its savepoint and decides again. A key that is there already fails an insert with IntegrityError.
    """
    dialect = connection.dialect.name
    for shape, run in itertools.groupby(writes, key=_shape):
        operation, name, key, values, expected = shape
        rows = list(run)
        statement = _STATEMENTS[operation](dialect, tables[name], key, values, expected)
        result = connection.execute(statement, [_parameters(write) for write in rows])
        if operation == "update" and result.rowcount < len(rows):
            raise StaleRow(name)


def _shape(write: RowWrite) -> Shape:
    return (write.operation, write.table, tuple(write.key), tuple(write.values), tuple(write.expected))


def _parameters(write: RowWrite) -> dict[str, Any]:
    """Name every value by its role, since one column may be key, new value and expectation at once."""
    if write.operation in ("insert", "upsert"):
        return dict(write.values)
    named = {f"key_{column}": value for column, value in write.key.items()}
    named |= {f"new_{column}": value for column, value in write.values.items()}
    return named | {f"expected_{column}": value for column, value in write.expected.items()}


def _bind(role: str, table: sa.Table, column: str) -> sa.BindParameter[Any]:
    return sa.bindparam(f"{role}_{column}", type_=table.c[column].type)


@lru_cache(maxsize=1024)
def _insert(dialect: str, table: sa.Table, key: tuple[str, ...], values: tuple[str, ...], _: tuple[str, ...]) -> Any:
    return sa.insert(table)


@lru_cache(maxsize=1024)
def _upsert(dialect: str, table: sa.Table, key: tuple[str, ...], values: tuple[str, ...], _: tuple[str, ...]) -> Any:
    statement: Any = (sqlite if dialect == "sqlite" else postgresql).insert(table)
    changed = {name: statement.excluded[name] for name in values if name not in key}
    if not changed:
        return statement.on_conflict_do_nothing(index_elements=list(key))
    return statement.on_conflict_do_update(index_elements=list(key), set_=changed)


@lru_cache(maxsize=1024)
def _update(
    dialect: str, table: sa.Table, key: tuple[str, ...], values: tuple[str, ...], expected: tuple[str, ...]
) -> Any:
    # NULL is a value one may expect, so the comparison is the one for which NULL equals NULL.
    conditions = [table.c[name] == _bind("key", table, name) for name in key]
    conditions += [table.c[name].is_not_distinct_from(_bind("expected", table, name)) for name in expected]
    # An update without values still checks its expectation; setting a key to itself changes nothing.
    changes: dict[str, Any] = {name: _bind("new", table, name) for name in values}
    changes = changes or {key[0]: table.c[key[0]]}
    return sa.update(table).where(*conditions).values(changes)


@lru_cache(maxsize=1024)
def _delete(dialect: str, table: sa.Table, key: tuple[str, ...], values: tuple[str, ...], _: tuple[str, ...]) -> Any:
    return sa.delete(table).where(*[table.c[name] == _bind("key", table, name) for name in key])


_STATEMENTS: Mapping[str, Callable[..., Any]] = {
    "insert": _insert,
    "upsert": _upsert,
    "update": _update,
    "delete": _delete,
}
