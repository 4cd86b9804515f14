"""Gives a test an empty database that is gone afterwards: an SQLite file, or a schema of its own on a PostgreSQL."""

from __future__ import annotations

import atexit
import contextlib
import functools
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import sqlalchemy as sa

from core.host.plugin import Plugin
from core.store.database import Database
from core.store.migrate import migrate


@contextlib.contextmanager
def migrated_database(plugins: Sequence[Plugin], server: str | None = None) -> Iterator[Database]:
    """Open a database with the tables of the server and of these plugins: SQLite, or on the PostgreSQL at `server`."""
    with _empty_schema(server) if server is not None else _copy(plugins) as url:
        database = Database(url)
        try:
            migrate(database, plugins)
            yield database
        finally:
            database.close()


@contextlib.contextmanager
def _empty_schema(server: str) -> Iterator[str]:
    schema = "outrigger_test_" + secrets.token_hex(6)
    outer = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    try:
        with outer.connect() as connection:
            connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
        url = sa.make_url(server).update_query_dict({"options": f"-csearch_path={schema}"})
        try:
            yield url.render_as_string(hide_password=False)
        finally:
            with outer.connect() as connection:
                connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
    finally:
        outer.dispose()


@contextlib.contextmanager
def _copy(plugins: Sequence[Plugin]) -> Iterator[str]:
    """Yield the URL of a copy of a database that was migrated once: copying takes a moment, migrating does not."""
    with tempfile.TemporaryDirectory(prefix="outrigger-test-") as place:
        shutil.copyfile(_migrated(tuple((plugin.name, plugin.folder) for plugin in plugins)), f"{place}/test.sqlite3")
        yield f"sqlite:///{place}/test.sqlite3"


@functools.cache
def _migrated(owners: tuple[tuple[str, Path], ...]) -> Path:
    """Return an SQLite file with the tables of the server and of these plugins; it is there until the process ends."""
    folder = tempfile.mkdtemp(prefix="outrigger-test-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    database = Database(f"sqlite:///{folder}/tables.sqlite3", pool_size=1)
    migrate(database, [_Owner(name, place) for name, place in owners])
    database.close()
    return Path(folder, "tables.sqlite3")


class _Owner:
    """Whose migrations are run: a name and a folder."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
