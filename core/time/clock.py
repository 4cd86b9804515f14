"""The clock: the system's, one that stands still for tests, and one that moves with imported data."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time; the only way the rest of the code learns it."""

    def now(self) -> datetime:
        """Return the current instant, aware and in UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the system's time in UTC."""
        return datetime.fromtimestamp(time.time(), UTC)


class FrozenClock:
    """A clock that stands still until it is moved; for tests, rehearsals and imports."""

    def __init__(self, at: datetime) -> None:
        if at.tzinfo is None:
            raise ValueError("a clock needs an aware datetime")
        self._now = at.astimezone(UTC)

    def now(self) -> datetime:
        """Return the instant at which the clock stands."""
        return self._now

    def move(self, by: timedelta) -> datetime:
        """Move the clock by `by`, which may be negative, and return the new time."""
        self._now += by
        return self._now

    def move_to(self, at: datetime) -> datetime:
        """Set the clock to `at` and return it."""
        self._now = at.astimezone(UTC)
        return self._now
