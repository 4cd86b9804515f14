"""What another worker finishes while upkeep, or the count of a crash, waits for its row stays finished."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from core.model.outcomes import DeliveryStatus
from core.pipeline.quarantine import record_crash, release_lifted, release_overdue
from core.pipeline.slot import Call
from core.store.bulk import insert_rows
from core.store.database import Database
from core.store.migrate import migrate
from core.store.tables import deliveries
from tests.pipeline.delivery_rows import NOW, delivery_rows

PATIENCE_S = 20.0
LEAD = ("crm", "lead", "L-1")
CALL = Call(event_seq=1, event_id="evt_1", plugin="scorer", unit="north", generation=0)
WAITS = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = %s"


def lift(connection: sa.Connection) -> None:
    release_lifted(connection, NOW)


def let_go(connection: sa.Connection) -> None:
    release_overdue(connection, NOW)


def count_crash(connection: sa.Connection) -> None:
    record_crash(connection, CALL, "killed", NOW, limit=3)


@pytest.mark.parametrize(
    ("status", "act"),
    [
        (DeliveryStatus.QUARANTINED, lift),
        (DeliveryStatus.WAITING, let_go),
        (DeliveryStatus.AVAILABLE, count_crash),
    ],
)
def test_a_delivery_completed_meanwhile_stays_completed(
    postgres_url: str, request: pytest.FixtureRequest, status: DeliveryStatus, act: Callable[[sa.Connection], None]
) -> None:
    database = Database(postgres_url)
    request.addfinalizer(database.close)
    migrate(database, [])
    rows = delivery_rows([(LEAD, "scorer", "north", 1, status), (LEAD, "scorer", "north", 2, status)])
    with database.write() as connection:
        insert_rows(connection, deliveries, [row | {"wait_until": NOW - timedelta(hours=1)} for row in rows])
    at: list[int] = []

    def acting() -> None:
        with database.write() as connection:
            at.append(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
            act(connection)

    actor = threading.Thread(target=acting)
    with database.write() as worker:
        worker.execute(sa.update(deliveries).values(status=DeliveryStatus.COMPLETED.value))
        actor.start()
        _until(lambda: at and _waits(database, at[0]))
    actor.join()
    with database.read() as connection:
        assert set(connection.execute(sa.select(deliveries.c.status)).scalars()) == {"completed"}


def _waits(database: Database, pid: int) -> bool:
    with database.read() as connection:
        return bool(connection.exec_driver_sql(WAITS, (pid,)).scalar_one())


def _until(condition: Callable[[], Any]) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at, "nobody waited for the worker's row"
        threading.Event().wait(0.01)
