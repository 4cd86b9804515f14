"""Keeps the three-day cycle: reminders, escalation rung by rung, and a decision on record when it is missed."""

from __future__ import annotations

from datetime import timedelta

from core.api import Context, Effect, Event, Notify, TimerDue

from .asking import CYCLE, LADDER, climb, start_ladder
from .following import next_level, settled
from .models import Request
from .settings import Config
from .states import OPEN, Status
from .telling import decision, tell_owner, told

ON_ITS_WAY = timedelta(minutes=5)
"""So long after a person's decision what follows from it may still be about to."""


def due(event: Event[TimerDue], ctx: Context[Config]) -> list[Effect]:
    """Do what a timer was set for, if it still stands: the request may be decided, void or at another level."""
    timer = event.data
    request = ctx.session.get(Request, str(timer.data.get("request", "")))
    if request is None or request.unit != ctx.unit.slug:
        return []
    if request.status in (Status.APPROVED, Status.REJECTED):
        # Had it been carried out, the timers were stopped: the plugin was off then. One just made is on its way.
        return settled(request, ctx) if ctx.now - request.updated_at > ON_ITS_WAY else []
    if timer.timer == LADDER and request.status == Status.PENDING:
        if request.version == timer.data.get("version"):
            return _rung(event, ctx, request, int(timer.data["rung"]))
        return next_level(request, ctx)  # asks nobody where it was carried out
    if timer.timer == CYCLE and request.status in OPEN and not request.overdue:
        return _missed(event, ctx, request)
    return []


def _rung(event: Event[TimerDue], ctx: Context[Config], request: Request, number: int) -> list[Effect]:
    if number >= len(ctx.config.ladder):
        return []  # the ladder became shorter meanwhile
    rung = ctx.config.ladder[number]
    asking = climb(ctx, request, rung.to)
    named = ", ".join(item["name"] for item in asking.resolutions if item["person"])
    after = "less time than usual" if event.data.data.get("early") else str(rung.after)
    told_of = (
        f"those asked reminded after {after}"
        if rung.to == "approver"
        else f"{named or 'nobody'} asked as well after {after}"
    )
    made = decision(
        request, "reminded" if rung.to == "approver" else "escalated", told_of,
        rule=f"ladder_{number + 1}", reasons=[*_early(event), *_late(event)],
        inputs={"to": rung.to, "after": str(rung.after), "resolutions": asking.resolutions},
    )  # fmt: skip
    return [made, *asking.effects, *start_ladder(ctx, request, number + 1)]


def _missed(event: Event[TimerDue], ctx: Context[Config], request: Request) -> list[Effect]:
    # No version changes: what is asked is the same, and the links people hold go on working.
    ctx.session.update(Request, request.id, {"overdue": True}, expected={"version": request.version})
    made = decision(
        request, "deadline_missed", f"not decided within {ctx.config.cycle}",
        rule="cycle", reasons=_late(event), inputs={"cycle": str(ctx.config.cycle), "deadline": request.deadline_at},
    )  # fmt: skip
    cycle = {"cycle_zh": ctx.config.cycle.text("zh"), "cycle_en": ctx.config.cycle.text("en")}
    above = Notify(
        to=ctx.config.fallback, template="overdue", data={**told(request, ctx.people), **cycle}, key="overdue:fallback"
    )
    return [made, above, tell_owner(request, ctx, "overdue", **cycle)]


def _early(event: Event[TimerDue]) -> list[str]:
    return ["Brought forward, so that it comes within the cycle."] if event.data.data.get("early") else []


def _late(event: Event[TimerDue]) -> list[str]:
    return [f"The timer was due at {event.data.due_at.isoformat()} and fired late."] if event.late else []
