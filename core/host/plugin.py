"""A loaded plugin: its manifest, its configuration schema and its hooks, each callable on its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa


@dataclass(frozen=True, slots=True)
class Manifest:
    """What plugin.toml says."""

    name: str
    version: str
    title: str
    summary: str
    owner: str
    api: str
    effects: tuple[str, ...]  # the effects IT allows; anything else is refused by the recorder
    tier: str = "bronze"
    default_enabled: bool = False


HookCall = Callable[..., Any]


def hook_of(plugin: str, event_type: str) -> str:
    """Return the hook of `plugin` that an event of this type is for; its own types have one hook together."""
    return "on_own_event" if event_type.startswith(f"{plugin}.") else "on_" + event_type.replace(".", "_")


@dataclass(frozen=True, slots=True)
class Plugin:
    """One plugin that was found. `error` says why it cannot run; then it has no hooks and the others are unaffected."""

    manifest: Manifest
    folder: Path
    module: str  # dotted name of the package
    hooks: Mapping[str, HookCall] = field(default_factory=dict)  # hook name -> call(event=…, ctx=…), this plugin only
    load_config: Callable[[Mapping[str, Any]], Any] | None = None  # raises marshmallow.ValidationError
    config_keys: Mapping[str, Any] = field(default_factory=dict)  # key -> description for docs and `plugins show`
    tables: sa.MetaData | None = None
    error: str | None = None
    fingerprint: str = ""  # of its code; "" where that accepts no settings
    _heard: dict[str, tuple[str, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The plugin's name: folder, table prefix and key in plugins.toml."""
        return self.manifest.name

    def hears(self, event_type: str) -> tuple[str, ...]:
        """Return the hooks an event of this type calls: its own, and `on_event` when the plugin has it."""
        known = self._heard.get(event_type)
        if known is None:
            known = self._heard[event_type] = self._hooks_for(event_type)
        return known

    def _hooks_for(self, event_type: str) -> tuple[str, ...]:
        own = hook_of(self.name, event_type)
        hooks = [own] if own in self.hooks else []
        if "on_event" in self.hooks and event_type != "timer.due":
            hooks.append("on_event")
        return tuple(hooks)
