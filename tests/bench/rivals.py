"""Runs every pipeline that is compared, ours and the peers, and measures the same work from POST to its last commit."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from tests.fleet.hosts import BROKERS, Host, drop_queue, fresh_queue
from tests.load.blast import Options, blast
from tests.load.databases import Outside, fresh_database
from tests.load.server import ROOT, Server, configuration, free_port
from tests.load.wire import get

WORKERS = 2
READY_S = 40.0
PATIENCE_S = 300.0
CONNECTIONS = 16


@dataclass(slots=True)
class Rival:
    """One pipeline that runs: where it listens, its database, and how to tell that all is done."""

    name: str
    port: int
    url: str
    outside: Outside
    ours: bool
    about: str = ""  # the settings that matter
    done: int = field(default=0)  # decisions before this burst

    def measure(self, number: int, count: int) -> float:
        """Post `count` events and wait for every decision; return events a second."""
        self.done = self._decisions()
        answer = blast(Options(self.port, f"{self.name}-{number}", CONNECTIONS, count=count))
        refused = {status: many for status, many in answer["statuses"].items() if status != "202"}
        if refused:
            raise RuntimeError(f"{self.name} refused requests: {refused}")
        end = time.monotonic() + PATIENCE_S
        while self._decisions() < self.done + 3 * count:
            if time.monotonic() > end:
                raise RuntimeError(f"{self.name} did not finish {count} events within {PATIENCE_S:.0f} s")
            time.sleep(0.01)
        return float(count / (time.monotonic() - answer["began"]))

    def _decisions(self) -> int:
        return int(self.outside.one("SELECT count(*) FROM decisions"))


Start = Callable[[Path], "contextlib.AbstractContextManager[Rival]"]


def rivals() -> Mapping[str, Start]:
    """Return everything that is compared, by name."""
    rabbit, redis = BROKERS["rabbitmq"], BROKERS["redis"]
    return {
        "outrigger_sqlite": lambda folder: _serve("outrigger_sqlite", "sqlite", folder),
        "outrigger_lane_loop": lambda folder: _serve("outrigger_lane_loop", "postgresql", folder),
        "outrigger_fleet": lambda folder: _fleet("outrigger_fleet", rabbit, folder),
        "outrigger_fleet_redis": lambda folder: _fleet("outrigger_fleet_redis", redis, folder),
        "celery_one_task": lambda folder: _celery("celery_one_task", "one_task", rabbit, False, folder),
        "celery_one_task_tuned": lambda folder: _celery("celery_one_task_tuned", "one_task", rabbit, True, folder),
        "celery_fan_out": lambda folder: _celery("celery_fan_out", "fan_out", rabbit, False, folder),
        "celery_fan_out_tuned": lambda folder: _celery("celery_fan_out_tuned", "fan_out", rabbit, True, folder),
        "celery_redis": lambda folder: _celery("celery_redis", "one_task", redis, False, folder),
        "celery_redis_tuned": lambda folder: _celery("celery_redis_tuned", "one_task", redis, True, folder),
        "huey_sqlite": lambda folder: _huey("huey_sqlite", False, folder),
        "huey_sqlite_tuned": lambda folder: _huey("huey_sqlite_tuned", True, folder),
    }


@contextlib.contextmanager
def _serve(name: str, kind: str, folder: Path) -> Iterator[Rival]:
    with fresh_database(kind, folder) as url, contextlib.closing(Outside(url)) as outside:
        workers = WORKERS if kind == "postgresql" else 1
        server = Server(folder, url, configuration(rows=False), workers=workers)
        server.migrate()
        try:
            server.start()
            yield Rival(name, server.port, url, outside, True, f"serve, {workers} worker processes")
        finally:
            server.end()


@contextlib.contextmanager
def _fleet(name: str, broker: str, folder: Path) -> Iterator[Rival]:
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
            time.sleep(3.0)  # workers have no port to ask; they connect to the broker meanwhile
            yield Rival(
                name, web.port, url, outside, True, f"web, worker with {WORKERS} processes, acks late, prefetch 1"
            )
        finally:
            for host in (web, work):
                host.end()
            drop_queue(broker, queue)


@contextlib.contextmanager
def _celery(name: str, shape: str, broker: str, tuned: bool, folder: Path) -> Iterator[Rival]:
    prefetch = 32 if tuned else 4
    with fresh_database("postgresql", folder) as url:
        environ = {
            "PEER_DATABASE_URL": url, "PEER_SHAPE": shape, "PEER_TUNED": "1" if tuned else "",
            "PEER_BROKER_URL": broker, "PEER_QUEUE": fresh_queue(),
        }  # fmt: skip
        worker = [
            "celery",
            "-A",
            "tests.bench.peers.celery_peer:celery",
            "worker",
            f"--concurrency={WORKERS}",
            "-lERROR",
        ]
        more = ["--without-gossip", "--without-mingle", "-Ofair"] if tuned else []
        about = f"prefork {WORKERS}, prefetch {prefetch} a process, acks late, SQLAlchemy pool of 8"
        with _peer(name, "celery_peer", [*worker, *more], environ, url, folder, about) as rival:
            yield rival
        with contextlib.suppress(Exception):
            drop_queue(broker, environ["PEER_QUEUE"])


@contextlib.contextmanager
def _huey(name: str, tuned: bool, folder: Path) -> Iterator[Rival]:
    threads = 4 if tuned else 2
    with fresh_database("sqlite", folder) as url:
        environ = {
            "PEER_DATABASE_URL": url,
            "PEER_TUNED": "1" if tuned else "",
            "PEER_HUEY_FILE": str(folder / "huey.sqlite3"),
        }
        poll = ["-d", "0.01"] if tuned else []
        worker = [
            "huey_consumer", "tests.bench.peers.huey_peer.huey", "-w", str(threads), "-k", "thread", "-q", *poll,
        ]  # fmt: skip
        about = f"{threads} threads, queue with fsync{', looked at every 10 ms' if tuned else ''}"
        with _peer(name, "huey_peer", worker, environ, url, folder, about) as rival:
            yield rival


@contextlib.contextmanager
def _peer(
    name: str, module: str, worker: Sequence[str], environ: Mapping[str, str], url: str, folder: Path, about: str
) -> Iterator[Rival]:
    port = free_port()
    surroundings = {**os.environ, **environ, "PYTHONPATH": str(ROOT)}
    tools = Path(sys.executable).parent
    web = [
        "gunicorn", f"tests.bench.peers.{module}:app", "-b", f"127.0.0.1:{port}", "-k", "gthread", "--threads", "8",
        "--log-level", "error",
    ]  # fmt: skip
    _make_tables(url)
    running = []
    log = (folder / f"{name}.log").open("wb")
    try:
        for command in (web, list(worker)):
            running.append(
                subprocess.Popen(
                    [sys.executable, str(tools / command[0]), *command[1:]],
                    env=surroundings,
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )
        end = time.monotonic() + READY_S
        while (answer := get(port, "/readyz")) is None or answer.status != 200:
            if time.monotonic() > end or any(process.poll() is not None for process in running):
                raise RuntimeError(f"{name} did not start:\n{(folder / f'{name}.log').read_text()[-2000:]}")
            time.sleep(0.05)
        time.sleep(3.0)
        with contextlib.closing(Outside(url)) as outside:
            yield Rival(name, port, url, outside, False, about)
    finally:
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        log.close()


def _make_tables(url: str) -> None:
    from tests.bench.peers.work import Base

    engine = sa.create_engine(url)
    Base.metadata.create_all(engine)
    engine.dispose()
