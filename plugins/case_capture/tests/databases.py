"""Opens both databases with the plugin's own tables, and fills them with texts."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy.orm import Session

from plugins.case_capture.models import CaseSearch
from plugins.case_capture.search import search_row

HERE = Path(__file__).parent
POSTGRES = os.environ.get("OUTRIGGER_TEST_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/test")
NOW = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)


def migration() -> ModuleType:
    """Load the first migration; its file name is no Python name."""
    path = HERE.parent / "migrations" / "versions" / "0001_cases.py"
    spec = importlib.util.spec_from_file_location("case_capture_0001", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def migrate(engine: sa.Engine) -> None:
    """Make the plugin's tables the way an installation gets them."""
    with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        migration().upgrade()


def open_sqlite(folder: Path) -> sa.Engine:
    """Return a fresh SQLite database with the plugin's tables."""
    engine = sa.create_engine(f"sqlite:///{folder / 'cases.sqlite3'}")
    migrate(engine)
    return engine


@contextlib.contextmanager
def postgresql_schema() -> Iterator[str]:
    """Hand out the URL of a fresh PostgreSQL schema; it is dropped afterwards."""
    schema = "case_capture_" + secrets.token_hex(6)
    outer = sa.create_engine(POSTGRES, isolation_level="AUTOCOMMIT")
    with outer.connect() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    url = sa.make_url(POSTGRES).update_query_dict({"options": f"-csearch_path={schema}"})
    yield url.render_as_string(hide_password=False)
    with outer.connect() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
    outer.dispose()


@contextlib.contextmanager
def open_postgresql() -> Iterator[sa.Engine]:
    """Hand out a fresh PostgreSQL schema with the plugin's tables."""
    with postgresql_schema() as url:
        engine = sa.create_engine(url)
        migrate(engine)
        yield engine
        engine.dispose()


def fill(session: Session, texts: dict[str, str], *, status: str = "published", unit: str = "new_energy") -> None:
    """Index plain texts as complaint cases: `case_` and a hexadecimal number each."""
    for case_id, text in texts.items():
        row = search_row(case_id, unit=unit, status=status, kind="complaint", title="", fields={"symptom": text})
        session.add(CaseSearch(**row))
    session.flush()


def name(number: int) -> str:
    """Return a case id made of a number."""
    return f"case_{number:024x}"[:5] + f"{number:015x}" + "0" * 9


def example(event_type: str) -> dict[str, Any]:
    """Return the example event of a type."""
    loaded: dict[str, Any] = json.loads((HERE / "events" / f"{event_type}.json").read_text(encoding="utf-8"))
    return loaded
