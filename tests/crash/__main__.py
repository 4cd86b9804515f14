"""`python -m tests.crash`: kills the server's processes under load and looks from outside for what went wrong."""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.crash.campaign import READY, Report, run
from tests.load.databases import KINDS, postgres_answers

PROCESSES = {
    "sqlite": ("web", "supervisor", "worker", "courier"),
    "postgresql": ("worker", "web", "supervisor", "courier"),
}


def main() -> int:
    """Spread the kills over databases and processes; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--database", choices=[*KINDS, "both"], default="both")
    parser.add_argument("--workers", type=int, default=None, help="worker processes of `outrigger serve`")
    chosen = parser.parse_args()
    seed = chosen.seed if chosen.seed is not None else random.SystemRandom().randrange(1_000_000)
    kinds: tuple[str, ...] = KINDS if chosen.database == "both" else (chosen.database,)
    print(f"seed {seed}")
    if "postgresql" in kinds and not postgres_answers():
        print("!!! NO POSTGRESQL: crash runs on SQLite alone. Start one, or set OUTRIGGER_TEST_POSTGRES_URL. !!!")
        kinds = tuple(kind for kind in kinds if kind != "postgresql")
    reports = []
    for place, kind in enumerate(kinds):
        share = len(range(place, chosen.kills, len(kinds)))
        victims = [PROCESSES[kind][index % 4] for index in range(share)]
        with tempfile.TemporaryDirectory(prefix="crash-") as folder:
            reports.append(run(kind, victims, Path(folder), seed=seed, tell=_tell, workers=chosen.workers))
        _print(reports[-1])
    answer = summary(reports, seed)
    print(f"{answer['kills']} kills; without a loss in n kills its rate is below 3/n per kill (95 %): "
          f"{3 / max(int(str(answer['kills'])), 1):.2%}")  # fmt: skip
    print(json.dumps(answer))
    return 0 if reports and all(report.is_clean for report in reports) else 1


def _tell(text: str) -> None:
    print(f"  {text}", flush=True)


def _print(report: Report) -> None:
    outcomes = ", ".join(f"{count} {what}" for what, count in sorted(report.outcomes.items()))
    print(f"{report.database}: {report.durability}; {report.clients} clients; kills "
          f"{dict(report.per_process)}; answers: {outcomes}")  # fmt: skip
    print(f"  {report.acknowledged} events acknowledged, {report.events} stored with follow-ups and timers; drained "
          f"{report.drained_s:.1f} s after the load, stopped in {report.stopped_s:.1f} s; waited {report.not_counted} "
          "times for a moment with requests in flight and deliveries pending")  # fmt: skip
    found = report.findings
    print(f"  lost {found.lost}, doubled {found.doubled}, out of order {found.out_of_order}, "
          f"wrong snapshots {found.wrong_snapshots}, integrity {found.integrity}; back after a kill (p95): "
          + ", ".join(f"{name} {_p95(values):.2f} s" for name, values in report.back_s.items()))  # fmt: skip
    for fault in [*found.words, *report.faults]:
        print(f"  !!! {fault}")


def _p95(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[math.ceil(0.95 * len(ordered)) - 1] if ordered else 0.0


def summary(reports: Sequence[Report], seed: int) -> dict[str, object]:
    """Put the campaigns' figures together."""
    processes: Counter[str] = Counter()
    for report in reports:
        processes.update(report.per_process)
    ready = [value for report in reports for name in READY for value in report.back_s[name]]
    return {
        "kills": sum(report.kills for report in reports),
        "acknowledged": sum(report.acknowledged for report in reports),
        "lost": sum(report.findings.lost for report in reports),
        "doubled": sum(report.findings.doubled for report in reports),
        "out_of_order": sum(report.findings.out_of_order for report in reports),
        "ready_p95_s": round(_p95(ready), 3),
        "unknown": sum(report.outcomes["unknown"] for report in reports),
        "wrong_snapshots": sum(report.findings.wrong_snapshots for report in reports),
        "faults": sum(len(report.faults) for report in reports),
        "per_process": dict(processes),
        "per_database": {report.database: report.kills for report in reports},
        "seed": seed,
    }


if __name__ == "__main__":
    sys.exit(main())
