"""Works out a person's absences after a change, as the value that plugins.toml gets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

from core.people.entries import Absence, Entry, Period

Change = Mapping[tuple[str, ...], Any]
"""Path in plugins.toml -> new value; None removes the key."""


def absent(entry: Entry, period: Period, deputy: str | None, reason: str | None) -> Change:
    """Return the change that adds an absence, the list being in order of days."""
    return _absences(entry.person.slug, [*entry.absences, Absence(period, deputy, reason)])


def present(entry: Entry, day: date) -> Change | None:
    """Return the change that ends the absence of a day the day before; None when there is none."""
    ended = entry.absence(day)
    if ended is None:
        return None
    kept = [item for item in entry.absences if item is not ended]
    if ended.period.first is not None and ended.period.first < day:
        kept.append(Absence(Period(ended.period.first, day - timedelta(days=1)), ended.deputy, ended.reason))
    return _absences(entry.person.slug, kept)


def _absences(slug: str, absences: Iterable[Absence]) -> Change:
    in_order = sorted(absences, key=lambda item: item.period.first or date.min)
    return {("people", slug, "absences"): [as_toml(item) for item in in_order] or None}


def as_toml(absence: Absence) -> dict[str, Any]:
    """Return an absence as an inline table; what it does not say is left out."""
    values = {
        "from": absence.period.first,
        "until": absence.period.last,
        "deputy": absence.deputy,
        "reason": absence.reason,
    }
    return {key: value for key, value in values.items() if value is not None}
