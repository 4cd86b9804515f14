"""The tables: the migration builds exactly what the models say, on both databases, and takes it away again."""

from __future__ import annotations

import importlib.util
import os
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy.orm import Session

from plugins.lead_scoring.models import Base, LeadScore, Rotation

VERSIONS = Path(__file__).parents[1] / "migrations" / "versions"
POSTGRES = os.environ.get("OUTRIGGER_TEST_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/test")


def revision() -> Any:
    path = next(VERSIONS.glob("0001_*.py"))
    spec = importlib.util.spec_from_file_location("lead_scoring_0001", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=["sqlite", "postgresql"])
def connection(request, tmp_path):
    """Open an empty database of each kind."""
    if request.param == "sqlite":
        engine = sa.create_engine(f"sqlite:///{tmp_path}/plugin.sqlite3")
        with engine.begin() as opened:
            yield opened
        engine.dispose()
        return
    engine = sa.create_engine(POSTGRES, connect_args={"connect_timeout": 3})
    schema = f"lead_scoring_{uuid.uuid4().hex[:12]}"
    try:
        opened = engine.connect()
    except sa.exc.OperationalError:
        engine.dispose()
        pytest.skip("no PostgreSQL answers")
    # Everything happens in one transaction that is rolled back, the schema included.
    opened.exec_driver_sql(f"CREATE SCHEMA {schema}")
    opened.exec_driver_sql(f"SET LOCAL search_path TO {schema}")
    yield opened
    opened.rollback()
    opened.close()
    engine.dispose()


def test_the_migration_builds_what_the_models_say_and_takes_it_away(connection):
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    module = revision()
    assert (module.revision, module.down_revision) == ("lead_scoring_0001", None)
    with Operations.context(context):
        module.upgrade()
        assert compare_metadata(context, Base.metadata) == []
        module.downgrade()
    assert [name for name in sa.inspect(connection).get_table_names() if name.startswith("lead_scoring_")] == []


def test_rows_come_back_as_they_were(connection):
    with Operations.context(MigrationContext.configure(connection)):
        revision().upgrade()
    at = datetime(2026, 11, 20, 8, 0, 0, 5, tzinfo=UTC)
    reasons = [{"text": "新能源行业", "weight": 20, "field": "industry"}]
    with Session(connection) as session:
        session.add(
            LeadScore(
                source="erp", record_id="L", unit="u", score=7, grade="F", owner="o", pool="p", reasons=reasons,
                near_misses=[], assignment="", first_scored_at=at, scored_at=at, event_id="e",
            )
        )  # fmt: skip
        session.add(Rotation(unit="u", pool="p", position=3))
        session.flush()
        session.expire_all()
        row = session.get(LeadScore, ("erp", "L"))
        assert row is not None
        assert (row.reasons, row.scored_at, row.grid, row.closed_at) == (reasons, at, None, None)
        rotation = session.get(Rotation, ("u", "p"))
        assert rotation is not None
        assert rotation.position == 3


def test_every_table_carries_the_plugins_name():
    assert all(name.startswith("lead_scoring_") for name in Base.metadata.tables)
