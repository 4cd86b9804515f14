"""Reads what IT decided: the history of configuration versions, and which plugins are quarantined where."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import NotFound
from core.store.reading.pages import Page, newest_first, only_units, pick
from core.store.tables import config_versions, quarantines

_VERSION = ("number", "applied_at", "applied_by", "reason", "origin", "file_hash")


def list_versions(connection: Connection, *, cursor: str | None = None, limit: int = 50) -> Page:
    """Return the configuration versions, newest first, without their documents."""
    rows, following = newest_first(connection, config_versions.c.number, cursor=cursor, limit=limit)
    return Page([pick(row, *_VERSION) for row in rows], following)


def show_version(connection: Connection, number: int) -> dict[str, Any]:
    """Return one configuration version with its document. Raises NotFound."""
    row = connection.execute(sa.select(config_versions).where(config_versions.c.number == number)).one_or_none()
    if row is None:
        raise NotFound(f"There is no configuration version {number}.")
    return {**pick(row, *_VERSION), "document": row.document}


def list_quarantines(connection: Connection, units: frozenset[str] | None = None) -> list[dict[str, Any]]:
    """Return the plugins that crashed in a unit, the active quarantines first."""
    statement = sa.select(quarantines).where(*only_units(quarantines.c.unit, units))
    rows = connection.execute(statement.order_by(quarantines.c.active.desc(), quarantines.c.unit, quarantines.c.plugin))
    return [dict(row._mapping) for row in rows]


def active_quarantine(connection: Connection, unit: str, plugin: str) -> dict[str, Any] | None:
    """Return the active quarantine of a plugin in a unit, or None."""
    row = connection.execute(
        sa.select(quarantines).where(
            quarantines.c.unit == unit, quarantines.c.plugin == plugin, quarantines.c.active.is_(True)
        )
    ).one_or_none()
    return None if row is None else dict(row._mapping)
