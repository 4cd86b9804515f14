"""What follows from a person's decision, in the order of the quote's events: the CRM, the owner, the next level."""

from __future__ import annotations

from typing import Any

from core.api import CancelTimer, Context, Effect, Event, Link, Notify

from .asking import LADDER, agreed_before, ask_level, asked_in, stop_timers
from .changes import ask_again
from .models import Request
from .settings import Config
from .states import Status
from .telling import decision, owner_of, tell_owner, tell_stuck, told, update

DECIDED = "quote_approval.decided"


def follow(event: Event[Any], ctx: Context[Config]) -> list[Effect]:
    """Carry out what a person decided, unless the quote has moved on since: then nothing of it holds."""
    if event.type != DECIDED:
        return []
    data = event.data
    request = ctx.session.get(Request, data["request"])
    if request is None or (request.status, request.version) != (data["status"], data["version"]):
        ctx.log.info("a decision was overtaken", request=data["request"], decision=data["decision"])
        return []
    if request.status in (Status.APPROVED, Status.REJECTED):
        return settled(request, ctx)
    if request.status == Status.ASKED:
        return [update(request), _question(request, ctx, data), CancelTimer(timer=LADDER)]
    if data["decision"] == "answer":
        ctx.session.update(Request, request.id, {"asked_at": ctx.now}, expected={"version": request.version})
        request.asked_at = ctx.now
        return [update(request), *ask_again(request, ctx)]
    return next_level(request, ctx) if data["advanced"] else []


def settled(request: Request, ctx: Context[Config]) -> list[Effect]:
    """Tell the CRM and the owner what people decided, and stop the timers."""
    told_by = {"outcome": request.status, "by": request.decided_by, "comment": request.comment or ""}
    return [update(request), tell_owner(request, ctx, "decided", **told_by), *stop_timers()]


def next_level(request: Request, ctx: Context[Config]) -> list[Effect]:
    """Ask the people of the level that the request has come to."""
    if asked_in(ctx, request):
        return []  # a replay: they were asked, and some may have agreed since
    asking = ask_level(ctx, request, agreed_before(ctx, request))
    values = {"stuck": request.stuck, "asked_at": request.asked_at, "updated_at": ctx.now}
    ctx.session.update(Request, request.id, values, expected={"version": request.version})
    named = ", ".join(item["name"] for item in asking.resolutions if item["person"])
    return [
        decision(
            request, "stuck" if asking.stuck else "requested",
            f"nobody can be asked at level {request.level}: {asking.stuck}" if asking.stuck
            else f"{named} asked at level {request.level}",
            inputs={"resolutions": asking.resolutions},
        ),
        *asking.effects,
        *tell_stuck(request, ctx),
    ]  # fmt: skip


def _question(request: Request, ctx: Context[Config], data: Any) -> Notify:
    return Notify(
        to=owner_of(request, ctx),
        template="question",
        data={**told(request, ctx.people), "question": data["comment"], "by": data["name"]},
        link=Link(page="answer", subject={"request": request.id, "version": request.version}),
        key=f"question:{request.version}",
    )
