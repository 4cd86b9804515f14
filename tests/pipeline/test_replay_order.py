"""Replays: a new generation, in the order of the events, quiet outside unless asked, beside what is still open."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.model.effects import Decide, EmitEvent, Notify, UpdateRecord
from core.model.errors import Conflict
from core.pipeline.replay import Replayer
from core.store import tables
from core.store.database import Database
from core.store.reading.events import EventFilter
from tests.pipeline.kit import Kit, plugin


class Story:
    """Some events of two records, dispatched; and a way to dispatch them again."""

    def __init__(self, database: Database) -> None:
        self.seen: list[tuple[str, str, int]] = []
        self.is_broken = False
        hooks = dict.fromkeys(("on_lead_created", "on_lead_updated"), self.alpha)
        self.kit = Kit(database, {"alpha": plugin("alpha", **hooks), "beta": plugin("beta", on_lead_created=self.beta)})
        self.replayer = Replayer(database, self.kit.clock, self.configuration, lambda: self.kit.plugins)

    def configuration(self) -> Any:
        with self.kit.database.read() as connection:
            return self.kit.current(connection)

    def alpha(self, event: Any, ctx: Any) -> list[Any]:
        if self.is_broken:
            raise RuntimeError("broken")
        self.seen.append((event.record_id, event.record.status, event.generation))
        return [
            Decide(kind="seen", outcome=event.record.status, summary="", rule="r"),
            Notify(to="sales", template="seen"),
            EmitEvent(type="alpha.noted"),
        ]

    def beta(self, event: Any, ctx: Any) -> list[Any]:
        return [UpdateRecord(fields={"grade": "A"})]

    def tell(self) -> list[str]:
        sent = []
        for number in range(1, 4):
            for record in ("L1", "L2"):
                type_ = "lead.created" if number == 1 else "lead.updated"
                sent.append(self.kit.send(type_, record, version=number, status=str(number)))
        self.kit.drain()
        return sent

    def everything(self, **options: Any) -> int:
        chosen = EventFilter(type=None)
        estimate = self.replayer.estimate(chosen, plugin=options.get("plugin"))
        done = self.replayer.replay_set(chosen, estimate, actor="it", **options)
        self.kit.drain()
        assert len(done.deliveries) == estimate.deliveries
        return estimate.deliveries


@pytest.fixture
def story(database: Database) -> Story:
    return Story(database)


def test_a_set_is_replayed_in_the_order_of_its_events_on_the_records_as_they_were(story: Story) -> None:
    story.tell()
    first = list(story.seen)
    story.seen.clear()
    story.everything(plugin="alpha")
    for record in ("L1", "L2"):
        assert [item[1] for item in story.seen if item[0] == record] == ["1", "2", "3"]
        assert [item[1] for item in first if item[0] == record] == ["1", "2", "3"]
    assert {item[2] for item in first} == {0} and {item[2] for item in story.seen} == {1}


def test_a_replay_sends_nothing_outward_unless_asked(story: Story) -> None:
    story.tell()
    before = {row.id for row in story.kit.rows(tables.outbox)}
    story.everything()
    quiet = [row for row in story.kit.rows(tables.outbox) if row.id not in before]
    assert {(row.effect, row.status) for row in quiet} == {
        ("notify", "suppressed"), ("update_record", "suppressed"), ("emit_event", "sent"),
    }  # fmt: skip
    known = before | {row.id for row in quiet}
    story.everything(outward=True)
    loud = [row for row in story.kit.rows(tables.outbox) if row.id not in known]
    assert {(row.effect, row.status) for row in loud} == {
        ("notify", "available"), ("update_record", "available"), ("emit_event", "sent"),
    }  # fmt: skip
    assert len(loud) == len(quiet)


def test_every_generation_has_its_own_decisions_and_message_ids(story: Story) -> None:
    [first, *_] = story.tell()
    for _ in range(2):
        story.replayer.replay_event(first, plugin="alpha", actor="it")
        story.kit.drain()
    decisions = story.kit.rows(tables.decisions, tables.decisions.c.event_id == first)
    assert [row.generation for row in decisions] == [0, 1, 2]
    messages = story.kit.rows(tables.outbox, tables.outbox.c.event_id == first, tables.outbox.c.effect == "notify")
    assert len({row.id for row in messages}) == 3


def test_a_replay_that_fails_holds_back_the_later_ones_of_its_record(story: Story) -> None:
    story.tell()
    story.seen.clear()
    story.is_broken = True
    story.everything(plugin="alpha")
    table = tables.deliveries
    replayed = story.kit.rows(table, table.c.generation == 1)
    assert sorted(row.status for row in replayed) == ["retryable"] * 2 + ["waiting"] * 4
    story.is_broken = False
    story.kit.later(minutes=1)
    story.kit.drain()
    for record in ("L1", "L2"):
        assert [item[1] for item in story.seen if item[0] == record] == ["1", "2", "3"]


def test_a_new_event_waits_for_the_replays_of_its_record(story: Story) -> None:
    story.tell()
    story.seen.clear()
    story.is_broken = True
    story.everything(plugin="alpha")
    story.kit.send("lead.updated", "L1", version=9, status="9")
    story.kit.drain()
    story.is_broken = False
    story.kit.later(minutes=1)
    story.kit.drain()
    assert [item[1:] for item in story.seen if item[0] == "L1"] == [("1", 1), ("2", 1), ("3", 1), ("9", 0)]


def test_a_replay_leaves_the_record_as_it_became(story: Story) -> None:
    story.tell()
    before = {row.record_id: json.loads(row.snapshot) for row in story.kit.rows(tables.records)}
    story.everything()
    assert {row.record_id: json.loads(row.snapshot) for row in story.kit.rows(tables.records)} == before


def test_what_was_skipped_or_is_not_dispatched_yet_is_not_replayed(story: Story) -> None:
    story.kit.send("lead.updated", "L1", version=5, status="5")
    story.kit.drain()
    old = story.kit.send("lead.updated", "L1", version=4, status="4")
    story.kit.drain()
    fresh = story.kit.send("lead.updated", "L1", version=6, status="6")
    for identity, said in ((old, "was skipped"), (fresh, "not dispatched yet")):
        with pytest.raises(Conflict, match=said):
            story.replayer.replay_event(identity, actor="it")


def test_a_plugin_switched_off_is_not_replayed(story: Story) -> None:
    [first, *_] = story.tell()
    story.kit.switch("default", "alpha", on=False)
    with pytest.raises(Conflict, match="not switched on"):
        story.replayer.replay_event(first, plugin="alpha", actor="it")
    story.replayer.replay_event(first, actor="it")
    story.kit.drain()
    table = tables.deliveries
    assert [row.plugin for row in story.kit.rows(table, table.c.generation == 1)] == ["beta"]


def test_a_set_that_changed_since_the_estimate_is_not_replayed(story: Story) -> None:
    story.tell()
    chosen = EventFilter(type=None)
    estimate = story.replayer.estimate(chosen)
    story.kit.switch("default", "beta", on=False)
    with pytest.raises(Conflict, match="Ask for a new estimate"):
        story.replayer.replay_set(chosen, estimate, actor="it")
    table = tables.deliveries
    assert story.kit.rows(table, table.c.generation == 1) == []
