"""Runs a plugin's example events through the server's own handler, twice, and compares what came out."""

from __future__ import annotations

from typing import Any

from core.host.plugin import Plugin
from core.host.settings import PluginSetting
from core.model.context import Unit
from core.model.events import Event
from core.model.outcomes import DeliveryStatus
from core.pipeline.handler import Outcome, call_plugin
from core.pipeline.slot import Call, CallSlot
from core.testing.contexts import KnownRecords
from core.testing.events import NOW, example_events
from core.testing.sessions import TableSession, plugin_session

TIME_LIMIT_S = 5.0


def run_examples(plugin: Plugin) -> str | None:
    """Return what is wrong with the plugin's answers to its examples; an empty text when all is well."""
    if not any(name.startswith("on_") for name in plugin.hooks):
        return None
    examples = [event for event in example_events(plugin.folder) if plugin.hears(event.type)]
    if not examples:
        return "tests/events has no example of an event the plugin hears"
    config = plugin.load_config({}) if plugin.load_config is not None else None
    with plugin_session(plugin.folder) as session:
        for event in examples:
            fault = _compare(plugin, config, event, session)
            if fault:
                return f"{event.type} {event.record_id}: {fault}"
    return ""


def _compare(plugin: Plugin, config: Any, event: Event[Any], session: TableSession) -> str:
    """Handle the event twice on the same rows, then make the writes, so that later examples build on it."""
    first, second = _handle(plugin, config, event, session), _handle(plugin, config, event, session)
    if first.status is DeliveryStatus.RETRYABLE:
        return first.reason or "the handler failed"
    if (first.status, first.effects, first.writes) != (second.status, second.effects, second.writes):
        return "the second time it asks for something else; only event, settings, records, rows and now may decide"
    session.writes = list(first.writes)
    session.apply()
    return ""


def _handle(plugin: Plugin, config: Any, event: Event[Any], session: TableSession) -> Outcome:
    session.writes = []
    outcome = call_plugin(
        plugin,
        PluginSetting(plugin=plugin.name, unit=event.unit, enabled=True, config=config),
        Unit(event.unit),
        event,
        now=NOW,
        session=session,
        records=KnownRecords([event.record] if event.record is not None else []),
        slot=CallSlot(),
        call=Call(event.unit, plugin.name, event.id, 0),
        limit_s=TIME_LIMIT_S,
    )
    session.writes = []
    return outcome
