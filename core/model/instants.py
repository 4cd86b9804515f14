"""Instants as text and as numbers: RFC 3339 in UTC outside, microseconds since 1970 inside the tables."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SHAPE = re.compile(r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:?\d\d)$")


def parse_instant(text: str) -> datetime:
    """Read RFC 3339 text with an offset; return it in UTC, cut to microseconds. Raises ValueError."""
    if not _SHAPE.match(text):
        raise ValueError("Not an RFC 3339 time with an offset, such as 2026-11-22T08:30:00+08:00.")
    if "." in text:
        head, _, tail = text.partition(".")
        digits = re.match(r"\d+", tail)
        assert digits is not None
        text = f"{head}.{digits.group()[:6].ljust(6, '0')}{tail[digits.end() :]}"
    try:
        value = datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f'"{text[:40]}" is no real time.') from None
    if not 1900 <= value.year <= 2200:
        raise ValueError(f'"{text[:40]}" lies outside the years 1900 to 2200.')
    return value


def format_instant(value: datetime) -> str:
    """Write an aware datetime as RFC 3339 text in UTC with `Z`; fractions only when there are any."""
    text = value.astimezone(UTC).isoformat()
    return text.replace("+00:00", "Z")


def to_micros(value: datetime) -> int:
    """Return whole microseconds since 1970-01-01 UTC."""
    return (value - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the aware UTC datetime of `micros` microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=micros)
