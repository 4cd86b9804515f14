"""One campaign on one database: load, kills at random moments, recovery, and the check from outside."""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.store.database import Database
from tests.crash.clients import Client, Tally
from tests.load.databases import Outside, fresh_database
from tests.load.ledger import Findings, check
from tests.load.server import Server, ServerFailed, configuration

DRAIN_S = 120.0
FULL = 1500  # accepted events waiting; clients pause above it, so that the campaign ends
READY = ("supervisor", "web")  # without these nobody answers; the others are back when they run again
EVERY = 3  # every so many events of a record start a timer and a follow-up


@dataclass(slots=True)
class Report:
    """What one campaign did and found."""

    database: str
    kills: int = 0
    not_counted: int = 0
    per_process: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    events: int = 0
    clients: int = 0
    back_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # by process
    drained_s: float = 0.0
    stopped_s: float = 0.0
    durability: dict[str, str] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)
    faults: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether every promise held."""
        return self.findings.is_clean and not self.faults


def run(
    kind: str,
    victims: Sequence[str],
    folder: Path,
    *,
    seed: int,
    tell: Callable[[str], None],
    workers: int | None = None,
) -> Report:
    """Kill the named processes one after another under load, on a fresh database of this kind."""
    chance = random.Random(f"{seed}-{kind}")
    report = Report(kind)
    with fresh_database(kind, folder) as url:
        server = Server(folder, url, configuration(every=EVERY), workers=workers)
        server.migrate()
        outside = Outside(url)
        tally = Tally()
        clients: list[Client] = []
        try:
            tell(f"{kind}: ready after {server.start():.2f} s")
            crowd = chance.choice((4, 8, 12, 16))
            records = chance.randint(50, 200) // crowd
            clients = [Client(number, [(server.address, server.port)], records, seed, tally) for number in range(crowd)]
            report.clients = crowd
            for client in clients:
                client.start()
            for number, victim in enumerate(victims, 1):
                _kill(server, victim, clients, outside, chance, report)
                if number % 10 == 0 or number == len(victims):
                    acknowledged = sum(map(len, tally.acknowledged.values()))
                    tell(f"{kind}: {number} of {len(victims)} kills, {acknowledged} acknowledged")
            _finish(server, clients, outside, report)
            report.findings = check(outside, tally.acknowledged)
            report.events = outside.one("SELECT count(*) FROM events")
            report.durability = Database(url).settings()  # on a connection opened as the server opens its own
        except ServerFailed as error:
            report.faults.append(str(error))
        finally:
            for client in clients:
                client.stopping.set()
            server.end()
            outside.close()
        report.outcomes = tally.outcomes
        report.acknowledged = sum(map(len, tally.acknowledged.values()))
        report.faults += tally.contradictions[:5]
    return report


def _kill(
    server: Server, victim: str, clients: Sequence[Client], outside: Outside, chance: random.Random, report: Report
) -> None:
    """Kill one process once requests are in flight and deliveries are pending, and wait until it is back."""
    time.sleep(chance.uniform(0.05, 1.0))
    while not _is_busy(clients, outside):
        report.not_counted += 1
        time.sleep(chance.uniform(0.001, 0.02))
    began = time.monotonic()
    pid = server.kill(victim)
    if victim == "supervisor":
        server.launch()
    else:
        server.wait_replaced(victim, pid)
    if victim in READY:
        server.wait_ready()
    report.back_s[victim].append(time.monotonic() - began)
    report.kills += 1
    report.per_process[victim] += 1


def _is_busy(clients: Sequence[Client], outside: Outside) -> bool:
    full = outside.backlog() > FULL
    for client in clients:
        (client.pausing.set if full else client.pausing.clear)()
    return outside.is_pending() and any(client.is_waiting for client in clients)


def _finish(server: Server, clients: Sequence[Client], outside: Outside, report: Report) -> None:
    """Let the clients end, wait until everything is dispatched, and stop the server gracefully."""
    for client in clients:
        client.stopping.set()
    for client in clients:
        client.join(timeout=15)
    began = time.monotonic()
    while outside.is_anything_left():
        if time.monotonic() - began > DRAIN_S:
            report.faults.append(f"not drained after {DRAIN_S:.0f} s: {_left(outside)}")
            break
        time.sleep(0.05)
    report.drained_s = time.monotonic() - began
    code, report.stopped_s = server.stop()
    if code:
        report.faults.append(f"the server ended with {code} when it was asked to stop:\n{server.log_tail()}")


def _left(outside: Outside) -> str:
    rows = outside.rows("SELECT status, count(*) FROM deliveries GROUP BY status")
    listed = ", ".join(f"{row[1]} {row[0]}" for row in rows)
    return f"{outside.backlog()} events accepted; deliveries: {listed}"
