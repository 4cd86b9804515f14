"""Random calendars and cases, made for the calendar under test and for the oracle alike."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from core.time.calendar import WorkingCalendar
from tests.time.oracle import WORKED, Oracle, Plain, Shifts

NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

ZONES = (
    "Asia/Shanghai", "Europe/Berlin", "America/New_York", "Asia/Kolkata",
    "America/Santiago",  # clocks change at midnight
    "Australia/Lord_Howe",  # clocks change by half an hour
)  # fmt: skip

CHANGES = {
    "Europe/Berlin": ("2018-03-25", "2019-10-27", "2021-03-28", "2022-10-30", "2024-03-31", "2026-10-25"),
    "America/New_York": ("2018-11-04", "2019-03-10", "2020-11-01", "2023-03-12", "2025-11-02", "2027-03-14"),
    "America/Santiago": ("2018-08-12", "2019-09-08", "2020-04-05", "2022-09-11", "2024-04-07", "2027-04-04"),
    "Australia/Lord_Howe": ("2018-04-01", "2019-10-06", "2021-04-04", "2023-10-01", "2025-10-05", "2026-04-05"),
}
"""Days on which clocks are put forward or back, by zone."""

DAYS = (
    "2018-01-01", "2019-12-31", "2020-02-29", "2024-02-29", "2023-01-01", "2025-01-01", "2026-02-16", "2027-02-06",
)  # fmt: skip

STARTS = tuple(sorted({*sum(CHANGES.values(), ()), *DAYS, *(day.isoformat() for day in WORKED["CN"])}))
"""Days worth beginning near: every make-up day, changes of clocks, ends of years, leap days."""

WINDOW = 24  # days the oracle looks at for one calendar, when not told otherwise


def _shifts(rng: random.Random, *, most: int = 3, first: int = 0, last: int = 1440) -> Shifts:
    """Return shifts that do not overlap, between two minutes of the day, also ones that end at 24:00."""
    count = rng.randint(1, most)
    step = rng.choice((1, 15, 30))
    marks = sorted(rng.sample(range(first // step, last // step + 1), 2 * count))
    pairs = [(marks[2 * index] * step, marks[2 * index + 1] * step) for index in range(count)]
    return tuple(pairs)


def random_plain(rng: random.Random, near: date, days: int = WINDOW) -> Plain:
    """Return a calendar: offices, plants with split shifts, nights over midnight, round the clock."""
    place = rng.choice(("CN", "CN", "DE", "US", "none"))
    daily = _shifts(rng)
    if rng.random() < 0.25:  # a night shift, written as two
        between = tuple((start, end) for start, end in daily if start >= 360 and end <= 1320)
        daily = ((0, 360), *between, (1320, 1440))
    if rng.random() < 0.1:
        daily = ((0, 1440),)
    saturday = daily if rng.random() < 0.3 else _shifts(rng, most=1) if rng.random() < 0.3 else ()
    sunday = daily if rng.random() < 0.15 else ()
    own: dict[date, Shifts] = {}
    for _ in range(rng.randint(0, 4)):
        own[near + timedelta(days=rng.randint(-days, days))] = () if rng.random() < 0.5 else _shifts(rng)
    make_up = _shifts(rng) if rng.random() < 0.3 else daily
    zone = rng.choice(ZONES)
    changing = [name for name, days_of in CHANGES.items() if near.isoformat() in days_of]
    if changing and rng.random() < 0.8:
        zone = changing[0]
        own[near] = _shifts(rng, first=0, last=240)  # clocks change in these hours, or at the midnight before
        own[near - timedelta(days=1)] = _shifts(rng, most=1, first=1350)
    return Plain(zone, place, (daily,) * 5 + (saturday, sunday), make_up, own)


def _text(shifts: Shifts) -> list[str]:
    return [f"{a // 60:02}:{a % 60:02}-{b // 60:02}:{b % 60:02}" for a, b in shifts]


def calendar_of(plain: Plain, slug: str = "test") -> WorkingCalendar:
    """Return the calendar under test for the same tables."""
    days: dict[str, Any] = {
        on.isoformat(): {"kind": "workday" if shifts else "day_off", "name": "", "hours": _text(shifts) or None}
        for on, shifts in plain.own.items()
    }
    return WorkingCalendar(
        slug,
        {
            "zone": plain.zone,
            "holidays": plain.place,
            "hours": dict(zip(NAMES, map(_text, plain.week), strict=True)),
            "make_up_hours": None if plain.make_up == plain.week[0] else _text(plain.make_up),
            "confirmed": [],
            "days": days,
            "files": [],
        },
    )


@dataclass(frozen=True)
class Window:
    """A calendar, its oracle, and the days the oracle looked at."""

    plain: Plain
    calendar: WorkingCalendar
    oracle: Oracle
    first: datetime
    days: int

    def instant(self, rng: random.Random) -> datetime:
        """Return a random instant of the window: on the minute, on the second, or on the microsecond."""
        at = self.first + timedelta(minutes=rng.randint(0, 1440 * self.days - 1))
        return at + rng.choice((timedelta(0), timedelta(seconds=rng.randint(0, 59)), timedelta(microseconds=1)))


def window(rng: random.Random, near: date, days: int = WINDOW) -> Window:
    """Return a random calendar and so many days around a date."""
    begin = datetime(near.year, near.month, near.day, tzinfo=UTC) - timedelta(days=rng.randint(1, days - 3))
    first = min(max(begin, datetime(2018, 1, 2, tzinfo=UTC)), datetime(2027, 12, 30, tzinfo=UTC) - timedelta(days))
    plain = random_plain(rng, near, days)
    return Window(plain, calendar_of(plain), Oracle(plain, first, 1440 * days), first, days)


def random_day(rng: random.Random) -> date:
    """Return a day of 2018 to 2027, every other time one where something happens."""
    if rng.random() < 0.5:
        return date.fromisoformat(rng.choice(STARTS))
    return date(2018, 1, 1) + timedelta(days=rng.randint(0, 3651))


def random_span(rng: random.Random) -> timedelta:
    """Return a span of working time: from a second to some days."""
    hours = timedelta(minutes=30 * rng.randint(0, 96))
    return rng.choice((hours, timedelta(seconds=rng.randint(0, 200_000)), timedelta(microseconds=rng.randint(1, 9**9))))


def differences(found: Window, rng: random.Random) -> Iterator[str]:
    """Try one case and yield where the calendar and the oracle differ."""
    start, other, span = found.instant(rng), found.instant(rng), random_span(rng)
    calendar, oracle = found.calendar, found.oracle
    early, late = sorted((start, other))
    work = oracle.between(early, late)
    pairs: list[tuple[str, Any, Any]] = [
        ("is_working", calendar.is_working(start), oracle.is_working(start)),
        ("between", calendar.between(early, late), work),
        ("between", calendar.between(late, early), -work),
    ]
    due, following = oracle.add(start, span), oracle.next_working(start)
    pairs += [("add", calendar.add(start, span), due)] if due is not None else []
    pairs += [("next_working", calendar.next_working(start), following)] if following is not None else []
    for name, got, wanted in pairs:
        if got != wanted:
            yield f"{name}: {got} instead of {wanted} for {start}, {other}, {span} in {found.plain}"
