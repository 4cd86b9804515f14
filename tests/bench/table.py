"""Prints the figures for people."""

from __future__ import annotations

from collections.abc import Sequence

from tests.bench.figures import Figures
from tests.bench.measures import Bench

ROWS = (
    ("commits_per_s", "raw: durable commits of one row, one connection", "/s"),
    ("alone_per_s", "POST acknowledged, nothing else running, as the no-op", "/s"),
    ("alone_p99_ms", "  its p99", "ms"),
    ("alone_cpu_us", "  web process, processor time per request", "µs"),
    ("ack_per_s", "POST acknowledged, dispatch running beside it", "/s"),
    ("ack_p99_ms", "  its p99", "ms"),
    ("ack_cpu_us", "  web process, processor time per request", "µs"),
    ("end_to_end_per_s", "POST to all three effects committed", "/s"),
    ("worker_cpu_us", "  worker process, processor time per event", "µs"),
    ("dispatch_per_s", "a stored backlog dispatched", "/s"),
    ("busy_ack_p50_ms", "acknowledging meanwhile, 100/s, p50", "ms"),
    ("busy_ack_p99_ms", "  its p99", "ms"),
    ("paced_ack_p50_ms", "50/s: POST to acknowledged, p50", "ms"),
    ("paced_ack_p99_ms", "  its p99", "ms"),
    ("paced_p50_ms", "50/s: POST to effects committed, p50", "ms"),
    ("paced_p99_ms", "  its p99", "ms"),
    ("start_s", "start of `outrigger serve` to ready", "s"),
    ("idle_rss_mb", "idle memory of all processes, RSS", "MB"),
    ("idle_pss_mb", "idle memory, shared pages counted once", "MB"),
)


def print_tables(benches: Sequence[Bench], common: Figures) -> None:
    """Print what each database was set to, every figure, and the ratios with what they mean."""
    for bench in benches:
        print(f"{bench.kind}: {', '.join(f'{name} {value}' for name, value in bench.durability.items())}")
    width = max(len(text) for _, text, _ in ROWS) + 2
    print(" " * width + "".join(f"{bench.kind:>14}" for bench in benches))
    for name, text, unit in ROWS:
        if any(bench.figures.values.get(name) for bench in benches):
            digits = 0 if unit in ("/s", "µs", "MB") else 2
            cells = "".join(f"{bench.figures.get(name):>14.{digits}f}" for bench in benches)
            print(f"{text:<{width}}{cells} {unit}")
    no_op, bare = common.get("no_op_per_s"), common.get("bare_per_s")
    for name, text in (("no_op", "a Flask view"), ("bare", "a WSGI callable without any framework")):
        print(f"no-op of the same server, {text}: {common.get(f'{name}_per_s'):.0f} /s, p99 "
              f"{common.get(f'{name}_p99_ms'):.1f} ms, {common.get(f'{name}_cpu_us'):.0f} µs per request")  # fmt: skip
    for bench in benches:
        figures = bench.figures
        alone, busy = figures.get("alone_per_s"), figures.get("ack_per_s")
        print(
            f"{bench.kind}: acknowledged / no-op view = {alone / no_op:.2f} ({busy / no_op:.2f} while dispatching), "
            f"/ bare = {alone / bare:.2f}; / raw commits of one row = {alone / figures.get('commits_per_s'):.2f} "
            "(waiting requests share a commit, so a slow disk brings it above 1 and a fast one below)"
        )
