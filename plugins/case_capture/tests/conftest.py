"""Fixtures: each database in turn, or both at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from plugins.case_capture.tests.bench import Bench
from plugins.case_capture.tests.databases import open_postgresql, open_sqlite, postgresql_schema


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    """Each database in turn."""
    if request.param == "sqlite":
        made = open_sqlite(tmp_path)
        yield made
        made.dispose()
    else:
        with open_postgresql() as made:
            yield made


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[sa.Engine, sa.Engine]]:
    """Both databases at once, to compare their answers."""
    sqlite = open_sqlite(tmp_path)
    with open_postgresql() as postgresql:
        yield sqlite, postgresql
    sqlite.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """The plugin installed in each database in turn."""
    if request.param == "sqlite":
        made = Bench(f"sqlite:///{tmp_path}/outrigger.sqlite3")
        yield made
        made.database.close()
    else:
        with postgresql_schema() as url:
            made = Bench(url)
            yield made
            made.database.close()
