"""The check from outside finds what a campaign looks for: each kind of damage, planted by hand, is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from core.host.discovery import load_plugins
from core.model.inbound import inbound_event
from core.pipeline.dispatch import Dispatcher
from core.pipeline.inbox import store
from core.store.database import Database
from core.store.migrate import migrate
from core.time.clock import FrozenClock
from tests.load.databases import Outside
from tests.load.ledger import Findings, check
from tests.load.server import PLUGINS
from tests.powercut.workload import Configured

NOW = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)
Acknowledged = Mapping[str, list[str]]


class Ground:
    """A database with three events of one record, all handled."""

    def __init__(self, url: str, *, every: int = 0) -> None:
        self.database = Database(url)
        plugins = load_plugins([PLUGINS], with_entry_points=False)
        migrate(self.database, list(plugins.values()))
        items = [
            inbound_event(
                source="crm", type="complaint.replied", dedupe_key=f"m{number}", occurred_at=NOW, version=number,
                data={"id": "C1", "department": f"d{number}", "n": number},
            )
            for number in (1, 2, 3)
        ]  # fmt: skip
        with self.database.write() as connection:
            self.acknowledged = {"C1": store(connection, items, NOW).ids}
        dispatcher = Dispatcher(self.database, FrozenClock(NOW), plugins, Configured(plugins, every=every))
        while dispatcher.drain().events:
            pass
        self.outside = Outside(url)

    def find(self) -> Findings:
        return check(self.outside, self.acknowledged)

    def damage(self, statement: str) -> None:
        with self.database.write() as connection:
            connection.execute(sa.text(statement))


@pytest.fixture
def ground(database_url: str) -> Iterator[Ground]:
    made = Ground(database_url)
    yield made
    made.outside.close()
    made.database.close()


def test_an_undamaged_database_is_clean_and_drained(ground: Ground) -> None:
    found = ground.find()
    assert found.is_clean, found.words
    assert not ground.outside.is_anything_left()


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("DELETE FROM events WHERE seq = 2", "lost"),
        ("UPDATE events SET status = 'accepted' WHERE seq = 3", "lost"),
        ("DELETE FROM deliveries WHERE event_seq = 2 AND plugin = 'ledger_first'", "lost"),
        ("UPDATE deliveries SET status = 'discarded' WHERE event_seq = 2 AND plugin = 'ledger_first'", "lost"),
        ("DELETE FROM decisions WHERE event_seq = 1 AND plugin = 'ledger_third'", "lost"),
        ("INSERT INTO ledger_second_rows (event_id, type, record_id) SELECT event_id, type, record_id"
         " FROM ledger_second_rows ORDER BY id DESC LIMIT 1", "doubled"),
        ("UPDATE ledger_first_rows SET id = id + 100 WHERE id = 1", "out_of_order"),
        ("UPDATE records SET snapshot = '{\"id\":\"C1\",\"department\":\"d1\"}'", "wrong_snapshots"),
    ],
)  # fmt: skip
def test_damage_is_found(ground: Ground, statement: str, kind: str) -> None:
    ground.damage(statement)
    found = ground.find()
    assert getattr(found, kind) > 0, found.words
    assert not found.is_clean


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET status = 'accepted' WHERE seq = 3",
        "UPDATE deliveries SET status = 'retryable' WHERE event_seq = 2 AND plugin = 'ledger_first'",
    ],
)
def test_an_event_or_a_delivery_that_waits_is_left_to_be_done(ground: Ground, statement: str) -> None:
    ground.damage(statement)
    assert ground.outside.is_anything_left()


@pytest.mark.parametrize("started", ["timers", "outbox"])
def test_a_timer_or_a_follow_up_that_waits_is_left_to_be_done(database_url: str, started: str) -> None:
    ground = Ground(database_url, every=3)
    assert not ground.outside.is_pending()
    ground.damage(f"DELETE FROM {'outbox' if started == 'timers' else 'timers'}")
    assert ground.outside.is_anything_left()
    ground.damage(f"DELETE FROM {started}")
    assert not ground.outside.is_anything_left()
    ground.outside.close()
    ground.database.close()


def test_an_event_sent_after_another_was_acknowledged_must_stand_behind_it(ground: Ground) -> None:
    ids = ground.acknowledged["C1"]
    ids[0], ids[1] = ids[1], ids[0]
    assert ground.find().out_of_order > 0


def test_an_acknowledged_id_that_was_never_stored_is_lost(ground: Ground) -> None:
    ground.acknowledged["C1"].append("evt_unknown")
    assert ground.find().lost == 1


def test_outside_needs_nothing_of_the_product_to_open_a_database(tmp_path: Path) -> None:
    outside = Outside(f"sqlite:///{tmp_path}/empty.sqlite3")
    assert outside.integrity() == "ok"
    outside.close()
