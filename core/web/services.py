"""What the views work with, put into the app once by the factory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from flask import current_app

from core.host.plugin import Plugin
from core.host.settings import Configuration
from core.model.errors import Conflict
from core.pipeline.interventions import Interventions
from core.pipeline.replay import Replayer
from core.store.database import Database
from core.time.clock import Clock
from core.web.keys import ApiKeys

NAME = "outrigger"


class Change(Protocol):
    """Changes keys of plugins.toml: a new configuration version with who, when and why."""

    def __call__(
        self, *, changes: Mapping[tuple[str, ...], Any], reason: str, actor: str, expected: int | None = None
    ) -> int:
        """Set each path of keys to its value, None removing it; return the number of the version now in force.

        A plugin's `enabled` is a switch, and true lifts its quarantine there. `expected` is the version that has to be
        in force, if any has. Raises like `core.host.changes.change`.
        """
        ...


class RollBack(Protocol):
    """Makes an older configuration version the newest one."""

    def __call__(self, number: int, *, reason: str, actor: str, expected: int | None = None) -> int:
        """Return the number of the version now in force. Raises like `core.host.applying.rollback`."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """The parts below the web face."""

    database: Database
    clock: Clock
    configuration: Callable[[], Configuration]
    plugins: Callable[[], Mapping[str, Plugin]]
    ready: Callable[[], list[str]]
    schema_fault: Callable[[Database], str | None]
    change: Change | None
    roll_back: RollBack | None
    keys: ApiKeys
    replayer: Replayer
    interventions: Interventions


def services() -> Services:
    """Return the services of the running app."""
    return cast(Services, current_app.extensions[NAME])


def changer() -> Change:
    """Return what changes the configuration. Raises Conflict in a process that cannot."""
    found = services().change
    if found is None:
        raise Conflict("This process cannot change the configuration; use `outrigger config set` or `plugins enable`.")
    return found
