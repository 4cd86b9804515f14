"""Spans of time as people write them: "24h", "3 days", "8 working hours", "2 个工作日"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from core.model.calendar import Calendar
from core.model.errors import did_you_mean

SpanUnit = Literal["second", "minute", "hour", "day", "week"]

LONGEST = timedelta(days=3650)

_UNITS: dict[SpanUnit, timedelta] = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}
_WORDS: dict[str, SpanUnit] = {
    **dict.fromkeys(("s", "sec", "second", "seconds", "秒", "秒钟"), "second"),
    **dict.fromkeys(("m", "min", "minute", "minutes", "分", "分钟"), "minute"),
    **dict.fromkeys(("h", "hour", "hours", "小时"), "hour"),
    **dict.fromkeys(("d", "day", "days", "天", "日"), "day"),
    **dict.fromkeys(("w", "week", "weeks", "周", "星期"), "week"),
}
_CHINESE: dict[SpanUnit, str] = {"second": "秒", "minute": "分钟", "hour": "小时", "day": "天", "week": "周"}
_SHAPE = re.compile(
    r"(\d{1,12}(?:\.\d{1,6})?)\s*个?\s*(working(?=\s)|工作)?\s*([a-z]+|[\u4e00-\u9fff]+)", re.IGNORECASE
)
_THREE_WORDS = re.compile(r"[\d.]+\s*([a-z]+)\s+[a-z]+", re.IGNORECASE)
_EXAMPLES = '"15m", "24h", "3 days", "8 working hours", "2 working days" or "8 个工作小时"'


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time, elapsed or working, in the unit it was written in.

    A working day is as long as the standard working day of the calendar that measures it, so `amount` of such a span
    counts days of 24 hours for one day each; `length` gives its real length. The unit also decides how it is told.
    """

    amount: timedelta
    working: bool = False
    unit: SpanUnit = "hour"

    def length(self, calendar: Calendar) -> timedelta:
        """Return how much time, elapsed or working, the span is in this calendar."""
        if self.working and self.unit == "day":
            return calendar.standard_day * (self.amount / _UNITS["day"])
        return self.amount

    def due(self, start: datetime, calendar: Calendar) -> datetime:
        """Return when the span is over that begins at `start`. Raises InvalidRequest beyond the year 2200."""
        length = self.length(calendar)
        return calendar.add(start, length) if self.working else start + length

    def elapsed(self, start: datetime, end: datetime, calendar: Calendar) -> timedelta:
        """Return the time from `start` to `end` as this span counts it: working time, or all time."""
        return calendar.between(start, end) if self.working else end - start

    def text(self, language: str = "en") -> str:
        """Return the span for a person: "8 working hours", or in `zh` "8 个工作小时"; `parse_span` reads both."""
        number = _number(self.amount, _UNITS[self.unit])
        if language.startswith("zh"):
            if self.working:
                return f"{number} 个工作{'日' if self.unit == 'day' else _CHINESE[self.unit]}"
            return f"{number} {_CHINESE[self.unit]}"
        return f"{number} {'working ' if self.working else ''}{self.unit}{'' if number == '1' else 's'}"

    def __str__(self) -> str:
        return self.text()


def parse_span(value: object) -> Span:
    """Read a span above zero and at most ten years: text, or a number of seconds. Raises ValueError."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _checked(float(value), "second", working=False)
    match = _SHAPE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        misspelt = _THREE_WORDS.fullmatch(value.strip()) if isinstance(value, str) else None
        near = did_you_mean(misspelt[1].lower(), ["working"]) if misspelt else ""
        raise ValueError(f"Not a span of time, such as {_EXAMPLES}.{near}")
    number, working, word = match.groups()
    unit = _WORDS.get(word.lower())
    if unit is None:
        near = did_you_mean(word.lower(), _WORDS)
        raise ValueError(f'There is no unit of time "{word[:40]}".{near} Write {_EXAMPLES}.')
    if working and unit == "week":
        raise ValueError('A working week is not defined; write working days, such as "5 working days".')
    return _checked(Decimal(number), unit, working=bool(working))


def _checked(number: Decimal | float, unit: SpanUnit, *, working: bool) -> Span:
    """Return the span, to the microsecond."""
    micros = number * (_UNITS[unit] // timedelta(microseconds=1))
    if not 1 <= micros <= LONGEST // timedelta(microseconds=1):
        raise ValueError("A span of time is above zero and at most ten years.")
    return Span(timedelta(microseconds=round(micros)), working, unit)


def _number(amount: timedelta, unit: timedelta) -> str:
    """Return how many units an amount is, without needless digits."""
    micros = timedelta(microseconds=1)
    exact = Decimal(amount // micros) / Decimal(unit // micros)
    text = format(exact.quantize(Decimal("0.000001")), "f")
    return text.rstrip("0").rstrip(".")
