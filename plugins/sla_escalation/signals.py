"""The signals of a record: what events said about it that any clock looks at, in the order in which it happened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .rounds import Round

KEPT = 200
"""Up to so many signals of a record are kept as they are."""

ROOM = 150
"""So many are left of more, so that not every event has to make room for itself."""

_RANKS = {"created": 0, "opened": 0, "submitted": 0, "placed": 0, "resolved": 3, "closed": 4, "reopened": 5}
"""What comes first among facts of the same instant: a record begins before it changes, and ends last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One event as the clocks see it. `at` is when it happened and never lies after `seen`, when it was accepted."""

    at: datetime
    seen: datetime
    type: str
    id: str
    version: str = ""
    said: Mapping[str, Any] = field(default_factory=dict)

    @property
    def order(self) -> tuple[datetime, int, str, str]:
        """Return what signals are sorted by, the same however they arrived."""
        return (self.at, _RANKS.get(self.type.rpartition(".")[2], 1), self.version, self.id)

    def as_json(self) -> dict[str, Any]:
        """Return the signal as it is stored."""
        return {
            "at": self.at.isoformat(),
            "seen": self.seen.isoformat(),
            "type": self.type,
            "id": self.id,
            "version": self.version,
            "said": dict(self.said),
        }


def signal_of(stored: Mapping[str, Any]) -> Signal:
    """Return a stored signal."""
    return Signal(**{**stored, "at": datetime.fromisoformat(stored["at"]),
                     "seen": datetime.fromisoformat(stored["seen"])})  # fmt: skip


def order_in(signals: Sequence[Signal], new: Signal) -> tuple[list[Signal], bool]:
    """Return the signals with a new one in its place, and whether that is behind all others as they were.

    One that is there already (a replay) is replaced.
    """
    others = [signal for signal in signals if signal.id != new.id]
    if len(others) == len(signals) and (not others or others[-1].order <= new.order):
        return [*others, new], True
    return sorted([*others, new], key=lambda signal: signal.order), False


def thinned(signals: Sequence[Signal], rounds: Iterable[Round]) -> list[Signal]:
    """Fold signals into the one behind them, the oldest first, until so few are left that there is room again.

    First those that moved no clock go, then those that only began or ended a pause. Those that started or ended a
    round stay, and so do the last one and, at each that stays, everything that was known by then.
    """
    marks: set[str] = set()
    turns: set[datetime] = set()
    for round_ in rounds:
        marks |= {mark.event for mark in (round_.start, round_.end) if mark is not None}
        turns |= {stretch.start for stretch in round_.stretches}
    left = list(signals)
    for spared in (turns, frozenset[datetime]()):
        surplus = len(left) - ROOM
        kept: list[Signal] = []
        said: dict[str, Any] = {}
        for signal in left[:-1]:
            if surplus > 0 and signal.id not in marks and _is_change(signal) and signal.at not in spared:
                said |= signal.said
                surplus -= 1
                continue
            kept.append(replace(signal, said={**said, **signal.said}) if said else signal)
            said = {}
        left = [*kept, replace(left[-1], said={**said, **left[-1].said})]
    return left


def folded(signals: Iterable[Signal]) -> dict[str, Any]:
    """Return what is known after all signals."""
    facts: dict[str, Any] = {}
    for signal in signals:
        facts.update(signal.said)
    return facts


def _is_change(signal: Signal) -> bool:
    """Whether a signal is none of those with which a record's life goes on."""
    return signal.type.rpartition(".")[2] not in _RANKS
