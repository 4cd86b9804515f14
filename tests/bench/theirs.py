"""Starts the peers: Flask with Celery on RabbitMQ and on Redis, Flask with Huey on SQLite, each plain and tuned."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import sqlalchemy as sa

from tests.bench.ours import SETTLE_S, WORKERS
from tests.bench.peers.work import POOL, Base
from tests.bench.pipelines import Pipeline, PipelineFailed
from tests.fleet.brokers import drop_queue, fresh_queue
from tests.load.databases import Outside, fresh_database
from tests.load.server import ROOT, free_port
from tests.load.wire import get

READY_S = 40.0
WEB_THREADS = 8


@contextlib.contextmanager
def celery(name: str, folder: Path, shape: str, broker: str, *, is_tuned: bool) -> Iterator[Pipeline]:
    """Run Flask and Celery on PostgreSQL; `shape` is one_task or fan_out."""
    environ = {"PEER_SHAPE": shape, "PEER_BROKER_URL": broker, "PEER_QUEUE": fresh_queue()}
    worker = ["celery", "-A", "tests.bench.peers.celery_peer:celery", "worker", f"--concurrency={WORKERS}", "-lERROR"]
    if is_tuned:
        worker += ["--without-gossip", "--without-mingle", "-Ofair"]
    about = f"prefork {WORKERS}, prefetch {32 if is_tuned else 4} a process, acks late"
    try:
        with _run(name, folder, "postgresql", "celery_peer", worker, environ, about, is_tuned=is_tuned) as pipeline:
            yield pipeline
    finally:
        with contextlib.suppress(Exception):  # a queue that was never made
            drop_queue(broker, environ["PEER_QUEUE"])


@contextlib.contextmanager
def huey(name: str, folder: Path, *, is_tuned: bool) -> Iterator[Pipeline]:
    """Run Flask and Huey on SQLite, Huey's queue in a file of its own."""
    threads = 4 if is_tuned else 2
    environ = {"PEER_HUEY_FILE": str(folder / "huey.sqlite3")}
    worker = ["huey_consumer", "tests.bench.peers.huey_peer.huey", "-w", str(threads), "-k", "thread", "-q"]
    if is_tuned:
        worker += ["-d", "0.01"]
    about = f"{threads} threads, queue with fsync" + (", looked at every 10 ms" if is_tuned else "")
    with _run(name, folder, "sqlite", "huey_peer", worker, environ, about, is_tuned=is_tuned) as pipeline:
        yield pipeline


@contextlib.contextmanager
def _run(
    name: str,
    folder: Path,
    kind: str,
    module: str,
    worker: Sequence[str],
    environ: Mapping[str, str],
    about: str,
    *,
    is_tuned: bool,
) -> Iterator[Pipeline]:
    port = free_port()
    web = [
        "gunicorn", f"tests.bench.peers.{module}:app", "-b", f"127.0.0.1:{port}", "-k", "gthread",
        "--threads", str(WEB_THREADS), "--log-level", "error",
    ]  # fmt: skip
    about = f"gunicorn gthread 1 x {WEB_THREADS}; {about}; SQLAlchemy pool of {POOL}"
    with (
        fresh_database(kind, folder) as url,
        (folder / f"{name}.log").open("wb") as log,
        contextlib.ExitStack() as ends,
    ):
        _make_tables(url)
        surroundings = {
            **os.environ, **environ,
            "PYTHONPATH": str(ROOT), "PEER_DATABASE_URL": url, "PEER_TUNED": "1" if is_tuned else "",
        }  # fmt: skip
        running = []
        for command in (web, worker):
            tool = Path(sys.executable).with_name(command[0])
            process = subprocess.Popen(
                [sys.executable, str(tool), *command[1:]], env=surroundings, cwd=ROOT,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
            ends.callback(_end, process)
            running.append(process)
        _wait_ready(name, port, running, Path(log.name))
        with contextlib.closing(Outside(url)) as outside:
            yield Pipeline(name, port, url, outside, about)


def _wait_ready(name: str, port: int, running: Sequence[subprocess.Popen[bytes]], log: Path) -> None:
    give_up = time.monotonic() + READY_S
    while (answer := get(port, "/readyz")) is None or answer.status != 200:
        if time.monotonic() > give_up or any(process.poll() is not None for process in running):
            raise PipelineFailed(f"{name} did not start:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)
    time.sleep(SETTLE_S)


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _make_tables(url: str) -> None:
    engine = sa.create_engine(url)
    Base.metadata.create_all(engine)
    engine.dispose()
