"""What a handler sees of another record is of one moment, and no later than its own event."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from core.model.events import lane_of
from core.pipeline.dispatch import Dispatcher
from core.store import lists
from core.store.database import Database
from core.store.migrate import migrate
from tests.pipeline.kit import Kit, plugin


def test_a_record_that_changes_while_a_handler_asks_for_it_is_seen_as_of_the_handlers_event(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lane_of("crm", "lead", "L1") != lane_of("crm", "customer", "C1")
    seen: list[str] = []
    with contextlib.closing(Database(postgres_url)) as database, contextlib.closing(Database(postgres_url)) as another:
        migrate(database, [])

        def look(event: Any, ctx: Any) -> list[Any]:
            with monkeypatch.context() as meanwhile:
                meanwhile.setattr(lists, "ask_together", ask_and_let_another_worker_go_on)
                seen.append(ctx.records.get("customer", "C1").tier)
            return []

        def ask_and_let_another_worker_go_on(*arguments: Any) -> Any:
            answer = ask_together(*arguments)
            if len(changes) == 0:
                changes.append(kit.send("customer.updated", "C1", version=2, tier="B"))
                Dispatcher(another, kit.clock, kit.plugins, kit).drain()
            return answer

        ask_together, changes = lists.ask_together, []
        kit = Kit(database, {"alpha": plugin("alpha", on_lead_created=look)})
        kit.send("customer.updated", "C1", version=1, tier="A")
        kit.drain()
        kit.send("lead.created", "L1", version=1)
        kit.drain()
    assert seen == ["A"] and len(changes) == 1
