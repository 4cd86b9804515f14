"""What a quote's own events do to its request: handed in, changed, ended by the customer, moved to another unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from core.api import Context, Effect, Event, Notify, Quote, UnitChange, UpdateRecord

from .asking import start_ladder, stop_timers
from .checks import check
from .content import content_of, differences, hash_of
from .models import Asked, QuoteState, Request
from .opening import hand_in, handed_in_at
from .settings import Config
from .states import OPEN, Status, Step, can, next_status
from .telling import ask, decision, told, update


def submitted(event: Event[Quote], ctx: Context[Config]) -> list[Effect]:
    """Take in a quote that was handed in; the same content again keeps its request."""
    quote, state = event.record, _state(event, ctx)
    if state is not None and state.ended_at is not None and event.occurred_at < state.ended_at:
        ctx.log.info("a quote that ended before it was handed in is left alone")
        return []
    request = _current(ctx, state)
    if _is_past(event, request, ctx):
        return []
    changed = _changed(request, quote, ctx) if request is not None else ()
    keeps = request is not None and not changed and _still_holds(event, request, ctx)
    if request is None or state is None or not keeps:
        return [*(_void(request, changed, ctx) if request else []), *hand_in(event, quote, ctx, state)]
    began = {"ended_as": None, "ended_at": None, "submitted_at": handed_in_at(event, state)}
    ctx.session.update(QuoteState, (event.source, event.record_id), began)
    if request.status == Status.ASKED:
        return _answered(request, ctx)
    why = "handed in again unchanged; the request stands"
    return [decision(request, "kept", why, rule="unchanged"), update(request)]


def updated(event: Event[Quote], ctx: Context[Config]) -> list[Effect]:
    """Void the request of a quote whose content changed, and take in the new content.

    A quote that was never handed in is a draft and is left alone, and so is one that ended; but what was approved and
    accepted is not approved any more when it is another offer by now.
    """
    state = _state(event, ctx)
    request = _current(ctx, state)
    if request is None or state is None or request.status == Status.CLOSED or _is_past(event, request, ctx):
        return []
    changed = _changed(request, event.record, ctx)
    if not changed:
        return []
    if state.ended_as is None:
        return [*_void(request, changed, ctx), *hand_in(event, event.record, ctx, state)]
    if state.ended_as != "accepted" or request.status != Status.APPROVED:
        return []
    # Nobody is asked anew: the deal is made. Whoever stands behind everything has to know.
    voided = _void(request, changed, ctx)
    data = {**told(request, ctx.people), "changed": list(changed)}
    extra = {"approval_status": request.status, "approval_request": request.id}
    return [
        *voided,
        UpdateRecord(fields={"extra": extra}),
        Notify(to=ctx.config.fallback, template="changed_accepted", data=data, key="changed_accepted"),
    ]


def ended(event: Event[Quote], ctx: Context[Config], how: str) -> list[Effect]:
    """Close an open request: the customer accepted or declined, or the quote expired, before it was decided."""
    state = _state(event, ctx)
    if state is not None and state.submitted_at is not None and event.occurred_at < state.submitted_at:
        ctx.log.info("an end from before the quote was handed in again is left alone", how=how)
        return []
    ctx.session.upsert(
        QuoteState,
        source=event.source,
        record_id=event.record_id,
        round=state.round if state else 0,
        request_id=state.request_id if state else None,
        ended_as=how,
        ended_at=event.occurred_at,
        submitted_at=state.submitted_at if state else None,
    )
    request = _current(ctx, state)
    if request is None:
        return []
    effects: list[Effect] = []
    if how == "accepted" and request.status not in (Status.APPROVED, Status.VOID):
        summary = f"the customer accepted it while it was {request.status}"
        effects.append(decision(request, "accepted_unapproved", summary, rule="quote_accepted"))
        effects.append(Notify(to=ctx.config.fallback, template="accepted_unapproved", data=told(request, ctx.people)))
    if not can(request.status, Step.END):
        return effects
    _move(request, ctx, Step.END, comment=how)
    closed = decision(request, "closed", f"{how} before it was decided", rule=f"quote_{how}")
    return [*effects, closed, *_tell_asked(request, ctx, (f"quote {how}",)), *stop_timers()]


def moved(event: Event[UnitChange], ctx: Context[Config]) -> list[Effect]:
    """Route an open request anew in the unit its quote moved to; the old unit's part is to end what runs there.

    What was approved stays approved: its content is the same, and those who approved it were entitled to.
    """
    state = _state(event, ctx)
    request = _current(ctx, state)
    if request is None or _is_past(event, request, ctx):
        return []
    here, change = ctx.unit.slug, event.data
    why = (f"unit: {change.from_unit} → {change.to_unit}",)
    if change.to_unit != here:
        ends = request.unit == here and request.status in OPEN
        return [*(_void(request, why, ctx) if ends else []), *stop_timers()]
    was_open = request.status in OPEN or (request.status == Status.VOID and request.comment == why[0])
    if request.unit == here or not was_open:
        return []
    quote = event.record if isinstance(event.record, Quote) else ctx.records.get("quote", event.record_id)
    if quote is None:
        ctx.log.warning("a quote that moved here is not known", record_id=event.record_id)
        return []
    return [*_void(request, why, ctx), *hand_in(event, quote, ctx, state)]


def _state(event: Event[Any], ctx: Context[Config]) -> QuoteState | None:
    return ctx.session.get(QuoteState, (event.source, event.record_id))


def _current(ctx: Context[Config], state: QuoteState | None) -> Request | None:
    return ctx.session.get(Request, state.request_id) if state is not None and state.request_id else None


def _is_past(event: Event[Any], request: Request | None, ctx: Context[Config]) -> bool:
    """Whether an event that is handled again, or out of its order, was followed by the one that made the request.

    Such an event shows the quote as it was then; what was asked or approved since must not be void by it.
    """
    is_again = event.generation > 0 or event.out_of_order
    if request is None or not is_again or event.id == request.event_id or event.accepted_at > request.accepted_at:
        return False
    ctx.log.info("an event from before the request is left alone", request=request.id)
    return True


def _changed(request: Request, quote: Quote, ctx: Context[Config]) -> tuple[str, ...]:
    """Return what differs from what the request is about; while it is open, its owner and unit count as well."""
    content = content_of(quote)
    changed = differences(request.content, content) if hash_of(content) != request.content_hash else ()
    if request.status not in OPEN:
        return changed
    if quote.owner != request.owner:
        changed = (*changed, f"owner: {request.owner or '–'} → {quote.owner or '–'}")
    if request.unit != ctx.unit.slug:
        changed = (*changed, f"unit: {request.unit} → {ctx.unit.slug}")
    return changed


def _still_holds(event: Event[Quote], request: Request, ctx: Context[Config]) -> bool:
    """Whether a request answers its unchanged quote; a returned one no longer does once other things are required."""
    if request.status == Status.RETURNED:
        faults: list[dict[str, str]] = request.faults
        return faults == [
            fault.as_json() for fault in check(event.record, ctx.config, ctx.calendar.local(event.occurred_at))
        ]
    return request.status not in (Status.VOID, Status.CLOSED)


def _void(request: Request, changed: tuple[str, ...], ctx: Context[Config]) -> list[Effect]:
    """Void what was asked or approved; what was returned or rejected stays so and is followed by the next request."""
    if not can(request.status, Step.CHANGE):
        return []
    before = request.status
    _move(request, ctx, Step.CHANGE, comment="; ".join(changed))
    return [
        decision(request, "voided", f"{before}, void since it changed", rule="changed", reasons=changed),
        *_tell_asked(request, ctx, changed),
    ]


def _answered(request: Request, ctx: Context[Config]) -> list[Effect]:
    """Take the same content handed in again as the answer: the owner stands by it."""
    answer = "原样重新提交 handed in again unchanged"
    _move(request, ctx, Step.ANSWER, answer=answer, asked_at=ctx.now)
    return [
        decision(request, "answered", "handed in again unchanged after a question", rule="unchanged"),
        update(request),
        *ask_again(request, ctx),
    ]


def ask_again(request: Request, ctx: Context[Config]) -> list[Effect]:
    """Ask those who have not decided once more, after an answer; the ladder starts anew."""
    people = sorted(
        {
            row.person
            for row in everybody(request, ctx)
            if row.level == request.level and row.state == "open" and row.via != "admin"
        }
    )
    asked: list[Effect] = [ask(request, person, ctx, "answered") for person in people]
    return [*asked, *start_ladder(ctx, request, 0)]


def everybody(request: Request, ctx: Context[Config]) -> Iterable[Asked]:
    """Return everybody who was asked about a request."""
    return list(ctx.session.scalars(sa.select(Asked).where(Asked.request_id == request.id)))


def _tell_asked(request: Request, ctx: Context[Config], changed: tuple[str, ...]) -> list[Effect]:
    data: Mapping[str, Any] = {**told(request, ctx.people), "changed": list(changed)}
    people = sorted({row.person for row in everybody(request, ctx) if row.via != "admin"})
    return [Notify(to=person, template="voided", data=data, key=f"voided:{person}") for person in people]


def _move(request: Request, ctx: Context[Config], step: Step, **values: Any) -> None:
    """Take a step of a request; decided again on fresh rows when a person was faster."""
    expected = {"status": request.status, "version": request.version}
    written = {
        "status": str(next_status(request.status, step)),
        "version": request.version + 1,
        "updated_at": ctx.now,
        **values,
    }
    ctx.session.update(Request, request.id, written, expected=expected)
    for name, value in written.items():
        setattr(request, name, value)
