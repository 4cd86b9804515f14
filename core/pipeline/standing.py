"""Whether what a message says is still true: a condition on one row of the plugin's tables, looked at before sending.

The courier runs no plugin code, so the condition is stored as the database sees it: names and plain values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect

from core.host.plugin import Plugin
from core.model.effects import Still
from core.model.errors import EffectRefused, did_you_mean
from core.model.schemas import canonical_json

_NAME = re.compile(r"^[a-z_][a-z0-9_]{0,62}$")


def condition_of(still: Still, plugin: Plugin, dialect: Dialect) -> str:
    """Return the condition as it is stored. Raises EffectRefused for what is no row of the plugin's tables."""
    tables = plugin.tables.tables if plugin.tables is not None else {}
    table = tables.get(still.table)
    if table is None or not still.table.startswith(f"{plugin.name}_"):
        near = did_you_mean(still.table, tables)
        raise EffectRefused(f'`still` names the table "{still.table}", which is none of {plugin.name}.{near}')
    if not still.key or not still.values:
        raise EffectRefused("`still` needs the key of a row and at least one value it must hold.")
    return canonical_json(
        {
            "table": still.table,
            "key": _stored(table, still.key, dialect),
            "values": _stored(table, still.values, dialect),
        }
    )


def _stored(table: sa.Table, values: Mapping[str, Any], dialect: Dialect) -> dict[str, Any]:
    """Return values as their columns keep them."""
    result = {}
    for name, value in values.items():
        if name not in table.columns:
            raise EffectRefused(f'{table.name} has no column "{name}".{did_you_mean(name, list(table.columns.keys()))}')
        convert = table.columns[name].type.dialect_impl(dialect).bind_processor(dialect)
        kept = convert(value) if convert is not None and value is not None else value
        if kept is not None and not isinstance(kept, (str, int, float)):
            raise EffectRefused(
                f"`still` compares texts, numbers and instants; {table.name}.{name} keeps {type(kept).__name__}."
            )
        result[name] = kept
    return result


def no_longer(connection: Connection, condition: str, plugin: str) -> str | None:
    """Return why a stored condition does not hold any more, or None while it does.

    A table or row that is gone does not hold anything. Names are checked again, since they become part of a statement.
    """
    wanted = json.loads(condition)
    table, names = wanted["table"], [*wanted["key"], *wanted["values"]]
    if not table.startswith(f"{plugin}_") or not all(_NAME.match(name) for name in (table, *names)):
        return f"{table} cannot be looked at"
    try:
        columns = {column["name"] for column in sa.inspect(connection).get_columns(table)}
    except sa.exc.NoSuchTableError:
        return f"the table {table} is gone"
    missing = [name for name in names if name not in columns]
    if missing:
        return f"{table} has no column {missing[0]} any more"
    columns_wanted: list[sa.ColumnElement[Any]] = [sa.column(name) for name in wanted["values"]]
    statement: Any = sa.select(*columns_wanted).select_from(sa.table(table))
    for name, value in wanted["key"].items():
        statement = statement.where(sa.column(name) == value)
    row = connection.execute(statement.limit(1)).one_or_none()
    if row is None:
        return f"the row of {table} is gone"
    moved = [name for name, value in wanted["values"].items() if row._mapping[name] != value]
    return f"{table}.{moved[0]} changed" if moved else None
