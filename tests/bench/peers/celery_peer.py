"""Flask and Celery: one task for each event, or one for each handler; plain settings, or tuned ones.

PEER_SHAPE is `one_task` or `fan_out`, PEER_TUNED `1` for the tuned variant, PEER_BROKER_URL the broker.
"""

from __future__ import annotations

import os

import sqlalchemy as sa
from celery import Celery
from celery.signals import worker_process_init
from sqlalchemy.orm import Session

from tests.bench.peers.flask_app import make_app
from tests.bench.peers.work import HANDLERS, Event, decide, engine, merge

SHAPE = os.environ.get("PEER_SHAPE", "one_task")
SETTINGS = {
    "task_ignore_result": True,
    "task_acks_late": True,  # both variants: a pipeline that loses events with its worker would not be the same work
    "task_default_queue": os.environ.get("PEER_QUEUE", "peer"),
}
TUNED = {
    "worker_prefetch_multiplier": 32,
    "broker_pool_limit": 20,
    "worker_enable_remote_control": False,
    "worker_send_task_events": False,
    "task_compression": None,
    "event_queue_expires": 1,
}

celery = Celery("peer", broker=os.environ.get("PEER_BROKER_URL"))
celery.conf.update(SETTINGS | (TUNED if os.environ.get("PEER_TUNED") == "1" else {}))
database: sa.Engine = engine()


@worker_process_init.connect
def _own_connections(**_: object) -> None:
    database.dispose(close=False)


@celery.task
def handle(identity: str) -> None:
    """Merge the event, and have every handler decide."""
    with Session(database) as session:
        event = session.get_one(Event, identity)
        merge(session, event)
        if SHAPE == "one_task":
            for handler in HANDLERS:
                decide(session, event, handler)
        session.commit()
    if SHAPE == "fan_out":
        for handler in HANDLERS:
            deliver.delay(identity, handler)


@celery.task
def deliver(identity: str, handler: str) -> None:
    """Have one handler decide."""
    with Session(database) as session:
        decide(session, session.get_one(Event, identity), handler)
        session.commit()


app = make_app(handle.delay)
