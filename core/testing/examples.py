"""Runs a plugin's example events through the server's own handler, twice, compares, and fills in what people are told.

Public: `run_examples(plugin)`, and `handle(…)`, which hands one event to a plugin as the server does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.host.plugin import Plugin
from core.host.settings import PluginSetting
from core.model.context import Unit
from core.model.effects import Effect, Notify
from core.model.errors import EffectRefused
from core.model.events import Event
from core.model.outcomes import DeliveryStatus
from core.people.directory import Directory
from core.pipeline.handler import Outcome, call_plugin
from core.pipeline.slot import Call, CallSlot
from core.pipeline.templates import LANGUAGES
from core.testing.contexts import KnownRecords
from core.testing.directories import calendar_of, directory_of
from core.testing.events import NOW, event_from_body, known_record
from core.testing.messages import filled
from core.testing.sessions import TableSession, plugin_session

TIME_LIMIT_S = 5.0
ALWAYS = calendar_of("always")
NOBODY = directory_of("")


def run_examples(plugin: Plugin) -> str | None:
    """Return what is wrong with the plugin's answers to its examples; an empty text when all is well."""
    if not any(name.startswith("on_") for name in plugin.hooks):
        return None
    found = [item for item in examples(plugin.folder) if plugin.hears(item.event.type)]
    if not found:
        return "tests/events has no example of an event the plugin hears"
    with plugin_session(plugin.folder) as session:
        for item in found:
            fault = _compare(plugin, item, session)
            if fault:
                return f"{item.event.type} {item.event.record_id}: {fault}"
    return ""


@dataclass(frozen=True, slots=True)
class Example:
    """One example event, the other records that are known when it comes, and the settings that differ from defaults."""

    event: Event[Any]
    records: tuple[Any, ...]
    config: Mapping[str, Any]


def examples(folder: Path) -> Iterator[Example]:
    """Yield the examples of a plugin, `tests/events/*.json`, by name, with the records and settings they bring."""
    for path in sorted((folder / "tests" / "events").glob("*.json")):
        body = json.loads(path.read_text(encoding="utf-8"))
        others = body.get("records", {}).items()
        records = tuple(known_record(kind, str(item["id"]), item) for kind, items in others for item in items)
        yield Example(event_from_body(body), records, body.get("config", {}))


def _compare(plugin: Plugin, item: Example, session: TableSession) -> str:
    """Handle the event twice on the same rows, then make the writes, so that later examples build on it."""
    event = item.event
    config = plugin.load_config(item.config) if plugin.load_config is not None else None
    first, second = (handle(plugin, config, event, session, records=item.records) for _ in range(2))
    if first.status is DeliveryStatus.RETRYABLE:
        return first.reason or "the handler failed"
    if (first.status, first.effects, first.writes) != (second.status, second.effects, second.writes):
        return "the second time it asks for something else; only event, settings, records, rows and now may decide"
    session.writes = list(first.writes)
    session.apply()
    return _told(plugin.folder, event, [effect for _, effect in first.effects])


def _told(folder: Path, event: Event[Any], effects: Sequence[Effect]) -> str:
    """Return what the templates of these effects lack, in either language."""
    record = {"source": event.source, "kind": event.kind, "id": event.record_id}
    for effect in effects:
        if not isinstance(effect, Notify):
            continue
        for language in LANGUAGES:
            for ending in ("txt", "md"):
                if not (folder / "templates" / f"{effect.template}.{language}.{ending}").is_file() and ending == "md":
                    continue
                try:
                    filled(
                        folder, effect.template, effect.data, language=language, ending=ending,
                        link=effect.link is not None, record=record,
                    )  # fmt: skip
                except EffectRefused as error:
                    return error.message
    return ""


def handle(
    plugin: Plugin, config: Any, event: Event[Any], session: TableSession, *, people: Directory | None = None,
    records: Sequence[Any] = (),
) -> Outcome:  # fmt: skip
    """Hand an event to a plugin through the server's own handler; nothing of it is written."""
    unit = event.unit
    session.writes = []
    outcome = call_plugin(
        plugin,
        PluginSetting(plugin=plugin.name, unit=unit, enabled=True, config=config),
        Unit(unit),
        event,
        now=NOW,
        session=session,
        records=KnownRecords([*records, *([event.record] if event.record is not None else [])]),
        people=(people or NOBODY).at(NOW, unit, ALWAYS.zone),
        calendar=ALWAYS,
        slot=CallSlot(),
        call=Call(unit, plugin.name, event.id, 0),
        limit_s=TIME_LIMIT_S,
    )
    session.writes = []
    return outcome
