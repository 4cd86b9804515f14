"""Gives a test the plugin's own tables in a real, throw-away database, migrated as an installation is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.engine import Connection

from core.host.manifests import read_manifest
from core.host.plugin import Plugin
from core.store.database import Database
from core.store.plugin_session import BufferedSession
from core.store.row_writes import apply_writes
from core.testing.databases import migrated_database


class TableSession(BufferedSession):
    """`ctx.session` over real tables: `writes` is what the handler asked for, `apply()` makes it as the server does."""

    def __init__(self, database: Database, connection: Connection, plugin: str) -> None:
        super().__init__(connection, plugin, {})
        self._database = database

    def apply(self) -> None:
        """Make the kept writes in one transaction, all or none, and read afresh from here on.

        Raises core.store.row_writes.StaleRow when an update finds its row changed; the server decides again then.
        """
        writes, self.writes = self.writes, []
        with self._database.write() as connection:
            apply_writes(connection, self.tables, writes)
        self.close()


@contextlib.contextmanager
def plugin_session(folder: Path, *, postgresql: str | None = None) -> Iterator[TableSession]:
    """Open the tables of the plugin in `folder`, empty; they are gone when the block ends.

    The tables are made by the plugin's own migrations, so a test also notices when a migration was forgotten.
    `postgresql` is the URL of a PostgreSQL server to use instead of SQLite.
    """
    manifest = read_manifest(folder)
    plugin = Plugin(manifest=manifest, folder=folder, module=manifest.name)
    with migrated_database([plugin], postgresql) as database, database.engine.connect() as connection:
        session = TableSession(database, connection, manifest.name)
        yield session
        session.close()
