"""Builds the indexes of a migration: on PostgreSQL, where rows are in the table, beside those who write to it."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

Index = tuple[str, str, list[str], str | None]
"""Its name, table and columns, and the condition on the rows it holds."""


def is_apart() -> bool:
    """Whether the migration runs outside a transaction (`BUILDS_INDEXES_ON`), so that nobody who writes waits."""
    return op.get_bind().get_execution_options().get("isolation_level") == "AUTOCOMMIT"


def build_indexes(indexes: Sequence[Index]) -> None:
    """Build those that are missing; a build that was broken off before is begun again."""
    apart = is_apart()
    for name in _broken_off({name for name, *_ in indexes}) if apart else ():
        op.drop_index(name, postgresql_concurrently=True)
    for name, table, columns, condition in indexes:
        where = sa.text(condition) if condition else None
        op.create_index(
            name, table, columns, unique=False, if_not_exists=True,
            sqlite_where=where, postgresql_where=where, postgresql_concurrently=apart,
        )  # fmt: skip


def _broken_off(names: set[str]) -> list[str]:
    """Name the indexes that a concurrent build left behind without finishing them."""
    found = op.get_bind().exec_driver_sql(
        "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " WHERE NOT i.indisvalid AND c.relnamespace = current_schema()::regnamespace"
    )
    return [row[0] for row in found.fetchall() if row[0] in names]
