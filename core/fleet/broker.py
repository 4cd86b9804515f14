"""The Celery application of a fleet: one queue, one task, and what the broker is asked for.

The message holds a lane's number and nothing else, so a broker that loses it, or delivers it twice, does no harm.
"""

from __future__ import annotations

from typing import Protocol

import kombu
from celery import Celery, Task

from core.model.errors import ConfigurationRefused, OutriggerError

DRAIN = "outrigger.drain"

PATIENCE_S = 2.0
"""How long a publisher waits for a broker that does not answer; the scan of the tables takes over then."""

UNSEEN_S = 120
"""Redis only: how long a message may be with a worker before another gets it too."""

HEARTBEAT_S = 60


_RABBIT = {"confirm_publish": True, "read_timeout": PATIENCE_S * 5, "write_timeout": PATIENCE_S * 5}
_REDIS = {
    "visibility_timeout": UNSEEN_S, "socket_timeout": PATIENCE_S * 5, "socket_connect_timeout": PATIENCE_S,
}  # fmt: skip


class BrokerAway(OutriggerError):
    """The broker cannot be reached; work goes on by the scan of the tables, a few seconds later than by messages."""

    code = "broker.away"


class Drain(Protocol):
    """Drains a lane; `is_sure` when whoever came for it before may have died."""

    def __call__(self, lane: int, *, is_sure: bool) -> None:
        """Drain it."""
        ...


def celery_app(broker_url: str, queue: str) -> Celery:
    """Return the application for a broker: RabbitMQ with a quorum queue, or Redis. Raises ConfigurationRefused."""
    if broker_url.partition("://")[0] not in ("amqp", "amqps", "redis", "rediss"):
        raise ConfigurationRefused(
            "OUTRIGGER_BROKER_URL begins with amqp:// or amqps:// (RabbitMQ), or with redis:// or rediss:// (Redis)."
        )
    is_rabbit = broker_url.startswith("amqp")
    arguments = {"x-queue-type": "quorum"} if is_rabbit else None
    exchange = kombu.Exchange(queue, type="topic")  # the only type that Celery's own delays go through
    app = Celery("outrigger", broker=broker_url, set_as_current=False)
    app.conf.update(
        task_queues=[kombu.Queue(queue, exchange, routing_key=queue, queue_arguments=arguments)],
        task_default_queue=queue,
        task_default_exchange=queue,
        task_default_routing_key=queue,
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_publish_retry=False,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=True,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=PATIENCE_S,
        broker_heartbeat=HEARTBEAT_S if is_rabbit else 0,
        broker_transport_options=_RABBIT if is_rabbit else _REDIS,
    )
    return app


def drain_task(app: Celery, drain: Drain) -> None:
    """Give the application its only task."""

    @app.task(name=DRAIN, bind=True, acks_late=True, reject_on_worker_lost=True, ignore_result=True)  # type: ignore[untyped-decorator]
    def run(task: Task, lane: int) -> None:
        drain(lane, is_sure=bool((task.request.delivery_info or {}).get("redelivered")))


def reach(broker_url: str) -> None:
    """Connect once. Raises BrokerAway with the broker's words, ConfigurationRefused."""
    app = celery_app(broker_url, "outrigger")
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=PATIENCE_S)
    except Exception as error:
        # What a broker's library raises when nobody answers differs with the broker and with the fault.
        raise BrokerAway(
            f"The broker does not answer ({type(error).__name__}: {error}). {BrokerAway.__doc__}"
        ) from None
