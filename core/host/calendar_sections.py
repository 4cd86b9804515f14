"""The sections [calendars.<slug>] of plugins.toml: checked, made into self-contained JSON, and built of it.

Public: `check_calendars(…)`, `build_calendars(…)`, `calendar_names(…)`. core/host/calendar_overlays.py reads the files.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary
from zoneinfo import available_timezones

import marshmallow as ma

from core.host.calendar_overlays import Overlay, read_day, read_overlay
from core.host.every_fault import load_table
from core.host.faults import Faults
from core.model.errors import did_you_mean
from core.model.schemas import canonical_json
from core.time.built_in import BUILT_IN, DEFAULT_ZONE, ELAPSED
from core.time.calendar import FIRST_YEAR, LAST_YEAR, WorkingCalendar
from core.time.public_holidays import check_place
from core.time.shifts import WEEKDAYS, read_shifts, read_weekdays

SECTION = "calendars"

_SLUG = re.compile(r"^[a-z0-9][a-z0-9_-]{0,62}$")

_built: WeakValueDictionary[tuple[str, str], WorkingCalendar] = WeakValueDictionary()


@functools.cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones() - {"localtime"})  # which is another zone on every machine


class CalendarSchema(ma.Schema):
    """The keys of [calendars.<slug>]; a key that is left out is that of the calendar it is based on."""

    zone = ma.fields.String()  # IANA; by default Asia/Shanghai
    holidays = ma.fields.String()  # a country such as "CN", a part of one such as "DE-BY", or "none"
    based_on = ma.fields.String()
    hours = ma.fields.Dict(keys=ma.fields.String(), values=ma.fields.Raw())  # of the whole week
    make_up_hours = ma.fields.Raw()  # of make-up days; by default those of the weekday replaced
    confirmed = ma.fields.List(  # years whose official days stand here, so that they are not provisional
        ma.fields.Integer(strict=True, validate=ma.validate.Range(FIRST_YEAR, LAST_YEAR))
    )
    overlay_files = ma.fields.List(ma.fields.String())
    days = ma.fields.Dict(keys=ma.fields.String(), values=ma.fields.Raw())


def calendar_names(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names a unit's `calendar` may be: the built-in ones and those of the document."""
    tables = document.get(SECTION, {})
    return tuple(dict.fromkeys([*BUILT_IN, *(tables if isinstance(tables, Mapping) else ())]))


def check_calendars(
    document: Mapping[str, Any],
    faults: Faults,
    place: Callable[..., str],
    folder: Path | None = None,
    overlays: dict[str, Overlay] | None = None,
) -> dict[str, Any]:
    """Return all calendars as canonical JSON by slug, the built-in ones first; every fault goes to `faults`.

    Overlay files are found from `folder`, and their days become part of the JSON, so a stored version never changes
    when a file does. Those in `overlays` are taken as they stand there, and what is read is added to them. A calendar
    with faults is there and empty, so that nothing is said twice about it.
    """
    return _Checker(document, faults, place, folder, {} if overlays is None else overlays).all()


def build_calendars(resolved: Mapping[str, Any]) -> dict[str, WorkingCalendar]:
    """Return the calendars of canonical JSON; one that was built of the same JSON and is still in use is used again."""
    calendars = {}
    for slug, values in resolved.items():
        key = (slug, canonical_json(values))
        calendars[slug] = _built[key] = _built.get(key) or WorkingCalendar(slug, values)
    return calendars


