"""Brings the database to the version this release needs: the core's migrations first, then each plugin's own.

Core and plugins have a version table each, so a plugin can be removed with its tables and nothing else notices.
A migration only adds, so processes of the release before go on working, and start, on a database that a newer release
has migrated; to them it lacks nothing.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Sequence
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


def newer(database: Database, plugins: Sequence[HasMigrations]) -> list[str]:
    """Return the migrations of newer releases that the database has and this one does not know."""
    with database.read() as connection:
        return [
            f"{owner}:{revision}"
            for owner, folder, table in _places(plugins)
            for revision in _unknown(_current(connection, _script(folder), table), _script(folder))
        ]


def migrate(database: Database, plugins: Sequence[HasMigrations]) -> list[str]:
    """Run what is pending and return it. Each owner's migrations are one transaction: all of them, or none.

    Only those that build indexes on tables with rows are run outside one on PostgreSQL, each by itself, so that
    nobody who writes waits for them; broken off, they are done again. Two processes that migrate at once take turns;
    the second finds nothing left to do.
    """
    with _turn(database):
        return [
            f"{owner}:{revision}"
            for owner, folder, table in _places(plugins)
            for revision in _run_pending(database, folder, table)
        ]


def _run_pending(database: Database, folder: Path, table: str) -> list[str]:
    done: list[str] = []
    while True:
        with database.write() as connection:
            missing = _missing(connection, folder, table)
            together = _together(connection, folder, missing)
            if together:
                _upgrade(connection, folder, table, together[-1])
        if missing and not together:
            together = missing[:1]
            with database.statements() as connection:
                _upgrade(connection, folder, table, together[0])
        done += together
        if len(together) == len(missing):
            return done


@contextlib.contextmanager
def _turn(database: Database) -> Iterator[None]:
    """On PostgreSQL: wait until no other process migrates this schema, and keep others waiting.

    Asked again and again, outside of any transaction: building an index beside writers waits for every transaction
    that was open when it began, and one that waited for the turn meanwhile would wait for ever.
    """
    if database.is_sqlite:
        yield
        return
    key = f"({MIGRATION_LOCK}, hashtext(current_schema()))"
    with database.statements() as connection:
        while not connection.exec_driver_sql(f"SELECT pg_try_advisory_lock{key}").scalar_one():
            time.sleep(0.05)
        try:
            yield
        finally:
            with contextlib.suppress(sa.exc.DBAPIError):  # a connection that broke has given its lock up
                connection.exec_driver_sql(f"SELECT pg_advisory_unlock{key}")


def _together(connection: Connection, folder: Path, missing: Sequence[str]) -> list[str]:
    """Return the missing revisions that one transaction runs: all up to the first that must not hold up writers."""
    found: list[str] = []
    script = _script(folder)
    for revision in missing:
        module = script.get_revision(revision).module
        large = getattr(module, "BUILDS_INDEXES_ON", None)
        if large is not None and connection.dialect.name == "postgresql" and _has_rows(connection, large):
            break
        found.append(revision)
    return found


def _has_rows(connection: Connection, table: str) -> bool:
    if not sa.inspect(connection).has_table(table):
        return False
    return connection.execute(sa.select(sa.literal(1)).select_from(sa.table(table)).limit(1)).first() is not None


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
    if _unknown(current, script):
        return []  # a newer release has been here, and what it ran begins with all of ours
    steps = list(script.iterate_revisions("heads", current or "base"))
    return [step.revision for step in reversed(steps) if step.revision not in current]


def _unknown(current: tuple[str, ...], script: ScriptDirectory) -> list[str]:
    known = {step.revision for step in script.walk_revisions()}
    return [revision for revision in current if revision not in known]


def _current(connection: Connection, script: ScriptDirectory, table: str) -> tuple[str, ...]:
    """Return what was migrated so far; nothing, where somebody dropped a plugin's tables and left its version table."""
    heads = _context(connection, script, table).get_current_heads()
    if table == CORE_VERSIONS or not heads:
        return heads
    prefix = table.removesuffix("alembic_version")
    names = sa.inspect(connection).get_table_names()
    return heads if any(name.startswith(prefix) and name != table for name in names) else ()


def _upgrade(connection: Connection, folder: Path, table: str, up_to: str) -> None:
    script = _script(folder)
    if not _current(connection, script, table) and sa.inspect(connection).has_table(table):
        connection.execute(sa.delete(sa.table(table)))

    def steps(heads: tuple[str, ...], context: MigrationContext) -> list[object]:
        return script._upgrade_revs(up_to, heads)  # type: ignore[arg-type, return-value]

    context = MigrationContext.configure(
        connection, opts={"version_table": table, "transactional_ddl": False, "fn": steps}
    )
    with Operations.context(context):
        context.run_migrations()
