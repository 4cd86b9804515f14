"""What is special about China's days off: weekends that belong to a holiday, and what moved days are called."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

_ONE_DAY = timedelta(days=1)
_EVE = "农历除夕"  # part of 春节; no other day is named after it


def join_weekends(off: Mapping[date, str], worked: frozenset[date]) -> set[date]:
    """Return the Saturdays and Sundays that touch a day off and are not worked.

    The notices of the State Council tell whole stretches of days off (放假调休, 与周末连休); the package
    `holidays` names only what is off beside the weekend. It matters to whoever works on Saturdays.
    """
    joined = set()
    for day in off:
        for step in (-_ONE_DAY, _ONE_DAY):
            beside = day + step
            while beside.weekday() >= 5 and beside not in worked:
                joined.add(beside)
                beside += step
    return joined - set(off)


def name_of(day: date, off: Mapping[date, str]) -> str:
    """Return the name of the holiday that a moved, joined or worked day belongs to: the nearest proper one."""
    proper = [other for other, name in off.items() if "（" not in name and name != _EVE]
    near = min(proper, key=lambda other: (abs(other - day), other), default=None)
    return off[near] if near is not None else ""
