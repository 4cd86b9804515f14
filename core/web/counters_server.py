"""Serves the counters of a worker host to Prometheus; such a host has no web process that would."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable
from typing import Any

import waitress.server

from core import metrics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def serve_counters(listener: socket.socket) -> threading.Thread:
    """Answer `/metrics` at a socket that listens, in a thread that ends with the process."""
    server = waitress.server.create_server(_app, map={}, sockets=[listener], threads=1, ident=None)
    thread = threading.Thread(target=server.run, name="counters", daemon=True)
    thread.start()
    return thread


def _app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    if environ["PATH_INFO"] != "/metrics" or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        body, status = b"Ask for /metrics; there is nothing else here.\n", "404 NOT FOUND"
    else:
        body, status = metrics.counters(), "200 OK"
    start_response(status, [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(body)))])
    return [body]
