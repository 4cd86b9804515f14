"""What another worker finishes while upkeep, or the count of a crash, waits for its row stays finished."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import timedelta

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
from tests.pipeline.somebody import somebody

LEAD = ("crm", "lead", "L-1")
CALL = Call(event_seq=1, event_id="evt_1", plugin="scorer", unit="north", generation=0)


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
    postgres_url: str, status: DeliveryStatus, act: Callable[[sa.Connection], None]
) -> None:
    rows = delivery_rows([(LEAD, "scorer", "north", 1, status), (LEAD, "scorer", "north", 2, status)])
    with contextlib.closing(Database(postgres_url)) as database, somebody(postgres_url) as other:
        migrate(database, [])
        with database.write() as connection:
            insert_rows(connection, deliveries, [row | {"wait_until": NOW - timedelta(hours=1)} for row in rows])

        def acting() -> None:
            with other.database.write() as connection:
                act(connection)

        with database.write() as worker:
            worker.execute(sa.update(deliveries).values(status=DeliveryStatus.COMPLETED.value))
            other.begins(acting)
        other.ends()
        with database.read() as connection:
            assert set(connection.execute(sa.select(deliveries.c.status)).scalars()) == {"completed"}
