"""Fixtures: each database in turn, or both at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from plugins.case_capture.tests.bench import Bench, open_bench, open_engine


@pytest.fixture(params=["sqlite", "postgresql"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """The plugin in a server on each database in turn."""
    with open_bench(request.param) as made:
        yield made


@pytest.fixture
def engine(bench: Bench) -> Iterator[sa.Engine]:
    """Each database in turn, with the plugin's tables."""
    with open_engine(bench) as made:
        yield made


@pytest.fixture
def both() -> Iterator[tuple[sa.Engine, sa.Engine]]:
    """Both databases at once, to compare their answers."""
    with (
        open_bench("sqlite") as sqlite,
        open_bench("postgresql") as postgresql,
        open_engine(sqlite) as one,
        open_engine(postgresql) as other,
    ):
        yield one, other
