"""Tells people of moments that have come: who is told, by which message, and how it stands in the decision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from core.api import Context, Event, Notify, Resolution, Still

from .models import ClockRow
from .reckoning import Moment
from .rules import Standing
from .settings import Config, Rule

OWNER = "owner"
MANAGER_OF = "manager_of:"
NO_OWNER = ("记录没有负责人", "the record has no owner")
UNKNOWN_OWNER = ("记录的负责人不在通讯录", "the record's owner is not in the directory")
NOBODY_LEFT = ("应通知的人都找不到", "of those to be told nobody is left")


Why = Literal["", "joined", "passed", "history", "unnamed", "nobody"]
"""Why a moment has no message of its own: it is told in the next one's, had lost its meaning by then, lay too far back,
has nobody named for it in the policy, or leads to nobody."""


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
    why: Why = ""
    people: tuple[str, ...] = ()  # those of `to` with their names
    event: str = ""  # by which it was told, in this unit
    unit: str = ""
    messages: tuple[str, ...] = ()  # the effects that told it, by their keys, in the order of `to`

    def as_json(self) -> dict[str, Any]:
        """Return it as the clock's row keeps it."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def told_of(stored: Mapping[str, Any]) -> Told:
    """Return a stored entry."""
    values: dict[str, Any] = {name: tuple(item) if isinstance(item, list) else item for name, item in stored.items()}
    return Told(**values)


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
    return [moment for moment in to_come(moments, policy, told) if moment.at <= now]


def to_come(moments: Iterable[Moment], policy: str, told: Sequence[Told]) -> list[Moment]:
    """Return the moments that were not told, in their order; one that has come is told within moments."""
    known = {entry.key for entry in told if entry.withdrawn is None}
    return [moment for moment in moments if key_of(policy, moment) not in known]


def next_moment(moments: Iterable[Moment], policy: str, told: Sequence[Told], now: datetime) -> datetime | None:
    """Return when there is something to tell next, or None."""
    return min((item.at for item in to_come(moments, policy, told) if item.at > now), default=None)


@dataclass(frozen=True, slots=True)
class Call:
    """One name that is asked, what it led to, and why it stands where the policy names another (or None)."""

    who: str
    found: Resolution
    instead: tuple[str, str] | None = None  # in Chinese and in English

    def path(self) -> str:
        """Return in English how the person was found, or why nobody was."""
        last = (self.found.reason,) if self.found.reason else ()
        return " → ".join((*(self.instead or ())[1:], self.found.asked, *self.found.path, *last))

    def path_zh(self) -> str:
        """Return the same in Chinese."""
        last = (self.found.reason_zh,) if self.found.reason_zh else ()
        asked = self.found.asked_zh
        said_by_the_way = any(step.startswith(asked) for step in self.found.path_zh[:1])
        return " → ".join(
            (*(self.instead or ())[:1], *(() if said_by_the_way else (asked,)), *self.found.path_zh, *last)
        )


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom a message is for: the names as asked, each with the person it resolved to, and those that lead to nobody."""

    calls: tuple[Call, ...]
    nobody: tuple[Call, ...] = ()

    @property
    def asked(self) -> tuple[str, ...]:
        """Return the names as asked."""
        return tuple(call.who for call in self.calls)

    @property
    def found(self) -> tuple[Resolution, ...]:
        """Return what they resolved to."""
        return tuple(call.found for call in self.calls)

    def names(self) -> tuple[str, ...]:
        """Return the persons by slug."""
        return tuple(item.person.slug for item in self.found if item.person is not None)

    def people(self) -> tuple[str, ...]:
        """Return the persons with their names."""
        return tuple(str(item.person) for item in self.found)

    def ways(self) -> tuple[Call, ...]:
        """Return how each was found, or, where there is nobody, why."""
        return self.calls or self.nobody

    def near_misses(self) -> tuple[str, ...]:
        """Return in both languages why names led to nobody, as a decision keeps it."""
        return tuple(f"{call.path_zh()} / {call.path()}" for call in self.nobody)


def audience(wanted: Iterable[str], event: Event[Any], ctx: Context[Config]) -> Audience:
    """Find whom to tell; each person once, in the order of the names.

    A name that leads to nobody is left out with its reason; when all of them do, `unowned` is told.
    """
    found: dict[str, Call] = {}
    nobody: dict[str, Call] = {}
    names = [_real_name(word, event, ctx) for word in wanted]
    for number, (who, instead) in enumerate([*names, (ctx.config.unowned, NOBODY_LEFT)] if names else []):
        if number == len(names) and found:
            break
        call = Call(who, ctx.people.resolve(who), instead)
        if call.found.person is not None:
            found.setdefault(call.found.person.slug, call)
        else:
            nobody.setdefault(who, call)
    return Audience(tuple(found.values()), tuple(nobody.values()))


def owner_of(event: Event[Any], ctx: Context[Config]) -> str | None:
    """Return who owns the record, or else its customer."""
    owner = getattr(event.record, "owner", None)
    if owner:
        return str(owner)
    ident = getattr(event.record, "customer_id", None)
    customer = ctx.records.get("customer", ident) if ident else None
    return str(customer.owner) if customer is not None and customer.owner else None


def _real_name(word: str, event: Event[Any], ctx: Context[Config]) -> tuple[str, tuple[str, str] | None]:
    """Put the owner in where a setting says `owner`; a record without one goes to `unowned`, and it is said why."""
    if word.removeprefix(MANAGER_OF) != OWNER:
        return word, None
    owner = owner_of(event, ctx)
    if owner is None:
        return ctx.config.unowned, NO_OWNER
    if ctx.people.person(owner) is None:
        return ctx.config.unowned, UNKNOWN_OWNER
    return word.replace(OWNER, owner), None


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
        Notify(
            to=call.who, template=template, still=still, key=message_key(row, template, call.who),
            data={**data, "way_zh": call.path_zh(), "way_en": call.path()},
        )
        for call in people.calls
    ]  # fmt: skip


def message_key(row: Mapping[str, Any], template: str, who: str) -> str:
    """Name a message among the effects of an event."""
    return f"{row['clock']}.{row['round']}.{template}.{who}"
