"""Makes the row writes that plugins' sessions kept, in bulk: one statement for each run of writes of one shape."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
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
    """Make `writes` inside the caller's transaction, in bulk and as if in their order.

    Raises StaleRow when an update matches no row, be it for its key or for its `expected` values; the caller rolls
    back to its savepoint and decides again. A key that is there already fails an insert with IntegrityError.
    """
    dialect = connection.dialect.name
    for shape, run in itertools.groupby(_in_order(tables, writes), key=_shape):
        operation, name, key, values, expected = shape
        rows = list(run)
        statement = _STATEMENTS[operation](dialect, tables[name], key, values, expected)
        result = connection.execute(statement, [_parameters(write) for write in rows])
        if operation == "update" and result.rowcount < len(rows):
            raise StaleRow(name)


def _in_order(tables: Mapping[str, sa.Table], writes: Sequence[RowWrite]) -> Iterable[RowWrite]:
    """Bring the writes into the order in which everybody makes them: by plugin, by table and by key.

    Workers at different lanes may write the same rows of a plugin, and in one order they never wait for each other in a
    circle. What comes of it is the same: each plugin has tables of its own, written after those they refer to, and the
    writes of one row keep their order. Where rows of a table depend on one another, or a plugin deletes some or has
    tables in a circle, its writes stay as they are.
    """
    of_plugin: dict[sa.MetaData, list[RowWrite]] = {}
    for write in writes:
        of_plugin.setdefault(tables[write.table].metadata, []).append(write)
    for metadata in sorted(of_plugin, key=lambda metadata: min(metadata.tables)):
        own, places = of_plugin[metadata], _places(metadata)
        if any(write.operation == "delete" or write.table not in places for write in own):
            yield from own
        else:
            yield from sorted(own, key=lambda write: (places[write.table], *_row(tables[write.table], write)))


def _row(table: sa.Table, write: RowWrite) -> tuple[str, ...]:
    """Return what the writes of a table are ordered by: the row's key, or nothing where rows depend on one another."""
    return tuple(str(value) for value in write.key.values()) if _has_free_rows(table) else ()


@lru_cache(maxsize=1024)
def _has_free_rows(table: sa.Table) -> bool:
    """Whether the rows of a table can be written in any order: none refers to another, no value is theirs alone."""
    refers = any(key.column.table is table for key in table.foreign_keys)
    unique = any(isinstance(one, sa.UniqueConstraint) for one in table.constraints) or any(
        index.unique for index in table.indexes
    )
    return not (refers or unique)


@lru_cache(maxsize=256)
def _places(metadata: sa.MetaData) -> Mapping[str, int]:
    """Return the place of each table of a plugin: behind those it refers to. Tables in a circle have no such places."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", sa.exc.SAWarning)
        try:
            return {table.name: place for place, table in enumerate(metadata.sorted_tables)}
        except sa.exc.SAWarning:
            return {}


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
