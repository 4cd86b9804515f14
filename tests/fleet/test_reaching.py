"""Tests of what must reach every host: changes, quarantine, replays, a newer schema, lost messages, a stop."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import kombu
import pytest
import sqlalchemy as sa

from core.pipeline.quarantine import record_crash
from core.pipeline.slot import Call
from core.store.database import Database
from core.store.migrate import CORE_VERSIONS
from tests.fleet.brokers import BROKERS, answering_broker, drop_queue, fresh_queue
from tests.fleet.hosts import Host
from tests.fleet.posting import PATIENCE_S, post, until
from tests.load.databases import Outside, fresh_database, postgres_answers
from tests.load.server import configuration

SLOW_S = 5
SLOW = f'''
"""Takes its time about one record."""

import os
import time
from pathlib import Path

from core.api import Decide, hookimpl


@hookimpl
def on_complaint_opened(event, ctx):
    """Say which process it is, sleep as a plugin does that asks a slow service, and decide."""
    Path(__file__).with_name("caller").write_text(str(os.getpid()))
    time.sleep({SLOW_S})
    return [Decide(kind="seen", outcome="ok", summary=event.record_id, rule="test")]
'''
MANIFEST = 'name = "slow"\nversion = "1.0"\ntitle = "Slow"\nsummary = "For a test."\nowner = "tests"\napi = "1"\n'
MANIFEST += 'effects = ["decide"]\ntier = "bronze"\ndefault_enabled = true\n'


class Fleet:
    """A web host and two worker hosts, or fewer after a test has ended one."""

    def __init__(self, url: str, broker: str, queue: str, hosts: list[Host], plugins: Path) -> None:
        self.plugins = plugins
        self.url, self.broker, self.queue = url, broker, queue
        self.web, *self.workers = hosts
        self.hosts = hosts
        self.outside = Outside(url)

    def done(self, event_id: str, plugin: str = "ledger_second", generation: int = 0) -> int:
        """Return how many deliveries of an event are completed."""
        return int(self.outside.one(
            "SELECT count(*) FROM deliveries WHERE event_id = ? AND plugin = ? AND generation = ?"
            " AND status = 'completed'", event_id, plugin, generation,
        ))  # fmt: skip

    def in_the_slow_hook(self) -> Host | None:
        """Return the host whose worker was the last to enter the slow hook, if it lives."""
        caller = self.plugins / "slow" / "caller"
        pid = int(caller.read_text() or 0) if caller.exists() else 0
        return next((host for host in self.workers if pid in host.children().values()), None)

    def purge(self) -> int:
        """Throw the queue's messages away; return how many."""
        with kombu.Connection(self.broker, connect_timeout=5) as connection:
            return int(connection.default_channel.queue_purge(self.queue) or 0)


