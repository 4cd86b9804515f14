"""Measurements by name, several of each; the median is what is told."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median


@dataclass(slots=True)
class Figures:
    """What was measured, several times each; a figure is the median."""

    values: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, name: str, value: float) -> None:
        """Keep one measurement."""
        self.values[name].append(value)

    def get(self, name: str) -> float:
        """Return the median."""
        return median(self.values[name]) if self.values.get(name) else float("nan")
