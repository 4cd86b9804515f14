"""What a working calendar promises to plugins: `ctx.calendar`, and one of its days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal, Protocol

DayKind = Literal["workday", "rest", "holiday", "make_up", "company"]
"""An ordinary working day, an ordinary free day, a public holiday, a make-up working day 调休, the company's own."""


@dataclass(frozen=True, slots=True)
class Day:
    """One day of a calendar, by the clock on the wall there.

    `shifts` are (start, end) as local texts such as ("09:00", "12:00"); an end of "24:00" is midnight. A company day
    without shifts is free. `provisional` says that the official holidays of its year were not published when this
    release was made, so that the day may still change.
    """

    on: date
    kind: DayKind
    name: str = ""
    shifts: tuple[tuple[str, str], ...] = ()
    provisional: bool = False


class Calendar(Protocol):
    """Counts working time. Instants are aware; what is returned is in UTC, exact to the microsecond.

    Calendars reach from 1900 to 2200; beyond, every method raises InvalidRequest.
    """

    @property
    def slug(self) -> str:
        """The calendar's name in plugins.toml, such as `cn`."""
        ...

    @property
    def zone(self) -> str:
        """The IANA time zone its hours are told in."""
        ...

    @property
    def standard_day(self) -> timedelta:
        """The length of its standard working day: the hours of the first weekday, from Monday on, that has any."""
        ...

    def is_working(self, at: datetime) -> bool:
        """Whether work goes on at this instant; a shift's end no longer belongs to it."""
        ...

    def next_working(self, at: datetime) -> datetime:
        """Return `at` itself when it is working time, else the start of the next shift."""
        ...

    def add(self, start: datetime, span: timedelta) -> datetime:
        """Return the first instant at which `span` of working time has passed since `start`; `start` when it is 0.

        Work that fills a shift to its end is over at that end, not at the start of the next shift. Raises
        InvalidRequest for a negative span.
        """
        ...

    def between(self, start: datetime, end: datetime) -> timedelta:
        """Return the working time in [start, end); negative when `end` is before `start`."""
        ...

    def day(self, on: date) -> Day:
        """Return what kind of day a local date is, and its hours."""
        ...

    def local(self, at: datetime) -> datetime:
        """Return the same instant as the clock on the wall shows it there."""
        ...
