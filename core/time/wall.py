"""From the clock on the wall to instants, also where clocks are put forward or back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_SECOND = timedelta(seconds=1)


def first_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the first instant at which the clock on the wall shows the naive time `wall` or later, in UTC.

    This one rule holds everywhere: a time that occurs twice is its first occurrence, and a time that is left out
    when clocks are put forward is the moment of the change. So shifts never overlap or run backward.
    """
    aware = wall.replace(tzinfo=zone)
    instant = aware.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall:
        return instant
    # The wall time is left out. Read with the offset from after the change it lies before it, and the other way round.
    low, high = aware.replace(fold=1).astimezone(UTC), instant
    before = low.astimezone(zone).utcoffset()
    while high - low > _SECOND:
        middle = low + (high - low) // 2
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)
