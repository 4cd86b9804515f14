"""Migrations: what they build is what the code expects; twice or at once they do no more than once."""

from __future__ import annotations

import multiprocessing
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from core.model.inbound import inbound_event
from core.model.outcomes import DeliveryStatus
from core.pipeline.inbox import store
from core.store.bulk import insert_rows
from core.store.database import Database
from core.store.migrate import CORE_VERSIONS, MIGRATION_LOCK, migrate, pending
from core.store.tables import deliveries, metadata, outbox
from tests.pipeline.delivery_rows import delivery_rows


@dataclass(frozen=True)
class Owner:
    """A plugin that owns a table."""

    name: str
    folder: Path


FIRST = '''"""The first table."""
import sqlalchemy as sa
from alembic import op

revision = "{name}_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    op.create_table("{name}_rows", sa.Column("id", sa.Integer, primary_key=True))
'''

BROKEN = '''"""A migration that fails half way."""
import sqlalchemy as sa
from alembic import op

revision = "{name}_0002"
down_revision = "{name}_0001"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table("{name}_more", sa.Column("id", sa.Integer, primary_key=True))
    raise RuntimeError("half way")
'''


@pytest.fixture
def empty(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


def owner(tmp_path: Path, name: str = "alpha", *texts: str) -> Owner:
    versions = tmp_path / name / "migrations" / "versions"
    versions.mkdir(parents=True)
    for number, text in enumerate(texts or (FIRST,), 1):
        (versions / f"{number:04d}.py").write_text(text.format(name=name))
    return Owner(name, tmp_path / name)


def tables_of(database: Database) -> set[str]:
    with database.read() as connection:
        return set(sa.inspect(connection).get_table_names())


def test_the_migrated_schema_is_the_one_the_code_describes(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "include_object": lambda item, name, kind, reflected, other: name != CORE_VERSIONS,
            },
        )
        assert compare_metadata(context, metadata) == []


def _indexes(connection: sa.Connection) -> dict[str, str]:
    if connection.dialect.name == "sqlite":
        rows = connection.exec_driver_sql(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        )
    else:
        rows = connection.exec_driver_sql(
            "SELECT indexname, regexp_replace(indexdef, 'ON [a-z0-9_]+\\.', 'ON ') FROM pg_indexes"
            " WHERE schemaname = current_schema()"
        )
    return {str(name): " ".join(str(text).split()) for name, text in rows if CORE_VERSIONS not in str(name)}


def test_partial_indexes_have_the_same_conditions_in_both(database: Database, tmp_path: Path) -> None:
    with database.engine.connect() as connection:
        migrated = _indexes(connection)
        if database.is_sqlite:
            other = sa.create_engine(f"sqlite:///{tmp_path}/described.sqlite3")
            metadata.create_all(other)
            with other.connect() as described:
                assert migrated == _indexes(described)
            other.dispose()
            return
        connection.rollback()
        with connection.begin():
            for table in [*metadata.tables, CORE_VERSIONS]:
                connection.exec_driver_sql(f"DROP TABLE {table}")
            metadata.create_all(connection)
            assert migrated == _indexes(connection)


def test_migrating_twice_is_migrating_once(empty: Database, tmp_path: Path) -> None:
    plugins = [owner(tmp_path)]
    assert pending(empty, plugins)[0].startswith("core:") and "alpha:alpha_0001" in pending(empty, plugins)
    first = migrate(empty, plugins)
    assert first == [*(item for item in first if item.startswith("core:")), "alpha:alpha_0001"]
    assert migrate(empty, plugins) == [] and pending(empty, plugins) == []


def test_a_plugin_has_versions_of_its_own(empty: Database, tmp_path: Path) -> None:
    migrate(empty, [])
    assert migrate(empty, [owner(tmp_path, "beta"), owner(tmp_path, "alpha")]) == ["alpha:alpha_0001", "beta:beta_0001"]
    assert {"alpha_rows", "alpha_alembic_version", "beta_rows", "beta_alembic_version"} <= tables_of(empty)


def test_a_migration_that_fails_leaves_nothing_of_its_owner_and_all_of_the_others(
    empty: Database, tmp_path: Path
) -> None:
    good, bad = owner(tmp_path, "alpha"), owner(tmp_path, "beta", FIRST, BROKEN)
    with pytest.raises(RuntimeError, match="half way"):
        migrate(empty, [good, bad])
    assert "alpha_rows" in tables_of(empty) and "events" in tables_of(empty)
    assert not {name for name in tables_of(empty) if name.startswith("beta_")}
    assert pending(empty, [good, bad]) == ["beta:beta_0001", "beta:beta_0002"]


