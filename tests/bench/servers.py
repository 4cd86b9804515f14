"""`python -m tests.bench.servers`: the product's web app under servers that could be embedded, also under attack.

Each is started on a fresh SQLite database in every repetition, alone: acknowledging as fast as it goes, acknowledging
by the clock, and the same while other connections send their bodies a byte a second.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.figures import Figures
from tests.bench.machine import describe
from tests.bench.processes import family_cpu_s, family_rss_mb
from tests.load.blast import Options, blast, percentile
from tests.load.databases import fresh_database
from tests.load.server import ROOT, Server, configuration, free_port
from tests.load.wire import COMPLAINT, Connection, ConnectionLost, event_body, get, signed

SERVERS = ("outrigger", "waitress", "gunicorn_gthread", "cheroot", "granian")
SLOW = 200
READY_S = 40.0
PATIENCE_S = 5.0
"""How long a paced request may take before it counts as failed."""

ROWS = (
    ("ack_per_s", "acknowledged a second, 32 connections", "/s"),
    ("ack_p99_ms", "  its p99", "ms"),
    ("cpu_us", "  processor time per request", "us"),
    ("paced_p99_ms", "50/s by the clock: p99", "ms"),
    ("attacked_p50_ms", f"the same with {SLOW} slow bodies: p50", "ms"),
    ("attacked_p99_ms", "  its p99", "ms"),
    ("attacked_failed", f"  failed (no 202 within {PATIENCE_S:.0f} s), of 100", ""),
    ("rss_mb", "memory after it, RSS", "MB"),
)


def main() -> int:
    """Measure every server and print the table; the last line is the answer as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.servers", description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0, help="length of each measurement by the clock")
    parser.add_argument("--only", nargs="+", choices=SERVERS, default=SERVERS)
    chosen = parser.parse_args()
    figures = {name: Figures() for name in chosen.only}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        print(describe(Path(folder)), flush=True)
        for number in range(chosen.repeat):
            for name in chosen.only:
                print(f"-- repetition {number + 1} of {chosen.repeat}: {name}", file=sys.stderr, flush=True)
                place = Path(folder) / f"{name}-{number}"
                place.mkdir()
                _measure(name, place, figures[name], chosen.seconds)
    width = max(len(text) for _, text, _ in ROWS) + 2
    print("p99 of what was answered; nan when nothing was")
    print(" " * width + "".join(f"{name:>18}" for name in chosen.only))
    for key, text, unit in ROWS:
        print(f"{text:<{width}}" + "".join(f"{figures[name].get(key):>18.1f}" for name in chosen.only) + f" {unit}")
    print(json.dumps({name: {key: _finite(figures[name].get(key)) for key, _, _ in ROWS} for name in chosen.only}))
    return 0


def _finite(value: float) -> float | None:
    return round(value, 2) if math.isfinite(value) else None


def _measure(name: str, folder: Path, figures: Figures, seconds: float) -> None:
    with _running(name, folder) as (port, pid):
        blast(Options(port, "warm", 32, count=300))
        before = family_cpu_s(pid)
        answer = blast(Options(port, "burst", 32, seconds=2.0))
        figures.add("ack_per_s", answer["per_s"])
        figures.add("ack_p99_ms", answer["ack_p99_ms"])
        figures.add("cpu_us", (family_cpu_s(pid) - before) / answer["sent"] * 1e6)
        figures.add("paced_p99_ms", percentile(_paced(port, "paced", 50.0, seconds)[0], 0.99))
        with _attacked(port):
            taken, failed = _paced(port, "attacked", 50.0, seconds)
        figures.add("attacked_p50_ms", percentile(taken, 0.5))
        figures.add("attacked_p99_ms", percentile(taken, 0.99))
        figures.add("attacked_failed", 100.0 * failed / (failed + len(taken)))
        figures.add("rss_mb", family_rss_mb(pid))


def _paced(port: int, name: str, rate: float, seconds: float) -> tuple[list[float], int]:
    """Send requests when they are due, each on a connection of its own; return the times in ms, and how many failed."""
    taken: list[float] = []
    failed = 0
    lock = threading.Lock()

    def send(number: int, due: float) -> None:
        nonlocal failed
        body = event_body("complaint.replied", f"R-{number % 100}", number, number, **COMPLAINT)
        connection = Connection(port, patience_s=PATIENCE_S)
        try:
            connection.send(signed("/webhooks/crm", f"{name}-{number}", body))
            is_stored = connection.receive().status == 202
        except ConnectionLost:
            is_stored = False
        connection.close()
        with lock:
            if is_stored:
                taken.append((time.monotonic() - due) * 1000)
            else:
                failed += 1

    senders = []
    began = time.monotonic()
    for number in range(int(rate * seconds)):
        due = began + number / rate
        time.sleep(max(0.0, due - time.monotonic()))
        senders.append(threading.Thread(target=send, args=(number, due)))
        senders[-1].start()
    for sender in senders:
        sender.join()
    return taken, failed


@contextlib.contextmanager
def _attacked(port: int) -> Iterator[None]:
    attacker = subprocess.Popen([sys.executable, "-m", "tests.bench.slow_bodies", str(port), str(SLOW)], cwd=ROOT)
    try:
        time.sleep(3.0)
        yield
    finally:
        attacker.kill()
        attacker.wait()


@contextlib.contextmanager
def _running(name: str, folder: Path) -> Iterator[tuple[int, int]]:
    port = free_port()
    with fresh_database("sqlite", folder) as url, (folder / "server.log").open("wb") as log:
        prepared = Server(folder, url, configuration(rows=False))
        prepared.migrate()
        prepared.apply()
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.one_server", name, str(port)], env=prepared.environment, cwd=ROOT,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            give_up = time.monotonic() + READY_S
            while (answer := get(port, "/healthz")) is None or answer.status != 200:
                if process.poll() is not None or time.monotonic() > give_up:
                    raise RuntimeError(f"{name} did not start:\n{(folder / 'server.log').read_text()[-2000:]}")
                time.sleep(0.05)
            yield port, process.pid
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
