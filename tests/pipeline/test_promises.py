"""Any history of events, duplicates, disorder, crashes, failures, switches and interventions keeps the promises."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from core.store import tables
from core.store.database import Database
from core.store.migrate import migrate
from tests.pipeline.promised import ledger
from tests.pipeline.promises_machine import Promises

LONG = bool(os.environ.get("OUTRIGGER_LONG_PROMISES"))  # many more examples, for a campaign
# Finding is for everybody; shrinking takes minutes and is for whoever looks into it, with the long profile.
PHASES = tuple(Phase) if LONG else (Phase.generate,)


def _settings(examples: int) -> settings:
    return settings(
        max_examples=examples * (20 if LONG else 1),
        stateful_step_count=60 if LONG else 40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        print_blob=False,
        phases=PHASES,
    )


@pytest.mark.slow
@pytest.mark.timeout(7200 if LONG else 180)
def test_promises_hold_on_sqlite_whatever_happens(tmp_path: Path) -> None:
    template = tmp_path / "template.sqlite3"
    made = Database(f"sqlite:///{template}")
    migrate(made, [])
    with made.write() as connection:
        ledger.create(connection)
    made.close()
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else tmp_path))
    opened: list[Database] = []

    class OnSqlite(Promises):
        def clear(self) -> None:
            while opened:
                opened.pop().close()
            for old in folder.iterdir():
                old.unlink()
            shutil.copy(template, folder / "outrigger.sqlite3")
            self.database = Database(f"sqlite:///{folder}/outrigger.sqlite3")
            opened.append(self.database)

    try:
        run_state_machine_as_test(OnSqlite, settings=_settings(50))
    finally:
        while opened:
            opened.pop().close()
        shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.postgresql
@pytest.mark.timeout(7200 if LONG else 180)
def test_promises_hold_on_postgresql_whatever_happens(postgres_url: str) -> None:
    database = Database(postgres_url)
    migrate(database, [])
    with database.write() as connection:
        ledger.create(connection)
    kept = {tables.audit.name}  # append-only, and nothing here rests on it
    names = ", ".join([*(tables.metadata.tables.keys() - kept), ledger.name])

    class OnPostgresql(Promises):
        def clear(self) -> None:
            self.database = database
            with database.write() as connection:
                connection.execute(sa.text(f"TRUNCATE {names} RESTART IDENTITY"))

    try:
        run_state_machine_as_test(OnPostgresql, settings=_settings(8))
    finally:
        database.close()
