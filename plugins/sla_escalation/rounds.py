"""Folds a record's signals into the rounds of a clock: when it started, ran, stood still and ended, and why.

The fold looks at the signals in the order in which they happened, so the order of their arrival does not count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from .conditions import holds, instant
from .settings import CONTINUE, Clock, Trigger
from .signals import Signal

Ending = Literal["stop", "cancel"]


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment at which a clock started or ended: when it happened, when it was known here, and by which event."""

    at: datetime
    seen: datetime
    type: str
    event: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of a round in which time counts, or does not; the last one of an open round has no end."""

    start: datetime
    end: datetime | None
    counts: bool
    why: str

    def as_json(self) -> dict[str, Any]:
        """Return the stretch as it is stored."""
        end = self.end.isoformat() if self.end is not None else None
        return {"start": self.start.isoformat(), "end": end, "counts": self.counts, "why": self.why}


def stretch_of(stored: Mapping[str, Any]) -> Stretch:
    """Return a stored stretch."""
    end = datetime.fromisoformat(stored["end"]) if stored["end"] else None
    return Stretch(datetime.fromisoformat(stored["start"]), end, stored["counts"], stored["why"])


@dataclass(frozen=True, slots=True)
class Round:
    """One run of a clock, from a start to an end; `facts` is what was known of the record then, or is known now."""

    number: int
    start: Mark
    end: Mark | None
    ended_as: Ending | None
    stretches: tuple[Stretch, ...]
    facts: Mapping[str, Any]


@dataclass(slots=True)
class _Run:
    number: int
    start: Mark
    since: datetime  # when it started, or went on again
    stretches: list[Stretch] = field(default_factory=list)


@dataclass(slots=True)
class Fold:
    """Where the fold of one clock stands after so many signals; it is not changed once it was handed out."""

    clock: Clock
    facts: dict[str, Any] = field(default_factory=dict)
    done: list[Round] = field(default_factory=list)
    run: _Run | None = None
    early: tuple[Signal, Trigger, Ending] | None = None  # an end that, by its time, came before the first start

    taken: int = 0

    def copy(self) -> Fold:
        """Return one that goes on from here and leaves this one as it is."""
        run = self.run
        going_on = None if run is None else _Run(run.number, run.start, run.since, list(run.stretches))
        return Fold(self.clock, dict(self.facts), list(self.done), going_on, self.early, self.taken)

    def take(self, signal: Signal) -> None:
        """Take in the next signal."""
        self.taken += 1
        changed = {name for name, value in signal.said.items() if self.facts.get(name) != value}
        self.facts.update(signal.said)
        if self.run is None:
            self._begin(signal, changed)
        if self.run is None:
            return
        ending = self._ending(signal, changed)
        if ending is not None:
            self._end(signal, changed, *ending)
        else:
            self._pause_or_go_on(signal)

    def _begin(self, signal: Signal, changed: set[str]) -> None:
        if not self.done:
            trigger = _fired(self.clock.start, signal, changed, self.facts)
            if trigger is not None:
                self._open(signal, changed, trigger)
                if self.early is not None and holds(self.early[1].when, self.facts):
                    early, trigger_of, ended_as = self.early
                    self._end(early, set(), trigger_of, ended_as)
            else:
                ending = self._ending(signal, changed)
                self.early = self.early if ending is None else (signal, *ending)
            return
        trigger = _fired(self.clock.restart, signal, changed, self.facts)
        if trigger is None:
            return
        if self.clock.restart_as == CONTINUE and self.done[-1].ended_as == "stop":
            self._go_on_again(signal)
        else:
            self._open(signal, changed, trigger)

    def _open(self, signal: Signal, changed: set[str], trigger: Trigger) -> None:
        mark = _mark(signal, trigger, self.facts, changed)
        counts, why = self._counting()
        self.run = _Run(len(self.done) + 1, mark, mark.at, [Stretch(mark.at, None, counts, why)])

    def _go_on_again(self, signal: Signal) -> None:
        last = self.done.pop()
        assert last.end is not None
        gap = Stretch(last.end.at, max(signal.at, last.end.at), False, f"ended by {last.end.type}")
        counts, why = self._counting()
        assert gap.end is not None
        going_on = [*last.stretches, gap, Stretch(gap.end, None, counts, why)]
        self.run = _Run(last.number, last.start, gap.end, going_on)

    def _ending(self, signal: Signal, changed: set[str]) -> tuple[Trigger, Ending] | None:
        stop = _fired(self.clock.stop, signal, changed, self.facts)
        if stop is not None:
            return stop, "stop"
        cancel = _fired(self.clock.cancel, signal, changed, self.facts)
        return None if cancel is None else (cancel, "cancel")

    def _end(self, signal: Signal, changed: set[str], trigger: Trigger, ended_as: Ending) -> None:
        assert self.run is not None
        mark = _mark(signal, trigger, self.facts, changed, self.run.since)
        at = max(mark.at, self.run.start.at)  # never before it began: clocks of two systems differ
        mark = Mark(at, mark.seen, mark.type, mark.event)
        stretches = _cut(self.run.stretches, at)
        self.done.append(Round(self.run.number, self.run.start, mark, ended_as, stretches, dict(self.facts)))
        self.run = None

    def _pause_or_go_on(self, signal: Signal) -> None:
        assert self.run is not None
        last = self.run.stretches[-1]
        counts, why = self._counting()
        if counts is last.counts:
            return
        at = max(signal.at, last.start)
        self.run.stretches[-1] = Stretch(last.start, at, last.counts, last.why)
        self.run.stretches.append(Stretch(at, None, counts, why))

    def _counting(self) -> tuple[bool, str]:
        if self.clock.pause and holds(self.clock.pause, self.facts):
            return False, ", ".join(f"{check.fact} = {self.facts.get(check.fact)}" for check in self.clock.pause)
        return True, ""


def folded_on(before: Fold | None, clock: Clock, signals: Sequence[Signal]) -> Fold:
    """Fold what `before`, the fold of a beginning of these signals, has not taken yet."""
    fold = Fold(clock) if before is None else before.copy()
    for signal in signals[fold.taken :]:
        fold.take(signal)
    return fold


def rounds_in(fold: Fold) -> tuple[Round, ...]:
    """Return the rounds of a fold, the oldest first; only the last may be open."""
    if fold.run is None:
        return tuple(fold.done)
    run = fold.run
    stretches = tuple(item for item in run.stretches if item.end is None or item.start < item.end)
    return (*fold.done, Round(run.number, run.start, None, None, stretches, fold.facts))


def rounds_of(clock: Clock, signals: Sequence[Signal]) -> tuple[Round, ...]:
    """Return the rounds of a clock. `signals` are in their order."""
    return rounds_in(folded_on(None, clock, signals))


def _fired(triggers: Sequence[Trigger], signal: Signal, changed: set[str], facts: Mapping[str, Any]) -> Trigger | None:
    for trigger in triggers:
        if trigger.events and signal.type not in trigger.events:
            continue
        if trigger.changed and not changed.intersection(trigger.changed):
            continue
        if holds(trigger.when, facts):
            return trigger
    return None


def _mark(
    signal: Signal, trigger: Trigger, facts: Mapping[str, Any], changed: set[str], began: datetime | None = None
) -> Mark:
    """Return when it happened: by the fact that tells it, else by the event; never after it was known here.

    A fact that nobody told anew and that lies before the round `began`, or went on, is left over from before, such as
    the `resolved_at` of a complaint that was reopened since: the event's own time counts then.
    """
    told = instant(facts.get(trigger.at)) if trigger.at else None
    if told is not None and began is not None and told < began and trigger.at not in changed:
        told = None
    return Mark(min(told or signal.at, signal.seen), signal.seen, signal.type, signal.id)


def _cut(stretches: Sequence[Stretch], at: datetime) -> tuple[Stretch, ...]:
    """End the stretches at an instant; what would begin after it, or be empty, is left out."""
    cut = [
        Stretch(item.start, at if item.end is None else min(item.end, at), item.counts, item.why)
        for item in stretches
        if item.start < at
    ]
    return tuple(cut)
