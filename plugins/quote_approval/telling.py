"""What the CRM, people and the journal are told about a request, in one place so that all hear the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from core.api import Context, Decide, Link, Notify, People, Reason, Still, UpdateRecord

from .models import Request
from .settings import Config
from .states import Status

WRITTEN = {
    Status.PENDING: "in_approval",
    Status.ASKED: "question",
    Status.APPROVED: "approved",
    Status.REJECTED: "not_approved",
    Status.RETURNED: "returned",
}
"""The quote's status in the CRM; `rejected` is left to the customer, who rejects quotes too."""


def told(request: Request, people: People) -> dict[str, Any]:
    """Return what every message says about a request."""
    content, facts = request.content, request.facts
    return {
        "request": request.id,
        "quote": request.record_id,
        "customer": request.customer or "–",
        "tier": facts["tier"] or "?",
        "amount": f"{money(content['amount'])} {content['currency'] or ''}".strip(),
        "discount": percent(facts["discount"]),
        "margin": percent(facts["margin"]),
        "payment_terms": content["payment_terms"] or "–",
        "lead_time_days": content["lead_time_days"] if content["lead_time_days"] is not None else "?",
        "owner": name_of(request.owner, people),
        "reason": request.reason,
        "level": request.level,
        "levels": len(request.route),
        "deadline": request.deadline_at,
    }


def name_of(owner: str | None, people: People) -> str:
    """Return an owner's name where the directory knows it, else as the CRM says."""
    known = people.person(owner) if owner else None
    return known.name if known else owner or "–"


def grouped(number: str | None) -> str:
    """Return a number as people read it: 2747520 is 2,747,520."""
    return "?" if number is None else f"{Decimal(number):,f}"


def money(number: str | None) -> str:
    """Return an amount of money as people read it: 2747520.5 is 2,747,520.50."""
    return (
        f"{Decimal(number):,.2f}"
        if number is not None and Decimal(number).as_tuple().exponent == -1
        else grouped(number)
    )


def percent(fraction: str | None) -> str:
    """Return a fraction as people read it: 0.035 is 3.5 %."""
    return "?" if fraction is None else f"{(Decimal(fraction) * 100).normalize():f} %"


def update(request: Request, **more: Any) -> UpdateRecord:
    """Write where the request stands into the quote; the CRM finds the details in `extra`."""
    extra = {
        "approval_status": request.status,
        "approval_request": request.id,
        "approval_rule": request.rule,
        "approval_by": request.decided_by,
        "approval_missing": [fault["path"] for fault in request.faults],
        **more,
    }
    return UpdateRecord(fields={"status": WRITTEN[Status(request.status)], "extra": extra})


def ask(request: Request, person: str, ctx: Context[Config], kind: str, **more: Any) -> Notify:
    """Tell a person to decide; falls silent when the request has moved on. `kind` says why now."""
    return Notify(
        to=person,
        template="ask",
        data={
            **told(request, ctx.people),
            "kind": kind,
            "question": request.question,
            "answer": request.answer,
            **more,
        },
        still=Still.row(Request, request.id, status=str(Status.PENDING), version=request.version),
        link=Link(
            page="decide",
            subject={"request": request.id, "version": request.version},
            valid_for=timedelta(hours=ctx.config.link_valid_hours),
        ),
        key=f"{kind}:{request.level}:{person}",
    )


def owner_of(request: Request, ctx: Context[Config]) -> str:
    """Return the quote's owner, or whoever stands behind everything when it has none whom the directory knows."""
    is_known = request.owner is not None and ctx.people.person(request.owner) is not None
    return request.owner if request.owner and is_known else ctx.config.fallback


def tell_owner(request: Request, ctx: Context[Config], template: str, **more: Any) -> Notify:
    """Tell the quote's owner what became of it."""
    return Notify(
        to=owner_of(request, ctx), template=template, data={**told(request, ctx.people), **more}, key=template
    )


def tell_stuck(request: Request, ctx: Context[Config]) -> list[Notify]:
    """Tell the quote's owner when too few people could be asked: it will not go on by itself."""
    return [tell_owner(request, ctx, "stuck", why=request.stuck)] if request.stuck else []


def decision(
    request: Request,
    outcome: str,
    summary: str,
    *,
    rule: str = "",
    reasons: Sequence[str] = (),
    inputs: Mapping[str, Any] | None = None,
) -> Decide:
    """Return a decision about a request with what it rests on; the server adds the configuration's version."""
    return Decide(
        kind="quote_approval",
        outcome=outcome,
        summary=f"Quote {request.record_id}: {summary}",
        rule=rule or request.rule,
        reasons=tuple(Reason(text) for text in reasons),
        inputs={
            "request": request.id,
            "version": request.version,
            "content_hash": request.content_hash,
            "facts": request.facts,
            **(inputs or {}),
        },
        near_misses=tuple(request.near_misses),
    )
