"""Finds the business unit a record belongs to, from its merged snapshot and the records it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.host.settings import Configuration, SourceSettings
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
    rules = configuration.unit_rules
    found = rules.first(snapshot)
    if found is not None:
        return found
    for field, kind in LINKS.items():
        record_id = snapshot.get(field)
        if not isinstance(record_id, str):
            continue
        found = rules.first(linked(kind, record_id) or {})
        if found is not None:
            slug, fitting = found
            return slug, f"{fitting} of {kind} {record_id}"
    return DEFAULT, "no unit's rule fits"
