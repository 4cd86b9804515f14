"""Brings the database to the version this release needs: the core's migrations first, then each plugin's own.

Core and plugins have a version table each, so a plugin can be removed with its tables and nothing else notices.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from core.store.database import Database

CORE_MIGRATIONS = Path(__file__).parent / "migrations"
CORE_VERSIONS = "outrigger_alembic_version"
MIGRATION_LOCK = 0x0C7218

logging.getLogger("alembic").setLevel(logging.WARNING)  # what ran is returned; its chatter tells an operator nothing


class HasMigrations(Protocol):
    """What owns tables: a plugin, by its name and folder."""

    @property
    def name(self) -> str:
        """The prefix of its tables."""
        ...

    @property
    def folder(self) -> Path:
        """Where `migrations/versions` may be."""
        ...


def pending(database: Database, plugins: Sequence[HasMigrations]) -> list[str]:
    """Return the migrations still to run, as `core:0001` or `lead_scoring:lead_scoring_0001`, in their order."""
    with database.read() as connection:
        return [
            f"{owner}:{revision}"
            for owner, folder, table in _places(plugins)
            for revision in _missing(connection, folder, table)
        ]


def migrate(database: Database, plugins: Sequence[HasMigrations]) -> list[str]:
    """Run what is pending and return it. Each owner's migrations are one transaction: all of them, or none.

    Two processes that migrate at once take turns; the second finds nothing left to do.
    """
    done: list[str] = []
    for owner, folder, table in _places(plugins):
        with database.write() as connection:
            if not database.is_sqlite:
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s, 0)", (MIGRATION_LOCK,))
            missing = _missing(connection, folder, table)
            if not missing:
                continue
            _upgrade(connection, folder, table)
            done += [f"{owner}:{revision}" for revision in missing]
    return done


def _places(plugins: Sequence[HasMigrations]) -> list[tuple[str, Path, str]]:
    places = [("core", CORE_MIGRATIONS, CORE_VERSIONS)]
    for plugin in sorted(plugins, key=lambda item: item.name):
        folder = plugin.folder / "migrations"
        if (folder / "versions").is_dir():
            places.append((plugin.name, folder, f"{plugin.name}_alembic_version"))
    return places


def _script(folder: Path) -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


def _context(connection: Connection, script: ScriptDirectory, table: str) -> MigrationContext:
    return MigrationContext.configure(
        connection, opts={"version_table": table, "transactional_ddl": False, "script": script}
    )


def _missing(connection: Connection, folder: Path, table: str) -> list[str]:
    script = _script(folder)
    current = _current(connection, script, table)
    steps = list(script.iterate_revisions("heads", current or "base"))
    return [step.revision for step in reversed(steps) if step.revision not in current]


def _current(connection: Connection, script: ScriptDirectory, table: str) -> tuple[str, ...]:
    """Return what was migrated so far; nothing, where somebody dropped a plugin's tables and left its version table."""
    heads = _context(connection, script, table).get_current_heads()
    if table == CORE_VERSIONS or not heads:
        return heads
    prefix = table.removesuffix("alembic_version")
    names = sa.inspect(connection).get_table_names()
    return heads if any(name.startswith(prefix) and name != table for name in names) else ()


def _upgrade(connection: Connection, folder: Path, table: str) -> None:
    script = _script(folder)
    if not _current(connection, script, table) and sa.inspect(connection).has_table(table):
        connection.execute(sa.delete(sa.table(table)))

    def steps(heads: tuple[str, ...], context: MigrationContext) -> list[object]:
        return script._upgrade_revs("heads", heads)  # type: ignore[arg-type, return-value]

    context = MigrationContext.configure(
        connection, opts={"version_table": table, "transactional_ddl": False, "fn": steps}
    )
    with Operations.context(context):
        context.run_migrations()
