"""Keeps every event it hears and emits a follow-up event for some."""

from __future__ import annotations

from typing import Any

from ledger_parts import Config, is_chosen, keep
from ledger_third.models import table

from core.api import Context, Effect, EmitEvent, Event, hookimpl


@hookimpl
def on_event(event: Event[Any], ctx: Context[Config]) -> list[Effect]:
    """Keep the event; a chosen one is followed up."""
    kept = keep(event, ctx, table)
    if is_chosen(event, ctx):
        return [*kept, EmitEvent(type="ledger_third.followed", data={"event": event.id})]
    return kept
