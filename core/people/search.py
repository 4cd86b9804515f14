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
    """Asks people on one day, nobody twice. `path` notes every step in English, `path_zh` in Chinese."""

    def __init__(self, directory: Directory, day: date, unit: str, exclude: Collection[str] = ()) -> None:
        """`exclude` holds slugs."""
        self.path: list[str] = []
        self.path_zh: list[str] = []
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
                self._note(
                    f"instead: the role {self._directory.where(role, self._unit)}", f"改问角色{self._role_zh(role)}"
                )
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
                circle = " → ".join((*chain, asked))
                self._note(f"the deputies go round in a circle: {circle}", f"代理人循环：{circle}")
                continue
            if asked in self._seen:
                self._note(f"{entry.person} was passed over before", f"{entry.person} 此前已跳过")
                continue
            self._seen.add(asked)
            if asked in self._exclude:
                self._note(
                    f"{entry.person} may not decide this, nor may anybody in that name",
                    f"{entry.person} 不得对此作决定，其代理人也不得",
                )
                continue
            if entry.is_available(self._day):
                self._note(f"{entry.person} is there", f"{entry.person} 在岗")
                return entry.person
            deputies = entry.deputies(self._day)
            self._note(*self._obstacle(entry, deputies))
            pending.extend((deputy, (*chain, asked)) for deputy in reversed(deputies))
        return None

    def _holder(self, role: str, passed: list[str]) -> Person | None:
        """Return the first holder, or stand-in of one, who is there; `passed` gets those who were not."""
        where, where_zh = self._directory.where(role, self._unit), self._role_zh(role)
        holders = self._directory.granted(role, self._unit, self._day)
        if not holders:
            self._note(f"nobody holds {where} on {self._day}", f"{self._day} 无人担任{where_zh}")
        for entry in holders:
            self._note(f"{entry.person} holds {where}", f"{entry.person} 担任{where_zh}")
            if entry.employed.holds(self._day):
                found = self.ask(entry.person.slug)
                if found is not None:
                    return found
            else:
                en, zh = self._obstacle(entry, ())
                self._note(f"{en}: passed over", f"{zh}，跳过")
            passed.append(entry.person.slug)
        return None

    def _managers(self, below: Iterable[str]) -> Person | None:
        """Return the first manager who is there, upwards from each of these people."""
        for start in below:
            climbed = {start}
            slug, entry = self._above(start)
            while slug is not None and entry is not None:
                if slug in climbed:
                    self._note(f"the managers go round in a circle at {entry.person}", f"上级循环，止于 {entry.person}")
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
            self._note(f"{below} has no manager", f"{below} 没有上级")
            return None, None
        entry = self._directory.entries[below.manager]
        self._note(f"the manager of {below} is {entry.person}", f"{below} 的上级是 {entry.person}")
        return below.manager, entry

    def _note(self, en: str, zh: str) -> None:
        self.path.append(en)
        self.path_zh.append(zh)

    def _role_zh(self, role: str) -> str:
        titled = self._directory.titled(role, self._unit)
        return f" {titled} " if titled.isascii() else titled

    def _obstacle(self, entry: Entry, deputies: Collection[str]) -> tuple[str, str]:
        """Say in English and in Chinese why somebody is not there, and who stands in."""
        absence = entry.absence(self._day)
        if entry.employed.first is not None and self._day < entry.employed.first:
            en, zh = f"joins on {entry.employed.first}", f"{entry.employed.first} 入职"
        elif not entry.employed.holds(self._day):
            en, zh = f"left after {entry.employed.last}", f"{entry.employed.last} 后已离职"
        else:
            assert absence is not None
            last = absence.period.last
            en = f"is absent until {last}" if last else "is absent until further notice"
            zh = f"不在岗，至 {last}" if last else "不在岗，归期未定"
            en += f" ({absence.reason})" if absence.reason else ""
            zh += f"（{absence.reason}）" if absence.reason else ""
        people = [str(self._directory.entries[slug].person) for slug in deputies]
        en += f"; deputy: {' and then '.join(people)}" if people else ""
        zh += f"；代理人：{'，其次 '.join(people)}" if people else ""
        return f"{entry.person} {en}", f"{entry.person} {zh}"
