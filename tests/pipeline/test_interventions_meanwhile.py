"""A person retries or discards a delivery at the very moment a later event of its record is being decided."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from core.model.effects import Decide
from core.pipeline.dispatch import Dispatcher
from core.pipeline.interventions import Interventions
from core.store import tables
from core.store.database import Database
from tests.pipeline.kit import Kit, plugin


def failing_first(broken: list[bool]) -> Callable[[Any, Any], list[Any]]:
    def handler(event: Any, ctx: Any) -> list[Any]:
        if event.type == "lead.created" and broken:
            raise RuntimeError("boom")
        return [Decide(kind="seen", outcome=event.type, summary="", rule="test")]

    return handler


def dispatch_with(kit: Kit, act: Callable[[], None]) -> None:
    """Dispatch one batch while somebody acts between deciding and writing, and then everything else."""
    waiting = [act]
    threads: list[threading.Thread] = []

    def at(step: str) -> None:
        if step == "decided" and waiting:
            thread = threading.Thread(target=waiting.pop())
            threads.append(thread)
            thread.start()
            if kit.database.is_sqlite:
                thread.join()  # on PostgreSQL the act waits for the batch instead

    Dispatcher(kit.database, kit.clock, kit.plugins, kit, step=at).drain()
    for thread in threads:
        thread.join()
    for _ in range(4):
        kit.drain()
        kit.later(hours=3)


def test_what_waits_for_a_delivery_discarded_meanwhile_goes_on(database: Database) -> None:
    handler = failing_first([True])
    kit = Kit(database, {"alpha": plugin("alpha", on_lead_created=handler, on_lead_lost=handler)})
    kit.send("lead.created", "L1")
    kit.drain()
    kit.send("lead.lost", "L1")
    people = Interventions(database, kit.clock)
    dispatch_with(kit, lambda: people.discard_delivery(1, actor="it", reason="test"))
    assert [row.status for row in kit.rows(tables.deliveries)] == ["discarded", "completed"]


def test_a_delivery_retried_meanwhile_is_not_overtaken_in_silence(database: Database) -> None:
    broken = [True]
    handler = failing_first(broken)
    kit = Kit(database, {"alpha": plugin("alpha", on_lead_created=handler, on_lead_lost=handler)})
    kit.limits(max_attempts=1)
    kit.send("lead.created", "L1")
    kit.drain()
    broken.clear()
    kit.send("lead.lost", "L1")
    people = Interventions(database, kit.clock)
    dispatch_with(kit, lambda: people.retry_delivery(1, actor="it"))
    first, second = kit.rows(tables.deliveries)
    assert (first.status, second.status) == ("completed", "completed")
    in_order = [row.outcome for row in kit.rows(tables.decisions)] == ["lead.created", "lead.lost"]
    assert in_order or first.out_of_order
