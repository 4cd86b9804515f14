"""Finds the people of a level and asks them: four eyes, nobody about their own quote, nobody twice."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from core.api import CancelTimer, Context, Effect, Person, Resolution, StartTimer

from .models import Asked, Request
from .settings import Config
from .telling import ask

LADDER, CYCLE = "ladder", "cycle"
"""The timers: the next rung for the level that is asked, and the end of the three-day cycle."""

SHORTEST_WAIT = timedelta(hours=1)
"""Working time that people have to answer at the least before somebody else is asked, however little is left."""


@dataclass(slots=True)
class Asking:
    """What asking came to: effects, how everybody was found, and why it cannot go on when too few can be asked."""

    effects: list[Effect] = field(default_factory=list)
    resolutions: list[dict[str, Any]] = field(default_factory=list)
    stuck: str | None = None


def ask_level(ctx: Context[Config], request: Request, decided: Collection[str] = ()) -> Asking:
    """Ask everybody of the request's level. `decided` are those who agreed at earlier levels: they are not asked again.

    The request's `stuck` and `asked_at` are set, and its rows of people written; the request itself is the caller's.
    """
    asking = Asking()
    level = request.route[request.level - 1]
    seats = {slot: ctx.config.role(who, request.facts["tier"]) for slot, who in enumerate(level["who"])}
    taken = set(decided)
    for slot, who in seats.items():
        _ask_slot(ctx, request, asking, slot, (who, ctx.config.fallback), taken, via="level", kind="asked")
    found = len(asking.effects)
    if found < level["need"]:
        missing = [item["reason"] for item in asking.resolutions if item["person"] is None]
        asking.stuck = "; ".join(dict.fromkeys(str(reason) for reason in missing))
    request.stuck, request.asked_at = asking.stuck, ctx.now
    asking.effects += start_ladder(ctx, request, 0)
    return asking


def owns(person: Person, owner: str | None) -> bool:
    """Whether a person is whom the CRM names as a quote's owner, be it by slug, CRM id or e-mail address."""
    return owner is not None and (
        owner in (person.slug, *person.crm_ids) or owner.casefold() == (person.email or "").casefold()
    )


def _ask_slot(
    ctx: Context[Config], request: Request, asking: Asking, slot: int, whom: Iterable[str], taken: set[str],
    *, via: str, kind: str,
) -> None:  # fmt: skip
    """Ask the first of `whom` that leads to a person; who was asked is added to `taken`."""
    owner = {request.owner} if request.owner else set()
    for number, who in enumerate(whom):
        found: Resolution = ctx.people.resolve(who, exclude=owner | taken)
        if found.person is not None and owns(found.person, request.owner):  # known here by an e-mail address alone
            owner.add(found.person.slug)
            found = ctx.people.resolve(who, exclude=owner | taken)
        asking.resolutions.append({"level": request.level, "slot": slot, **found.as_json()})
        if found.person is None:
            continue
        person = found.person
        taken.add(person.slug)
        ctx.session.upsert(
            Asked,
            request_id=request.id,
            level=request.level,
            slot=slot,
            person=person.slug,
            name=person.name,
            via="fallback" if number and who == ctx.config.fallback else via,
            asked=found.asked,
            path=found.steps(),
            asked_at=ctx.now,
            state="open",
            decided_at=None,
            comment=None,
            how=None,
        )
        asking.effects.append(ask(request, person.slug, ctx, kind))
        return


def climb(ctx: Context[Config], request: Request, to: str) -> Asking:
    """Take one rung: remind those asked, or ask somebody above them, for every place that is not decided yet."""
    asking = Asking()
    rows = asked_in(ctx, request)
    taken = {row.person for row in rows} | agreed_before(ctx, request)
    level = request.route[request.level - 1]
    for slot, who in enumerate(level["who"]):
        here = [row for row in rows if row.slot == slot]
        if any(row.state == "approved" for row in here):
            continue
        waiting = [row.person for row in here if row.state == "open"]
        if to == "approver" and waiting:
            asking.effects += [ask(request, person, ctx, "reminded") for person in waiting]
        elif not waiting:
            role = ctx.config.role(who, request.facts["tier"])
            _ask_slot(ctx, request, asking, slot, (role, ctx.config.fallback), taken, via="level", kind="asked")
        elif to == "manager":
            whom = [f"manager_of:{person}" for person in waiting] + [ctx.config.fallback]
            _ask_slot(ctx, request, asking, slot, whom, taken, via="manager", kind="escalated")
        else:
            _ask_slot(ctx, request, asking, slot, (ctx.config.fallback,), taken, via="fallback", kind="escalated")
    found = {item["slot"] for item in asking.resolutions if item["person"]} | {row.slot for row in rows}
    # Every decision changes `updated_at`, also one that leaves the version: what was decided meanwhile counts.
    stuck = request.stuck if len(found) < level["need"] else None
    seen = {"version": request.version, "updated_at": request.updated_at}
    ctx.session.update(Request, request.id, {"stuck": stuck}, expected=seen)
    return asking


def asked_in(ctx: Context[Config], request: Request) -> Sequence[Asked]:
    """Return who was asked in the request's level."""
    wanted = sa.select(Asked).where(Asked.request_id == request.id, Asked.level == request.level)
    return list(ctx.session.scalars(wanted.order_by(Asked.slot, Asked.asked_at, Asked.person)))


def agreed_before(ctx: Context[Config], request: Request) -> set[str]:
    """Return who agreed at an earlier level."""
    wanted = sa.select(Asked.person).where(
        Asked.request_id == request.id, Asked.level < request.level, Asked.state == "approved"
    )
    return set(ctx.session.scalars(wanted))


def start_ladder(ctx: Context[Config], request: Request, rung: int) -> list[Effect]:
    """Start the timer of a rung; counted from when the level was asked, so that rungs do not add up.

    A rung that would come too late for the cycle is brought forward.
    """
    if rung >= len(ctx.config.ladder) or request.asked_at is None:
        return [CancelTimer(timer=LADDER)]
    planned = ctx.config.ladder[rung].after.due(request.asked_at, ctx.calendar)
    latest = _latest(ctx, request, request.asked_at, rung)
    due_at = planned if latest is None else min(planned, latest)
    data = {"request": request.id, "version": request.version, "rung": rung, "early": due_at < planned}
    return [StartTimer(timer=LADDER, due_at=due_at, data=data)]


def _latest(ctx: Context[Config], request: Request, asked_at: datetime, rung: int) -> datetime | None:
    """Return when a rung comes at the latest: the rungs share the working time that is left of the cycle.

    Between two of them there is an hour of work all the same, or nobody could answer: with a holiday before the end of
    the cycle the last ones come after it. None when the cycle is over.
    """
    if request.deadline_at is None or request.deadline_at <= asked_at:
        return None
    share = ctx.calendar.between(asked_at, request.deadline_at) / (len(ctx.config.ladder) + 1)
    return ctx.calendar.add(asked_at, max(share, SHORTEST_WAIT) * (rung + 1))


def stop_timers() -> list[Effect]:
    """Stop both timers: the request is over."""
    return [CancelTimer(timer=LADDER), CancelTimer(timer=CYCLE)]
