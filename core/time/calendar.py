"""Working calendars: what is working time, when so much of it has passed, and how much lies between two instants."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from core.model.calendar import Day
from core.model.errors import InvalidRequest
from core.model.instants import from_micros, to_micros
from core.time.days import DayRules
from core.time.wall import first_instant

FIRST_YEAR, LAST_YEAR = 1900, 2200

_ONE_DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class _Year:
    """The working time of one local year as stretches, in microseconds since 1970; found by halving."""

    starts: array[int]
    ends: array[int]
    worked: array[int]  # working time of the year until the end of each stretch

    @property
    def total(self) -> int:
        return self.worked[-1] if self.worked else 0

    def worked_until(self, micros: int) -> int:
        """Return the working time of the year before an instant."""
        index = bisect_right(self.starts, micros) - 1
        if index < 0:
            return 0
        return self.worked[index] - max(0, self.ends[index] - micros)

    def instant_of(self, worked: int) -> int:
        """Return the first instant at which so much of the year's work, above 0 and at most all, is done."""
        index = bisect_left(self.worked, worked)
        return self.ends[index] - (self.worked[index] - worked)


class WorkingCalendar:
    """One calendar, made of canonical JSON; immutable, and quick once the years in question were worked out.

    A year is worked out at its first use, in some milliseconds; afterwards adding and measuring take microseconds,
    however many days lie between. Implements `core.model.calendar.Calendar`, where the methods are described.
    """

    def __init__(self, slug: str, values: Mapping[str, Any]) -> None:
        """`values` is checked canonical JSON: see core.host.calendar_sections."""
        self.slug = slug
        self.values = values
        self.zone: str = values["zone"]
        self._zone = ZoneInfo(self.zone)
        self._rules = DayRules(values)
        self._years: dict[int, _Year] = {}

    def __repr__(self) -> str:
        return f"WorkingCalendar({self.slug!r}, {self.zone})"

    @property
    def standard_day(self) -> timedelta:
        """The length of the first weekday, from Monday on, that has hours."""
        return timedelta(minutes=sum(shift.end - shift.start for shift in self._rules.standard))

    def day(self, on: date) -> Day:
        """Return what kind of day a local date is, and its hours."""
        return self._rules.day(on)

    def local(self, at: datetime) -> datetime:
        """Return the same instant as the clock on the wall shows it."""
        return at.astimezone(self._zone)

    def instant(self, wall: datetime) -> datetime:
        """Return the instant of a naive local time: the first of two, or the change itself when it was left out."""
        return first_instant(wall, self._zone)

    def is_working(self, at: datetime) -> bool:
        """Whether work goes on at this instant."""
        year, micros = self._year(self.local(at).year), to_micros(at)
        index = bisect_right(year.starts, micros) - 1
        return index >= 0 and micros < year.ends[index]

    def next_working(self, at: datetime) -> datetime:
        """Return `at` when it is working time, else the start of the next shift. Raises InvalidRequest."""
        number, micros = self.local(at).year, to_micros(at)
        while True:
            year = self._year(number)
            index = bisect_right(year.ends, micros)
            if index < len(year.ends):
                return from_micros(max(micros, year.starts[index]))
            number += 1

    def add(self, start: datetime, span: timedelta) -> datetime:
        """Return when so much working time has passed since `start`. Raises InvalidRequest."""
        if span < timedelta(0):
            raise InvalidRequest(f"Working time can only be added forward; {span} is below zero.")
        if not span:
            return start.astimezone(UTC)
        number = self.local(start).year
        year = self._year(number)
        wanted = year.worked_until(to_micros(start)) + span // _MICROSECOND
        while wanted > year.total:
            wanted -= year.total
            number += 1
            year = self._year(number)
        return from_micros(year.instant_of(wanted))

    def between(self, start: datetime, end: datetime) -> timedelta:
        """Return the working time in [start, end); negative when `end` is before `start`. Raises InvalidRequest."""
        if end < start:
            return -self.between(end, start)
        first, last = self.local(start).year, self.local(end).year
        until_end = self._year(last).worked_until(to_micros(end))
        until_start = self._year(first).worked_until(to_micros(start))
        whole = sum(self._year(number).total for number in range(first, last))
        return timedelta(microseconds=whole + until_end - until_start)

    def stretches(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Yield the stretches of working time in [start, end) in order. Raises InvalidRequest."""
        low, high = to_micros(start), to_micros(end)
        for number in range(self.local(start).year, self.local(end).year + 1):
            year = self._year(number)
            for index in range(bisect_right(year.ends, low), bisect_left(year.starts, high)):
                yield from_micros(max(low, year.starts[index])), from_micros(min(high, year.ends[index]))

    def is_provisional(self, year: int) -> bool:
        """Whether the official holidays of a year are not published yet."""
        return self._rules.is_provisional(year)

    def _year(self, number: int) -> _Year:
        found = self._years.get(number)
        if found is None:
            if not FIRST_YEAR <= number <= LAST_YEAR:
                raise InvalidRequest(
                    f'The calendar "{self.slug}" reaches from {FIRST_YEAR} to {LAST_YEAR}, and {number} lies outside.'
                )
            found = self._years[number] = self._work_out(number)
        return found

    def _work_out(self, number: int) -> _Year:
        starts, ends, worked = array("q"), array("q"), array("q")
        on, total = date(number, 1, 1), 0
        while on.year == number:
            for shift in self._rules.shifts(on):
                start, end = self._micros(on, shift.start), self._micros(on, shift.end)
                if start == end:
                    continue  # the clock skipped the whole shift
                total += end - start
                if ends and ends[-1] == start:
                    ends[-1], worked[-1] = end, total
                    continue
                starts.append(start)
                ends.append(end)
                worked.append(total)
            on += _ONE_DAY
        return _Year(starts, ends, worked)

    def _micros(self, on: date, minutes: int) -> int:
        wall = datetime(on.year, on.month, on.day) + timedelta(minutes=minutes)
        return to_micros(first_instant(wall, self._zone))
