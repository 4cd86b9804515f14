"""The limit that acknowledging is measured against: the same server with a handler that reads the body, nothing else.

Run as `python -m tests.bench.noop PORT view` for a Flask view, as the webhook route is one, or `… PORT bare` for a
callable without any framework. Both are served like webhooks: by the event loop, without a thread for each request.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from typing import Any, cast

from flask import Flask, Response, request

from core.web.acknowledging import AcknowledgingDispatcher
from core.web.server import WsgiApp, open_socket, serve


def bare(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Read the body and return an empty 202."""
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("202 Accepted", [("Content-Length", "0")])
    return [b""]


def view() -> Flask:
    """Return an app whose only view reads the body and returns an empty 202."""
    app = Flask(__name__)

    @app.post("/webhooks/<source>")
    def acknowledge(source: str) -> Response:
        request.get_data(cache=False)
        return Response(b"", status=202)

    return app


if __name__ == "__main__":
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a full queue is what is measured here
    chosen = cast(WsgiApp, view() if sys.argv[2] == "view" else bare)
    # Nothing is stored, so there is nothing to commit; the dispatcher is here for the way requests are served.
    dispatcher = AcknowledgingDispatcher(cast(Any, None), cast(Any, None), lambda: False)
    listener = open_socket("127.0.0.1", int(sys.argv[1]))
    serve(chosen, listener, dispatcher, stopping=lambda: False, beat=lambda: None, finish=lambda: None)
