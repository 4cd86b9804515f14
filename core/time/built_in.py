"""The calendars that are always there, as canonical JSON: China's office week, and elapsed time."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from core.time.shifts import WEEKDAYS

DEFAULT_ZONE = "Asia/Shanghai"
DEFAULT_CALENDAR = "cn"
"""The calendar of a unit that names none."""

ELAPSED = "always"
"""Every hour of every day; it stays what its name says and cannot be changed."""

_FIVE_DAYS = ("mon", "tue", "wed", "thu", "fri")


def _calendar(holidays: str, hours: dict[str, list[str]]) -> dict[str, Any]:
    return {
        "zone": DEFAULT_ZONE,
        "holidays": holidays,
        "hours": {name: hours.get(name, []) for name in WEEKDAYS},
        "make_up_hours": None,
        "confirmed": [],
        "days": {},
        "files": [],
    }


BUILT_IN: MappingProxyType[str, dict[str, Any]] = MappingProxyType(
    {
        DEFAULT_CALENDAR: _calendar("CN", {name: ["09:00-12:00", "13:00-18:00"] for name in _FIVE_DAYS}),
        ELAPSED: _calendar("none", {name: ["00:00-24:00"] for name in WEEKDAYS}),
    }
)
"""Working days in China with its public holidays and make-up days; and a calendar without any free time."""
