"""A slow judge of working time: it looks at every minute, and shares no code with what it judges.

It knows calendars as plain tables. Official days come from the State Council's notices for China and from the rules of
law written out here for Germany and the United States; it does not use the package `holidays`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from tests.time.notices import NOTICES, UNANNOUNCED, days_off, days_worked

MINUTE = timedelta(minutes=1)

Shifts = tuple[tuple[int, int], ...]
"""Shifts of one day in minutes since its midnight."""

_EASTER = {
    2018: (4, 1), 2019: (4, 21), 2020: (4, 12), 2021: (4, 4), 2022: (4, 17),
    2023: (4, 9), 2024: (3, 31), 2025: (4, 20), 2026: (4, 5), 2027: (3, 28),
}  # fmt: skip


def _german() -> set[date]:
    """Return the holidays that every part of Germany has."""
    days = set()
    for year, (month, day) in _EASTER.items():
        fixed = ((1, 1), (5, 1), (10, 3), (12, 25), (12, 26))
        days |= {date(year, *when) for when in fixed}
        # Good Friday, Easter Monday, Ascension, Whit Monday
        days |= {date(year, month, day) + timedelta(days=after) for after in (-2, 1, 39, 50)}
    return days


def _nth(year: int, month: int, weekday: int, nth: int) -> date:
    days = [date(year, month, 1) + timedelta(days=count) for count in range(31)]
    fitting = [day for day in days if day.month == month and day.weekday() == weekday]
    return fitting[nth - 1] if nth > 0 else fitting[nth]


def _american() -> set[date]:
    """Return the federal holidays (5 U.S.C. 6103); on a Saturday the Friday before is free, on a Sunday the Monday."""
    days = set()
    for year in range(2018, 2029):
        fixed = [date(year, 1, 1), date(year, 7, 4), date(year, 11, 11), date(year, 12, 25)]
        if year >= 2021:
            fixed.append(date(year, 6, 19))
        for day in fixed:
            days.add(day)
            if day.weekday() == 5:
                days.add(day - timedelta(days=1))
            if day.weekday() == 6:
                days.add(day + timedelta(days=1))
        days |= {
            _nth(year, 1, 0, 3), _nth(year, 2, 0, 3), _nth(year, 5, 0, -1),
            _nth(year, 9, 0, 1), _nth(year, 10, 0, 2), _nth(year, 11, 3, 4),
        }  # fmt: skip
    return days


OFF: dict[str, set[date]] = {
    "none": set(),
    "CN": days_off(*NOTICES, UNANNOUNCED),
    "DE": _german(),
    "US": _american(),
}
WORKED: dict[str, set[date]] = {"CN": days_worked(*NOTICES)}


@dataclass(frozen=True)
class Plain:
    """A calendar as plain tables: the week from Monday, hours of make-up days, own days with their shifts."""

    zone: str
    place: str
    week: tuple[Shifts, ...]
    make_up: Shifts
    own: dict[date, Shifts] = field(default_factory=dict)

    def shifts(self, day: date) -> Shifts:
        """Return the shifts of a local day."""
        if day in self.own:
            return self.own[day]
        if day in WORKED.get(self.place, ()):
            return self.make_up
        if day in OFF[self.place]:
            return ()
        return self.week[day.weekday()]


class Oracle:
    """The minutes of some days of a calendar, each worked or not."""

    def __init__(self, plain: Plain, first: datetime, minutes: int) -> None:
        """Look at so many minutes from `first`, a whole minute in UTC."""
        self.first = first
        self.minutes = bytearray(minutes)
        zone, shifts = ZoneInfo(plain.zone), {}
        # Where clocks are put back, the wall's clock is taken to stand still until it is past what it showed before.
        shown = datetime.min
        for index in range(-1440, minutes):
            wall = (first + index * MINUTE).astimezone(zone).replace(tzinfo=None)
            shown = max(shown, wall)
            if index < 0:
                continue
            day = shown.date()
            if day not in shifts:
                shifts[day] = plain.shifts(day)
            minute = shown.hour * 60 + shown.minute
            self.minutes[index] = any(start <= minute < end for start, end in shifts[day])

    def is_working(self, at: datetime) -> bool:
        """Whether the minute of this instant is worked."""
        return bool(self.minutes[(at - self.first) // MINUTE])

    def next_working(self, at: datetime) -> datetime | None:
        """Return `at` or the start of the next minute that is worked; None when it lies beyond what was looked at."""
        index = (at - self.first) // MINUTE
        if self.minutes[index]:
            return at
        while index < len(self.minutes):
            if self.minutes[index]:
                return self.first + index * MINUTE
            index += 1
        return None

    def add(self, start: datetime, span: timedelta) -> datetime | None:
        """Return when so much work is done, minute by minute; None when it lies beyond what was looked at."""
        if not span:
            return start
        index = (start - self.first) // MINUTE
        into = start - (self.first + index * MINUTE)
        # A worked minute that was entered late has less to give: count from its beginning, with as much more to do.
        left = span + into if self.minutes[index] else span
        for worked in self.minutes[index:]:
            if worked:
                if left <= MINUTE:
                    return self.first + index * MINUTE + left
                left -= MINUTE
            index += 1
        return None

    def between(self, start: datetime, end: datetime) -> timedelta:
        """Return the work in [start, end): the worked minutes, less what lies outside of the first and the last."""
        first, last = (start - self.first) // MINUTE, (end - self.first) // MINUTE
        done = sum(self.minutes[first:last]) * MINUTE
        if self.minutes[first]:
            done -= start - (self.first + first * MINUTE)
        if self.minutes[last]:
            done += end - (self.first + last * MINUTE)
        return done
