"""Opens the database and hands out connections: many readers, and one writer at a time where SQLite needs it.

Two promises rest here: a committed transaction is on the disk (`synchronous=FULL`, `synchronous_commit=on`), and on
SQLite writers of all processes take turns instead of timing out against each other.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3 as stdlib_sqlite3
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, RootTransaction, make_url
from sqlalchemy.pool import QueuePool

from core.model.errors import CommitUncertain, ConfigurationRefused, StorageUnavailable
from core.store.faults import storage_fault
from core.store.idle_limit import IDLE_LIMIT_S, session_name
from core.store.refusals import refusal
from core.store.turnstile import Turnstile

try:
    import pysqlite3.dbapi2 as bundled_sqlite3
except ImportError:  # no wheel for this platform: the system's SQLite, with a rollback journal where it is affected
    bundled_sqlite3 = None

JOURNAL_WAIT_S = 30.0
"""How long to try to set the journal mode of a database that others use at this moment."""

PATIENCE: dict[str, int] = {
    "connect_timeout": 5, "keepalives": 1, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}  # fmt: skip
"""How long a connection to PostgreSQL bears silence of the network, where the URL does not say otherwise: some ten
seconds. By default a process whose database host vanished would wait for a quarter of an hour, or two hours."""

TRUSTED_S = 1.0
"""For how long after its last use a connection to PostgreSQL is taken to be alive, without asking it first."""

ADMIN_SHUTDOWN = "57P01"
"""What PostgreSQL says to whom it sends away, be it behind a commit that waited for a standby."""

WAL_SAFE_SINCE = (3, 51, 3)
"""SQLite 3.7.0 to 3.51.2 can lose committed WAL frames in a race at a WAL reset; from here on it is mended."""


def sqlite_module() -> ModuleType:
    """Return the newest SQLite driver at hand: the bundled one, else the standard library's."""
    if bundled_sqlite3 is not None and bundled_sqlite3.sqlite_version_info >= stdlib_sqlite3.sqlite_version_info:
        return bundled_sqlite3  # type: ignore[no-any-return]
    return stdlib_sqlite3


def journal_mode() -> str:
    """Return the journal this SQLite may use without losing what was committed."""
    return "wal" if sqlite_module().sqlite_version_info >= WAL_SAFE_SINCE else "delete"


