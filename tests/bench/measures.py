"""The measurements of one database; each leaves the server with nothing to do."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.model.inbound import InboundEvent, inbound_event
from core.pipeline.inbox import store
from core.store.database import Database
from tests.bench.figures import Figures
from tests.bench.machine import durability, raw_commits
from tests.bench.processes import Cpu, memory_mb
from tests.load.blast import RECORDS, Options, blast
from tests.load.databases import Outside
from tests.load.server import Server, configuration

WORK = configuration(rows=False)  # three plugins, each with one effect (a decision) per event


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long everything takes: the full run and the quick one."""

    repeat: int
    commits_s: float
    burst_s: float
    backlog: int
    latency_s: float


class Bench:
    """One database with a server over it."""

    def __init__(self, kind: str, url: str, folder: Path) -> None:
        self.kind, self.url, self.folder = kind, url, folder
        self.server = Server(folder, url, WORK)
        self.server.migrate()
        self.figures = Figures()
        self.outside = Outside(url)
        self.durability = durability(url)
        self._number = 0

    def name(self) -> str:
        """Name one burst, so that none of its events is a duplicate."""
        self._number += 1
        return f"b{self._number}"

    def start(self) -> None:
        """Start the server; its time to readiness and, at rest, its memory are figures too."""
        self.figures.add("start_s", self.server.start())
        time.sleep(1.5)
        rss, pss = memory_mb(self.server)
        self.figures.add("idle_rss_mb", rss)
        self.figures.add("idle_pss_mb", pss)

    def commits(self, seconds: float) -> None:
        """Measure the database alone."""
        self.figures.add("commits_per_s", raw_commits(self.url, self.folder, seconds))

    def acknowledge(self, seconds: float, connections: int) -> None:
        """Post as fast as the connections allow, with dispatch running beside it, then let the backlog go."""
        cpu = Cpu(self.server)
        answer = _all_accepted(blast(Options(self.server.port, self.name(), connections, seconds=seconds)))
        self.figures.add("ack_per_s", answer["per_s"])
        self.figures.add("ack_p99_ms", answer["ack_p99_ms"])
        self.figures.add("ack_cpu_us", cpu.used()["web"] / answer["sent"] * 1e6)
        self.drain()

    def acknowledge_alone(self, seconds: float, connections: int) -> None:
        """Acknowledge under the conditions of the no-op: the worker is stopped meanwhile, then dispatches it all."""
        self.drain()
        time.sleep(0.05)  # an idle worker holds no lock; one in the middle of a commit would
        worker = self.server.pid_of("worker")
        os.kill(worker, signal.SIGSTOP)
        try:
            cpu = Cpu(self.server)
            answer = _all_accepted(blast(Options(self.server.port, self.name(), connections, seconds=seconds)))
            used = cpu.used()["web"]
        finally:
            os.kill(worker, signal.SIGCONT)
        self.figures.add("alone_per_s", answer["per_s"])
        self.figures.add("alone_p99_ms", answer["ack_p99_ms"])
        self.figures.add("alone_cpu_us", used / answer["sent"] * 1e6)
        self.drain()

    def end_to_end(self, count: int) -> None:
        """Post `count` events and wait until every effect is committed: from the first POST to the last commit."""
        cpu = Cpu(self.server)
        answer = _all_accepted(blast(Options(self.server.port, self.name(), count=count)))
        took = self.drain() - answer["began"]
        self.figures.add("end_to_end_per_s", count / took)
        used = cpu.used()
        self.figures.add("worker_cpu_us", used["worker-0"] / count * 1e6)

    def saturated(self, count: int, rate: float) -> None:
        """Dispatch a backlog that was stored beforehand, and post by the clock meanwhile."""
        self._preload(count)
        began = time.monotonic()
        answer = _all_accepted(
            blast(Options(self.server.port, self.name(), rate=rate, seconds=60, until_drained=self.url))
        )
        self.figures.add("dispatch_per_s", (count + answer["sent"]) / (self.drain() - began))
        self.figures.add("busy_ack_p50_ms", answer["ack_p50_ms"])
        self.figures.add("busy_ack_p99_ms", answer["ack_p99_ms"])

    def latency(self, rate: float, seconds: float) -> None:
        """Post by the clock and look every millisecond whether the effects of each event are committed."""
        answer = _all_accepted(
            blast(Options(self.server.port, self.name(), rate=rate, seconds=seconds, watch=self.url))
        )
        if answer["effects"] != answer["sent"]:
            raise RuntimeError(f"only {answer['effects']} of {answer['sent']} events had their effects in time")
        for name in ("p50_ms", "p99_ms", "ack_p50_ms", "ack_p99_ms"):
            self.figures.add(f"paced_{name}", answer[name])

    def drain(self) -> float:
        """Wait until nothing is pending; return when that was seen."""
        while self.outside.is_pending():
            time.sleep(0.004)
        return time.monotonic()

    def _preload(self, count: int) -> None:
        database = Database(self.url)
        name = self.name()
        for first in range(0, count, 500):
            with database.write() as connection:
                store(connection, _items(name, range(first, min(first + 500, count))), datetime.now(UTC))
        database.close()

    def close(self) -> None:
        """Stop the server."""
        self.server.end()
        self.outside.close()


def _items(name: str, numbers: Sequence[int]) -> list[InboundEvent]:
    return [
        inbound_event(
            source="crm", type="complaint.replied", dedupe_key=f"{name}-{number}", occurred_at=datetime.now(UTC),
            data={"id": f"R-{number % RECORDS}", "severity": "high", "extra": {"n": number}}, version=number,
        )
        for number in numbers
    ]  # fmt: skip


def _all_accepted(answer: dict[str, Any]) -> dict[str, Any]:
    refused = {status: count for status, count in answer["statuses"].items() if status != "202"}
    if refused:
        raise RuntimeError(f"the server refused requests during a measurement: {refused}")
    return answer
