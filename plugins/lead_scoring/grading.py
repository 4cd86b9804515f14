"""Grades one lead and gives it an owner, from the lead, the rules and what the last grading left behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.api import Context, Customer, Decide, Effect, EmitEvent, Event, Lead, Notify, UpdateRecord
from plugins.lead_scoring.assignment import FALLBACK_POOL, Assignment, Outcome, Previous, assign, take_turn
from plugins.lead_scoring.facts import plain
from plugins.lead_scoring.models import LeadScore, Rotation
from plugins.lead_scoring.rules import Score, score
from plugins.lead_scoring.settings import Config

_REASONS_IN_MESSAGE = 3
_CLOSED = {"converted": "已转化 converted", "lost": "已流失 lost"}


def last_grade(event: Event[Any], ctx: Context[Config]) -> LeadScore | None:
    """Return what the last grading of the event's lead left, or None."""
    return ctx.session.get(LeadScore, (event.source, event.record_id))


def has_closed_status(lead: Lead, config: Config) -> bool:
    """Whether the CRM calls the lead closed: won, lost, or not worth the work."""
    return plain(lead.status or "") in config.closed_statuses


def grade_lead(lead: Lead, event: Event[Any], ctx: Context[Config]) -> list[Effect]:
    """Grade the lead as of the moment its event was accepted, assign it, and return what follows.

    The moment of acceptance, unlike the time of this attempt, is the same on a retry and on a replay.
    """
    row = last_grade(event, ctx)
    previous = _previous(row)
    customer = ctx.records.get("customer", lead.customer_id) if lead.customer_id else None
    result = score(lead, ctx.config, event.accepted_at, customer=customer if isinstance(customer, Customer) else None)
    chosen = assign(lead, result.grade, ctx.unit.slug, ctx.config.assignment, previous)
    if len(chosen.members) > 1:
        chosen = _next_turn(chosen, ctx)
    is_new_owner = previous is None or (previous.owner, previous.pool) != (chosen.owner, chosen.pool)
    is_new_grade = previous is None or previous.grade != result.grade
    _keep(row, result, chosen, event, ctx)
    effects: list[Effect] = [_grade_decision(result, previous, row, event)]
    if is_new_owner or (previous is not None and (previous.unit, previous.grid) != (ctx.unit.slug, chosen.grid)):
        effects.append(_assignment_decision(chosen, result.grade, lead, previous))
    fields = {"score": result.total, "grade": result.grade, "owner": chosen.owner}
    news = {name: value for name, value in fields.items() if getattr(lead, name) != value}
    if news:
        effects.append(UpdateRecord(fields=news))
    if is_new_owner or is_new_grade:
        data = {**fields, "pool": chosen.pool, "previous_grade": previous.grade if previous else None}
        effects.append(EmitEvent(type="lead_scoring.graded", data=data))
    message = _message(lead, result, chosen, is_new_owner=is_new_owner, is_new_grade=is_new_grade, ctx=ctx)
    return [*effects, message] if message else effects


def close_lead(event: Event[Lead], ctx: Context[Config], closed_as: str) -> list[Effect]:
    """Close a lead's grading; what it was graded last is recorded beside how it ended."""
    row = last_grade(event, ctx)
    if row is not None and row.closed_as == closed_as:
        return []
    closed = {"closed_as": closed_as, "closed_at": event.occurred_at}
    grade = row.grade if row is not None else None
    if row is not None:
        ctx.session.update(LeadScore, (event.source, event.record_id), closed)
    else:
        # Kept although it was never graded, so that a lead.created that comes late does not hand it out.
        ctx.session.insert(
            LeadScore,
            source=event.source,
            record_id=event.record_id,
            unit=ctx.unit.slug,
            reasons=[],
            near_misses=[],
            assignment="closed before it was graded",
            scored_at=ctx.now,
            event_id=event.id,
            **closed,
        )
    days = (event.occurred_at - row.first_scored_at).days if row is not None and row.first_scored_at else None
    was = f"grade {grade} ({row.score} points), {row.owner}" if row is not None and grade else "never graded"
    return [
        Decide(
            key="closed",
            kind="lead_closed",
            outcome=closed_as,
            summary=f"{_CLOSED.get(closed_as, closed_as)}: {was}; no more grading",
            rule=f"lead.{closed_as}",
            inputs={
                "grade": grade,
                "score": row.score if row is not None else None,
                "owner": row.owner if row is not None else None,
                "days_since_first_grade": days,
            },
        )
    ]


def _previous(row: LeadScore | None) -> Previous | None:
    if row is None or row.grade is None or row.owner is None or row.pool is None:
        return None
    return Previous(unit=row.unit, grade=row.grade, owner=row.owner, pool=row.pool, grid=row.grid)


