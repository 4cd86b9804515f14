"""The brokers that tests and benchmarks may use, and queues of their own on them."""

from __future__ import annotations

import os
import uuid

import kombu
import pytest

from core.fleet.broker import BrokerAway, reach

BROKERS = {
    "rabbitmq": os.environ.get("OUTRIGGER_TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//"),
    "redis": os.environ.get("OUTRIGGER_TEST_REDIS_URL", "redis://127.0.0.1:6379/9"),
}


def answering_broker(name: str) -> str:
    """Return the URL of a broker that answers; without one the test is skipped, in continuous integration it fails."""
    try:
        reach(BROKERS[name])
    except BrokerAway as away:
        if os.environ.get("OUTRIGGER_REQUIRE_BROKERS"):
            raise
        pytest.skip(f"needs {name}: {away.message}")
    return BROKERS[name]


def fresh_queue() -> str:
    """Name a queue that nobody else uses."""
    return f"campaign_{uuid.uuid4().hex[:12]}"


def drop_queue(broker: str, queue: str) -> None:
    """Take a campaign's queue away from its broker."""
    with kombu.Connection(broker, connect_timeout=5) as connection:
        channel = connection.default_channel
        if broker.startswith("amqp"):
            channel.queue_delete(queue)
            channel.exchange_delete(queue)
        else:
            channel.client.delete(queue, f"_kombu.binding.{queue}")
