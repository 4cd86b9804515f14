"""Follow-up events of a record are accepted in the order in which they were written, by whatever clock and courier."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from core.model.effects import EmitEvent, StartTimer
from core.pipeline import courier
from core.pipeline.courier import Courier
from core.pipeline.slot import CallSlot
from core.pipeline.wake import Bell
from core.store import tables
from core.store.database import Database
from core.store.migrate import migrate
from tests.pipeline.kit import Kit, plugin

Hosts = tuple[Database, Database]


def emit(event: Any, ctx: Any) -> list[Any]:
    return [EmitEvent(type="alpha.noted", data={"number": event.record.score})]


@pytest.fixture
def hosts(postgres_url: str) -> Iterator[Hosts]:
    """The same database as two hosts have it open."""
    with contextlib.closing(Database(postgres_url)) as database, contextlib.closing(Database(postgres_url)) as its:
        migrate(database, [])
        yield database, its


def kit_on(database: Database) -> Kit:
    return Kit(database, {"alpha": plugin("alpha", on_lead_updated=emit)})


def courier_of(kit: Kit, database: Database) -> Courier:
    return Courier(database, kit.clock, kit, CallSlot(), Bell(), lambda lanes: None, lambda: False)


def noted(kit: Kit) -> list[str]:
    chosen = kit.rows(tables.events, tables.events.c.type == "alpha.noted")
    return [row.caused_by for row in sorted(chosen, key=lambda row: row.seq)]


def test_the_clock_of_who_wrote_a_follow_up_neither_delays_it_nor_lets_a_later_one_pass(database: Database) -> None:
    kit = kit_on(database)
    kit.clock.move(timedelta(seconds=5))  # the first worker's clock is ahead
    sent = [kit.send("lead.updated", "L1", version=1, score=1)]
    kit.dispatcher.drain()
    kit.clock.move(timedelta(seconds=-5))
    sent.append(kit.send("lead.updated", "L1", version=2, score=2))
    kit.dispatcher.drain()
    assert courier_of(kit, database).pass_on() == 2
    assert noted(kit) == sent


def test_a_courier_that_is_held_up_is_not_overtaken_by_another(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    database, its = hosts
    kit = kit_on(database)
    first, second = courier_of(kit, database), courier_of(kit, its)
    sent = [kit.send("lead.updated", "L1", version=1, score=1)]
    kit.dispatcher.drain()
    store = courier.store

    def be_held_up(*arguments: Any, **named: Any) -> Any:
        monkeypatch.setattr(courier, "store", store)
        sent.append(kit.send("lead.updated", "L1", version=2, score=2))
        kit.dispatcher.drain()
        second.pass_on()
        return store(*arguments, **named)

    monkeypatch.setattr(courier, "store", be_held_up)
    for each in (first, first, second):
        each.pass_on()
    assert noted(kit) == sent


def test_a_timer_that_falls_due_while_its_plugin_is_switched_on_is_not_held_by_the_version_before(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, its = hosts
    hooks = {
        "on_lead_updated": lambda event, ctx: [StartTimer(timer="t", due_at=ctx.now + timedelta(minutes=1))],
        "on_timer_due": lambda event, ctx: [],
    }
    kit = Kit(database, {"alpha": plugin("alpha", **hooks)})
    kit.send("lead.updated", "L1", version=1)
    kit.dispatcher.drain()
    kit.switch("default", "alpha", on=False)
    late, other = courier_of(kit, database), courier_of(kit, its)
    late.pass_on()
    kit.later(minutes=2)
    find_due = courier.find_due

    def meanwhile(*arguments: Any, **named: Any) -> Any:
        monkeypatch.setattr(courier, "find_due", find_due)
        due = find_due(*arguments, **named)
        kit.switch("default", "alpha", on=True)
        other.pass_on()  # with the new version, and the timer's row is taken
        return due

    monkeypatch.setattr(courier, "find_due", meanwhile)
    late.pass_on()  # and ends here
    other.pass_on()
    assert [row.status for row in kit.rows(tables.timers)] == ["fired"]
