"""Compares our pipelines with the peers in turn: each is started afresh in every repetition, alone on the machine."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import ours, theirs
from tests.bench.figures import Figures
from tests.bench.pipelines import Pipeline
from tests.fleet.brokers import BROKERS

Start = Callable[[Path], "contextlib.AbstractContextManager[Pipeline]"]

ONE_TASK, FAN_OUT = "celery_one_task", "celery_fan_out"
OURS = {"sqlite": "outrigger_sqlite", "lane_loop": "outrigger_lane_loop", "fleet": "outrigger_fleet"}
"""Our pipelines that are set in relation to the peers, by their short names."""


def pipelines() -> Mapping[str, Start]:
    """Return everything that is compared, by name."""
    rabbit, redis = BROKERS["rabbitmq"], BROKERS["redis"]
    found: dict[str, Start] = {
        OURS["sqlite"]: lambda folder: ours.serve(OURS["sqlite"], folder, "sqlite", 1),
        OURS["lane_loop"]: lambda folder: ours.serve(OURS["lane_loop"], folder, "postgresql", ours.WORKERS),
        OURS["fleet"]: lambda folder: ours.fleet(OURS["fleet"], folder, rabbit),
        "outrigger_fleet_redis": lambda folder: ours.fleet("outrigger_fleet_redis", folder, redis),
    }
    for name, shape, broker in (
        (ONE_TASK, "one_task", rabbit), (FAN_OUT, "fan_out", rabbit), ("celery_redis", "one_task", redis),
    ):  # fmt: skip
        found[name] = _celery(name, shape, broker, is_tuned=False)
        found[f"{name}_tuned"] = _celery(f"{name}_tuned", shape, broker, is_tuned=True)
    found["huey_sqlite"] = lambda folder: theirs.huey("huey_sqlite", folder, is_tuned=False)
    found["huey_sqlite_tuned"] = lambda folder: theirs.huey("huey_sqlite_tuned", folder, is_tuned=True)
    return found


def _celery(name: str, shape: str, broker: str, *, is_tuned: bool) -> Start:
    return lambda folder: theirs.celery(name, folder, shape, broker, is_tuned=is_tuned)


@dataclass(slots=True)
class Comparison:
    """What was measured of every pipeline; a figure is the median of the repetitions."""

    events_per_s: Figures = field(default_factory=Figures)
    p50_ms: Figures = field(default_factory=Figures)
    p99_ms: Figures = field(default_factory=Figures)
    about: dict[str, str] = field(default_factory=dict)

    def measure(self, names: Iterable[str], folder: Path, *, count: int, rate: float, seconds: float) -> None:
        """Start each pipeline, measure it, end it. Peers get a fifth of `count`, since they take longer for each."""
        starts = pipelines()
        for name in names:
            place = folder / name
            place.mkdir(parents=True)
            with starts[name](place) as pipeline:
                self.about[name] = pipeline.about
                pipeline.warm_up()
                self.events_per_s.add(name, pipeline.events_per_s(count if pipeline.is_ours else count // 5))
                if pipeline.is_ours:
                    p50, p99 = pipeline.latency_ms(rate, seconds)
                    self.p50_ms.add(name, p50)
                    self.p99_ms.add(name, p99)

    def ratios(self, peer: str) -> dict[str, float]:
        """Return how many times as many events a second ours do as `peer`, by our short names."""
        theirs_per_s = self.events_per_s.get(peer)
        return {
            short: round(self.events_per_s.get(name) / theirs_per_s, 2)
            for short, name in OURS.items()
            if name in self.about
        }

    def baselines(self) -> list[str]:
        """Return the peers that ours are set in relation to, as far as they were measured."""
        return [name for peer in (ONE_TASK, FAN_OUT) for name in (peer, f"{peer}_tuned") if name in self.about]

    def print_table(self) -> None:
        """Print what every pipeline did, with its settings."""
        print(f"{'pipeline':<24}{'events/s':>10}{'p50 ms':>9}{'p99 ms':>9}  settings")
        for name in self.about:
            cells = "".join(
                f"{figures.get(name):>9.1f}" if figures.values.get(name) else " " * 9
                for figures in (self.p50_ms, self.p99_ms)
            )
            print(f"{name:<24}{self.events_per_s.get(name):>10.0f}{cells}  {self.about[name]}")
        for peer in self.baselines():
            told = ", ".join(f"{short} {ratio:.1f}" for short, ratio in self.ratios(peer).items())
            print(f"times the events/s of {peer}: {told}")
