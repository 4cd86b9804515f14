"""A plugin's view of its own tables: reads now, writes kept as values and made later in bulk with the effects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NoReturn, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from core.model.context import RowWrite
from core.model.errors import EffectRefused

ModelT = TypeVar("ModelT")
AnswerT = TypeVar("AnswerT")

_SAVEPOINT = "plugin_reads"

Overlay = dict[tuple[str, tuple[Any, ...]], Mapping[str, Any] | None]
"""Rows that earlier deliveries of the same batch will write: by table and primary key; None is a deleted row."""


@lru_cache(maxsize=256)
def _by_key(table: sa.Table) -> sa.Select[Any]:
    """Return the statement that reads a row by its primary key, each column's value as `key_<column>`."""
    columns = table.primary_key.columns
    return sa.select(table).where(*[item == sa.bindparam(f"key_{item.name}", type_=item.type) for item in columns])


class BufferedSession:
    """Implements `ctx.session`; `writes` is what the recorder makes of it."""

    def __init__(self, connection: Connection, plugin: str, overlay: Overlay) -> None:
        self._connection = connection
        self._plugin = plugin
        self._overlay = overlay
        self._session: Session | None = None
        self._has_savepoint = False
        self.writes: list[RowWrite] = []
        self.tables: dict[str, sa.Table] = {}

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"ctx.session has no {name}(); it has get, scalars, rows, insert, upsert, update, delete and dialect, "
            "and commits by itself what is asked for, together with the effects"
        )

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._connection.dialect.name

    def _ask(self, question: Callable[[Session], AnswerT]) -> AnswerT:
        """Read. On PostgreSQL a statement that fails dooms its transaction, so plugins read behind a savepoint."""
        if self._session is None:
            self._session = Session(bind=self._connection, autoflush=False)
            if self.dialect == "postgresql":
                self._connection.exec_driver_sql(f"SAVEPOINT {_SAVEPOINT}")
                self._has_savepoint = True
        try:
            return question(self._session)
        except sa.exc.DBAPIError:
            if self._has_savepoint and not self._connection.invalidated:
                self._connection.exec_driver_sql(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
            raise

    def _stored(self, model: type[ModelT], values: Mapping[str, Any]) -> ModelT | None:
        # Not Session.get: its bookkeeping costs more than the row, and what is handed out is never written through.
        key = {f"key_{name}": value for name, value in values.items()}
        row = self._ask(lambda session: session.connection().execute(_by_key(self._table(model)), key).one_or_none())
        return None if row is None else model(**row._mapping)

    def _table(self, model: type[Any]) -> sa.Table:
        table: sa.Table = model.__table__ if hasattr(model, "__table__") else model  # type: ignore[assignment]
        if not table.name.startswith(self._plugin + "_"):
            raise EffectRefused(
                f'The plugin {self._plugin} may only touch tables named "{self._plugin}_…", not "{table.name}".'
            )
        self.tables[table.name] = table
        return table

    def get(self, model: type[ModelT], key: Any) -> ModelT | None:
        """Return the row with this primary key, with what earlier deliveries of the batch decided, or None."""
        table = self._table(model)
        values = _key_values(table, key)
        place = (table.name, tuple(values.values()))
        if place not in self._overlay:
            return self._stored(model, values)
        pending = self._overlay[place]
        if pending is None:
            return None
        stored = self._stored(model, values)
        columns = [column.name for column in table.columns]
        merged = {name: getattr(stored, name) for name in columns} if stored is not None else {}
        return model(**{**merged, **pending})

    def scalars(self, statement: Any) -> Sequence[Any]:
        """Run a SELECT and return the first column of every row; sees committed rows only."""
        checked = _select_only(statement)
        return self._ask(lambda session: session.scalars(checked).all())

    def rows(self, statement: Any) -> Sequence[Any]:
        """Run a SELECT and return its rows; sees committed rows only."""
        checked = _select_only(statement)
        return self._ask(lambda session: session.execute(checked).all())

    def insert(self, model: type[Any], **values: Any) -> None:
        """Add a row when the delivery is recorded; a row with the same key fails the delivery."""
        table = self._table(model)
        self._keep("insert", table, {name: values.get(name) for name in _key_names(table)}, values)

    def upsert(self, model: type[Any], **values: Any) -> None:
        """Add a row, or replace these columns of the row with the same primary key."""
        table = self._table(model)
        names = _key_names(table)
        missing = [name for name in names if values.get(name) is None]
        if missing:
            raise EffectRefused(f"upsert on {table.name} needs its whole primary key; missing: {', '.join(missing)}")
        self._keep("upsert", table, {name: values[name] for name in names}, values)

    def update(
        self, model: type[Any], key: Any, values: Mapping[str, Any], expected: Mapping[str, Any] | None = None
    ) -> None:
        """Change columns of the row with this primary key; decided again when `expected` no longer holds."""
        table = self._table(model)
        self._keep("update", table, _key_values(table, key), values, expected or {})

    def delete(self, model: type[Any], key: Any) -> None:
        """Delete the row with this primary key; none there is not an error."""
        table = self._table(model)
        self._keep("delete", table, _key_values(table, key), {})

    def _keep(
        self,
        operation: str,
        table: sa.Table,
        key: Mapping[str, Any],
        values: Mapping[str, Any],
        expected: Mapping[str, Any] | None = None,
    ) -> None:
        unknown = [name for name in (*values, *(expected or {})) if name not in table.columns]
        if unknown:
            raise EffectRefused(f"The table {table.name} has no column {', '.join(unknown)}.")
        self.writes.append(RowWrite(operation, table.name, dict(key), dict(values), dict(expected or {})))

    def close(self) -> None:
        """Forget what was read."""
        if self._session is not None:
            self._session.close()
            self._session = None
        if self._has_savepoint and not self._connection.invalidated:
            self._connection.exec_driver_sql(f"RELEASE SAVEPOINT {_SAVEPOINT}")
        self._has_savepoint = False


def lay_over(overlay: Overlay, writes: Sequence[RowWrite]) -> None:
    """Show a delivery's writes to the later deliveries of its batch."""
    for write in writes:
        if any(value is None for value in write.key.values()):
            continue  # the database will choose the key, so nobody can ask for it yet
        place = (write.table, tuple(write.key.values()))
        if write.operation == "delete":
            overlay[place] = None
        else:
            overlay[place] = {**(overlay.get(place) or {}), **write.key, **write.values}


def _key_names(table: sa.Table) -> list[str]:
    return [column.name for column in table.primary_key.columns]


def _key_values(table: sa.Table, key: Any) -> dict[str, Any]:
    names = _key_names(table)
    if isinstance(key, Mapping):
        values = {name: key[name] for name in names}
    else:
        parts = key if isinstance(key, tuple) else (key,)
        if len(parts) != len(names):
            raise EffectRefused(f"The primary key of {table.name} is ({', '.join(names)}); got {key!r}.")
        values = dict(zip(names, parts, strict=True))
    return values


def _select_only(statement: Any) -> Any:
    if not getattr(statement, "is_select", False):
        raise EffectRefused("ctx.session reads with SELECT; write with insert, upsert, update or delete.")
    return statement
