"""The web side of every peer: verify, store, enqueue, answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flask
from sqlalchemy.orm import Session

from tests.bench.peers.work import engine, is_signed, keep


def make_app(enqueue: Callable[[str], Any]) -> flask.Flask:
    """Return the app; `enqueue` hands a stored event's id to the queue."""
    app = flask.Flask("peer")
    database = engine()

    @app.post("/webhooks/crm")
    def webhook() -> Any:
        body = flask.request.get_data()
        if not is_signed(flask.request.headers, body):
            return {"detail": "The signature does not fit."}, 401
        identity = flask.request.headers["webhook-id"]
        with Session(database) as session:
            is_new = keep(session, identity, body)
        if is_new:
            enqueue(identity)
        return {"event_ids": [identity]}, 202 if is_new else 200

    @app.get("/readyz")
    def ready() -> Any:
        return {"status": "ready"}

    return app
