"""Shifts of a working day as people write them, such as "09:00-12:00", and the weekdays they belong to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from core.model.errors import did_you_mean

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

MIDNIGHT = 24 * 60

_SHAPE = re.compile(r"\s*(\d{1,2}):(\d\d)\s*[-–—~]\s*(\d{1,2}):(\d\d)\s*")


@dataclass(frozen=True, slots=True, order=True)
class Shift:
    """A stretch of work within one day, in minutes since its midnight; an end of 1440 is the next midnight."""

    start: int
    end: int

    @property
    def texts(self) -> tuple[str, str]:
        """The start and the end as the clock shows them; the end of the day is 24:00."""
        return _clock(self.start), _clock(self.end)

    def __str__(self) -> str:
        return "-".join(self.texts)


def read_shift(text: object) -> Shift:
    """Read one shift. Raises ValueError."""
    match = _SHAPE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f'"{str(text)[:40]}" is no shift; write it as "09:00-12:00".')
    hours = [int(match[1]), int(match[3])]
    minutes = [int(match[2]), int(match[4])]
    start, end = (60 * hour + minute for hour, minute in zip(hours, minutes, strict=True))
    if max(minutes) > 59 or start >= MIDNIGHT or end > MIDNIGHT:
        raise ValueError(f'"{text}" is no shift: times go from 00:00 to 24:00.')
    if end == 0:
        raise ValueError(f'"{text}" ends before it begins; the end of a day is written 24:00.')
    if end < start:
        first, second = Shift(start, MIDNIGHT), Shift(0, end)
        raise ValueError(
            f'"{text}" ends before it begins; a shift over midnight is written as two: '
            f'"{first}", and "{second}" on the next day.'
        )
    if end == start:
        raise ValueError(f'"{text}" is empty; a whole day is written "00:00-24:00".')
    return Shift(start, end)


def read_shifts(texts: Iterable[object]) -> tuple[Shift, ...]:
    """Read the shifts of one day, in the order of the day. Raises ValueError when two overlap."""
    shifts = tuple(sorted(read_shift(text) for text in texts))
    for earlier, later in pairwise(shifts):
        if later.start < earlier.end:
            raise ValueError(f'"{earlier}" and "{later}" overlap.')
    return shifts


def read_weekdays(key: str) -> tuple[str, ...]:
    """Read `mon`, or a range such as `mon-fri`. Raises ValueError."""
    first, dash, last = key.strip().lower().partition("-")
    for name in (first, last) if dash else (first,):
        if name not in WEEKDAYS:
            near = did_you_mean(name[:3] if name[:3] in WEEKDAYS else name, WEEKDAYS)
            raise ValueError(f'"{key[:40]}" is no weekday.{near} Write {", ".join(WEEKDAYS)}, or a range: mon-fri.')
    start, end = WEEKDAYS.index(first), WEEKDAYS.index(last if dash else first)
    if end < start:
        raise ValueError(f'"{key}" runs backward; a week goes from mon to sun.')
    return WEEKDAYS[start : end + 1]


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
