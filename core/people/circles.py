"""Finds what would send a search round: circles of deputies, managers and fallbacks, and absences nobody covers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from core.people.directory import Directory
from core.people.entries import Absence, Entry, Period
from core.people.search import Search

Circle = tuple[str, ...]
"""Those who stand in a circle, each followed by the next, beginning with the first by name."""


_TOLD = 10  # steps of a long chain that a fault tells


@dataclass(frozen=True, slots=True)
class DatedCircle:
    """Absent people who stand in for one another on some days; `at` is the absence that closes the circle."""

    members: Circle
    period: Period
    at: tuple[str, int]


def circles(next_of: Mapping[str, str | None]) -> list[Circle]:
    """Return every circle of a map in which each has at most one next, such as employee → manager."""
    found: dict[Circle, None] = {}
    settled: set[str] = set()
    for start in next_of:
        trail: dict[str, None] = {}
        at: str | None = start
        while at is not None and at not in settled and at not in trail:
            trail[at] = None
            at = next_of.get(at)
        if at is not None and at in trail:
            names = list(trail)
            found[_turned(names[names.index(at) :])] = None
        settled |= trail.keys()
    return list(found)


def dated_circles(entries: Mapping[str, Entry]) -> list[DatedCircle]:
    """Return the circles of people who are all absent on a day, each with the next as the deputy of that absence.

    A circle begins on the day on which the last of its absences does, so looking at those days finds every one.
    """
    found: dict[tuple[Circle, Period], DatedCircle] = {}
    for slug, entry in entries.items():
        for index, absence in enumerate(entry.absences):
            closed = _close(entries, entry, absence)
            if closed is not None:
                members, period = closed
                found.setdefault((members, period), DatedCircle(members, period, (slug, index)))
    return list(found.values())


def _close(entries: Mapping[str, Entry], start: Entry, absence: Absence) -> tuple[Circle, Period] | None:
    """Follow the deputies from an absence on its first day; return the circle that leads back to it, and its days."""
    day = absence.period.first
    chain, period = {start.person.slug: None}, absence.period
    deputy = absence.deputy or start.deputy
    while deputy is not None and day is not None:
        if deputy == start.person.slug:
            return _turned(list(chain)), period
        of_deputy = entries[deputy].absence(day)
        common = period.meet(of_deputy.period) if of_deputy else None
        if of_deputy is None or common is None or deputy in chain:
            return None
        chain[deputy] = None
        period = common
        deputy = of_deputy.deputy or entries[deputy].deputy
    return None


def uncovered(directory: Directory) -> Iterator[tuple[str, int, str]]:
    """Yield (slug, number, why) of absences that name a deputy and on no day of which anybody stands in."""
    alone: dict[date, set[str]] = {}
    for slug, entry in directory.entries.items():
        for index, absence in enumerate(entry.absences):
            days = absence.period.meet(entry.employed)
            if days is None or days.first is None or not (absence.deputy or entry.deputy):
                continue
            if _is_covered(directory, slug, days.first, alone.setdefault(days.first, set())):
                continue  # nearly always, and cheap; the other days matter only otherwise
            changes = _changes(directory, slug, days)
            if not any(_is_covered(directory, slug, day, alone.setdefault(day, set())) for day in changes):
                search = Search(directory, days.first, "")
                search.ask(slug)
                yield slug, index, "; ".join(search.path[:_TOLD])


def _is_covered(directory: Directory, slug: str, day: date, alone: set[str]) -> bool:
    """Whether somebody stands in on a day; `alone` keeps those for whom nobody does, and is added to."""
    pending, seen = [slug], {slug}
    while pending:
        entry = directory.entries[pending.pop()]
        if entry.is_available(day):
            return True
        named = [deputy for deputy in entry.deputies(day) if deputy not in seen and deputy not in alone]
        seen.update(named)
        pending += named
    alone |= seen
    return False


def _changes(directory: Directory, slug: str, days: Period) -> list[date]:
    """Return the days on which the answer may change for who stands in."""
    assert days.first is not None
    reached, pending = {slug}, [slug]
    found = {days.first}
    while pending:
        entry = directory.entries[pending.pop()]
        for period in (entry.employed, *(absence.period for absence in entry.absences)):
            if period.first is not None:
                found.add(period.first)
            if period.last is not None and period.last < date.max:
                found.add(period.last + timedelta(days=1))
        for deputy in (entry.deputy, *(absence.deputy for absence in entry.absences)):
            if deputy is not None and deputy not in reached:
                reached.add(deputy)
                pending.append(deputy)
    return sorted(day for day in found if days.holds(day))


def _turned(names: list[str]) -> Circle:
    """Return the circle beginning with its first by name, so that it is told once."""
    at = names.index(min(names))
    return (*names[at:], *names[:at])
