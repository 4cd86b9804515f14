"""Tells plugins of their own switches, in a process that has their code, whoever switched them and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from core.host.plugin import Plugin
from core.host.settings import Configuration
from core.pipeline.slot import Call, CallSlot
from core.store.tables import quarantines

_log = structlog.get_logger("outrigger.worker")


class ConfigurationSource(Protocol):
    """Gives the configuration version in force, read through the caller's connection."""

    def current(self, connection: Connection) -> Configuration:
        """Return the newest version; cached by its number."""
        ...


@dataclass(slots=True)
class SwitchNews:
    """Compares the version in force with what each plugin was told last, and tells it what is new.

    What was told is not stored: a process that starts tells every state, so that nothing is missed when the process
    before it died between the commit and the telling.
    """

    plugins: Mapping[str, Plugin]
    configurations: ConfigurationSource
    slot: CallSlot
    _told: dict[tuple[str, str], bool] = field(default_factory=dict)  # (unit, plugin) -> whether it was on
    _told_whole: Configuration | None = None  # of which nothing is left to tell

    def tell(self, connection: Connection) -> None:
        """Tell what was switched since the last look; a plugin in quarantine is told when it is out of it."""
        configuration = self.configurations.current(connection)
        if configuration is self._told_whole:
            return
        states = {key: setting.enabled for key, setting in configuration.plugins.items()}
        news = {key: enabled for key, enabled in states.items() if self._told.get(key) is not enabled}
        if not news:
            self._told_whole = configuration
            return
        active = sa.select(quarantines.c.unit, quarantines.c.plugin).where(quarantines.c.active.is_(True))
        held = {(row.unit, row.plugin) for row in connection.execute(active)}
        for (unit, name), enabled in news.items():
            if (unit, name) not in held:
                self._told[unit, name] = enabled
                self._call(unit, name, "plugin_enabled" if enabled else "plugin_disabled", configuration)

    def _call(self, unit: str, name: str, hook: str, configuration: Configuration) -> None:
        """Call one hook, watched like any other call: one that hangs or ends the process is counted as a crash."""
        plugin = self.plugins.get(name)
        if plugin is None or hook not in plugin.hooks:
            return
        self.slot.begin(Call(unit, name, "", 0), configuration.dispatch.hook_time_limit_s)
        try:
            plugin.hooks[hook](unit=unit)
        except Exception as error:
            # The switch is committed; a plugin that fails to take note of it must not make that look undone.
            _log.warning("a plugin failed to take note of its switch", plugin=name, unit=unit, error=str(error))
        finally:
            self.slot.end()
