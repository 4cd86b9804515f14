"""Says which plugins would hear a dispatched event but were given no delivery of it, and why."""

from __future__ import annotations

import bisect
import json
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.host.plugin import Plugin
from core.model.outcomes import EventStatus
from core.pipeline.listening import hears
from core.store.tables import config_versions, deliveries, events

Shown = dict[str, Any]
"""An event as it is shown; what is read of it are `id`, `type`, `unit`, `status` and `accepted_at`."""

CHUNK = 500

KEPT = 8
"""So many configuration versions are kept as they were read: with many units they are large, and asked for often."""

_versions: weakref.WeakKeyDictionary[sa.Engine, dict[int, Any]] = weakref.WeakKeyDictionary()


def add_not_delivered(connection: Connection, shown: Sequence[Shown], plugins: Mapping[str, Plugin]) -> None:
    """Give every event `not_delivered`: the plugins that hear its type and got nothing, each with the reason.

    The configuration is that of the event's deliveries. An event without any is taken to have met the version in
    force when it was accepted, which is nearly always the one it was dispatched under.
    """
    for item in shown:
        item["not_delivered"] = []
    meant = [item for item in shown if item["status"] == EventStatus.DISPATCHED.value]
    for start in range(0, len(meant), CHUNK):
        _explain(connection, meant[start : start + CHUNK], plugins)


def add_to_journey(connection: Connection, journey: Sequence[Shown], plugins: Mapping[str, Plugin]) -> None:
    """Do the same for the events of a record's journey, and name those plugins in the text of the step."""
    steps = [step for step in journey if step["step"] == "event"]
    add_not_delivered(connection, [step["details"] for step in steps], plugins)
    for step in steps:
        missing = [f"{item['plugin']} ({item['reason']})" for item in step["details"]["not_delivered"]]
        if missing:
            step["text"] += f"; not given to {', '.join(missing)}"


def _explain(connection: Connection, shown: Sequence[Shown], plugins: Mapping[str, Plugin]) -> None:
    reached, met = _deliveries(connection, [item["id"] for item in shown])
    owners = _owners(connection, [item["id"] for item in shown if item["type"] == "timer.due"])
    versions = connection.execute(
        sa.select(config_versions.c.number, config_versions.c.applied_at).order_by(config_versions.c.number)
    ).fetchall()
    numbers, times = [row.number for row in versions], [row.applied_at for row in versions]
    resolved: dict[int, Any] = {}
    for item in shown:
        missing = [
            name
            for name, plugin in sorted(plugins.items())
            if hears(plugin, item["type"])
            and name not in reached.get(item["id"], ())
            and owners.get(item["id"], name) == name
        ]
        if not missing or not numbers:
            continue
        number = met.get(item["id"]) or numbers[max(bisect.bisect_right(times, item["accepted_at"]) - 1, 0)]
        if number not in resolved:
            resolved[number] = _plugins_of(connection, number)
        when = f"configuration version {number}" + (", the present one" if number == numbers[-1] else "")
        item["not_delivered"] = [
            {"plugin": name, "unit": item["unit"], "reason": _reason(resolved[number], item["unit"], name, when)}
            for name in missing
        ]


def _deliveries(connection: Connection, ids: Sequence[str]) -> tuple[dict[str, set[str]], dict[str, int]]:
    """Return the plugins each event was delivered to, and the configuration version it was dispatched under."""
    statement = sa.select(
        deliveries.c.event_id, deliveries.c.plugin, deliveries.c.generation, deliveries.c.config_version
    ).where(deliveries.c.event_seq.in_(sa.select(events.c.seq).where(events.c.id.in_(ids))))
    reached: dict[str, set[str]] = {}
    met: dict[str, int] = {}
    for event, plugin, generation, version in connection.execute(statement):
        reached.setdefault(event, set()).add(plugin)
        if generation == 0:
            met[event] = min(met.get(event, version), version)
    return reached, met


def _owners(connection: Connection, ids: Sequence[str]) -> dict[str, str | None]:
    """Return the plugin whose timer fell due; nobody else hears of that."""
    if not ids:
        return {}
    rows = connection.execute(sa.select(events.c.id, events.c.data).where(events.c.id.in_(ids)))
    return {row.id: json.loads(row.data).get("plugin") for row in rows}


def _plugins_of(connection: Connection, number: int) -> Any:
    """Return what each plugin is in each unit by a version; a version never changes, so the last few are kept."""
    kept = _versions.setdefault(connection.engine, {})
    found = kept.get(number)
    if found is None:
        statement = sa.select(config_versions.c.resolved).where(config_versions.c.number == number)
        found = (connection.execute(statement).scalar() or {}).get("plugins", {})
        for old in list(kept)[: max(len(kept) - KEPT + 1, 0)]:
            kept.pop(old, None)
        kept[number] = found
    return found


def _reason(plugins: Any, unit: str | None, name: str, when: str) -> str:
    if unit not in plugins:
        return f"the unit {unit} is not in {when}"
    setting = plugins[unit].get(name)
    if setting is None:
        return f"not installed when {when} was applied"
    if setting["enabled"]:
        return f"switched on in {when}, but it was not when the event was dispatched, or it did not hear this type yet"
    return f"switched off in {unit} ({setting['origin']}), {when}"
