"""Timers that are done go when nothing of their record is left, and one of the same name fires again afterwards."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from core.host.settings import RetentionSettings
from core.model.effects import CancelTimer, Decide, StartTimer
from core.pipeline import retention, retention_timers
from core.pipeline.retention import Pruner
from core.pipeline.retention_timers import FIRST, choose_done, remove_done
from core.store import tables
from core.store.database import Database
from core.store.reading.retention import due_to_go
from tests.pipeline.kit import Kit, plugin

KEPT = RetentionSettings(events_days=30, keys_days=40, decisions_days=3650, messages_days=10)


def start_or_stop(event: Any, ctx: Any) -> list[Any]:
    if event.record.status == "stop":
        return [CancelTimer(timer="t")]
    return [StartTimer(timer="t", due_at=ctx.now + timedelta(hours=1))]


def tell(event: Any, ctx: Any) -> list[Any]:
    return [Decide(kind="fired", outcome=event.record_id, summary="", rule="r")]


class Place:
    """A kit whose plugin starts and stops a timer of a record, and a pruner."""

    def __init__(self, database: Database, rows: int = 100) -> None:
        self.kit = Kit(database, {"alpha": plugin("alpha", on_lead_updated=start_or_stop, on_timer_due=tell)})
        self.pruner = Pruner(database, self.kit.clock, lambda: KEPT, rows=rows)

    def lead(self, record_id: str, **fields: Any) -> None:
        self.kit.send("lead.updated", record_id, **fields)
        self.kit.drain()

    def fire(self) -> None:
        self.kit.later(hours=2)
        self.kit.drain()

    def prune(self, days: int) -> int:
        """Remove what is old enough so many days later; return how many timers went."""
        self.kit.later(days=days)
        return sum(number for name, number in self.pruner.run_of_the_day() if name == "timers")

    def fired(self) -> list[str]:
        return [row.outcome for row in self.kit.rows(tables.decisions)]


@pytest.fixture
def place(database: Database) -> Place:
    return Place(database)


def test_a_timer_goes_when_the_id_of_its_due_event_is_forgotten_and_one_started_anew_fires(place: Place) -> None:
    place.lead("L1")
    place.fire()
    assert place.fired() == ["L1"]
    assert place.prune(31) == 0  # the events went, their ids are kept for forty days
    assert place.kit.rows(tables.events) == [] and len(place.kit.rows(tables.event_keys)) == 2
    assert place.prune(39) == 0
    assert place.prune(2) == 1 and place.kit.rows(tables.timers) == []
    place.lead("L1")
    place.fire()
    assert place.fired() == ["L1", "L1"]


def test_a_timer_whose_due_event_went_late_stays_until_its_id_is_forgotten_too(place: Place) -> None:
    place.lead("L1")
    place.fire()
    assert place.prune(100) == 0  # nothing was removed for long; the ids are kept from now on
    place.lead("L1")
    place.fire()
    assert place.fired() == ["L1", "L1"]


def test_a_timer_of_a_record_of_which_an_event_is_stored_stays(place: Place) -> None:
    place.lead("L1", status="new")
    place.fire()
    for _ in range(6):
        assert place.prune(25) == 0
        place.lead("L1", status="stop")
    assert [row.status for row in place.kit.rows(tables.timers)] == ["fired"]
    (key, _) = place.kit.rows(tables.event_keys)[:2]
    assert key.accepted_at > place.kit.clock.now() - timedelta(days=100)  # those of its first events are forgotten
    assert place.prune(31) == 1  # with the last of its events


@pytest.mark.parametrize("rows", [1, 2, 100])
def test_cancelled_and_fired_ones_are_gone_through_in_steps_and_pending_ones_stay(
    database: Database, rows: int
) -> None:
    place = Place(database, rows)
    for number in range(3):
        place.lead(f"C{number}", status="new")
        place.lead(f"C{number}", status="stop")
        place.lead(f"F{number}", status="new")
    place.fire()
    place.kit.later(days=200)
    place.lead("P", status="new")
    place.kit.later(days=-200)
    assert place.prune(31) == 0
    assert place.prune(41) == 6
    assert [row.record_id for row in place.kit.rows(tables.timers)] == ["P"]
    (day,) = [row for row in place.kit.rows(tables.retention_runs) if row.removed.get("timers")]
    assert day.removed["timers"] == 6


def test_timers_that_were_started_often_are_asked_about_a_few_at_a_time(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention_timers, "IDS", 3)
    asked: list[int] = []
    in_list = retention_timers.in_list

    def counted(connection: Any, select: str, values: Any) -> Any:
        asked.append(len(values))
        return in_list(connection, select, values)

    monkeypatch.setattr(retention_timers, "in_list", counted)
    for record_id, often in (("A", 2), ("B", 5), ("C", 1), ("D", 1)):
        for _ in range(often):
            place.lead(record_id)
        place.fire()
    place.prune(31)
    asked.clear()
    assert place.prune(41) == 4
    assert asked == [0, 2, 5, 2]  # nothing was cancelled; then A, B alone, C and D


def test_one_that_is_started_anew_after_it_was_chosen_stays(place: Place) -> None:
    place.lead("L1")
    place.fire()
    for days in (31, 0):
        place.prune(days)
    place.kit.later(days=41)
    with place.kit.database.write() as connection:
        connection.execute(tables.event_keys.delete())
    with place.kit.database.read() as connection:
        chosen = choose_done(connection, (1, None, ""), place.kit.clock.now(), 10)
    assert len(chosen.going) == 1
    place.lead("L1")
    place.fire()  # done again, in another round
    with place.kit.database.write() as connection:
        assert remove_done(connection, chosen) == 0
    assert len(place.kit.rows(tables.timers)) == 1


def test_nothing_is_removed_while_another_courier_removes(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.lead("L1")
    place.fire()
    place.prune(31)
    place.kit.later(days=41)
    with place.kit.database.write() as connection:
        connection.execute(tables.event_keys.delete())
    monkeypatch.setattr(retention, "_alone", lambda connection: False)
    step = place.pruner._timers(place.kit.clock.now())
    assert (step.is_busy, step.removed) == (False, 0)  # cancelled ones come first, and there are none
    assert place.pruner._timers(place.kit.clock.now()).is_busy
    assert len(place.kit.rows(tables.timers)) == 1


def test_what_is_due_to_go_counts_what_is_done(place: Place) -> None:
    place.lead("C", status="new")
    place.lead("C", status="stop")
    place.lead("F")
    place.fire()
    place.lead("P")
    now = place.kit.clock.now()
    with place.kit.database.read() as connection:
        (none,) = due_to_go(connection, {"timers": now - timedelta(days=1)})
        (both,) = due_to_go(connection, {"timers": now})
        assert choose_done(connection, FIRST, now, 10).going == []
    assert (none["due"], both["due"], both["is_more"]) == (0, 2, False)
    assert none["oldest"] == both["oldest"] == now - timedelta(hours=1)
