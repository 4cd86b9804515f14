"""Flask and Huey on SQLite: one task for each event; the queue is a file of its own, as Huey's documentation has it."""

from __future__ import annotations

import os

from huey import SqliteHuey
from sqlalchemy.orm import Session

from tests.bench.peers.flask_app import make_app
from tests.bench.peers.work import HANDLERS, Event, decide, engine, merge

IS_TUNED = os.environ.get("PEER_TUNED") == "1"
huey = SqliteHuey(
    "peer", filename=os.environ["PEER_HUEY_FILE"], fsync=True, results=False,
    **({"cache_mb": 64, "timeout": 30} if IS_TUNED else {}),
)  # fmt: skip
database = engine()


@huey.task(retries=10)
def handle(identity: str) -> None:
    """Merge the event, and have every handler decide."""
    with Session(database) as session:
        event = session.get_one(Event, identity)
        merge(session, event)
        for handler in HANDLERS:
            decide(session, event, handler)
        session.commit()


app = make_app(handle)
