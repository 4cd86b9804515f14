"""Finds the business unit a record belongs to, from its merged snapshot and the records it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.host.settings import Configuration, SourceSettings, UnitSettings
from core.model.records import LINKS

DEFAULT = "default"
NAMED = "named by the sender"

Lookup = Callable[[str, str], Mapping[str, Any] | None]
"""Returns the snapshot of a linked record by kind and id."""


def unit_of(
    configuration: Configuration, source: str, said: str | None, snapshot: Mapping[str, Any], linked: Lookup
) -> tuple[str, str]:
    """Return the unit and the reason for it.

    A source of one unit decides first, then the unit the sender named, then the first unit whose `match` fits the
    snapshot, then the same for the records it links to (its lead, customer, quote, order), and last `default`.
    """
    settings: SourceSettings | None = configuration.sources.get(source)
    if settings is not None and settings.unit != "by_rule":
        return settings.unit, f"source {source} belongs to it"
    if said and said in configuration.units:
        return said, NAMED
    for unit in configuration.units.values():
        fitting = _fits(unit, snapshot)
        if fitting:
            return unit.slug, fitting
    for field, kind in LINKS.items():
        record_id = snapshot.get(field)
        if not isinstance(record_id, str):
            continue
        other = linked(kind, record_id)
        for unit in configuration.units.values():
            fitting = _fits(unit, other or {})
            if fitting:
                return unit.slug, f"{fitting} of {kind} {record_id}"
    return DEFAULT, "no unit's rule fits"


def _fits(unit: UnitSettings, snapshot: Mapping[str, Any]) -> str:
    if not unit.match:
        return ""
    found = []
    for field, values in unit.match.items():
        value = _value(snapshot, field)
        if not isinstance(value, str) or value.strip().casefold() not in {item.casefold() for item in values}:
            return ""
        found.append(f"{field} is {value}")
    return ", ".join(found)


def _value(snapshot: Mapping[str, Any], field: str) -> Any:
    """Return a canonical field, or for `extra.<name>` a field that only the CRM has.

    A name without `extra.` is looked up there too: versions applied before it was asked for still hold.
    """
    value = snapshot.get(field)
    if value is not None:
        return value
    extra = snapshot.get("extra")
    return extra.get(field.removeprefix("extra.")) if isinstance(extra, Mapping) else None
