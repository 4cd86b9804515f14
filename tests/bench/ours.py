"""Starts our own pipelines: `serve` on SQLite, the lane loop on PostgreSQL, and a fleet on either broker."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.pipelines import Pipeline
from tests.fleet.brokers import drop_queue, fresh_queue
from tests.fleet.hosts import Host
from tests.load.databases import Outside, fresh_database
from tests.load.server import Server, configuration

WORKERS = 2
SETTLE_S = 3.0
"""How long workers without a port to ask are given to connect to their broker; the peers' workers too."""


@contextlib.contextmanager
def serve(name: str, folder: Path, kind: str, workers: int) -> Iterator[Pipeline]:
    """Run `outrigger serve` on a fresh database."""
    with fresh_database(kind, folder) as url, contextlib.closing(Outside(url)) as outside:
        server = Server(folder, url, configuration(rows=False), workers=workers)
        server.migrate()
        try:
            server.start()
            yield Pipeline(name, server.port, url, outside, f"serve --workers {workers}", is_ours=True)
        finally:
            server.end()


@contextlib.contextmanager
def fleet(name: str, folder: Path, broker: str) -> Iterator[Pipeline]:
    """Run one web host and one worker host on a fresh PostgreSQL schema and a queue of their own."""
    queue = fresh_queue()
    with fresh_database("postgresql", folder) as url, contextlib.closing(Outside(url)) as outside:
        config = configuration(rows=False)
        web = Host("web", "web", folder, url, config, broker, queue)
        work = Host("workers", "worker", folder, url, config, broker, queue, workers=WORKERS)
        web.migrate()
        web.apply()
        try:
            web.launch()
            work.launch()
            web.wait_ready()
            time.sleep(SETTLE_S)
            about = f"web, worker --workers {WORKERS}, acks late, prefetch 1"
            yield Pipeline(name, web.port, url, outside, about, is_ours=True)
        finally:
            for host in (web, work):
                host.end()
            drop_queue(broker, queue)
