"""`python -m tests.bench`: throughput and latency, as ratios to limits measured in the same run."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.bench.comparison import Comparison, pipelines
from tests.bench.figures import Figures
from tests.bench.machine import describe
from tests.bench.measures import Bench, Lengths
from tests.bench.processes import cpu_s
from tests.bench.table import print_tables
from tests.load.blast import Options, blast
from tests.load.databases import KINDS, fresh_database, postgres_answers
from tests.load.server import ROOT, free_port
from tests.load.wire import get

CONNECTIONS = 32
PACE = 50.0


def main() -> int:
    """Measure everything and print it; the last line is the answer as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="length of the latency measurement")
    parser.add_argument("--repeat", type=int, default=5, help="repetitions of the throughput measurements")
    parser.add_argument("--quick", action="store_true", help="one short repetition of everything, about 30 s")
    parser.add_argument("--database", choices=[*KINDS, "both"], default="both")
    parser.add_argument("--only", nargs="*", help="of the compared pipelines, these; none at all without a name")
    chosen = parser.parse_args()
    lengths = (
        Lengths(1, 0.5, 1.0, 1000, 3.0) if chosen.quick else Lengths(chosen.repeat, 1.0, 2.0, 4000, chosen.seconds)
    )
    compared = [name for name in pipelines() if chosen.only is None or name in chosen.only]
    kinds: tuple[str, ...] = KINDS if chosen.database == "both" else (chosen.database,)
    if "postgresql" in kinds and not postgres_answers():
        print("!!! NO POSTGRESQL: measured on SQLite alone. Start one, or set OUTRIGGER_TEST_POSTGRES_URL. !!!")
        kinds = tuple(kind for kind in kinds if kind != "postgresql")
        compared = [name for name in compared if name.endswith(("sqlite", "sqlite_tuned"))]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        print(describe(folder), flush=True)
        common, comparison = Figures(), Comparison()
        no_ops = {name: stack.enter_context(_no_op(kind)) for name, kind in (("no_op", "view"), ("bare", "bare"))}
        benches = []
        for kind in kinds:
            (folder / kind).mkdir()
            bench = Bench(kind, stack.enter_context(fresh_database(kind, folder / kind)), folder / kind)
            stack.callback(bench.close)
            bench.start()
            benches.append(bench)
        for number in range(lengths.repeat):
            _measure(benches, no_ops, common, lengths, f"repetition {number + 1} of {lengths.repeat}")
            for name in compared:
                _say(f"repetition {number + 1} of {lengths.repeat}: {name}")
                comparison.measure([name], folder / f"compared-{number}", count=lengths.backlog, rate=PACE,
                                   seconds=lengths.latency_s / 2)  # fmt: skip
        for bench in benches:
            _say(f"latency: {bench.kind}")
            bench.saturated(lengths.backlog, 2 * PACE)
            bench.latency(PACE, lengths.latency_s)
        print_tables(benches, common)
        comparison.print_table()
        print(json.dumps(answer({bench.kind: bench.figures for bench in benches}, common) | compare(comparison)))
    return 0


def _measure(
    benches: list[Bench], no_ops: Mapping[str, tuple[int, int]], common: Figures, lengths: Lengths, which: str
) -> None:
    for name, (port, pid) in no_ops.items():
        began = cpu_s(pid)
        result = blast(Options(port, "no-op", CONNECTIONS, seconds=lengths.burst_s))
        common.add(f"{name}_per_s", result["per_s"])
        common.add(f"{name}_p99_ms", result["ack_p99_ms"])
        common.add(f"{name}_cpu_us", (cpu_s(pid) - began) / result["sent"] * 1e6)
    for bench in benches:
        _say(f"{which}: {bench.kind}")
        bench.commits(lengths.commits_s)
        bench.acknowledge_alone(lengths.burst_s, CONNECTIONS)
        bench.acknowledge(lengths.burst_s, CONNECTIONS)
        bench.end_to_end(lengths.backlog // 2)


@contextlib.contextmanager
def _no_op(kind: str) -> Iterator[tuple[int, int]]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.noop", str(port), kind], cwd=ROOT)
    try:
        while get(port, "/") is None:
            if process.poll() is not None:
                raise RuntimeError(f"the no-op server ended with {process.returncode}")
            time.sleep(0.02)
        yield port, process.pid
    finally:
        process.kill()
        process.wait()


def _say(text: str) -> None:
    print(f"-- {text}", file=sys.stderr, flush=True)


def answer(figures: Mapping[str, Figures], common: Figures) -> dict[str, float | None]:
    """Put the figures together under the names that are promised, and then the rest."""
    result: dict[str, float | None] = {}

    def put(name: str, value: float, digits: int = 1) -> None:
        result[name] = round(value, digits) if math.isfinite(value) else None

    def of(kind: str) -> Figures:
        return figures.get(kind) or Figures()

    for kind in KINDS:
        put(f"ack_ratio_{kind}", of(kind).get("alone_per_s") / common.get("no_op_per_s"), 3)
    for kind in KINDS:
        put(f"commit_ratio_{kind}", of(kind).get("alone_per_s") / of(kind).get("commits_per_s"), 3)
    for kind in KINDS:
        put(f"end_to_end_per_s_{kind}", of(kind).get("end_to_end_per_s"))
    put("p50_ms", of("sqlite").get("paced_p50_ms"), 2)
    put("p99_ms", of("sqlite").get("paced_p99_ms"), 2)
    put("no_op_per_s", common.get("no_op_per_s"))
    for kind in KINDS:
        for name in sorted(of(kind).values):
            put(f"{name}_{kind}", of(kind).get(name), 2)
    put("no_op_bare_per_s", common.get("bare_per_s"))
    for kind in KINDS:
        put(f"ack_ratio_while_dispatching_{kind}", of(kind).get("ack_per_s") / common.get("no_op_per_s"), 3)
        put(f"ack_ratio_to_bare_{kind}", of(kind).get("alone_per_s") / common.get("bare_per_s"), 3)
    return result


def compare(comparison: Comparison) -> dict[str, Any]:
    """Put what was measured of the compared pipelines under the names that are promised."""
    per_s = {name: round(comparison.events_per_s.get(name), 1) for name in comparison.about}
    return {
        "peers": {name: value for name, value in per_s.items() if not name.startswith("outrigger")},
        "ours": {name: value for name, value in per_s.items() if name.startswith("outrigger")},
        "ours_p50_ms": {name: round(comparison.p50_ms.get(name), 2) for name in comparison.p50_ms.values},
        "ours_p99_ms": {name: round(comparison.p99_ms.get(name), 2) for name in comparison.p99_ms.values},
    } | {f"ratio_to_{peer}": comparison.ratios(peer) for peer in comparison.baselines()}


if __name__ == "__main__":
    sys.exit(main())