@pytest.fixture(scope="module")
def fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Give a fleet on the broker that a test names."""
    if not postgres_answers():
        pytest.skip("needs a PostgreSQL")
    broker, folder = answering_broker(request.param), tmp_path_factory.mktemp("fleet")
    slow = folder / "plugins" / "slow"
    slow.mkdir(parents=True)
    for name, text in (("__init__.py", '"""For a test."""\n'), ("plugin.py", SLOW), ("plugin.toml", MANIFEST)):
        (slow / name).write_text(text)
    config = configuration(every=3).replace("[dispatch]\n", "[dispatch]\nhook_time_limit_s = 15\n")
    queue = fresh_queue()
    with fresh_database("postgresql", folder) as url:
        hosts = [
            Host(name, role, folder, url, config, broker, queue, plugins=folder / "plugins")
            for name, role in (("web", "web"), ("workers-a", "worker"), ("workers-b", "worker"))
        ]
        hosts[0].migrate()
        hosts[0].apply()
        found = Fleet(url, broker, queue, hosts, folder / "plugins")
        try:
            for host in hosts:
                host.launch()
            hosts[0].wait_ready(patience_s=PATIENCE_S)
            until(lambda: all(len(host.children()) == 3 for host in found.workers), "workers run")
            yield found
        finally:
            found.outside.close()
            for host in hosts:
                host.end()
            drop_queue(broker, queue)


pytestmark = pytest.mark.timeout(400)
on_rabbitmq = pytest.mark.parametrize("fleet", ["rabbitmq"], indirect=True)
on_each_broker = pytest.mark.parametrize("fleet", sorted(BROKERS), indirect=True)


@on_rabbitmq
def test_a_change_of_configuration_reaches_every_process_of_every_host(fleet: Fleet) -> None:
    changed = fleet.workers[1].command("plugins", "disable", "ledger_first", "--unit", "default", "--reason", "a test")
    number = int(changed["number"])

    def everywhere() -> bool:
        post(fleet.web, f"R-{time.monotonic_ns() % 50}")
        return all(host.listeners <= host.picked_up(number) for host in fleet.hosts)

    until(everywhere, "every process works by the new version")
    event = post(fleet.web, "R-after")
    until(lambda: fleet.done(event), "the event is done")
    assert fleet.done(event, "ledger_first") == 0
    fleet.web.command("plugins", "enable", "ledger_first", "--unit", "default", "--reason", "a test")


@on_rabbitmq
def test_a_quarantine_holds_on_every_host_and_ends_on_every_host(fleet: Fleet) -> None:
    database = Database(fleet.url, pool_size=1)
    call = Call("default", "ledger_third", "evt_none", 0)
    with database.write() as connection:
        assert record_crash(connection, call, "signal 9", datetime.now(UTC), limit=1)
    database.close()
    events = [post(fleet.web, f"Q-{number}") for number in range(12)]
    until(lambda: all(fleet.done(event) for event in events), "the neighbours are done")
    assert not any(fleet.done(event, "ledger_third") for event in events)
    fleet.workers[0].command("plugins", "enable", "ledger_third", "--unit", "default", "--reason", "mended")
    until(lambda: all(fleet.done(event, "ledger_third") for event in events), "what was held is done")


@on_rabbitmq
def test_a_replay_asked_for_on_one_host_is_done_by_the_workers(fleet: Fleet) -> None:
    event = post(fleet.web, "P-1")
    until(lambda: fleet.done(event), "the event is done")
    fleet.web.command("events", "replay", event)
    until(lambda: fleet.done(event, generation=1), "its replay is done")


@on_rabbitmq
def test_hosts_go_on_and_start_again_on_a_database_that_a_newer_release_migrated(fleet: Fleet) -> None:
    engine = sa.create_engine(fleet.url)
    with engine.begin() as connection:  # as a migration of a newer release: it only adds
        for table in ("events", "deliveries", "records", "outbox", "timers", "dirty_lanes"):
            connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN added_later text")
        connection.exec_driver_sql("CREATE INDEX added_later ON deliveries (added_later)")
        before = connection.exec_driver_sql(f"SELECT version_num FROM {CORE_VERSIONS}").scalar_one()
        connection.exec_driver_sql(f"UPDATE {CORE_VERSIONS} SET version_num = '9999'")
    try:
        event = post(fleet.web, "N-1")
        until(lambda: fleet.done(event), "a worker that was running does the event")
        assert fleet.web.command("migrate") == {"ran": [], "newer": ["core:9999"]}
        for host in (fleet.web, fleet.workers[0]):
            assert host.stop()[0] == 0
            host.launch()
        fleet.web.wait_ready(patience_s=PATIENCE_S)
        until(lambda: len(fleet.workers[0].children()) == 3, "the old workers start again")
        event = post(fleet.web, "N-2")
        until(lambda: fleet.done(event), "and work")
    finally:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"UPDATE {CORE_VERSIONS} SET version_num = '{before}'")
        engine.dispose()


@on_each_broker
def test_lost_messages_are_found_by_the_scan(fleet: Fleet) -> None:
    for host in fleet.workers:
        assert host.stop()[0] == 0, host.log_tail()
    events = [post(fleet.web, f"M-{number}") for number in range(8)]
    lanes = fleet.outside.one("SELECT count(DISTINCT lane) FROM events WHERE status = 'accepted'")
    until(lambda: fleet.outside.one("SELECT count(*) FROM dirty_lanes") >= lanes, "every lane is marked")
    lost = since = 0

    def are_lost() -> bool:
        nonlocal lost, since
        found = fleet.purge()
        lost, since = lost + found, 0 if found else since + 1
        return lost > 0 and since >= 10  # lanes marked together have few messages

    until(are_lost, "every message is lost")
    for host in fleet.workers:
        host.launch()
    until(lambda: all(fleet.done(event) for event in events), "the scan has found them")
    until(lambda: all(len(host.children()) == 3 for host in fleet.workers), "workers run")


@on_rabbitmq
def test_a_message_comes_back_when_its_host_dies_and_nobody_else_looks(fleet: Fleet) -> None:
    """On RabbitMQ; Redis gives a message back only after two minutes, and the scan is faster."""
    for host in fleet.workers:
        host.freeze("sweeper")
    event = post(fleet.web, "B-1", kind="complaint.opened", severity="high")
    until(fleet.in_the_slow_hook, "a worker is at it")
    host = fleet.in_the_slow_hook()
    assert host is not None
    host.end()
    until(lambda: fleet.done(event, "slow"), "the other host has done it")
    host.launch()
    until(lambda: len(host.children()) == 3, "the host is back")
    for other in fleet.workers:
        os.kill(other.pid_of("sweeper"), signal.SIGCONT)
    assert fleet.outside.one("SELECT count(*) FROM decisions WHERE event_id = ? AND plugin = 'slow'", event) == 1


@on_rabbitmq
def test_a_host_in_a_slow_hook_stops_within_thirty_seconds_and_the_hook_counts_once(fleet: Fleet) -> None:
    (fleet.plugins / "slow" / "caller").unlink(missing_ok=True)
    event = post(fleet.web, "S-1", kind="complaint.opened", severity="high")
    until(fleet.in_the_slow_hook, "a worker is in the hook")
    for host in fleet.hosts:
        code, seconds = host.stop()
        assert code == 0 and seconds < 30, host.log_tail()
    decided = fleet.outside.one("SELECT count(*) FROM decisions WHERE event_id = ? AND plugin = 'slow'", event)
    assert (fleet.done(event, "slow"), decided) == (1, 1)


@on_rabbitmq
def test_a_host_that_is_told_to_stop_while_it_still_starts_does(fleet: Fleet) -> None:
    host = fleet.workers[0]
    host.end()
    host.launch()
    until(lambda: "worker-0" in host.children(), "the worker begins to start")
    code, seconds = host.stop()
    assert code == 0 and seconds < 30, host.log_tail()