class Database:
    """One database: read connections, and write transactions that are durable when they return."""

    def __init__(self, url: str | URL, *, pool_size: int = 8, lock_wait_s: float = 30.0) -> None:
        try:
            self.url = make_url(url)
        except sa.exc.ArgumentError:
            raise ConfigurationRefused(
                "OUTRIGGER_DATABASE_URL is no database URL. Examples: sqlite:////var/lib/outrigger/outrigger.sqlite3, "
                "postgresql+psycopg://user@host/database"
            ) from None
        self.dialect = self.url.get_backend_name()
        self._turnstile: Turnstile | None = None
        if self.dialect == "sqlite":
            if not self.url.database or self.url.database == ":memory:":
                raise ConfigurationRefused("An SQLite database needs a file: sqlite:///path/outrigger.sqlite3")
            self._turnstile = Turnstile(self.url.database + ".turn", wait_s=lock_wait_s)
            self.engine = self._sqlite_engine(pool_size)
        elif self.dialect == "postgresql":
            self.url = self.url.set(drivername="postgresql+psycopg")  # the one driver there is, whatever was written
            self.engine = self._postgresql_engine(pool_size)
            self._single = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        else:
            near = " Write postgresql+psycopg:// instead." if self.dialect == "postgres" else ""
            raise ConfigurationRefused(
                f'Outrigger keeps its data in SQLite or PostgreSQL, not in "{self.dialect}".{near}'
            )

    @property
    def is_sqlite(self) -> bool:
        """Whether this is SQLite, where writers take turns and deciding must not hold the write lock."""
        return self.dialect == "sqlite"

    def _sqlite_engine(self, pool_size: int) -> Engine:
        mode = journal_mode()

        def connect() -> Any:
            connection = sqlite_module().connect(
                self.url.database, isolation_level=None, check_same_thread=False, timeout=30, cached_statements=512
            )
            in_force = _set_journal(connection, mode)
            # A rollback journal commits by unlinking a file, which is durable only when its folder is synced too.
            connection.execute(f"PRAGMA synchronous={'FULL' if in_force == 'wal' else 'EXTRA'}")
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("PRAGMA cache_size=-32000")
            connection.execute("PRAGMA temp_store=MEMORY")
            connection.execute("PRAGMA wal_autocheckpoint=2000")
            return connection

        return sa.create_engine(
            "sqlite://", module=sqlite_module(), creator=connect, poolclass=QueuePool, pool_size=pool_size,
            max_overflow=32, pool_reset_on_return="rollback", skip_autocommit_rollback=True,
        )  # fmt: skip

    @property
    def patience(self) -> dict[str, int]:
        """What a connection to PostgreSQL is opened with beside its URL."""
        return {name: value for name, value in PATIENCE.items() if name not in self.url.query}

    @property
    def session_name(self) -> str:
        """The name by which PostgreSQL shows our sessions; what the URL or PGAPPNAME says stands behind ours."""
        return session_name(str(self.url.query.get("application_name", os.environ.get("PGAPPNAME", ""))))

    def _postgresql_engine(self, pool_size: int) -> Engine:
        engine = sa.create_engine(
            self.url, pool_size=pool_size, max_overflow=32, pool_recycle=1800,
            connect_args=self.patience | {"application_name": self.session_name},
        )  # fmt: skip

        @sa.event.listens_for(engine, "checkin")
        def _note(_connection: Any, record: Any) -> None:
            record.info["last_used"] = time.monotonic()

        @sa.event.listens_for(engine, "checkout")
        def _ask(connection: Any, record: Any, _fairy: Any) -> None:
            # A question before each use would be one statement more for every event.
            if time.monotonic() - record.info.get("last_used", time.monotonic()) > TRUSTED_S:
                try:
                    engine.dialect.do_ping(connection)
                except engine.dialect.loaded_dbapi.Error:
                    raise sa.exc.InvalidatePoolError from None  # the pool opens others

        @sa.event.listens_for(engine, "connect")
        def _settings(connection: Any, _record: Any) -> None:
            # A stopped process must lose its transaction (and its lanes), or it could write late when it wakes.
            autocommit, connection.autocommit = connection.autocommit, True
            connection.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_LIMIT_S}s'")
            # The same for one whose host vanished amid an answer.
            connection.execute(f"SET tcp_user_timeout = '{IDLE_LIMIT_S}s'")
            connection.execute("SET synchronous_commit = on")
            connection.execute("SET timezone = 'UTC'")
            connection.autocommit = autocommit

        return engine

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """Hand out a connection for reading; on SQLite every read inside sees one state of the database.

        On PostgreSQL each statement sees what was committed until it began, as it would inside a transaction too, and
        nothing stays open between two: who reads slowly holds nobody up and is not ended for it.
        """
        if not self.is_sqlite:
            with self.statements() as connection:
                yield connection
            return
        with self._as_storage_error(), self.engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            try:
                yield connection
            finally:
                self.end_read(connection)

    def end_read(self, connection: Connection) -> None:
        """On SQLite: end a read early, before this process writes; with a rollback journal it would block the write."""
        connection.rollback()
        _end(connection)

    @contextlib.contextmanager
    def statements(self) -> Iterator[Connection]:
        """On PostgreSQL: hand out a connection on which every statement is a transaction of its own.

        Nothing stays locked between two statements, so a process that is stopped there holds nobody up.
        """
        with self._as_storage_error(), self._single.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """Hand out a connection inside a write transaction; durable when the block ends, rolled back if it raises.

        Raises StorageUnavailable; CommitUncertain when the answer to the commit itself was lost.
        """
        with self._as_storage_error():
            if self._turnstile is None:
                with self.engine.connect() as connection, connection.begin() as transaction:
                    yield connection
                    _commit(transaction)
                return
            with self.engine.connect() as connection, self._turnstile:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                try:
                    yield connection
                except BaseException:
                    _end(connection)
                    raise
                try:
                    connection.exec_driver_sql("COMMIT")
                except BaseException:
                    # A commit that failed (disk full, I/O error) is never retried as if it had succeeded.
                    _end(connection)
                    raise

    @contextlib.contextmanager
    def _as_storage_error(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.DBAPIError as error:
            culprit = storage_fault(error)
            # A plain DatabaseError, none of its kinds, is how SQLite says that a file is damaged or is no database.
            is_no_statement = isinstance(error, (sa.exc.OperationalError, sa.exc.InterfaceError))
            if culprit is None and not is_no_statement and type(error) is not sa.exc.DatabaseError:
                raise
            raise StorageUnavailable(refusal(culprit or error)) from error

    def settings(self) -> dict[str, str]:
        """Read back what durability rests on: version, journal mode and synchronous or synchronous_commit."""
        with self.read() as connection:
            if self.is_sqlite:
                level = connection.exec_driver_sql("PRAGMA synchronous").scalar_one()
                return {
                    "database": f"SQLite {sqlite_module().sqlite_version}",
                    "journal_mode": str(connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()),
                    "synchronous": {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}[int(level)],
                }
            return {
                "database": f"PostgreSQL {connection.exec_driver_sql('SHOW server_version').scalar_one()}",
                "synchronous_commit": str(connection.exec_driver_sql("SHOW synchronous_commit").scalar_one()),
                "fsync": str(connection.exec_driver_sql("SHOW fsync").scalar_one()),
            }

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()
        if self._turnstile is not None:
            self._turnstile.close()


def _commit(transaction: RootTransaction) -> None:
    """Commit on PostgreSQL. Raises CommitUncertain when the connection breaks before the answer."""
    try:
        transaction.commit()
    except sa.exc.DBAPIError as error:
        # Who is told why knows that it failed; but a server that is shut down may have committed before it says so.
        if error.connection_invalidated and getattr(error.orig, "sqlstate", None) in (None, ADMIN_SHUTDOWN):
            raise CommitUncertain(f"{CommitUncertain.__doc__} {refusal(error)}") from error
        raise


def _set_journal(connection: Any, mode: str) -> str:
    """Set the journal mode unless it is set, and return the one in force: a file system may not allow a WAL.

    Several processes that open a new database at once want to change it at once, and all but one are told "locked";
    SQLite does not wait for the others here, so this does.
    """
    give_up_at = time.monotonic() + JOURNAL_WAIT_S
    while True:
        now = str(connection.execute("PRAGMA journal_mode").fetchone()[0])
        if now == mode:
            return now
        try:
            return str(connection.execute(f"PRAGMA journal_mode={mode}").fetchone()[0])
        except sqlite_module().OperationalError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.005)


def _end(connection: Connection) -> None:
    """Roll back what the driver still has open; SQLAlchemy does not know of the BEGIN we sent ourselves."""
    driver = connection.connection.driver_connection
    if driver is not None and getattr(driver, "in_transaction", False):
        driver.rollback()
