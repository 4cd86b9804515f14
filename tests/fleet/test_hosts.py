"""Tests of a small fleet of real hosts on each broker: what was acknowledged is done once, in order, and they stop."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from core.cli.main import build
from core.fleet.broker import BrokerAway, celery_app, reach
from core.model.errors import ConfigurationRefused
from tests.crash.clients import Client, Tally
from tests.fleet.brokers import drop_queue, fresh_queue
from tests.fleet.hosts import Host
from tests.load.databases import Outside
from tests.load.ledger import check
from tests.load.server import configuration, free_port
from wsgi import assembly

PATIENCE_S = 60.0


@pytest.fixture
def fleet(postgres: str, broker: str, tmp_path: Path) -> Iterator[list[Host]]:
    """Give two web hosts and two worker hosts, which run."""
    config, queue = configuration(every=3), fresh_queue()
    roles = (("web-a", "web"), ("web-b", "web"), ("workers-a", "worker"), ("workers-b", "worker"))
    hosts = [Host(name, role, tmp_path, postgres, config, broker, queue) for name, role in roles]
    hosts[0].migrate()
    hosts[0].apply()
    try:
        for host in hosts:
            host.launch()
        for host in hosts[:2]:
            host.wait_ready()
        yield hosts
    finally:
        for host in hosts:
            host.end()
        drop_queue(broker, queue)


def until_drained(outside: Outside) -> bool:
    """Wait until nothing is left to do; return whether that came."""
    end = time.monotonic() + PATIENCE_S
    while outside.is_anything_left():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def completed(host: Host) -> int:
    """Ask a worker host how many deliveries its processes have completed."""
    with urllib.request.urlopen(f"http://{host.address}:{host.port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    wanted = ("outrigger_deliveries_total", "completed")  # not there before the first
    return int(sum(sample.value for sample in samples if (sample.name, sample.labels.get("outcome")) == wanted))


@pytest.mark.timeout(180)
def test_a_fleet_does_what_was_acknowledged_once_and_in_order_though_workers_are_killed(
    fleet: list[Host], postgres: str
) -> None:
    outside, tally = Outside(postgres), Tally()
    clients = [
        Client(number, [(host.address, host.port) for host in fleet[:2]], 10, 20261123, tally) for number in range(4)
    ]
    try:
        for client in clients:
            client.start()
        for victim in ("worker", "sweeper", "courier", "worker"):
            sent = sum(map(len, tally.acknowledged.values()))
            end = time.monotonic() + PATIENCE_S
            while sum(map(len, tally.acknowledged.values())) < sent + 50 and time.monotonic() < end:
                time.sleep(0.02)
            pid = fleet[2].kill(victim)
            fleet[2].wait_replaced(victim, pid)
        for client in clients:
            client.stopping.set()
        for client in clients:
            client.join(timeout=20)
        assert until_drained(outside)
        found = check(outside, tally.acknowledged)
        assert (found.words, found.is_clean, tally.contradictions) == ([], True, [])
        assert sum(map(len, tally.acknowledged.values())) >= 200
        done = outside.one("SELECT count(*) FROM deliveries WHERE status = 'completed'")
        assert 0 < sum(completed(host) for host in fleet[2:]) <= done  # who is killed may not have counted its last
    finally:
        for client in clients:
            client.stopping.set()
        outside.close()
    for host in reversed(fleet):
        code, seconds = host.stop()
        assert code == 0 and seconds < 30, host.log_tail()


def test_a_broker_that_does_not_answer_is_a_letter() -> None:
    with pytest.raises(BrokerAway, match="does not answer"):
        reach(f"amqp://guest:guest@127.0.0.1:{free_port()}//")


def test_a_broker_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigurationRefused, match="amqp://"):
        celery_app("kafka://127.0.0.1", "outrigger")


def test_a_broker_beside_an_sqlite_database_is_refused(tmp_path: Path) -> None:
    environ = {
        "OUTRIGGER_DATABASE_URL": f"sqlite:///{tmp_path}/one.sqlite3",
        "OUTRIGGER_BROKER_URL": "amqp://guest:guest@127.0.0.1//",
    }
    told = CliRunner(env=environ).invoke(build(assembly()), ["worker"])
    assert told.exit_code == 1
    assert "the database is SQLite, which serves one machine" in told.output
