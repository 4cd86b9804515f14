"""The hooks: clocks follow every event of a record, their timers, moves between units, and a wish to recompute."""

from __future__ import annotations

from typing import Any

from core.api import Context, Effect, Event, TimerDue, UnitChange, hookimpl

from .follow import follow, leave
from .settings import Config

RECOMPUTE = "sla_escalation.recompute_asked"


@hookimpl
def on_event(event: Event[Any], ctx: Context[Config]) -> list[Effect]:
    """Bring the record's clocks up to date; which event types start and stop them is configuration."""
    if event.type == "record.unit_changed" or event.type.startswith("sla_escalation."):
        return []
    return follow(event, ctx)


@hookimpl
def on_timer_due(event: Event[TimerDue], ctx: Context[Config]) -> list[Effect]:
    """Tell people of the moment that has come, if it still stands."""
    return follow(event, ctx, fired=event.data.timer)


@hookimpl
def on_record_unit_changed(event: Event[UnitChange], ctx: Context[Config]) -> list[Effect]:
    """Hand clocks over: the old unit closes them, the new one goes on from the same start by its own policies."""
    if event.data.to_unit == ctx.unit.slug:
        return follow(event, ctx)
    return leave(event, ctx, str(event.data.to_unit))


@hookimpl
def on_own_event(event: Event[Any], ctx: Context[Config]) -> list[Effect]:
    """Recompute the record's open clocks by today's policies and calendar, when a person asked for it."""
    if event.type != RECOMPUTE:
        return []
    why = f"{event.data.get('by', '')}: {event.data.get('reason', '')}"
    return follow(event, ctx, recompute=why)
