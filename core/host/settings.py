"""What a configuration version says, parsed and checked: sources, units, endpoints, and each unit's plugins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from core.host.calendar_sections import build_calendars
from core.host.unit_rules import UnitRules
from core.model.calendar import Calendar
from core.people.directory import Directory
from core.time.built_in import BUILT_IN, DEFAULT_CALENDAR


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """One CRM connection: how it is verified and mapped, whose records it sends, where decisions go back to."""

    slug: str
    adapter: str
    secrets: tuple[str, ...] = ()  # references such as env:NAME or file:/path, never the secret itself
    unit: str = "by_rule"
    write_back_url: str | None = None
    write_back_secret: str | None = None  # a reference; without one the first of `secrets` signs
    options: Mapping[str, Any] = field(default_factory=dict)  # the adapter's own


@dataclass(frozen=True, slots=True)
class UnitSettings:
    """One business unit and the records it takes: every field of `match` must hold one of its values."""

    slug: str
    title: str
    match: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    calendar: str | None = None


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """Where SendWebhook may go: a URL and the secret reference that signs."""

    slug: str
    url: str
    secret: str | None = None


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """One way in which people are reached, such as a mail server or a group robot; `options` are those of its kind."""

    slug: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    rate: tuple[int, float] | None = None  # at most so many messages in so many seconds
    language: str | None = None
    is_fallback: bool = False  # takes what none of a person's channels can take


@dataclass(frozen=True, slots=True)
class DispatchSettings:
    """The limits of dispatching, with the defaults of the design."""

    hook_time_limit_s: float = 5.0
    crashes_to_quarantine: int = 3
    max_attempts: int = 12
    follow_up_depth: int = 8
    max_wait: timedelta | None = None
    batch_size: int = 64
    egress_allow: tuple[str, ...] = ()  # networks in CIDR form that outgoing webhooks may reach besides public ones
    max_backlog: int = 1_000_000


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """How many days what is done with is kept; the audit trail is kept for ever."""

    events_days: int = 730  # with their deliveries
    keys_days: int = 90  # the ids of events that were removed, from then on
    decisions_days: int = 1095
    messages_days: int = 365  # sent, suppressed or given up
    links_days: int = 30  # after they expired
    idempotency_days: int = 7


@dataclass(frozen=True, slots=True)
class PluginSetting:
    """One plugin in one unit: on or off, its typed configuration, and where every value came from."""

    plugin: str
    unit: str
    enabled: bool
    config: Any  # the plugin's own frozen dataclass; None in processes that do not load plugins
    values: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)  # path -> "default", "file" or "switched by …"


@dataclass(frozen=True, slots=True)
class Configuration:
    """One numbered, immutable configuration version."""

    number: int
    sources: Mapping[str, SourceSettings]
    units: Mapping[str, UnitSettings]  # in the order of the file; the first that matches takes the record
    endpoints: Mapping[str, EndpointSettings]
    dispatch: DispatchSettings
    plugins: Mapping[tuple[str, str], PluginSetting]  # by (unit, plugin)
    calendars: Mapping[str, Calendar] = field(default_factory=lambda: build_calendars(BUILT_IN))
    channels: Mapping[str, ChannelSettings] = field(default_factory=dict)
    directory: Directory = field(default_factory=Directory)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    unit_rules: UnitRules = field(init=False, repr=False, compare=False)
    _enabled: Mapping[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)  # by unit

    def __post_init__(self) -> None:
        """Work out once what every event asks for, so that it costs no more with every unit and plugin."""
        object.__setattr__(self, "unit_rules", UnitRules((slug, unit.match) for slug, unit in self.units.items()))
        enabled: dict[str, list[str]] = {}
        for slug, name in sorted(key for key, item in self.plugins.items() if item.enabled):
            enabled.setdefault(slug, []).append(name)
        object.__setattr__(self, "_enabled", {slug: tuple(names) for slug, names in enabled.items()})

    def calendar_of(self, unit: str) -> Calendar:
        """Return the working calendar of a unit; of a unit that is gone, the default one."""
        named = self.units[unit].calendar if unit in self.units else None
        return self.calendars[named or DEFAULT_CALENDAR]

    def enabled_plugins(self, unit: str) -> tuple[str, ...]:
        """Return the names of the plugins switched on in a unit, sorted."""
        return self._enabled.get(unit, ())

    def is_enabled(self, unit: str, plugin: str) -> bool:
        """Whether a plugin is switched on in a unit."""
        setting = self.plugins.get((unit, plugin))
        return setting is not None and setting.enabled
