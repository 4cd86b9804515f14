"""Column types that mean the same on SQLite and on PostgreSQL: instants as microseconds, JSON as text."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from core.model import strict_json
from core.model.instants import from_micros, to_micros

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""A 64-bit number that SQLite hands out by itself as a primary key."""


class InstantColumn(sa.TypeDecorator[datetime]):
    """An instant, kept as whole microseconds since 1970 UTC so that both databases sort and compare alike."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Turn an aware datetime into microseconds."""
        return None if value is None else to_micros(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Turn microseconds into an aware UTC datetime."""
        return None if value is None else from_micros(value)


class JsonText(str):
    """Text that is JSON already, so that a JSON column keeps it as it is."""

    __slots__ = ()


def to_json(value: Any) -> str | None:
    """Return what a JSON column keeps of a value."""
    if value is None or type(value) is JsonText:
        return value
    return strict_json.dumps(value)


class JsonColumn(sa.TypeDecorator[Any]):
    """A JSON value, kept as compact text."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Encode the value."""
        return to_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Decode the text; numbers come back as int and float."""
        return None if value is None else json.loads(value)


def status_in(*statuses: str) -> sa.TextClause:
    """Return the condition of a partial index; a query must hold the same words, or SQLite does not use the index."""
    if len(statuses) == 1:
        return sa.text(f"status = '{statuses[0]}'")
    return sa.text("status IN ({})".format(", ".join(f"'{status}'" for status in sorted(statuses))))
