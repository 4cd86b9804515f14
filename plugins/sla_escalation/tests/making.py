"""Makes what the pure tests need: signals, clocks, policies, calendars, and an oracle that counts minute by minute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from core.api import Calendar
from core.testing import calendar_of
from plugins.sla_escalation.config import ConfigSchema
from plugins.sla_escalation.rounds import Stretch
from plugins.sla_escalation.settings import Config
from plugins.sla_escalation.signals import Signal

MINUTE = timedelta(minutes=1)
CALENDARS = """
[calendars.berlin]
zone = "Europe/Berlin"
holidays = "DE"
hours = { "mon-fri" = ["08:30-12:00", "13:00-17:30"] }
[calendars.berlin_nights]
zone = "Europe/Berlin"
holidays = "none"
hours = { "mon-sun" = ["00:00-04:00", "22:00-24:00"] }
[calendars.new_york]
zone = "America/New_York"
holidays = "none"
hours = { "mon-sun" = ["00:00-04:00", "22:00-24:00"] }
"""


@cache
def calendar(name: str) -> Calendar:
    """Return a calendar: `cn`, `always`, or one of Berlin or New York, whose clocks are moved twice a year."""
    return calendar_of(name, CALENDARS)


def at(text: str) -> datetime:
    """Read an instant; without an offset it is UTC."""
    read = datetime.fromisoformat(text)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def signal(type: str, when: datetime, said: Mapping[str, Any] | None = None, *, ident: str = "", seen: Any = None,
           version: str = "") -> Signal:  # fmt: skip
    """Make a signal that was known when it happened, unless told otherwise."""
    name = ident or f"{type}@{when.isoformat()}"
    return Signal(at=when, seen=seen or when, type=type, id=name, said=said or {}, version=version)


def config(values: Mapping[str, Any] | None = None) -> Config:
    """Load settings on top of the built-in ones."""
    loaded: Config = ConfigSchema().load(dict(values or {}))
    return loaded


def minutes_counted(stretches: Sequence[Stretch], until: datetime, *, working: bool, hours: Calendar) -> int:
    """Count minute by minute, by asking of every minute whether it is one of work: the oracle."""
    total = 0
    for item in stretches:
        minute, end = item.start, until if item.end is None else min(item.end, until)
        while item.counts and minute < end:
            total += hours.is_working(minute) if working else 1
            minute += MINUTE
    return total


def minute_reached(
    stretches: Sequence[Stretch], minutes: int, *, working: bool, hours: Calendar, last: datetime
) -> datetime | None:
    """Walk minute by minute until so many have counted; None when they have not by `last`: the oracle."""
    left = minutes
    for item in stretches:
        minute, end = item.start, last if item.end is None else item.end
        while item.counts and minute < end:
            left -= 1 if not working or hours.is_working(minute) else 0
            minute += MINUTE
            if left == 0:
                return minute
    return None
