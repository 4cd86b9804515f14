"""The hooks: when a lead is graded, graded again, closed, or taken over by another unit."""

from __future__ import annotations

from typing import Any

from core.api import Context, Effect, Event, Lead, UnitChange, hookimpl
from plugins.lead_scoring.grading import close_lead, grade_lead, has_closed_status, last_grade
from plugins.lead_scoring.models import LeadScore
from plugins.lead_scoring.settings import Config

MOVED = "moved"
"""What a lead is closed as in a unit that it left for another."""


@hookimpl
def on_lead_created(event: Event[Lead], ctx: Context[Config]) -> list[Effect]:
    """Grade and assign a new lead, unless it is closed: imported so, or its end was heard of first."""
    lead, row = _lead(event), last_grade(event, ctx)
    if _is_closed(row) or (row is None and has_closed_status(lead, ctx.config)):
        ctx.log.info("a closed lead is not graded")
        return []
    return grade_lead(lead, event, ctx)


@hookimpl
def on_lead_updated(event: Event[Lead], ctx: Context[Config]) -> list[Effect]:
    """Grade a lead again when a fact changed that a rule, or the choice of its owner, looks at."""
    lead, row = _lead(event), last_grade(event, ctx)
    if row is None:
        # It is older than the plugin here, or its lead.created is not in yet.
        return [] if has_closed_status(lead, ctx.config) else grade_lead(lead, event, ctx)
    if _is_closed(row):
        is_open_again = "status" in event.changed and lead.status and not has_closed_status(lead, ctx.config)
        return grade_lead(lead, event, ctx) if is_open_again else []
    is_new_here = row.unit != ctx.unit.slug or row.closed_as == MOVED
    return grade_lead(lead, event, ctx) if is_new_here or event.changed & ctx.config.watched else []


@hookimpl
def on_lead_converted(event: Event[Lead], ctx: Context[Config]) -> list[Effect]:
    """Close the lead's grading: it became a customer."""
    return close_lead(event, ctx, "converted")


@hookimpl
def on_lead_lost(event: Event[Lead], ctx: Context[Config]) -> list[Effect]:
    """Close the lead's grading: it was given up."""
    return close_lead(event, ctx, "lost")


@hookimpl
def on_record_unit_changed(event: Event[UnitChange], ctx: Context[Config]) -> list[Effect]:
    """Grade a lead under its new unit's rules; the old unit only marks it as gone."""
    if event.kind != "lead":
        return []
    row, here = last_grade(event, ctx), ctx.unit.slug
    if event.data.to_unit != here:
        if row is not None and row.unit == here and row.closed_as is None:
            gone = {"closed_as": MOVED, "closed_at": event.occurred_at}
            ctx.session.update(LeadScore, (event.source, event.record_id), gone, expected={"unit": here})
        return []
    if _is_closed(row) or (row is not None and row.unit == here and row.closed_as is None):
        return []  # it is closed, or the update that moved it has graded it here already
    lead = event.record if isinstance(event.record, Lead) else ctx.records.get("lead", event.record_id)
    if lead is None:
        ctx.log.warning("a lead that moved here is not known", record_id=event.record_id)
        return []
    return [] if has_closed_status(lead, ctx.config) else grade_lead(lead, event, ctx)


def _lead(event: Event[Any]) -> Lead:
    """Return the whole lead as known at the event; what the event itself said is often only a part."""
    record: Lead = event.record if isinstance(event.record, Lead) else event.data
    return record


def _is_closed(row: LeadScore | None) -> bool:
    return row is not None and row.closed_as not in (None, MOVED)