class _Checker:
    """Checks the calendars of one document, each after the one it is based on."""

    def __init__(
        self,
        document: Mapping[str, Any],
        faults: Faults,
        place: Callable[..., str],
        folder: Path | None,
        overlays: dict[str, Overlay],
    ) -> None:
        self._tables = document.get(SECTION, {})
        self._faults = faults
        self._place = place
        self._folder = folder
        self._overlays = overlays
        self._done: dict[str, dict[str, Any]] = {}
        self._open: list[str] = []
        self._lost: dict[str, set[str]] = {}  # keys left out of a calendar for their faults

    def all(self) -> dict[str, Any]:
        if not isinstance(self._tables, Mapping):
            self._faults.add(self._place(SECTION), f"must be a table: [{SECTION}.<name>]")
            return dict(BUILT_IN)
        for slug in self._tables:
            if not _SLUG.match(slug):
                message = f'"{slug[:80]}" is no name: lower-case letters, digits, `_` and `-`, at most 63 of them'
                self._faults.add(self._place(SECTION), message)
        own = [slug for slug in self._tables if _SLUG.match(slug)]
        checked = {slug: self._calendar(slug) for slug in own}
        return {**BUILT_IN, **checked}

    def _calendar(self, slug: str) -> dict[str, Any]:
        """Return one calendar, checked at its first use; an empty one when it has faults."""
        if slug not in self._tables:
            return BUILT_IN[slug]
        if slug in self._done:
            return self._done[slug]
        self._open.append(slug)
        before = len(self._faults.as_errors())
        values = self._checked(slug, f"{SECTION}.{slug}")
        self._open.pop()
        found = values if values is not None and len(self._faults.as_errors()) == before else {}
        self._done[slug] = found
        return found

    def _checked(self, slug: str, where: str) -> dict[str, Any] | None:
        if slug == ELAPSED:
            message = f"`{ELAPSED}` is every hour of every day and stays so; give your calendar another name"
            self._faults.add(self._place(where), message)
            return None
        table = self._load(where, self._tables[slug])
        if table is None:
            return None
        base = self._base(slug, table, where)
        if base is None:
            return None
        values = {
            "zone": self._zone(table, base, where),
            "holidays": self._holidays(table, base, where),
            "hours": self._hours(table, base, where),
            "make_up_hours": self._make_up_hours(table, base, where),
            "confirmed": sorted({*base.get("confirmed", ()), *table.get("confirmed", ())}),
        }
        files: list[dict[str, str]] = [*base.get("files", ())]
        days = {**base.get("days", {}), **self._files(table, files, where), **self._days(table, where)}
        return {**values, "days": dict(sorted(days.items())), "files": files}

    def _load(self, where: str, table: Any) -> dict[str, Any] | None:
        if not isinstance(table, Mapping):
            self._faults.add(self._place(where), f"must be a table: [{where}]")
            return None
        loaded = load_table(CalendarSchema(), dict(table))
        for path, message, key in loaded.faults:
            self._faults.add(self._place(f"{where}.{path}" if path else where, f"{where}.{key}"), message)
        self._lost[where] = {key.partition(".")[0] for _, _, key in loaded.faults}
        return None if loaded.value is None else dict(loaded.value)

    def _base(self, slug: str, table: Mapping[str, Any], where: str) -> dict[str, Any] | None:
        """Return the calendar this one starts from, empty when from none; None when there is no telling."""
        named = table.get("based_on")
        if named is None or named == slug:
            if named == slug and slug not in BUILT_IN:
                self._faults.add(self._place(f"{where}.based_on"), f"`{slug}` is based on itself")
                return None
            return BUILT_IN.get(slug, {})
        known = calendar_names({SECTION: self._tables})
        if named not in known:
            message = f'there is no calendar "{named[:80]}".{did_you_mean(named, known)} Known: {", ".join(known)}.'
            self._faults.add(self._place(f"{where}.based_on"), message)
            return None
        if named in self._open:
            circle = " → ".join([*self._open[self._open.index(named) :], named])
            self._faults.add(self._place(f"{where}.based_on"), f"the calendars are based on one another: {circle}")
            return None
        return self._calendar(named) or None

    def _zone(self, table: Mapping[str, Any], base: Mapping[str, Any], where: str) -> str:
        zone: str = table.get("zone", base.get("zone", DEFAULT_ZONE))
        known = _zones()
        if zone not in known:
            by_city = {name.rpartition("/")[2]: name for name in sorted(known)}
            near = did_you_mean(zone, known) or did_you_mean(by_city.get(zone.rpartition("/")[2], ""), known)
            self._faults.add(
                self._place(f"{where}.zone"),
                f'there is no time zone "{zone[:60]}".{near} Write an IANA name such as "Asia/Shanghai".',
            )
        return zone

    def _holidays(self, table: Mapping[str, Any], base: Mapping[str, Any], where: str) -> str:
        place: str | None = table.get("holidays", base.get("holidays"))
        if place is None and "holidays" in self._lost.get(where, ()):
            return "none"
        if place is None:
            message = 'needs `holidays`: a country such as "CN", a part of one such as "DE-BY", or "none"'
            self._faults.add(self._place(where), message)
            return "none"
        fault = check_place(place)
        if fault:
            self._faults.add(self._place(f"{where}.holidays"), fault)
        return place

    def _hours(self, table: Mapping[str, Any], base: Mapping[str, Any], where: str) -> dict[str, list[str]]:
        given = table.get("hours")
        if given is None and base:
            inherited: dict[str, list[str]] = base["hours"]
            return inherited
        week: dict[str, list[str]] = {}
        for key, texts in (given or {}).items():
            path = f"{where}.hours.{key}"
            try:
                names = read_weekdays(key)
            except ValueError as error:
                self._faults.add(self._place(f"{where}.hours", path), str(error))
                continue
            twice = [name for name in names if name in week]
            if twice:
                self._faults.add(self._place(path), f"the hours of {', '.join(twice)} are told twice")
            week |= dict.fromkeys(names, self._shifts(texts, path))
        if not any((given or {}).values()) and "hours" not in self._lost.get(where, ()):
            self._faults.add(
                self._place(f"{where}.hours" if given else where),
                'has no working hours; give `hours`, such as { mon-fri = ["09:00-12:00", "13:00-18:00"] }, '
                "or the calendar it is `based_on`",
            )
        return {name: week.get(name, []) for name in WEEKDAYS}

    def _make_up_hours(self, table: Mapping[str, Any], base: Mapping[str, Any], where: str) -> list[str] | None:
        if "make_up_hours" not in table:
            inherited: list[str] | None = base.get("make_up_hours")
            return inherited
        path = f"{where}.make_up_hours"
        if not table["make_up_hours"]:
            self._faults.add(self._place(path), "is empty; leave it out for the hours of the weekday that is replaced")
        return self._shifts(table["make_up_hours"], path)

    def _shifts(self, texts: Any, path: str) -> list[str]:
        if not isinstance(texts, list):
            self._faults.add(self._place(path), 'must be a list of shifts, such as ["09:00-12:00", "13:00-18:00"]')
            return []
        try:
            return [str(shift) for shift in read_shifts(texts)]
        except ValueError as error:
            self._faults.add(self._place(path), str(error))
            return []

    def _days(self, table: Mapping[str, Any], where: str) -> dict[str, Any]:
        days = {}
        for on, item in table.get("days", {}).items():
            path = f"{where}.days.{on}"
            try:
                text, day = read_day(on, item)
            except ValueError as error:
                self._faults.add(self._place(path), str(error))
            else:
                days[text] = day
        return days

    def _files(self, table: Mapping[str, Any], files: list[dict[str, str]], where: str) -> dict[str, Any]:
        """Return the days of the overlay files; a date in two files of one calendar is a fault."""
        days: dict[str, Any] = {}
        path = self._place(f"{where}.overlay_files")
        for name in table.get("overlay_files", ()):
            found = self._overlays[name] = self._overlays.get(name) or read_overlay(name, self._folder)
            for fault in found.faults:
                self._faults.add(path, fault)
            for on in sorted(set(days) & set(found.days)):
                self._faults.add(path, f"{name}: {on} stands in two files")
            days |= found.days
            files.append({"path": name, "sha256": found.digest})
        return days
