"""Where a round of a clock stands under a policy: its state, what has counted, when it is due. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from core.api import Calendar

from .conditions import instant
from .reckoning import Moment, counted, due_of, moments_of
from .rounds import Round, Stretch
from .settings import Policy

State = Literal["running", "paused", "breached", "met", "missed", "cancelled", "handed_over"]
OPEN = ("running", "paused", "breached")
FINAL = ("met", "missed", "cancelled")


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a round stands: `due` is None while a pause leaves it open; `moments` are those that are certain."""

    state: State
    elapsed: timedelta
    target: timedelta
    due: datetime | None
    moments: tuple[Moment, ...]


def stand(round_: Round, policy: Policy, calendar: Calendar, now: datetime) -> Standing:
    """Judge a round under a policy that has a target, as of `now`.

    Stopped at the due moment itself is in time; still open at it is a breach.
    """
    anchor = instant(round_.facts.get(policy.before)) if policy.before else None
    end = (round_.end.at, round_.ended_as) if round_.end is not None else None
    return judge(policy, round_.start.at, end, round_.stretches, anchor, calendar, now)


def judge(
    policy: Policy,
    start: datetime,
    end: tuple[datetime, str | None] | None,
    stretches: tuple[Stretch, ...],
    anchor: datetime | None,
    calendar: Calendar,
    now: datetime,
) -> Standing:
    """Judge what is known of a round; the parts are those that a clock's row keeps."""
    assert policy.target is not None
    due = due_of(policy, _going_on(stretches), anchor, calendar)
    until = end[0] if end is not None else now
    working = policy.target.working
    elapsed = counted(stretches, until, working=working, calendar=calendar)
    return Standing(
        state=_state(end, stretches, due, now),
        elapsed=elapsed,
        target=policy.target.length(calendar),
        due=due,
        moments=moments_of(policy, start, stretches, due, calendar) if end is None else (),
    )


def _state(
    end: tuple[datetime, str | None] | None, stretches: tuple[Stretch, ...], due: datetime | None, now: datetime
) -> State:
    if end is not None:
        at, ended_as = end
        if ended_as == "cancel":
            return "cancelled"
        return "met" if due is None or at <= due else "missed"
    if due is not None and due <= now:
        return "breached"
    return "running" if not stretches or stretches[-1].counts else "paused"


def _going_on(stretches: tuple[Stretch, ...]) -> tuple[Stretch, ...]:
    """Return the stretches as if the round had not ended, so that an ended one still tells when it was due."""
    return (*stretches[:-1], replace(stretches[-1], end=None)) if stretches else ()
