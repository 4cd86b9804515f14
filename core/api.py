"""The one door for plugins: everything a plugin may import from Outrigger is named here, and nothing else is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.host.hookspecs import Effects, hookimpl
from core.model.context import Context, Log, PluginSession, Records, Unit
from core.model.effects import (
    CancelTimer,
    Decide,
    Effect,
    EmitEvent,
    Notify,
    Reason,
    SendWebhook,
    StartTimer,
    UpdateRecord,
)
from core.model.errors import Conflict, InvalidRequest, NotAllowed, NotFound, OutriggerError, did_you_mean
from core.model.events import Event
from core.model.outcomes import Cancel, Snooze
from core.model.records import (
    Activity,
    Complaint,
    Contact,
    Customer,
    Lead,
    Line,
    MarketPrice,
    Order,
    PriceBasis,
    Quote,
    TimerDue,
    UnitChange,
)
from core.pipeline.commands import Command, Desk, current_desk
from core.store.columns import InstantColumn, JsonColumn
from core.web.auth import actor, allowed_units, require

if TYPE_CHECKING:
    from core.web.parsing import Blueprint


def api_blueprint(name: str, *, description: str, url_prefix: str = "") -> Blueprint:
    """Return a blueprint for `register_api`: it reads requests strictly and describes itself in the OpenAPI document.

    Imported only when a plugin's api.py asks, so that workers do not load a web framework.
    """
    from core.web.parsing import Blueprint

    return Blueprint(name, "core.web", url_prefix=url_prefix or None, description=description)


__all__ = [
    "Activity",
    "Cancel",
    "CancelTimer",
    "Command",
    "Complaint",
    "Conflict",
    "Contact",
    "Context",
    "Customer",
    "Decide",
    "Desk",
    "Effect",
    "Effects",
    "EmitEvent",
    "Event",
    "InstantColumn",
    "InvalidRequest",
    "JsonColumn",
    "Lead",
    "Line",
    "Log",
    "MarketPrice",
    "NotAllowed",
    "NotFound",
    "Notify",
    "Order",
    "OutriggerError",
    "PluginSession",
    "PriceBasis",
    "Quote",
    "Reason",
    "Records",
    "SendWebhook",
    "Snooze",
    "StartTimer",
    "TimerDue",
    "Unit",
    "UnitChange",
    "UpdateRecord",
    "actor",
    "allowed_units",
    "api_blueprint",
    "current_desk",
    "did_you_mean",
    "hookimpl",
    "require",
]
