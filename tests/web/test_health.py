"""Health, readiness and metrics."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from core import metrics, signals
from core.model.errors import DatabaseNotReady
from core.model.inbound import RejectedItem
from core.pipeline.inbox import Stored
from core.store.database import Database, sqlite_module
from core.web import health
from tests.web.world import World


def test_a_server_that_can_serve_is_ready(client: FlaskClient) -> None:
    assert client.get("/healthz").get_json() == {"status": "alive"}
    assert client.get("/readyz").get_json() == {"status": "ready"}


def test_a_draining_server_says_so_at_once_and_stays_alive(world: World, client: FlaskClient) -> None:
    world.unready = ["draining"]
    answer = client.get("/readyz")
    assert (answer.status_code, answer.get_json()["code"]) == (503, "not_ready")
    assert answer.get_json()["errors"] == [{"path": "process", "message": "draining"}]
    assert client.get("/healthz").status_code == 200


def test_a_server_without_configuration_tables_or_disk_is_not_ready(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(Database(sqlite_url))
    client = world.app().test_client()
    assert "outrigger migrate" in client.get("/readyz").get_json()["detail"]
    from core.store.migrate import migrate

    migrate(world.database, [])
    world.number = 0
    monkeypatch.setattr(health, "free_share", lambda database: 0.04)
    said = {item["path"] for item in client.get("/readyz").get_json()["errors"]}
    assert said == {"configuration", "disk"}

    def broken() -> Any:
        raise DatabaseNotReady

    answer = world.app(configuration=broken).test_client().get("/readyz")
    assert "database.not_ready" in answer.get_json()["detail"]


def test_a_database_that_takes_no_writes_is_not_ready(sqlite_world: World) -> None:
    client = sqlite_world.app().test_client()
    with sqlite_world.database.engine.connect() as pooled:
        pooled.exec_driver_sql("PRAGMA busy_timeout=0")
    other = sqlite_module().connect(sqlite_world.database.url.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answer = client.get("/readyz")
    other.close()
    assert answer.status_code == 503
    assert answer.get_json()["errors"][0]["path"] == "database"
    assert client.get("/readyz").status_code == 200


def test_gauges_say_what_stands_open(world: World, client: FlaskClient) -> None:
    world.version(7)
    world.history()
    world.other_unit()
    world.event("new", status="accepted")
    world.message(world.event("out"), "msg_2")
    text = client.get("/metrics").text
    for line in (
        "outrigger_events_waiting 1.0",
        "outrigger_events_oldest_wait_seconds 0.0",
        'outrigger_deliveries_open{status="retryable"} 1.0',
        'outrigger_deliveries_open{status="waiting"} 1.0',
        'outrigger_deliveries_open{status="available"} 0.0',
        "outrigger_outbox_waiting 1.0",
        "outrigger_timers_pending 2.0",
        "outrigger_quarantines_active 1.0",
        "outrigger_config_version 7.0",
    ):
        assert line in text, line


def test_the_gauges_look_up_what_they_tell_by_an_index_or_read_a_single_row(sqlite_world: World) -> None:
    from core.store.reading.counts import standing

    asked: list[str] = []

    class Spy:
        def __init__(self, connection: Any) -> None:
            self.connection = connection

        def execute(self, statement: Any) -> Any:
            asked.append(str(statement.compile(self.connection)))
            plan = self.connection.exec_driver_sql("EXPLAIN QUERY PLAN " + asked[-1].replace("?", "1")).fetchall()
            is_one_row = "ORDER BY events.seq" in asked[-1] and "LIMIT" in asked[-1] and len(plan) == 1
            if "quarantines" not in asked[-1] and "config_versions" not in asked[-1] and not is_one_row:
                assert any("ix_" in row[3] for row in plan), (asked[-1], plan)
            return self.connection.execute(statement)

    with sqlite_world.database.read() as connection:
        standing(Spy(connection))  # type: ignore[arg-type]
    assert len(asked) == 8


def counted(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


def test_observers_count_what_happened() -> None:
    metrics.connect_observers()
    metrics.connect_observers()
    before = counted("outrigger_deliveries_total", unit="u", plugin="p", outcome="completed")
    signals.notify_observers(signals.delivery_completed, "u", plugin="p", event_id="evt_1", seconds=0.01)
    assert counted("outrigger_deliveries_total", unit="u", plugin="p", outcome="completed") == before + 1
    signals.notify_observers(signals.delivery_failed, "u", plugin="p", event_id="evt_1", outcome="retryable", reason="")
    signals.notify_observers(signals.delivery_discarded, "u", plugin="p", event_id="evt_1", reason="")
    signals.notify_observers(signals.effect_sent, "u", effect="notify", target="x", result="sent")
    assert counted("outrigger_hook_seconds_count", plugin="p") >= 1
    item = RejectedItem(source="s", dedupe_key="k", raw="", reason="")
    metrics.observe_inbox([item, item, item], Stored(["a"] * 3, [True, True, False], [True, False, False], [False] * 3))
    assert [
        counted("outrigger_events_total", source="s", result=name) for name in ("accepted", "rejected", "duplicate")
    ] == [1, 1, 1]


def test_an_observer_that_raises_does_not_keep_the_others_from_hearing() -> None:
    heard: list[str] = []

    def broken(sender: str, **values: Any) -> None:
        raise RuntimeError("no")

    def listening(sender: str, **values: Any) -> None:
        heard.append(sender)

    with signals.config_changed.connected_to(broken), signals.config_changed.connected_to(listening):
        signals.notify_observers(signals.config_changed, "energy", number=2)
    assert heard == ["energy"]
