"""One campaign: under load, every kind of fault so many times, and the check from outside after each kind."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core.store.database import Database
from tests.fleet_faults.faults import FAULTS, Harm, Lengths
from tests.fleet_faults.fleet import Fleet, running
from tests.fleet_faults.switched import SWITCHED, Switches
from tests.load.ledger import check
from tests.load.server import LEDGERS, ServerFailed

DRAIN_S = 180.0
BETWEEN_S = (0.2, 1.5)
KINDS_OF_FINDINGS = ("lost", "doubled", "out_of_order", "wrong_snapshots")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a campaign does: how often each fault, on which broker, under which load."""

    counts: Mapping[str, int]
    broker: str = "rabbitmq"
    lengths: Lengths = field(default_factory=Lengths)
    clients: int = 8
    records: int = 12  # of each client
    events_per_s: float = 25.0
    at_least: int = 0  # events; the load goes on until so many are acknowledged
    minutes: float = 600.0  # after which no further fault is begun


@dataclass(slots=True)
class Row:
    """What came of one kind of fault."""

    fault: str
    done: int = 0
    acknowledged: int = 0
    found: Counter[str] = field(default_factory=Counter)
    recovery_s: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """What a campaign did and found."""

    rows: list[Row] = field(default_factory=list)
    acknowledged: int = 0
    events: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    stop_s: list[float] = field(default_factory=list)
    switch_s: list[float] = field(default_factory=list)
    caught_in_the_act: int = 0
    durability: dict[str, str] = field(default_factory=dict)
    is_apart: bool = False
    words: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether every promise held."""
        return not self.words and not self.faults


def run(plan: Plan, folder: Path, *, seed: int, tell: Callable[[str], None]) -> Report:
    """Run a campaign in a folder of its own. Raises ServiceFailed."""
    report, chance, began = Report(), random.Random(seed), time.monotonic()
    with running(folder, plan.broker, chance) as fleet:
        report.is_apart = fleet.network.is_apart
        tell(f"{len(fleet.hosts)} hosts at {fleet.network.range}, each in a network of its own: {report.is_apart}")
        harm = Harm(fleet, plan.lengths, Switches())
        fleet.load(plan.clients, plan.records, seed, plan.clients / plan.events_per_s)
        try:
            for fault, count in plan.counts.items():
                if fault == "host_cut_off" and not report.is_apart:
                    tell(f"{fault}: left out, since the hosts have no networks of their own here")
                    continue
                _kind(fault, count, harm, report, tell, until=began + plan.minutes * 60)
            _go_on(fleet, plan.at_least)
            _settle(harm, report, report.rows[-1])
            report.durability = Database(fleet.postgres.url).settings()
            for host in reversed(fleet.hosts):
                host.let_go()
                code, seconds = host.stop()
                report.stop_s.append(seconds)
                if code:
                    report.faults.append(f"{host.name} ended with {code} when it was asked to stop")
        except ServerFailed as error:
            report.faults.append(f"{error}\n{fleet.tail()}")
        report.outcomes = fleet.tally.outcomes
        report.stop_s += harm.stop_s
        report.switch_s, report.caught_in_the_act = harm.switch_s, harm.caught_in_the_act
        report.acknowledged = _acknowledged(fleet)
        report.faults += fleet.tally.contradictions[:5]
        strange = [name for name in report.outcomes if name.startswith("failed_") and name != "failed_503"]
        report.faults += [f"senders were answered {name} {report.outcomes[name]} times" for name in strange]
        report.faults += fleet.tally.refusals
    return report


def _kind(fault: str, count: int, harm: Harm, report: Report, tell: Callable[[str], None], *, until: float) -> None:
    """Do one kind of fault so many times under load, then let everything drain and look for what went wrong."""
    fleet, row = harm.fleet, Row(fault)
    report.rows.append(row)
    before = _acknowledged(fleet)
    fleet.pause(False)
    for number in range(1, count + 1):
        if time.monotonic() > until:
            tell(f"{fault}: the time is over after {row.done} of {count}")
            break
        time.sleep(fleet.chance.uniform(*BETWEEN_S))
        row.recovery_s.append(FAULTS[fault](harm))
        row.done = number
        if number % 5 == 0:
            tell(f"{fault}: {number} of {count}, {_acknowledged(fleet)} acknowledged, last {row.recovery_s[-1]:.2f} s")
    _settle(harm, report, row)
    row.acknowledged = _acknowledged(fleet) - before
    tell(f"{fault}: done {row.done}, found {dict(row.found)}")


def _go_on(fleet: Fleet, at_least: int) -> None:
    """Let the load go on without faults until so many events are acknowledged."""
    if _acknowledged(fleet) < at_least:
        fleet.pause(False)
        while _acknowledged(fleet) < at_least:
            time.sleep(0.1)


def _settle(harm: Harm, report: Report, row: Row) -> None:
    """Let the senders rest and everything drain; count what is newly wrong. Raises ServerFailed."""
    fleet = harm.fleet
    fleet.pause(True)
    began = time.monotonic()
    while fleet.outside.is_anything_left():
        if time.monotonic() - began > DRAIN_S:
            raise ServerFailed(f"not drained {DRAIN_S:.0f} s after {row.fault}: {fleet.left()}")
        time.sleep(0.05)
    ledgers = [name for name in LEDGERS if not harm.switches.made or name != SWITCHED]
    with fleet.tally.lock:
        found = check(fleet.outside, fleet.tally.acknowledged, ledgers=ledgers)
    if harm.switches.made:
        harm.switches.check(found, fleet.outside)
    for kind in KINDS_OF_FINDINGS:
        known = sum(other.found[kind] for other in report.rows if other is not row)
        row.found[kind] = getattr(found, kind) - known
    report.words = found.words
    report.events = fleet.outside.one("SELECT count(*) FROM events")


def _acknowledged(fleet: Fleet) -> int:
    with fleet.tally.lock:
        return sum(map(len, fleet.tally.acknowledged.values()))
