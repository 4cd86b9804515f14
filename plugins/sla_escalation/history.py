"""A record's signals as a handler reads and writes them; of long ones the fold is remembered and goes on from there."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from .models import Watch
from .rounds import Fold, Round, folded_on, rounds_in
from .settings import Clock
from .signals import KEPT, Signal, order_in, signal_of, thinned

LONG = 16
"""From so many signals on it is cheaper to remember than to fold anew."""

REMEMBERED = 64
"""Records of which a process remembers the folds; only long ones are remembered, and they are few."""

_remembered: OrderedDict[tuple[str, str, str], History] = OrderedDict()


@dataclass(slots=True)
class History:
    """The signals of one record in their order, as they are stored and as values, with each clock's fold of them.

    What is remembered is only used while the row holds what was folded, and then gives what folding anew would.
    """

    stored: list[Any] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    folds: dict[str, Fold] = field(default_factory=dict)  # by the clock's name
    rounds: list[Round] = field(default_factory=list)  # of all clocks that were asked for

    def with_signal(self, new: Signal | None) -> History:
        """Return the history with a new signal in its place; one that is there already (a replay) is replaced."""
        if new is None:
            return History(self.stored, self.signals, self.folds)
        signals, is_last = order_in(self.signals, new)
        if is_last:
            return History([*self.stored, new.as_json()], signals, self.folds)
        return History([signal.as_json() for signal in signals], signals)

    def rounds_of(self, clock: Clock) -> tuple[Round, ...]:
        """Return the rounds of a clock, the oldest first; only the last may be open."""
        before = self.folds.get(clock.name)
        fold = folded_on(before if before is not None and before.clock == clock else None, clock, self.signals)
        self.folds = {**self.folds, clock.name: fold}
        found = rounds_in(fold)
        self.rounds += found
        return found

    def to_store(self) -> list[Any]:
        """Return the signals as the row is to keep them: thinned when there are too many. Ask for the rounds first."""
        if len(self.signals) <= KEPT:
            return self.stored
        return [signal.as_json() for signal in thinned(self.signals, self.rounds)]


def recall(place: tuple[str, str, str], watch: Watch | None) -> History:
    """Return the history of a record as its row has it."""
    if watch is None:
        return History()
    known = _remembered.get(place)
    if known is not None and known.stored == watch.signals:
        return known
    return History(watch.signals, [signal_of(item) for item in watch.signals])


def remember(place: tuple[str, str, str], history: History) -> None:
    """Keep the folds of a long history for the record's next event."""
    if not LONG <= len(history.signals) <= KEPT:
        return
    _remembered[place] = history
    _remembered.move_to_end(place)
    if len(_remembered) > REMEMBERED:
        _remembered.popitem(last=False)
