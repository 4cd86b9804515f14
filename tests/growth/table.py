"""Prints the figures for people, and puts the ratios together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tests.growth.measures import Figures

LIMIT = 1.3
RATES = {
    "ack_per_s": "webhooks acknowledged, dispatch beside it",
    "duplicates_per_s": "the same messages again, answered as duplicates",
    "dispatch_per_s": "a stored batch dispatched, three effects each",
}
TIMES = {
    "ack_p99_ms": "webhooks acknowledged as fast as they go, p99",
    "ack_cpu_us": "web process, processor time per webhook",
    "dispatch_cpu_us": "worker, processor time per event",
    "written_kb": "written to the disk for an event and its effects",
    "written_pages": "whole pages in PostgreSQL's log among them",
    "paced_ack_p50_ms": "50/s: POST to acknowledged, p50",
    "paced_ack_p99_ms": "50/s: the same, p99",
    "paced_p50_ms": "50/s: POST to effects committed, p50",
    "paced_p99_ms": "50/s: the same, p99",
    "poll_idle_ms": "timers: a poll when none is due",
    "poll_due_ms": "timers: a poll when 200 are due",
    "kept_paced_ack_p99_ms": "50/s before removing what is old: acknowledged, p99",
    "pruned_paced_ack_p99_ms": "50/s while it is removed: acknowledged, p99",
    "due_paced_ack_p50_ms": "50/s while the backlog is due: acknowledged, p50",
    "due_paced_ack_p99_ms": "50/s while the backlog is due: acknowledged, p99",
    "due_paced_p50_ms": "50/s while the backlog is due: effects, p50",
    "due_paced_p99_ms": "50/s while the backlog is due: effects, p99",
}
_UNITS = {"_us": "µs", "_ms": "ms", "_per_s": "/s", "_s": "s", "_kb": "KB"}


def ratios(empty: Figures, grown: Figures) -> dict[str, float]:
    """Return how many times as much the grown one costs, by name of the figure; rates are turned round."""
    found = {}
    for name in grown.values:
        before, after = empty.get(name), grown.get(name)
        is_told_only = name.startswith(("pss_mb", "start_s", "idle", "removed"))
        if is_told_only or not (before and after and math.isfinite(before / after)):
            continue
        found[name] = before / after if name in RATES else after / before
    return found


def misses(found: Mapping[str, float]) -> Sequence[str]:
    """Return the names of the figures that grew by more than the limit."""
    return [name for name, ratio in found.items() if ratio > LIMIT]


def print_table(kind: str, empty: Figures, level: Figures, grown: Figures) -> None:
    """Print every figure of one database beside its ratio, and that to as few rows of as many units."""
    found, of_same_units = ratios(empty, grown), ratios(level, grown)
    print(f"\n{kind:<52}{'empty':>12}{'grown':>12}{'ratio':>9}{'same units':>12}")
    for name in sorted(grown.values, key=_order):
        text = {**RATES, **TIMES}.get(name, name.replace("api ", "API: ").replace("_", " "))
        columns = f"{_ratio(found.get(name)):>9}{_ratio(of_same_units.get(name)):>12}"
        mark = "  missed" if found.get(name, 0.0) > LIMIT else ""
        print(f"{text:<52}{empty.get(name):>12.2f}{grown.get(name):>12.2f}{columns} {_unit(name)}{mark}")


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def _order(name: str) -> tuple[int, int]:
    places = [*RATES, *TIMES]
    return (0, places.index(name)) if name in places else (1 + name.startswith("pss"), 0)


def _unit(name: str) -> str:
    if name.startswith("pss"):
        return "MB"
    if name.startswith("work"):
        return "steps or blocks"
    return next((unit for end, unit in _UNITS.items() if name.endswith(end)), "ms" if name.startswith("api") else "")
