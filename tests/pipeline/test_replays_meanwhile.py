"""Two people replay the same events at the same moment, or the CRM sends one of them again."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa

from core.model.inbound import InboundEvent, RejectedItem
from core.pipeline import replay
from core.pipeline.inbox import store
from core.pipeline.replay import Replayer
from core.store import tables
from core.store.database import Database
from core.store.migrate import migrate
from core.store.reading.events import EventFilter
from tests.pipeline.kit import Kit, plugin
from tests.pipeline.somebody import Somebody, somebody

REJECTED = EventFilter(status="rejected")


class Two:
    """One kit, a replayer of this process and one of another."""

    def __init__(self, database: Database, other: Somebody) -> None:
        self.kit = Kit(database, {"alpha": plugin("alpha", on_event=lambda event, ctx: [])})
        self.other = other
        self.here, self.there = self._replayer(database), self._replayer(other.database)

    def _replayer(self, database: Database) -> Replayer:
        return Replayer(database, self.kit.clock, self._configuration, lambda: self.kit.plugins, self._remap)

    def _configuration(self) -> Any:
        with self.kit.database.read() as connection:
            return self.kit.current(connection)

    def _remap(self, source: str, raw: str, headers: Mapping[str, str], received_at: datetime) -> InboundEvent:
        body = json.loads(raw)
        return self.kit.event("lead.created", body["id"], key=body["key"])

    def reject(self, number: int) -> list[str]:
        """Store rejected items that map when they are mapped again."""
        items = [rejected(f"bad-{place}", {"id": f"L{place}", "key": f"bad-{place}"}) for place in range(number)]
        with self.kit.database.write() as connection:
            return store(connection, items, self.kit.clock.now()).ids


def rejected(key: str, body: Mapping[str, str]) -> RejectedItem:
    raw = json.dumps(body)
    return RejectedItem(source="crm", dedupe_key=key, raw=raw, reason="no id", body_hash=raw)


@pytest.fixture
def two(postgres_url: str) -> Iterator[Two]:
    with contextlib.closing(Database(postgres_url)) as database, somebody(postgres_url) as other:
        migrate(database, [])
        yield Two(database, other)


def before_commit(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Let `act` run once, when a replay has written everything and not yet committed."""
    notify = replay.notify

    def act_once(connection: sa.Connection) -> None:
        monkeypatch.setattr(replay, "notify", notify)
        act()
        notify(connection)

    monkeypatch.setattr(replay, "notify", act_once)


def replay_set(replayer: Replayer, chosen: EventFilter) -> Any:
    return replayer.replay_set(chosen, replayer.estimate(chosen), actor="it")


def test_each_of_two_replays_of_a_set_makes_a_generation_of_its_own(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        two.kit.send("lead.created", f"L{number}")
    two.kit.drain()
    everything = EventFilter()
    before_commit(monkeypatch, lambda: two.other.begins(lambda: replay_set(two.there, everything)))
    first = replay_set(two.here, everything)
    second = two.other.ends()
    assert (len(first.deliveries), len(second.deliveries)) == (3, 3)
    generations = [(row.event_seq, row.generation) for row in two.kit.rows(tables.deliveries)]
    assert sorted(generations) == [(seq, generation) for seq in (1, 2, 3) for generation in (0, 1, 2)]


def test_of_two_replays_of_rejected_events_one_accepts_each(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "BATCH", 2)
    identities = two.reject(5)
    before_commit(monkeypatch, lambda: two.other.begins(lambda: replay_set(two.there, REJECTED)))
    first = replay_set(two.here, REJECTED)
    second = two.other.ends()
    assert sorted(first.accepted + second.accepted) == sorted(identities)
    assert first.events + second.events == 5
    assert [row.status for row in two.kit.rows(tables.events)] == ["accepted"] * 5


@pytest.mark.parametrize("is_set", [True, False])
def test_a_rejected_item_that_is_sent_again_while_it_is_mapped_again_waits_for_nobody_in_a_circle(
    two: Two, is_set: bool
) -> None:
    [identity] = two.reject(1)

    def map_again() -> Any:
        if is_set:
            return replay_set(two.there, REJECTED)
        return two.there.replay_event(identity, actor="it")

    now = two.kit.clock.now()
    with two.kit.database.write() as connection:
        store(connection, [two.kit.event("lead.created", "L9", key="another")], now)
        two.other.begins(map_again)
        store(connection, [rejected("bad-0", {})], now)
    assert two.other.ends().accepted == [identity]
