"""Upgrading a database of an earlier release: what it stored is still read, and nothing has to be applied again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

from core.host.configuration import Surroundings, resolve
from core.host.versions import Configurations
from core.store import migrate as migrations
from core.store.database import Database

ADDED = ("calendars", "overlays", "channels", "people", "roles", "changes", "absent")
"""What versions of the first schema did not have."""

DOCUMENT = '[units.packaging]\ntitle = "包装"\ncalendar = "cn"\n'


def _first_schema(database: Database) -> None:
    """Bring an empty database to the first schema, as the first release did."""
    script = migrations._script(migrations.CORE_MIGRATIONS)
    with database.write() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": migrations.CORE_VERSIONS,
                "transactional_ddl": False,
                "fn": lambda heads, _: script._upgrade_revs("0001", heads),
            },
        )
        with Operations.context(context):
            context.run_migrations()


@pytest.fixture
def first_release(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    _first_schema(database)
    yield database
    database.close()


def test_versions_of_the_first_schema_are_read_after_the_upgrade(first_release: Database) -> None:
    database = first_release
    resolved = resolve(DOCUMENT, Surroundings({}, lambda source: ()))
    old = {key: value for key, value in resolved.items() if key not in ADDED}
    old["switches"] = {
        "units.packaging.plugins.lead_scoring.enabled": {
            "enabled": False, "by": "wang", "at": "2026-11-01T00:00:00Z", "reason": "pilot",
            "origin": "switched by wang",
        }
    }  # fmt: skip
    with database.write() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO config_versions (number, applied_at, applied_by, reason, origin, document, file_hash,"
                " resolved) VALUES (1, :at, 'wang', '', 'file', :document, '', :resolved)"
            ),
            {"at": int(datetime(2026, 11, 1, tzinfo=UTC).timestamp() * 1e6), "document": DOCUMENT,
             "resolved": json.dumps(old)},
        )  # fmt: skip
    assert migrations.migrate(database, []) == ["core:0002", "core:0003", "core:0004", "core:0005", "core:0006"]
    configuration = Configurations(database).read()
    assert configuration.calendar_of("packaging").slug == "cn"
    assert configuration.directory.entries == {} and configuration.channels == {}
    with database.read() as connection:
        (text,) = connection.execute(sa.text("SELECT resolved FROM config_versions")).one()
    stored = json.loads(text)
    assert "switches" not in stored
    assert stored["changes"][0]["path"] == ["units", "packaging", "plugins", "lead_scoring", "enabled"]
    assert stored["changes"][0]["value"] is False and stored["changes"][0]["by"] == "wang"
    assert {key: stored[key] for key in ADDED if key != "changes"} == {
        key: resolved[key] for key in ADDED if key != "changes"
    }
