"""Tells people of moments that have come: who is told, by which message, and how it stands in the decision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from core.api import Context, Event, Notify, Resolution, Still

from .models import ClockRow
from .reckoning import Moment
from .rules import Standing
from .settings import Config, Rule

OWNER = "owner"
MANAGER_OF = "manager_of:"


@dataclass(frozen=True, slots=True)
class Told:
    """One moment that was told: when it came, when it was told and to whom; `withdrawn` when it turned out wrong."""

    key: str
    kind: str
    name: str
    due: str
    at: str
    to: tuple[str, ...]
    path: tuple[str, ...]
    path_zh: tuple[str, ...] = ()
    late: bool = False
    withdrawn: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as the clock's row keeps it."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**values, "to": list(self.to), "path": list(self.path), "path_zh": list(self.path_zh)}


def told_of(stored: Mapping[str, Any]) -> Told:
    """Return a stored entry."""
    zh = tuple(stored.get("path_zh", ()))  # not stored by old code
    return Told(**{**stored, "to": tuple(stored["to"]), "path": tuple(stored["path"]), "path_zh": zh})


def told_rows(row: ClockRow | None) -> list[Told]:
    """Return what a row says that people were told."""
    return [told_of(item) for item in row.told] if row is not None else []


def has_breach(told: Sequence[Told]) -> bool:
    """Whether people were told of a breach that still stands."""
    return any(item.kind == "breach" and item.withdrawn is None for item in told)


def withdraw(told: Sequence[Told], standing: Standing, now: datetime) -> tuple[list[Told], list[Told]]:
    """Mark the breach that was told as withdrawn when what is known now says that there was none.

    A clock of this machine that was set back is no reason: then the due moment is still the one that was told.
    """
    breach = next((item for item in told if item.kind == "breach" and item.withdrawn is None), None)
    due = standing.due.isoformat() if standing.due else None
    is_wrong = breach is not None and (
        standing.state == "met" or (standing.state in ("running", "paused") and due != breach.due)
    )
    if not is_wrong:
        return list(told), []
    wrong = [item for item in told if item.kind != "warn" and item.withdrawn is None]
    kept = [replace(item, withdrawn=now.isoformat()) if item in wrong else item for item in told]
    return kept, wrong


def key_of(policy: str, moment: Moment) -> str:
    """Name a moment among all of a clock: another policy's warning is another moment."""
    return f"{policy}:{moment.kind}:{moment.name}"


def to_tell(moments: Iterable[Moment], policy: str, told: Sequence[Told], now: datetime) -> list[Moment]:
    """Return the moments that have come and were not told, in their order."""
    known = {entry.key for entry in told if entry.withdrawn is None}
    return [moment for moment in moments if moment.at <= now and key_of(policy, moment) not in known]


def next_moment(moments: Iterable[Moment], policy: str, told: Sequence[Told], now: datetime) -> datetime | None:
    """Return when there is something to tell next, or None."""
    known = {entry.key for entry in told if entry.withdrawn is None}
    return min((item.at for item in moments if item.at > now and key_of(policy, item) not in known), default=None)


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom a message is for: the names as asked, each with the person it resolved to."""

    asked: tuple[str, ...]
    found: tuple[Resolution, ...]
    nobody: tuple[str, ...] = ()  # names that lead to nobody, and why

    def names(self) -> tuple[str, ...]:
        """Return the persons by slug."""
        return tuple(item.person.slug for item in self.found if item.person is not None)

    def paths(self) -> tuple[str, ...]:
        """Return how each was found."""
        return tuple(" → ".join((item.asked, *item.path)) for item in self.found)

    def paths_zh(self) -> tuple[str, ...]:
        """Return the same in Chinese."""
        return tuple(" → ".join((item.asked, *item.path_zh)) for item in self.found)


def audience(wanted: Iterable[str], event: Event[Any], ctx: Context[Config]) -> Audience:
    """Find whom to tell; each person once, in the order of the names.

    A name that leads to nobody is left out with its reason; when all of them do, `unowned` is told.
    """
    found: dict[str, tuple[str, Resolution]] = {}
    nobody: list[str] = []
    names = [_real_name(word, event, ctx) for word in wanted]
    for number, who in enumerate([*names, ctx.config.unowned] if names else []):
        if number == len(names) and found:
            break
        resolution = ctx.people.resolve(who)
        if resolution.person is not None:
            found.setdefault(resolution.person.slug, (who, resolution))
        else:
            nobody.append(f"{who}: {resolution.reason}")
    return Audience(tuple(who for who, _ in found.values()), tuple(item for _, item in found.values()), tuple(nobody))


def owner_of(event: Event[Any], ctx: Context[Config]) -> str | None:
    """Return who owns the record, or else its customer."""
    owner = getattr(event.record, "owner", None)
    if owner:
        return str(owner)
    ident = getattr(event.record, "customer_id", None)
    customer = ctx.records.get("customer", ident) if ident else None
    return str(customer.owner) if customer is not None and customer.owner else None


def _real_name(word: str, event: Event[Any], ctx: Context[Config]) -> str:
    """Put the owner in where a setting says `owner`; a record without one goes to `unowned`."""
    if word.removeprefix(MANAGER_OF) != OWNER:
        return word
    owner = owner_of(event, ctx)
    if owner is None or ctx.people.person(owner) is None:
        return ctx.config.unowned
    return word.replace(OWNER, owner)


def notices(
    template: str, people: Audience, rule: Rule, row: Mapping[str, Any], more: Mapping[str, Any]
) -> list[Notify]:
    """Return one message for each person, dropped at send time when the clock no longer stands as it did."""
    clock, policy = rule.clock, rule.policy
    data = {
        "clock_zh": clock.title.zh,
        "clock_en": clock.title.en,
        "target_zh": policy.target.text("zh") if policy.target else "",
        "target_en": policy.target.text("en") if policy.target else "",
        "started_at": row["started_at"],
        "due_at": row["due_at"],
        **more,
    }
    still = Still.row(ClockRow, row["id"], state=row["state"])
    return [
        Notify(to=who, template=template, data=data, still=still, key=f"{row['clock']}.{row['round']}.{template}.{who}")
        for who in people.asked
    ]
