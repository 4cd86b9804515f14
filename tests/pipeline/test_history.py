"""A record as of any event: folding its history gives what merging step by step gave at that moment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model.effects import StartTimer, UpdateRecord
from core.model.records import KINDS
from core.model.schemas import builder_for
from core.pipeline.history import record_as_of
from core.store import tables
from core.store.database import Database
from core.store.migrate import migrate
from tests.pipeline.kit import Kit, plugin

FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["new", "hot", None]),
        "owner": st.sampled_from(["li", "wang"]),
        "score": st.integers(0, 2),
        "contact": st.none() | st.dictionaries(st.sampled_from(["name", "phone"]), st.sampled_from(["1", "2"])),
        "extra": st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from([1, "x", None])),
    },
)
SENT = st.tuples(
    st.sampled_from(["L1", "L2"]),
    st.sampled_from(["lead.created", "lead.updated", "lead.lost"]),
    st.integers(0, 6),
    st.sampled_from(["full", "delta"]),
    FIELDS,
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), SENT),
        st.tuples(st.just("drain"), st.integers(1, 3)),
        st.tuples(st.just("later"), st.integers(1, 40)),
    ),
    min_size=3,
    max_size=14,
)


class Author:
    """A plugin whose answers are drawn: it sets fields, starts timers, or fails and is tried again."""

    def __init__(self, random: Any) -> None:
        self.random = random
        self.seen: list[tuple[str, Any]] = []  # event id and the record as the handler saw it, every attempt

    def handle(self, event: Any, ctx: Any) -> list[Any]:
        self.seen.append((event.id, event.record))
        dice = self.random.randint(0, 5)
        if dice == 0:
            raise RuntimeError("tried again later")
        if dice == 1:
            return [StartTimer(timer="t", due_at=ctx.now + timedelta(seconds=self.random.randint(0, 30)))]
        if dice in (2, 3):
            fields = {"score": self.random.randint(0, 2), "contact": {"phone": str(self.random.randint(1, 2))}}
            return [UpdateRecord(fields=fields, write_back=False)]
        return []


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('history')}/outrigger.sqlite3")
    migrate(database, [])
    yield database
    database.close()


def snapshots(kit: Kit) -> dict[str, Any]:
    return {row.record_id: json.loads(row.snapshot) for row in kit.rows(tables.records)}


def folded(kit: Kit, record: str, seq: int) -> Any:
    with kit.database.read() as connection:
        return record_as_of(connection, "crm", "lead", record, seq).snapshot


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, random=st.randoms(use_true_random=False))
def test_folding_gives_what_merging_gave_and_every_attempt_sees_the_same_record(
    shared: Database, steps: list[tuple[str, Any]], random: Any
) -> None:
    with shared.write() as connection:
        for table in tables.metadata.tables.values():
            connection.execute(table.delete())
    author = Author(random)
    hooks = ("on_lead_created", "on_lead_updated", "on_lead_lost", "on_timer_due")
    kit = Kit(shared, {name: plugin(name, **dict.fromkeys(hooks, author.handle)) for name in ("alpha", "beta")})
    for name, what in [*steps, ("drain", 60), ("later", 40), ("drain", 60)]:
        if name == "send":
            record, type_, version, completeness, fields = what
            kit.send(type_, record, version=version, completeness=completeness, **fields)
        elif name == "later":
            kit.later(seconds=what)
        else:
            for _ in range(what):
                done = kit.dispatcher.drain()
                if not (done.events or done.deliveries or kit.pass_on()):
                    break
    for record, snapshot in snapshots(kit).items():
        assert folded(kit, record, 10**9) == snapshot
    events = {row.id: row for row in kit.rows(tables.events)}
    for identity, seen in author.seen:
        row = events[identity]
        assert builder_for(KINDS["lead"])({"id": row.record_id, **folded(kit, row.record_id, row.seq)}) == seen


def test_an_update_made_later_is_not_seen_by_earlier_events(database: Database) -> None:
    tried = 0

    def alpha(event: Any, ctx: Any) -> list[Any]:
        nonlocal tried
        tried += 1
        if tried == 1:
            raise RuntimeError("the first time")
        return [UpdateRecord(fields={"grade": "A"}, write_back=False)] if event.type == "lead.created" else []

    kit = Kit(database, {"alpha": plugin("alpha", on_lead_created=alpha, on_lead_updated=alpha)})
    kit.send("lead.created", "L1", version=1, name="甲")
    kit.drain()
    kit.send("lead.updated", "L1", version=2, name="乙")
    kit.drain()
    kit.later(minutes=1)
    kit.drain()
    kit.send("lead.updated", "L1", version=3, name="丙")
    kit.drain()
    names = [folded(kit, "L1", seq) for seq in (1, 2, 3)]
    assert names == [
        {"id": "L1", "name": "甲"},
        {"id": "L1", "name": "乙"},
        {"id": "L1", "name": "丙", "grade": "A"},
    ]


def test_an_update_made_by_a_late_retry_is_not_seen_by_a_timer_that_fired_before(database: Database) -> None:
    """The timer's event is not merged into the record, and yet it has its place in the record's history."""
    seen: list[Any] = []
    is_broken = True

    def slow(event: Any, ctx: Any) -> list[Any]:
        if is_broken:
            raise RuntimeError("not yet")
        return [UpdateRecord(fields={"status": "set late"}, write_back=False)]

    quick = plugin(
        "quick",
        on_complaint_opened=lambda event, ctx: [StartTimer(timer="t", due_at=ctx.now)],
        on_timer_due=lambda event, ctx: seen.append(event.record.status) or [],
    )
    kit = Kit(database, {"quick": quick, "slow": plugin("slow", on_complaint_opened=slow)})
    kit.send("complaint.opened", "C1", status="open")
    kit.drain()
    assert seen == ["open"]
    is_broken = False
    kit.later(minutes=1)
    kit.drain()
    [timer] = kit.rows(tables.events, tables.events.c.type == "timer.due")
    with database.read() as connection:
        assert record_as_of(connection, "crm", "complaint", "C1", timer.seq).snapshot["status"] == "open"
        assert record_as_of(connection, "crm", "complaint", "C1", timer.seq + 1).snapshot["status"] == "set late"


def test_a_linked_record_is_seen_as_of_the_event_and_not_as_it_became(database: Database) -> None:
    seen: list[Any] = []
    is_broken = True

    def quote(event: Any, ctx: Any) -> list[Any]:
        if is_broken:
            raise RuntimeError("later")
        seen.append(ctx.records.get("customer", "K1").tier)
        return []

    kit = Kit(database, {"alpha": plugin("alpha", on_quote_submitted=quote)})
    kit.send("customer.updated", "K1", version=1, tier="C")
    kit.drain()
    kit.send("quote.submitted", "Q1", customer_id="K1")
    kit.drain()
    kit.send("customer.updated", "K1", version=2, tier="A")
    kit.drain()
    is_broken = False
    kit.later(minutes=1)
    kit.drain()
    assert seen == ["C"]


def test_what_a_plugin_does_to_what_it_was_given_does_not_reach_the_record(database: Database) -> None:
    def rude(event: Any, ctx: Any) -> list[Any]:
        for victim in (event.record.extra["list"], event.raw["extra"]["list"], event.data.extra["list"]):
            victim.append("mine")
        event.record.extra["more"] = "mine"
        return []

    heard: list[Any] = []
    polite = plugin("polite", on_lead_created=lambda event, ctx: heard.append(event.record.name) or [])
    kit = Kit(database, {"a_rude": plugin("a_rude", on_lead_created=rude), "polite": polite})
    kit.send("lead.created", "L1", name="甲", extra={"list": [1]})
    kit.drain()
    assert snapshots(kit)["L1"]["extra"] == {"list": [1]} and heard == ["甲"]
