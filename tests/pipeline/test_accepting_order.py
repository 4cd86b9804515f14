"""On PostgreSQL numbers are handed out before transactions commit; the order of a record's events must not suffer."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from core.pipeline.inbox import store
from core.store import tables
from core.store.database import Database
from core.store.migrate import migrate
from tests.pipeline.kit import Kit, plugin


@pytest.fixture
def postgres(postgres_url: str) -> Any:
    database = Database(postgres_url)
    migrate(database, [])
    yield database
    database.close()


def test_two_processes_that_accept_events_of_one_record_do_not_make_them_wait_for_each_other(
    postgres: Database,
) -> None:
    is_broken = True

    def sometimes(event: Any, ctx: Any) -> list[Any]:
        if is_broken:
            raise RuntimeError("the receiver is down")
        return []

    kit = Kit(postgres, {"alpha": plugin("alpha", on_lead_converted=sometimes, on_lead_lost=sometimes)})
    first = kit.event("lead.converted", "L1", version=1)
    second = kit.event("lead.lost", "L1", version=2)
    is_accepted = threading.Event()

    def accept_second() -> None:
        kit.accept(second)
        is_accepted.set()

    with postgres.write() as slow:
        store(slow, [first], kit.clock.now())  # has its number, is not committed yet
        other = threading.Thread(target=accept_second)
        other.start()
        if is_accepted.wait(0.5):
            kit.drain()  # the later number is visible, fails and is open when the earlier one appears
    other.join()
    kit.drain()
    is_broken = False
    for _ in range(4):
        kit.later(hours=1)
        kit.drain()
    assert [row.status for row in kit.rows(tables.deliveries)] == ["completed", "completed"]