def _next_turn(chosen: Assignment, ctx: Context[Config]) -> Assignment:
    """Take the pool's next turn; when another lead took it meanwhile, this delivery is decided again."""
    key = (ctx.unit.slug, chosen.pool)
    rotation = ctx.session.get(Rotation, key)
    chosen = take_turn(chosen, rotation.position if rotation is not None else None)
    after = (chosen.position or 0) + 1
    if rotation is None:
        ctx.session.insert(Rotation, unit=key[0], pool=key[1], position=after)
    else:
        ctx.session.update(Rotation, key, {"position": after}, expected={"position": rotation.position})
    return chosen


def _keep(row: LeadScore | None, result: Score, chosen: Assignment, event: Event[Any], ctx: Context[Config]) -> None:
    ctx.session.upsert(
        LeadScore,
        source=event.source,
        record_id=event.record_id,
        unit=ctx.unit.slug,
        score=result.total,
        grade=result.grade,
        owner=chosen.owner,
        pool=chosen.pool,
        grid=chosen.grid,
        reasons=[reason.as_json() for reason in result.reasons],
        near_misses=list(result.near_misses),
        assignment="; ".join(reason.text for reason in chosen.reasons),
        first_scored_at=(row.first_scored_at if row is not None else None) or event.accepted_at,
        scored_at=ctx.now,
        event_id=event.id,
        closed_as=None,
        closed_at=None,
    )


def _grade_decision(result: Score, previous: Previous | None, row: LeadScore | None, event: Event[Any]) -> Decide:
    before = f", 此前 before {previous.grade} ({row.score})" if previous and row is not None else ""
    inputs: Mapping[str, Any] = {
        **result.inputs,
        "previous": {"grade": previous.grade, "score": row.score} if previous and row is not None else None,
        "changed": sorted(event.changed),
    }
    line = result.inputs["thresholds"].get(result.grade)
    return Decide(
        key="grade",
        kind="lead_grade",
        outcome=result.grade,
        summary=f"{result.grade} 级 grade {result.grade}, {result.total} 分 points{before}",
        rule=f"{result.grade} from {line} points" if line is not None else "F below every other grade",
        reasons=result.reasons,
        inputs=inputs,
        near_misses=result.near_misses,
    )


def _assignment_decision(chosen: Assignment, grade: str, lead: Lead, previous: Previous | None) -> Decide:
    return Decide(
        key="assignment",
        kind="lead_assignment",
        outcome=chosen.outcome,
        summary=_assignment_summary(chosen),
        rule=chosen.rule,
        reasons=chosen.reasons,
        inputs={
            "grade": grade,
            "region": lead.region,
            "city": lead.city,
            "crm_owner": lead.owner,
            "grid": chosen.grid,
            "pool": chosen.pool,
            "members": list(chosen.members),
            "position": chosen.position,
            "previous_owner": previous.owner if previous else None,
        },
    )


def _assignment_summary(chosen: Assignment) -> str:
    if chosen.outcome is Outcome.FALLBACK:
        return f"无人可接 NOBODY COULD TAKE IT: {chosen.owner} has to place this lead"
    if chosen.outcome is Outcome.NURTURE:
        return f"进入培育池 to the nurture pool, {chosen.owner}"
    if chosen.outcome is Outcome.KEPT:
        return f"{chosen.owner} 继续跟进 keeps the lead"
    return f"分配给 to {chosen.owner} from {chosen.pool}"


def _message(
    lead: Lead,
    result: Score,
    chosen: Assignment,
    *,
    is_new_owner: bool,
    is_new_grade: bool,
    ctx: Context[Config],
) -> Notify | None:
    """Tell the fallback owner of a lead nobody could take, or a rep of a hot one; else disturb nobody."""
    is_hot = result.grade in ctx.config.notify.hot_grades and (is_new_owner or is_new_grade)
    is_stranded = chosen.pool == FALLBACK_POOL and is_new_owner and ctx.config.notify.unassigned
    if not is_hot and not is_stranded:
        return None
    who = lead.company or lead.name or lead.id
    best = sorted((item for item in result.reasons if item.field), key=lambda item: -(item.weight or 0))
    told = chosen.reasons if is_stranded else best[:_REASONS_IN_MESSAGE]
    return Notify(
        key="owner",
        to=chosen.owner,
        template="unassigned_lead" if is_stranded else "hot_lead",
        data={
            "who": who,
            "lead_id": lead.id,
            "grade": result.grade,
            "score": result.total,
            "unit": ctx.unit.title or ctx.unit.slug,
            "owner": chosen.owner,
            "reasons": [reason.text for reason in told],
        },
    )
