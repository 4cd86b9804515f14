"""Health for machines: alive, ready with the reasons if not, and the metrics."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import sqlalchemy as sa
from flask import Blueprint, Response, jsonify

from core import metrics
from core.model.errors import OutriggerError
from core.store.database import Database
from core.store.tables import metadata
from core.web.counters_server import CONTENT_TYPE
from core.web.problems import problem
from core.web.services import Services, services

MIN_FREE = 0.05

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """Say that the process is alive; nothing else is looked at."""
    return jsonify(status="alive")


@blueprint.get("/readyz")
def readyz() -> Response:
    """Say whether this process should be sent requests; 503 with every reason if not."""
    reasons = unready(services())
    if not reasons:
        return jsonify(status="ready")
    errors = [{"path": path, "message": message} for path, message in reasons]
    return problem(503, "not_ready", "This server is not ready.", "; ".join(m for _, m in reasons), errors=errors)


@blueprint.get("/metrics")
def exposition() -> Response:
    """Return what Prometheus scrapes."""
    parts = services()
    text = metrics.exposition(parts.database, parts.clock.now)
    return Response(text, content_type=CONTENT_TYPE)


def unready(parts: Services) -> list[tuple[str, str]]:
    """Return (what, why) for everything that keeps this process from serving."""
    found = [("process", reason) for reason in parts.ready()]
    fault = _database_fault(parts.database)
    if fault is not None:
        return [*found, ("database", fault)]
    fault = parts.schema_fault(parts.database)
    if fault is not None:
        return [*found, ("schema", fault)]
    try:
        if parts.configuration().number < 1:
            found.append(("configuration", "no configuration was applied yet; run `outrigger config apply`"))
    except OutriggerError as error:
        found.append(("configuration", f"the configuration cannot be read ({error.code})"))
    free = free_share(parts.database)
    if free is not None and free < MIN_FREE:
        found.append(("disk", f"less than {MIN_FREE:.0%} of the disk is free"))
    return found


def _database_fault(database: Database) -> str | None:
    """Take the write lock and give it back: what a real request needs, without a row or a sync."""
    try:
        with database.write() as connection:
            if database.is_sqlite:
                return None
            read_only = connection.exec_driver_sql("SHOW transaction_read_only").scalar_one() != "off"
            return "the database takes no writes: it is a standby or read-only" if read_only else None
    except OutriggerError as error:
        return f"the database cannot be written ({error.code})"
    except sa.exc.SQLAlchemyError as error:
        return f"the database cannot be written ({type(error).__name__})"


def missing_tables(database: Database) -> str | None:
    """Return what is missing in the database for this release, or None."""
    with database.read() as connection:
        known = set(sa.inspect(connection).get_table_names())
    missing = sorted(set(metadata.tables) - known)
    return f"tables are missing ({', '.join(missing[:5])}); run `outrigger migrate`" if missing else None


def free_share(database: Database) -> float | None:
    """Return the free share of the disk the SQLite file is on; None for a database server."""
    if not database.is_sqlite:
        return None
    folder = Path(database.url.database or ".").resolve().parent
    usage = shutil.disk_usage(folder if folder.exists() else os.sep)
    return usage.free / usage.total
