"""Arithmetic of clocks: how much of a span has counted over stretches, and at which instant so much will have.

Everything is exact to the microsecond and in one kind of time: elapsed, or working time of a calendar.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from core.api import Calendar

from .rounds import Stretch
from .settings import Level, Policy, Warn

ZERO = timedelta(0)
MomentKind = Literal["warn", "breach", "level"]


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment at which people are told: its kind, its name among those of the policy, when, and who."""

    kind: MomentKind
    name: str
    at: datetime
    to: tuple[str, ...]


def time_between(start: datetime, end: datetime, *, working: bool, calendar: Calendar) -> timedelta:
    """Return the time from `start` to `end` in one kind of time; nothing when `end` is not later."""
    if end <= start:
        return ZERO
    return calendar.between(start, end) if working else end - start


def counted(stretches: Iterable[Stretch], until: datetime, *, working: bool, calendar: Calendar) -> timedelta:
    """Return how much time has counted until an instant."""
    ends = ((item.start, until if item.end is None else min(item.end, until)) for item in stretches if item.counts)
    return sum((time_between(*pair, working=working, calendar=calendar) for pair in ends), ZERO)


def reached(stretches: Iterable[Stretch], length: timedelta, *, working: bool, calendar: Calendar) -> datetime | None:
    """Return the first instant at which so much time has counted; None while the stretches do not go so far."""
    left = length
    for item in stretches:
        if not item.counts:
            continue
        if item.end is not None:
            here = time_between(item.start, item.end, working=working, calendar=calendar)
            if here < left:
                left -= here
                continue
        return calendar.add(item.start, left) if working else item.start + left
    return None


def due_of(
    policy: Policy, stretches: tuple[Stretch, ...], anchor: datetime | None, calendar: Calendar
) -> datetime | None:
    """Return when the target is over; None while a pause leaves it open, or there is nothing to count back from."""
    assert policy.target is not None
    if policy.before is not None:
        return anchor - policy.target.amount if anchor is not None else None
    return reached(stretches, policy.target.length(calendar), working=policy.target.working, calendar=calendar)


def moments_of(
    policy: Policy, start: datetime, stretches: tuple[Stretch, ...], due: datetime | None, calendar: Calendar
) -> tuple[Moment, ...]:
    """Return every moment that is certain as things stand, in their order; a pause takes away those beyond it."""
    found: list[Moment] = []
    for warn in policy.warn:
        at = _warning(policy, warn, start, stretches, due, calendar)
        if at is not None and (due is None or at < due):
            found.append(Moment("warn", warn.text, at, policy.warn_to))
    for level in policy.levels:
        at = _level(policy, level, stretches, due, calendar)
        if at is not None:
            found.append(Moment("breach" if level.after is None else "level", level.key, at, level.to))
    if due is not None and all(moment.kind != "breach" for moment in found):
        found.append(Moment("breach", "0", due, ()))
    order = ("warn", "breach", "level")
    return tuple(sorted(found, key=lambda moment: (moment.at, order.index(moment.kind))))


def _warning(
    policy: Policy, warn: Warn, start: datetime, stretches: tuple[Stretch, ...], due: datetime | None,
    calendar: Calendar,
) -> datetime | None:  # fmt: skip
    assert policy.target is not None
    if policy.before is None:
        length = policy.target.length(calendar)
        if warn.percent is not None:
            part = length * warn.percent // 100
        else:
            assert warn.before is not None
            part = max(length - warn.before.length(calendar), ZERO)
        return reached(stretches, part, working=policy.target.working, calendar=calendar)
    if due is None or due <= start:
        return None  # it was broken before anybody knew
    if warn.percent is not None:
        return start + (due - start) * warn.percent // 100
    assert warn.before is not None
    return max(due - warn.before.amount, start)


def _level(
    policy: Policy, level: Level, stretches: tuple[Stretch, ...], due: datetime | None, calendar: Calendar
) -> datetime | None:
    """Return when a level comes: so much time after the breach as counts, in the level's own kind of time.

    A clock that was overdue when it became known counts from then.
    """
    if level.after is None or due is None:
        return due
    ahead = (item for item in stretches if item.end is None or item.end > due)
    rest = tuple(Stretch(max(item.start, due), item.end, item.counts, item.why) for item in ahead)
    return reached(rest, level.after.length(calendar), working=level.after.working, calendar=calendar)
