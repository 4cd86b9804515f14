"""What kind of day each date of a calendar is, and its shifts: own days first, then official ones, then the week."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from core.model.calendar import Day, DayKind
from core.time.public_holidays import OfficialYear, official_year
from core.time.shifts import WEEKDAYS, Shift, read_shifts

OWN_KINDS: dict[str, DayKind] = {
    "holiday": "holiday",
    "make_up": "make_up",
    "day_off": "company",
    "workday": "company",
}
"""The kinds of day that plugins.toml and overlay files know, and what each becomes: a public holiday entered by hand;
a make-up working day; a free day of the company; a working day of the company, also one with other hours."""

FREE_KINDS = ("holiday", "day_off")

_FIRST_OFFICIAL, _LAST_OFFICIAL = 1901, 2199  # the package knows far less; its own arithmetic needs room on both sides


class DayRules:
    """The days of one calendar, from its canonical JSON."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        """`values` are checked: see core.host.calendar_sections."""
        self._place: str = values["holidays"]
        self._week = tuple(read_shifts(values["hours"].get(name, ())) for name in WEEKDAYS)
        self.standard: tuple[Shift, ...] = next(shifts for shifts in self._week if shifts)
        given = values.get("make_up_hours")
        self._make_up = read_shifts(given) if given else None
        self._confirmed = frozenset(values.get("confirmed", ()))
        self._own = {date.fromisoformat(on): item for on, item in values.get("days", {}).items()}

    def is_provisional(self, year: int) -> bool:
        """Whether the official days of a year are not published yet and not entered by hand either."""
        return year not in self._confirmed and self._official(year).provisional

    def shifts(self, on: date) -> tuple[Shift, ...]:
        """Return the shifts of a day in order; none when it is free."""
        return self._find(on)[2]

    def day(self, on: date) -> Day:
        """Return a day as people are told of it."""
        kind, name, shifts = self._find(on)
        provisional = on not in self._own and self.is_provisional(on.year)
        return Day(on, kind, name, tuple(shift.texts for shift in shifts), provisional)

    def _find(self, on: date) -> tuple[DayKind, str, tuple[Shift, ...]]:
        if on in self._own:
            return self._own_day(on, self._own[on])
        official = self._official(on.year)
        if on in official.make_up:
            make_up = official.make_up[on]
            return "make_up", make_up.name, self._make_up_shifts(make_up.replaces)
        if on in official.holidays:
            return "holiday", official.holidays[on], ()
        shifts = self._week[on.weekday()]
        return ("workday" if shifts else "rest"), "", shifts

    def _own_day(self, on: date, item: Mapping[str, Any]) -> tuple[DayKind, str, tuple[Shift, ...]]:
        kind, name = item["kind"], item.get("name", "")
        if kind in FREE_KINDS:
            return OWN_KINDS[kind], name, ()
        if item.get("hours"):
            return OWN_KINDS[kind], name, read_shifts(item["hours"])
        if kind == "make_up":
            return OWN_KINDS[kind], name, self._make_up_shifts(None)
        return OWN_KINDS[kind], name, self._week[on.weekday()] or self._make_up_shifts(None)

    def _make_up_shifts(self, replaces: date | None) -> tuple[Shift, ...]:
        """Return the hours of a make-up day: as configured, else those of the weekday it replaces, else standard."""
        if self._make_up is not None:
            return self._make_up
        return (self._week[replaces.weekday()] if replaces is not None else ()) or self.standard

    def _official(self, year: int) -> OfficialYear:
        known = _FIRST_OFFICIAL <= year <= _LAST_OFFICIAL
        return official_year(self._place, year) if known else OfficialYear()
