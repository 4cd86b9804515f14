"""Switches a plugin on or off for one unit or for all: one kind of change of the configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import Connection

from core.host.changes import change
from core.host.configuration import Surroundings
from core.store.database import Database
from core.time.clock import Clock


@dataclass(frozen=True, slots=True)
class Switched:
    """What a switch did: the version in force, the units whose state changed, and whether the file followed."""

    number: int
    units: tuple[str, ...]
    written_back: bool = False
    not_written: str = ""


def switch_path(plugin: str, unit: str | None) -> tuple[str, ...]:
    """Return the key that switches a plugin in a unit, or with None in all."""
    return ("plugins", plugin, "enabled") if unit is None else ("units", unit, "plugins", plugin, "enabled")


def switch(
    database: Database,
    path: Path,
    around: Surroundings,
    *,
    plugin: str,
    unit: str | None,
    enabled: bool,
    by: str,
    reason: str,
    clock: Clock,
    also: Callable[[Connection], object] | None = None,
) -> Switched:
    """Switch a plugin in a unit, or with `unit` None in all; switching to what is there already changes nothing.

    `also` runs in the transaction that commits the switch (a quarantine is lifted there). Raises like `change`.
    """
    done = change(
        database,
        path,
        around,
        changes={switch_path(plugin, unit): enabled},
        by=by,
        reason=reason,
        clock=clock,
        also=also,
    )
    units = tuple(slug for slug, name, _ in done.switched if name == plugin)
    return Switched(done.number, units, done.written_back, done.not_written)
