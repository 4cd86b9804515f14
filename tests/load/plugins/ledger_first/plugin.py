"""Keeps every event it hears."""

from __future__ import annotations

from typing import Any

from ledger_first.models import table
from ledger_parts import Config, keep

from core.api import Context, Effect, Event, hookimpl


@hookimpl
def on_event(event: Event[Any], ctx: Context[Config]) -> list[Effect]:
    """Keep the event."""
    return keep(event, ctx, table)
