"""What every test may ask for: a migrated database of each kind, and no network beyond the machine itself."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import settings

from core.store.database import Database
from core.store.migrate import migrate

settings.register_profile("default", deadline=None, derandomize=True)
settings.register_profile("fuzz", deadline=None, max_examples=2_000, print_blob=True)
settings.load_profile("default")

POSTGRES_URL = os.environ.get("OUTRIGGER_TEST_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/test")


def postgres_answers() -> bool:
    """Whether the PostgreSQL that tests use can be reached."""
    engine = sa.create_engine(POSTGRES_URL, connect_args={"connect_timeout": 3})
    try:
        with engine.connect():
            return True
    except sa.exc.OperationalError:
        return False
    finally:
        engine.dispose()


HAS_POSTGRES = postgres_answers()


def pytest_report_header() -> list[str]:
    """Say loudly when a part of the suite cannot run."""
    if HAS_POSTGRES:
        return [f"PostgreSQL: {sa.make_url(POSTGRES_URL).render_as_string(hide_password=True)}"]
    return ["!!! NO POSTGRESQL: its tests are skipped. Start one, or set OUTRIGGER_TEST_POSTGRES_URL. !!!"]


def pytest_configure(config: pytest.Config) -> None:
    """In continuous integration a missing PostgreSQL is a failure, not a gap."""
    if os.environ.get("OUTRIGGER_REQUIRE_POSTGRES") and not HAS_POSTGRES:
        raise pytest.UsageError("OUTRIGGER_REQUIRE_POSTGRES is set, but no PostgreSQL answers at its address.")


_real_connect = socket.socket.connect


def _loopback_only(self: socket.socket, address: Any) -> None:
    host = address[0] if isinstance(address, tuple) else ""
    if isinstance(address, tuple) and not (host.startswith("127.") or host in ("::1", "localhost")):
        raise AssertionError(f"a test tried to reach {address!r}; only loopback is open to tests")
    _real_connect(self, address)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that leaves the machine."""
    monkeypatch.setattr(socket.socket, "connect", _loopback_only)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Name a new SQLite database."""
    return f"sqlite:///{tmp_path}/outrigger.sqlite3"


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """Name a new schema in the PostgreSQL that tests use; it is dropped afterwards."""
    if not HAS_POSTGRES:
        pytest.skip("no PostgreSQL answers")
    schema = f"outrigger_{uuid.uuid4().hex[:12]}"
    engine = sa.create_engine(POSTGRES_URL, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    url = sa.make_url(POSTGRES_URL).update_query_dict({"options": f"-csearch_path={schema}"})
    yield url.render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Name a new database, once of each kind."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Open a new, migrated database, once of each kind."""
    opened = Database(database_url)
    migrate(opened, [])
    yield opened
    opened.close()
