"""The hooks: what each event means for a quote's approval."""

from __future__ import annotations

from typing import Any

from core.api import Context, Effects, Event, Quote, TimerDue, UnitChange, hookimpl

from . import changes
from .following import follow
from .settings import Config
from .timing import due


@hookimpl
def on_quote_submitted(event: Event[Quote], ctx: Context[Config]) -> Effects:
    """Check, route and ask; or return it, or approve it by rule."""
    return changes.submitted(event, ctx)


@hookimpl
def on_quote_updated(event: Event[Quote], ctx: Context[Config]) -> Effects:
    """A changed quote voids its approval and is routed anew."""
    return changes.updated(event, ctx)


@hookimpl
def on_quote_accepted(event: Event[Quote], ctx: Context[Config]) -> Effects:
    """Close an open request, loudly: the customer was faster than the approval."""
    return changes.ended(event, ctx, "accepted")


@hookimpl
def on_quote_rejected(event: Event[Quote], ctx: Context[Config]) -> Effects:
    """Close an open request: the customer declined."""
    return changes.ended(event, ctx, "rejected")


@hookimpl
def on_quote_expired(event: Event[Quote], ctx: Context[Config]) -> Effects:
    """Close an open request: the quote's validity ended."""
    return changes.ended(event, ctx, "expired")


@hookimpl
def on_record_unit_changed(event: Event[UnitChange], ctx: Context[Config]) -> Effects:
    """Route an open request by the rules and people of the quote's new unit."""
    return changes.moved(event, ctx) if event.kind == "quote" else []


@hookimpl
def on_timer_due(event: Event[TimerDue], ctx: Context[Config]) -> Effects:
    """Remind, escalate, or record that the cycle was missed."""
    return due(event, ctx)


@hookimpl
def on_own_event(event: Event[Any], ctx: Context[Config]) -> Effects:
    """Carry out what a person decided."""
    return follow(event, ctx)
