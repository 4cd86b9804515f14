"""Public holidays and make-up working days of a country, as the package `holidays` has them, year by year."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from core.model.errors import did_you_mean
from core.time.china import join_weekends, name_of

if TYPE_CHECKING:
    from holidays import HolidayBase

NONE = "none"

ANNOUNCED_YEARLY = ("BY", "CN", "HU", "LV", "RU", "UZ", "VN")
"""Countries whose governments say every year which days off are made up for; before that a year is provisional."""


@dataclass(frozen=True, slots=True)
class MakeUp:
    """A make-up working day 调休: its name, and the day off that it makes up for, when that is known."""

    name: str
    replaces: date | None = None


@dataclass(frozen=True, slots=True)
class OfficialYear:
    """The special days of one year; `provisional` when its make-up days were not published yet."""

    holidays: Mapping[date, str] = field(default_factory=dict)
    make_up: Mapping[date, MakeUp] = field(default_factory=dict)
    provisional: bool = False


def check_place(place: str) -> str | None:
    """Return why there are no holidays of this place, or None: `CN`, `DE-BY` and `none` are places."""
    if place == NONE:
        return None
    import holidays  # takes a tenth of a second, which commands without calendars need not wait for

    country, dash, part = place.partition("-")
    known = holidays.list_supported_countries()
    if country not in known:
        return (
            f'there are no holidays of a country "{country[:40]}".{_nearest(country, known)} '
            f'Write its two letters, such as "CN", with a part where there are parts, such as "DE-BY", or "{NONE}".'
        )
    if dash and part not in known[country]:
        return (
            f'{country} has no part "{part[:40]}" with holidays of its own.{_nearest(part, known[country])} '
            f"There are: {', '.join(known[country]) or 'none'}."
        )
    return None


def _nearest(word: str, known: Any) -> str:
    return did_you_mean(word.upper() if word.upper() in known else word, known)


@lru_cache(maxsize=4096)
def official_year(place: str, year: int) -> OfficialYear:
    """Return the special days of a place (`CN`, `DE-BY`, `none`) in a year; found once, shared by all calendars."""
    if place == NONE:
        return OfficialYear()
    years = range(year - 1, year + 2)  # days beside New Year's belong to the notices of the neighbouring years
    found = _find(place, years)
    off = dict(found.items())
    pairs = _moved(found, years)
    worked = frozenset(day for day in found.weekend_workdays if day.year in years)
    replaced = {worked_on: day_off for day_off, worked_on in pairs.items()}
    make_up = {day: MakeUp("", replaced.get(day)) for day in worked}
    country = place.partition("-")[0]
    if country == "CN":
        proper = {day: name for day, name in off.items() if day not in pairs}
        off |= {day: f"{name_of(day, proper)}（调休）" for day in pairs if day in off}
        off |= {day: name_of(day, proper) for day in join_weekends(off, worked)}
        make_up = {
            day: MakeUp(f"{name_of(item.replaces or day, proper)}（调休上班）", item.replaces)
            for day, item in make_up.items()
        }
    return OfficialYear(
        holidays={day: off[day] for day in sorted(off) if day.year == year},
        make_up={day: make_up[day] for day in sorted(make_up) if day.year == year},
        provisional=country in ANNOUNCED_YEARLY and year > _last_announced(found),
    )


def _find(place: str, years: range) -> HolidayBase:
    import holidays

    country, _, part = place.partition("-")
    # Names in the place's own language; without one they would follow the locale of the process.
    language = holidays.country_holidays(country, subdiv=part or None).default_language
    return holidays.country_holidays(country, subdiv=part or None, years=years, expand=False, language=language)


def _moved(found: HolidayBase, years: range) -> dict[date, date]:
    """Return the days off that are made up for, each with the day that is worked instead."""
    pairs = {}
    for year in years:
        for month, day, worked_month, worked_day, *worked_year in _moves(found, year):
            pairs[date(year, month, day)] = date(worked_year[0] if worked_year else year, worked_month, worked_day)
    return pairs


def _moves(found: HolidayBase, year: int) -> list[tuple[int, ...]]:
    """Return (month, day, month worked, day worked[, year worked]) of every day off of a year that is made up for."""
    entries = _special(found).get(year, ())
    if entries and not isinstance(entries[0], tuple):
        entries = (entries,)
    return [entry for entry in entries if len(entry) > 3]


def _last_announced(found: HolidayBase) -> int:
    return max((year for year in _special(found) if _moves(found, year)), default=0)


def _special(found: HolidayBase) -> Mapping[int, Any]:
    return getattr(found, "special_public_holidays", None) or {}
