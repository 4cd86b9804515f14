"""One search for the person who is asked; it visits nobody and no role twice, so it always ends."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date
from typing import TYPE_CHECKING

from core.model.people import Person
from core.people.entries import Entry

if TYPE_CHECKING:
    from core.people.directory import Directory


class Search:
    """Asks people on one day and notes every step in `path`; whoever was passed over is not asked again."""

    def __init__(self, directory: Directory, day: date, unit: str, exclude: Collection[str] = ()) -> None:
        """`exclude` holds slugs."""
        self.path: list[str] = []
        self._directory = directory
        self._day = day
        self._unit = unit
        self._exclude = exclude
        self._seen: set[str] = set()

    def role(self, slug: str) -> Person | None:
        """Return who is asked for a role: a holder or stand-in, one of its fallback roles, or a manager of those."""
        passed: list[str] = []
        tried: set[str] = set()
        role: str | None = slug
        while role is not None and role not in tried:
            tried.add(role)
            found = self._holder(role, passed)
            if found is not None:
                return found
            role = self._directory.roles[role].fallback
            if role is not None:
                self.path.append(f"instead: the role {self._directory.where(role, self._unit)}")
        return self._managers(passed)

    def someone(self, slug: str) -> Person | None:
        """Return who is asked for a person: the person, a stand-in, or a manager."""
        return self.ask(slug) or self._managers([slug])

    def manager_of(self, slug: str) -> Person | None:
        """Return who is asked as a person's manager; never the person, not even as the manager's deputy."""
        self._seen.add(slug)
        return self._managers([slug])

    def ask(self, slug: str) -> Person | None:
        """Return the person when available, else the first of the deputies, and of their deputies, who is."""
        pending: list[tuple[str, tuple[str, ...]]] = [(slug, ())]
        while pending:
            asked, chain = pending.pop()
            entry = self._directory.entries[asked]
            if asked in chain:
                self.path.append(f"the deputies go round in a circle: {' → '.join((*chain, asked))}")
                continue
            if asked in self._seen:
                self.path.append(f"{entry.person} was passed over before")
                continue
            self._seen.add(asked)
            if asked in self._exclude:
                self.path.append(f"{entry.person} may not decide this, nor may anybody in that name")
                continue
            if entry.is_available(self._day):
                self.path.append(f"{entry.person} is there")
                return entry.person
            deputies = entry.deputies(self._day)
            self.path.append(self._obstacle(entry, deputies))
            pending.extend((deputy, (*chain, asked)) for deputy in reversed(deputies))
        return None

    def _holder(self, role: str, passed: list[str]) -> Person | None:
        """Return the first holder, or stand-in of one, who is there; `passed` gets those who were not."""
        where = self._directory.where(role, self._unit)
        holders = self._directory.granted(role, self._unit, self._day)
        if not holders:
            self.path.append(f"nobody holds {where} on {self._day}")
        for entry in holders:
            self.path.append(f"{entry.person} holds {where}")
            if entry.employed.holds(self._day):
                found = self.ask(entry.person.slug)
                if found is not None:
                    return found
            else:
                self.path.append(f"{self._obstacle(entry, ())}: passed over")
            passed.append(entry.person.slug)
        return None

    def _managers(self, below: Iterable[str]) -> Person | None:
        """Return the first manager who is there, upwards from each of these people."""
        for start in below:
            climbed = {start}
            slug, entry = self._above(start)
            while slug is not None and entry is not None:
                if slug in climbed:
                    self.path.append(f"the managers go round in a circle at {entry.person}")
                    break
                climbed.add(slug)
                found = self.ask(slug)
                if found is not None:
                    return found
                slug, entry = self._above(slug)
        return None

    def _above(self, slug: str) -> tuple[str | None, Entry | None]:
        below = self._directory.entries[slug].person
        if below.manager is None:
            self.path.append(f"{below} has no manager")
            return None, None
        entry = self._directory.entries[below.manager]
        self.path.append(f"the manager of {below} is {entry.person}")
        return below.manager, entry

    def _obstacle(self, entry: Entry, deputies: Collection[str]) -> str:
        """Say why somebody is not there, and who stands in."""
        absence = entry.absence(self._day)
        if entry.employed.first is not None and self._day < entry.employed.first:
            why = f"joins on {entry.employed.first}"
        elif not entry.employed.holds(self._day):
            why = f"left after {entry.employed.last}"
        else:
            assert absence is not None
            why = f"is absent until {absence.period.last}" if absence.period.last else "is absent until further notice"
            why += f" ({absence.reason})" if absence.reason else ""
        names = " and then ".join(str(self._directory.entries[slug].person) for slug in deputies)
        return f"{entry.person} {why}" + (f"; deputy: {names}" if names else "")
