"""`outrigger retention`: what is old enough, what went, and a run by hand."""

from __future__ import annotations

from datetime import timedelta

from core.store.tables import audit, events
from tests.data_cli.conftest import Run, answer
from tests.web.world import World


def test_what_is_old_enough_is_shown_and_removed_by_hand(run: Run, world: World) -> None:
    world.event("one")
    assert {row["kind"]: row["due"] for row in answer(run("retention", "show", "--json"))["due"]}["events"] == 0
    assert "Nothing was removed yet." in run("retention", "show").output
    world.clock.move(timedelta(days=800))
    due = answer(run("retention", "show", "--json"))["due"]
    assert [(row["due"], row["is_more"]) for row in due if row["kind"] == "events"] == [(1, False)]
    done = answer(run("retention", "run", "--json"))
    assert done["is_done"] and done["removed"]["events"] == 1 and done["held_by"] is None
    with world.database.read() as connection:
        assert connection.execute(events.select()).fetchall() == []
        (row,) = connection.execute(audit.select().where(audit.c.action == "retention.removed")).fetchall()
    assert row.actor != "retention"  # the person at the keyboard
    assert ": 1 events" in run("retention", "show").output
    assert run("retention", "run").output == "Nothing was old enough.\n"
