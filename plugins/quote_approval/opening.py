"""Takes in a quote: makes the request for its present content, and asks, approves or returns."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from core.api import Context, Customer, Effect, EmitEvent, Event, Quote, StartTimer

from .asking import CYCLE, ask_level, stop_timers
from .content import content_of, hash_of
from .models import QuoteState, Request
from .rules import Routing, route
from .settings import Config
from .states import Status, Step, next_status
from .telling import decision, tell_owner, tell_stuck, update

BY_RULE = "rule"
"""Who decided, where no person did."""


def request_id(source: str, record_id: str, number: int) -> str:
    """Name a quote's request by what it is for and its number."""
    text = "\x1f".join((source, record_id, str(number)))
    return "apr_" + hashlib.sha256(text.encode()).hexdigest()[:24]


def hand_in(event: Event[Any], quote: Quote, ctx: Context[Config], state: QuoteState | None) -> list[Effect]:
    """Make the quote's next request. What was before it is the caller's to end."""
    customer = ctx.records.get("customer", quote.customer_id) if quote.customer_id else None
    routing = route(quote, customer, ctx.unit.slug, ctx.config, ctx.calendar.local(event.occurred_at))
    number = (state.round if state else 0) + 1
    request = _request(event, quote, ctx, customer, routing, number)
    ctx.session.upsert(
        QuoteState,
        source=event.source,
        record_id=event.record_id,
        round=number,
        request_id=request.id,
        ended_as=None,
        ended_at=None,
        submitted_at=handed_in_at(event, state),
    )
    if routing.step is Step.RETURN:
        effects = _return(request, ctx, routing)
    elif routing.step is Step.APPROVE_BY_RULE:
        effects = _approve(request, routing)
    else:
        effects = _ask(request, ctx, routing)
    if number > 1 and routing.step is not Step.ASK:
        effects += stop_timers()
    columns = {column.name: getattr(request, column.name) for column in Request.__table__.columns}
    ctx.session.insert(Request, **columns)
    return effects


def handed_in_at(event: Event[Any], state: QuoteState | None) -> datetime | None:
    """Return when the quote was last handed in, this event included."""
    known = state.submitted_at if state else None
    if event.type != "quote.submitted":
        return known
    return event.occurred_at if known is None else max(known, event.occurred_at)


def _request(
    event: Event[Any], quote: Quote, ctx: Context[Config], customer: Customer | None, routing: Routing, number: int
) -> Request:
    content = content_of(quote)
    is_asked = routing.step is Step.ASK
    return Request(
        id=request_id(event.source, event.record_id, number),
        source=event.source,
        record_id=event.record_id,
        unit=ctx.unit.slug,
        status=str(next_status(None, routing.step)),
        version=1,
        content_hash=hash_of(content),
        content=content,
        owner=quote.owner,
        customer=(customer.name if customer else None) or quote.customer_id,
        facts=routing.facts.as_json(),
        faults=[fault.as_json() for fault in routing.faults],
        rule=routing.rule,
        reason=routing.reason,
        near_misses=list(routing.near_misses),
        route=routing.route(),
        level=1 if is_asked else 0,
        stuck=None,
        asked_at=None,
        deadline_at=ctx.config.cycle.due(event.occurred_at, ctx.calendar) if is_asked else None,
        overdue=False,
        question=None,
        answer=None,
        decided_by=None if is_asked else BY_RULE,
        comment=None,
        accepted_at=event.accepted_at,
        created_at=ctx.now,
        updated_at=ctx.now,
        event_id=event.id,
    )


def _return(request: Request, ctx: Context[Config], routing: Routing) -> list[Effect]:
    missing = ", ".join(fault.path for fault in routing.faults)
    faults = [fault.as_json() for fault in routing.faults]
    return [
        decision(
            request, "returned", f"returned: {missing}",
            reasons=[f"{fault.zh} {fault.en}" for fault in routing.faults], inputs={"faults": faults},
        ),
        update(request),
        tell_owner(request, ctx, "returned", faults=faults),
        EmitEvent(type="quote_approval.returned", data={"request": request.id, "faults": faults}),
    ]  # fmt: skip


def _approve(request: Request, routing: Routing) -> list[Effect]:
    return [
        decision(
            request, "approved_by_rule", f"approved by the rule {routing.rule}",
            reasons=[routing.reason, *routing.facts.notes],
        ),
        update(request),
        EmitEvent(type="quote_approval.approved_by_rule", data={"request": request.id, "rule": routing.rule}),
    ]  # fmt: skip


def _ask(request: Request, ctx: Context[Config], routing: Routing) -> list[Effect]:
    asking = ask_level(ctx, request)
    named = [item["name"] for item in asking.resolutions if item["person"]]
    assert request.deadline_at is not None
    return [
        decision(
            request, "stuck" if asking.stuck else "requested",
            f"nobody can be asked: {asking.stuck}" if asking.stuck else f"{', '.join(named)} asked",
            reasons=[routing.reason, *routing.facts.notes, *(f"not checked: {item}" for item in routing.unclear)],
            inputs={"route": request.route, "resolutions": asking.resolutions},
        ),
        update(request),
        *asking.effects,
        *tell_stuck(request, ctx),
        StartTimer(timer=CYCLE, due_at=request.deadline_at, data={"request": request.id}),
        EmitEvent(
            type="quote_approval.requested",
            data={"request": request.id, "rule": routing.rule, "levels": request.route, "status": str(Status.PENDING)},
        ),
    ]  # fmt: skip
