"""`python -m tests.fleet_faults`: faults of every kind on a fleet of several hosts, and what went wrong by them."""

from __future__ import annotations

import argparse
import json
import math
import random
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.fleet_faults.campaign import KINDS_OF_FINDINGS, Plan, Report, run
from tests.fleet_faults.faults import FAULTS, Lengths
from tests.fleet_faults.services import BROKERS, ServiceFailed


def main() -> int:
    """Run a campaign; 1 when a promise was broken, 2 when it cannot be run here."""
    parser = argparse.ArgumentParser(prog="python -m tests.fleet_faults", description=__doc__)
    parser.add_argument("--each", type=int, default=20, help="how often each fault is done")
    parser.add_argument(
        "--faults", default=",".join(FAULTS), help="which, separated by commas; `name=N` says how often"
    )
    parser.add_argument("--broker", choices=sorted(BROKERS), default="rabbitmq")
    parser.add_argument("--broker-s", type=float, default=Lengths().broker_s, help="how long the broker is stopped")
    parser.add_argument(
        "--partition-s", type=float, default=Lengths().partition_s, help="how long a host is cut off, at most"
    )
    parser.add_argument("--events-per-s", type=float, default=25.0, help="how many events the senders send together")
    parser.add_argument("--at-least", type=int, default=0, help="go on until so many events are acknowledged")
    parser.add_argument("--minutes", type=float, default=600.0, help="begin no further fault after so many minutes")
    parser.add_argument("--seed", type=int, default=None)
    chosen = parser.parse_args()
    seed = chosen.seed if chosen.seed is not None else random.SystemRandom().randrange(1_000_000)
    try:
        counts = _counts(chosen.faults, chosen.each)
    except ValueError as error:
        parser.error(str(error))
    lengths = Lengths(broker_s=chosen.broker_s, partition_s=chosen.partition_s)
    plan = Plan(
        counts, chosen.broker, lengths,
        events_per_s=chosen.events_per_s, at_least=chosen.at_least, minutes=chosen.minutes,
    )  # fmt: skip
    print(f"seed {seed}", flush=True)
    # Whoever ends the campaign ends its services and networks too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="fleet-faults-") as folder:
        try:
            report = run(plan, Path(folder), seed=seed, tell=lambda text: print(f"  {text}", flush=True))
        except ServiceFailed as error:
            print(f"!!! {error}")
            return 2
    _print(report)
    print(json.dumps(summary(report, seed, chosen.broker)))
    return 0 if report.is_clean else 1


def _counts(text: str, each: int) -> dict[str, int]:
    counts = {}
    for part in text.split(","):
        name, _, count = part.strip().partition("=")
        if name not in FAULTS:
            raise ValueError(f'there is no fault "{name}"; there are: {", ".join(FAULTS)}')
        counts[name] = int(count) if count else each
    return counts


def _print(report: Report) -> None:
    print(f"{report.durability}; {report.events} events stored with follow-ups and timers; answers: "
          + ", ".join(f"{count} {what}" for what, count in sorted(report.outcomes.items())))  # fmt: skip
    head = ("fault", "times", "events", "lost", "doubled", "out of order", "snapshots", "p50 s", "p95 s", "max s")
    line = "{:18} {:>5} {:>7} {:>5} {:>7} {:>12} {:>9} {:>7} {:>7} {:>7}"
    print(line.format(*head))
    for row in report.rows:
        seconds = [f"{_share(row.recovery_s, share):.2f}" for share in (0.5, 0.95, 1.0)]
        found = [row.found[kind] for kind in KINDS_OF_FINDINGS]
        print(line.format(row.fault, row.done, row.acknowledged, *found, *seconds))
    times = sum(row.done for row in report.rows)
    print(f"stopped in {_share(report.stop_s, 1.0):.1f} s at most ({len(report.stop_s)} stops); a switch was in force "
          f"after {_share(report.switch_s, 1.0):.2f} s at most ({len(report.switch_s)}); frozen inside a transaction: "
          f"{report.caught_in_the_act}")  # fmt: skip
    print(f"without a loss in {times} faults the rate is below 3/{times} a fault (95 %): {3 / max(times, 1):.2%}")
    for fault in [*report.words, *report.faults]:
        print(f"  !!! {fault}")


def _share(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[math.ceil(share * len(ordered)) - 1] if ordered else 0.0


def summary(report: Report, seed: int, broker: str) -> dict[str, object]:
    """Put a campaign's figures together."""
    total = {kind: sum(row.found[kind] for row in report.rows) for kind in KINDS_OF_FINDINGS}
    return {
        "faults": {row.fault: row.done for row in report.rows},
        "acknowledged": report.acknowledged,
        **total,
        "unknown": report.outcomes["unknown"],
        "failures": len(report.faults),
        "recovery_p95_s": {row.fault: round(_share(row.recovery_s, 0.95), 2) for row in report.rows},
        "stop_max_s": round(_share(report.stop_s, 1.0), 2),
        "switch_max_s": round(_share(report.switch_s, 1.0), 2),
        "frozen_in_transaction": report.caught_in_the_act,
        "networks_apart": report.is_apart,
        "broker": broker,
        "seed": seed,
    }


if __name__ == "__main__":
    sys.exit(main())