def test_a_plugin_without_migrations_is_passed_over(empty: Database, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    migrate(empty, [Owner("plain", tmp_path / "plain")])
    assert "plain_alembic_version" not in tables_of(empty)


def _migrate(url: str, ready: Any, done: Any) -> None:
    try:
        database = Database(url)
        ready.wait()
        done.put(migrate(database, []))
        database.close()
    except BaseException as error:  # so that the test says what happened, and does not wait for an answer
        done.put([repr(error)])
        raise


def test_two_processes_that_migrate_at_once_do_it_once(empty: Database, database_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    ready, done = context.Barrier(2), context.Queue()
    processes = [context.Process(target=_migrate, args=(database_url, ready, done)) for _ in range(2)]
    for process in processes:
        process.start()
    answers = sorted([done.get(timeout=60), done.get(timeout=60)], key=len)
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert answers[0] == [] and answers[1][0].startswith("core:")


def test_indexes_on_tables_with_rows_are_built_while_others_write(empty: Database) -> None:
    if empty.is_sqlite:
        pytest.skip("SQLite has one writer, who waits for the others")
    migrate(empty, [])
    with empty.write() as connection:
        for statement in (
            "DROP INDEX ix_events_type", "DROP INDEX ix_timers_standing", "DROP TABLE retention_runs",
            f"UPDATE {CORE_VERSIONS} SET version_num = '0003'",
            # What a build that was broken off leaves behind: an index that no query may use.
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_events_unit'::regclass",
        ):  # fmt: skip
            connection.exec_driver_sql(statement)
        store(connection, [inbound_event(source="crm", type="lead.created", data={"id": "L"}, dedupe_key="1",
                                         occurred_at=datetime(2026, 1, 1, tzinfo=UTC))], datetime.now(UTC))  # fmt: skip
        one = (("crm", "lead", "L"), "alpha", "default", 1, DeliveryStatus.WAITING)
        insert_rows(connection, deliveries, delivery_rows([one]))
        its = dict.fromkeys(("id", "effect", "target", "type", "body", "event_id", "plugin", "unit", "source", "kind",
                             "record_id"), "x")  # fmt: skip
        times = dict.fromkeys(("due_at", "created_at"), datetime.now(UTC))
        connection.execute(sa.insert(outbox).values(**its, **times, event_seq=1, status="sent", attempts=1))
    said: list[str] = []

    @sa.event.listens_for(empty.engine, "before_cursor_execute")
    def _note(conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if "INDEX" in statement:
            said.append(statement)

    assert migrate(empty, []) == ["core:0004", "core:0005", "core:0006"]
    assert len(said) > 9 and all("CONCURRENTLY" in statement for statement in said if "pg_index" not in statement)
    with empty.engine.connect() as connection:
        assert {"ix_events_type", "ix_timers_standing", "ix_events_unit"} <= set(_indexes(connection))
        assert connection.exec_driver_sql("SELECT count(*) FROM pg_index WHERE NOT indisvalid AND indexrelid ="
                                          " 'ix_events_unit'::regclass").scalar_one() == 0  # fmt: skip
    assert migrate(empty, []) == []


def test_whoever_waits_to_migrate_has_no_transaction_open_meanwhile(postgres_url: str) -> None:
    name = f"waiting_{uuid.uuid4().hex[:8]}"
    first = Database(postgres_url)
    second = Database(sa.make_url(postgres_url).update_query_dict({"application_name": name}))
    asked = "SELECT state FROM pg_stat_activity WHERE application_name = %s AND query LIKE '%%pg_try_advisory_lock%%'"
    key = f"({MIGRATION_LOCK}, hashtext(current_schema()))"
    waiting = threading.Thread(target=migrate, args=(second, []))
    with first.statements() as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_lock{key}")
        waiting.start()
        states: list[str] = []
        while len(states) < 20:
            states += [row[0] for row in connection.exec_driver_sql(asked, (second.session_name,))]
        connection.exec_driver_sql(f"SELECT pg_advisory_unlock{key}")
    waiting.join(60)
    assert set(states) <= {"idle", "active"}
    assert pending(second, []) == []
    first.close()
    second.close()
