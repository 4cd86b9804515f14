"""What the views work with, put into the app once by the factory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, cast

from flask import current_app

from core.host.plugin import Plugin
from core.host.settings import Configuration
from core.pipeline.interventions import Interventions
from core.pipeline.replay import Replayer
from core.store.database import Database
from core.time.clock import Clock
from core.web.keys import ApiKeys

NAME = "outrigger"


class Switch(Protocol):
    """Switches a plugin on or off in a unit: a new configuration version with who, when and why."""

    def __call__(self, *, unit: str, plugin: str, enabled: bool, reason: str, actor: str) -> int:
        """Return the number of the new version. Raises ConfigurationRefused or ConfigurationConflict."""
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
    switch: Switch | None
    keys: ApiKeys
    replayer: Replayer
    interventions: Interventions


def services() -> Services:
    """Return the services of the running app."""
    return cast(Services, current_app.extensions[NAME])
