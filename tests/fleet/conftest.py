"""What the tests of a fleet need: a PostgreSQL and brokers that answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.store.database import Database
from core.store.migrate import migrate
from tests.fleet.brokers import BROKERS, answering_broker
from tests.load.databases import fresh_database, postgres_answers


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[str]:
    """Give the URL of a fresh schema."""
    if not postgres_answers():
        pytest.skip("needs a PostgreSQL")
    with fresh_database("postgresql", tmp_path) as url:
        yield url


@pytest.fixture
def database(postgres: str) -> Iterator[Database]:
    """Give a migrated database."""
    found = Database(postgres, pool_size=4)
    migrate(found, [])
    yield found
    found.close()


@pytest.fixture(params=sorted(BROKERS))
def broker(request: pytest.FixtureRequest) -> str:
    """Give the URL of each broker that answers."""
    return answering_broker(request.param)
