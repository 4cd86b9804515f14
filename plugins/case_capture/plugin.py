"""Captures cases from solved complaints and decided deals, and suggests them when a complaint opens."""

from __future__ import annotations

from core.api import Complaint, Context, Effects, Event, Lead, Quote, UnitChange, hookimpl

from . import capture as cases
from . import rules
from .config import Config
from .models import Case
from .suggest import suggest


@hookimpl
def on_complaint_opened(event: Event[Complaint], ctx: Context[Config]) -> Effects:
    """Suggest published cases that are like the new complaint."""
    if not ctx.config.suggest:
        return []
    own = rules.case_id(event.source, event.kind, event.record_id, rules.COMPLAINT)
    return suggest(event.record, ctx, own)


@hookimpl
def on_complaint_resolved(event: Event[Complaint], ctx: Context[Config]) -> Effects:
    """Draft a case with symptom, cause and fix."""
    return cases.capture(event, ctx, rules.facts_of_complaint(event.record, ctx.config.language))


@hookimpl
def on_complaint_updated(event: Event[Complaint], ctx: Context[Config]) -> Effects:
    """Bring a case up to date: many teams write the cause down after they have closed the ticket."""
    return cases.capture(event, ctx, rules.facts_of_complaint(event.record, ctx.config.language), only_known=True)


@hookimpl
def on_complaint_closed(event: Event[Complaint], ctx: Context[Config]) -> Effects:
    """Draft a case where a CRM closes complaints without resolving them, if it says how they were solved."""
    facts = rules.facts_of_complaint(event.record, ctx.config.language)
    return cases.capture(event, ctx, facts, only_known=not event.record.resolution)


@hookimpl
def on_complaint_reopened(event: Event[Complaint], ctx: Context[Config]) -> Effects:
    """Mark the case: what it calls the fix did not hold."""
    return cases.doubt(event, ctx, rules.COMPLAINT, "The complaint was reopened: the fix did not hold.")


@hookimpl
def on_quote_accepted(event: Event[Quote], ctx: Context[Config]) -> Effects:
    """Draft the case of a won deal."""
    facts = rules.facts_of_won_quote(event.record, _lead_of(event.record, ctx), ctx.config.language)
    was_lost = cases.doubt(event, ctx, rules.LOST_DEAL, "The quote was accepted after all.")
    return [*cases.capture(event, ctx, facts), *was_lost]


@hookimpl
def on_quote_rejected(event: Event[Quote], ctx: Context[Config]) -> Effects:
    """Draft the case of a lost deal."""
    facts = rules.facts_of_lost_quote(event.record, _lead_of(event.record, ctx), ctx.config.language)
    was_won = cases.doubt(event, ctx, rules.WON_DEAL, "The quote was rejected after all.")
    return [*cases.capture(event, ctx, facts), *was_won]


@hookimpl
def on_lead_lost(event: Event[Lead], ctx: Context[Config]) -> Effects:
    """Draft the case of a deal that was lost before there was a quote."""
    return cases.capture(event, ctx, rules.facts_of_lost_lead(event.record, ctx.config.language))


@hookimpl
def on_lead_converted(event: Event[Lead], ctx: Context[Config]) -> Effects:
    """Mark the case of a lead that was given up and then became a customer."""
    return cases.doubt(event, ctx, rules.LOST_DEAL, "The lead was converted after all.")


@hookimpl
def on_record_unit_changed(event: Event[UnitChange], ctx: Context[Config]) -> Effects:
    """Let the record's cases follow it to its new unit."""
    unit = event.data.to_unit
    if unit is None or unit != ctx.unit.slug:
        return []
    ids = [rules.case_id(event.source, event.kind, event.record_id, kind) for kind in rules.FIELDS]
    found = [ctx.session.get(Case, name) for name in ids]
    return [cases.move(event, ctx, case, unit) for case in found if case is not None and case.unit != unit]


def _lead_of(quote: Quote, ctx: Context[Config]) -> Lead | None:
    found = ctx.records.get("lead", quote.lead_id) if quote.lead_id else None
    return found if isinstance(found, Lead) else None
