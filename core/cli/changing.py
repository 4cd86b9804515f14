"""Changes the configuration and, where that switches a plugin on, lifts its quarantine in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Connection

from core.host.change_checks import is_switch
from core.host.changes import Changed, change
from core.host.configuration import Surroundings
from core.pipeline.quarantine import lift
from core.store.database import Database
from core.store.reading.configuration import list_quarantines
from core.time.clock import Clock


def change_and_lift(
    database: Database,
    path: Path,
    around: Surroundings,
    *,
    changes: Mapping[tuple[str, ...], Any],
    by: str,
    reason: str,
    clock: Clock,
    expected: int | None = None,
) -> tuple[Changed, list[str]]:
    """Change keys of plugins.toml; return what that did and the units in which a quarantine was lifted.

    Raises like `core.host.changes.change`.
    """
    switched_on = {
        (keys[1] if keys[0] == "units" else None, keys[-2])
        for keys, value in changes.items()
        if is_switch(keys) and value is True
    }
    lifted: list[str] = []

    def lift_quarantines(connection: Connection) -> None:
        lifted.clear()  # of an attempt that somebody else's version came between
        for item in list_quarantines(connection):
            unit, plugin = item["unit"], item["plugin"]
            is_meant = bool(switched_on & {(unit, plugin), (None, plugin)})
            if item["active"] and is_meant and lift(connection, unit, plugin, by, clock.now(), reason):
                lifted.append(unit)

    done = change(
        database, path, around, changes=changes, by=by, reason=reason, clock=clock, expected=expected,
        also=lift_quarantines if switched_on else None,
    )  # fmt: skip
    return done, lifted
