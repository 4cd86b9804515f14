"""What a server checks and applies before its processes start."""

from __future__ import annotations

from pathlib import Path

import structlog

from core.cli.place import Place
from core.host.applying import apply_if_changed
from core.host.configuration import Surroundings
from core.host.discovery import load_schemas
from core.host.versions import absent_plugins, newest
from core.model.errors import ConfigurationConflict, ConfigurationRefused, DatabaseNotReady
from core.store.database import Database
from core.store.migrate import migrate, newer, pending
from core.time.clock import SystemClock

_log = structlog.get_logger("outrigger.process")


def prepare(place: Place, *, apply_file: bool) -> None:
    """Check what a server needs before its processes start; with `apply_file` also apply a changed plugins.toml.

    A new SQLite database is migrated on the spot, so that one command is enough. Raises OutriggerError.
    """
    database = place.database(2)
    plugins = load_schemas(place.roots())
    missing = pending(database, list(plugins.values()))
    if missing and database.is_sqlite and "core:0001" in missing:
        migrate(database, list(plugins.values()))
    elif missing:
        raise DatabaseNotReady(
            f"The database lacks {len(missing)} migrations ({', '.join(missing[:4])}); run `outrigger migrate` first."
        )
    ahead = newer(database, list(plugins.values()))
    if ahead:
        _log.warning("database_is_newer", migrations=ahead, advice="install the newer release here too")
    with database.read() as connection:
        before = newest(connection)
    absent = absent_plugins(before, plugins)
    for name, units in absent.items():
        advice = "its events are kept until it is installed again; or take it out of plugins.toml and apply that"
        _log.error("plugin_missing", plugin=name, switched_on_in=units, advice=advice)
    if apply_file:
        around = place.assembly.surroundings(plugins, place.environment)
        _apply(database, place.environment.config_path, around, version=before.number if before else None)
    database.close()


def _apply(database: Database, path: Path, around: Surroundings, *, version: int | None) -> None:
    """Apply a changed plugins.toml. With a `version` in force to go on with, a refused file does not stop the server.

    CRMs send all the same, after a power cut too; what keeps the file from being applied is logged and shows as drift.
    """
    try:
        applied = apply_if_changed(database, path, around, clock=SystemClock(), by="serve")
    except (ConfigurationRefused, ConfigurationConflict) as refused:
        if version is None:
            raise
        advice = "mend the file and run `outrigger config apply`"
        _log.error("configuration_not_applied", in_force=version, reason=refused.message, advice=advice)
    else:
        _log.info("configuration", version=applied.number, new=applied.is_new)
