"""Keeps every event it hears, starts a timer for some, and keeps those when they fall due."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ledger_parts import Config, is_chosen, keep
from ledger_second.models import table

from core.api import Context, Effect, Event, StartTimer, TimerDue, hookimpl


@hookimpl
def on_event(event: Event[Any], ctx: Context[Config]) -> list[Effect]:
    """Keep the event; a chosen one starts a timer of its own."""
    kept = keep(event, ctx, table)
    if is_chosen(event, ctx):
        return [*kept, StartTimer(timer=event.id, due_at=ctx.now + timedelta(seconds=0.2))]
    return kept


@hookimpl
def on_timer_due(event: Event[TimerDue], ctx: Context[Config]) -> list[Effect]:
    """Keep the timer that fell due."""
    return keep(event, ctx, table)
