"""A small server without processes: events go in, batches are drained by hand, rows are looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from core.host.plugin import Manifest, Plugin
from core.host.settings import (
    ChannelSettings,
    Configuration,
    DispatchSettings,
    PluginSetting,
    SourceSettings,
    UnitSettings,
)
from core.model.effects import EFFECTS
from core.model.inbound import InboundEvent, inbound_event
from core.people.directory import Directory
from core.pipeline.dispatch import Dispatcher
from core.pipeline.inbox import Stored, store
from core.pipeline.relay import find_follow_ups
from core.pipeline.timers import find_due
from core.store import tables
from core.store.database import Database
from core.time.clock import FrozenClock

START = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)

FOLDER = Path(__file__).parent / "folder"
"""Where the plugins of these tests have their message templates."""

DESK = ChannelSettings("desk", "webhook", {"url": "http://127.0.0.1:9/", "links": True}, is_fallback=True)
"""The channel that takes every notice of these tests."""

Hook = Callable[..., Any]


def plugin(name: str, **hooks: Hook) -> Plugin:
    """Make a plugin of plain functions (event, ctx)."""
    manifest = Manifest(
        name=name, version="1.0", title=name, summary="", owner="tests", api="1", effects=tuple(EFFECTS)
    )
    calls = {hook: (lambda event, ctx, function=function: function(event, ctx)) for hook, function in hooks.items()}
    return Plugin(manifest=manifest, folder=FOLDER, module=name, hooks=calls, load_config=dict)


@dataclass
class Kit:
    """Everything one test needs."""

    database: Database
    plugins: dict[str, Plugin]
    clock: FrozenClock = field(default_factory=lambda: FrozenClock(START))
    number: int = 0
    off: set[tuple[str, str]] = field(default_factory=set)
    dispatch: DispatchSettings = field(default_factory=DispatchSettings)
    units: Mapping[str, UnitSettings] = field(
        default_factory=lambda: {
            "new_energy": UnitSettings("new_energy", "新能源事业部", {"industry": ("ev", "photovoltaic")}),
            "packaging": UnitSettings("packaging", "包装与通用工业", {"industry": ("packaging",)}),
            "default": UnitSettings("default", "其他"),
        }
    )
    directory: Directory = field(default_factory=Directory)
    _messages: int = 0

    def __post_init__(self) -> None:
        self.dispatcher = Dispatcher(self.database, self.clock, self.plugins, self)

    def current(self, connection: sa.Connection, number: int | None = None) -> Configuration:
        """Return the configuration in force: every plugin on, but for what was switched off."""
        if number is None:
            number = connection.execute(sa.select(sa.func.max(tables.config_versions.c.number))).scalar() or 0
        settings = {
            (unit, name): PluginSetting(name, unit, (unit, name) not in self.off, config={})
            for unit in self.units
            for name in self.plugins
        }
        return Configuration(
            number=number,
            sources={"crm": SourceSettings("crm", "standard", ("env:X",), write_back_url="http://127.0.0.1:9/")},
            units=self.units,
            endpoints={},
            dispatch=self.dispatch,
            plugins=settings,
            channels={"desk": DESK},
            directory=self.directory,
        )

    def switch(self, unit: str, name: str, *, on: bool) -> None:
        """Switch a plugin on or off for a unit, as a new configuration version."""
        with self.database.write() as connection:
            self.number += 1
            (self.off.discard if on else self.off.add)((unit, name))
            connection.execute(
                sa.insert(tables.config_versions).values(
                    number=self.number, applied_at=self.clock.now(), applied_by="it", reason="test", origin="switch",
                    document="", file_hash="", resolved={},
                )
            )  # fmt: skip

    def event(
        self, type: str, record_id: str, *, key: str | None = None, version: int | None = None,
        minutes: float = 0, completeness: str | None = None, source: str = "crm", **fields: Any,
    ) -> InboundEvent:  # fmt: skip
        """Build one event as an adapter would."""
        self._messages += 1
        return inbound_event(
            source=source,
            type=type,
            data={"id": record_id, **fields},
            dedupe_key=key or f"message-{self._messages}",
            occurred_at=START + timedelta(minutes=minutes),
            version=version,
            completeness=completeness,
        )

    def send(self, type: str, record_id: str, **options: Any) -> str:
        """Put one event into the inbox; return its id."""
        return self.accept(self.event(type, record_id, **options)).ids[0]

    def accept(self, *items: InboundEvent) -> Stored:
        """Put events into the inbox in one transaction."""
        with self.database.write() as connection:
            return store(connection, items, self.clock.now())

    def drain(self, limit: int = 500) -> int:
        """Work until nothing is due, follow-ups and timers included; return how many batches did something."""
        for batches in range(limit):
            written = self.dispatcher.drain()
            if not written.events and not written.deliveries and not self.pass_on():
                return batches
        raise AssertionError(f"still work to do after {limit} batches")

    def pass_on(self) -> int:
        """Do what the courier does, without its loop."""
        now = self.clock.now()
        with self.database.write() as connection:
            follow_ups = find_follow_ups(connection)
            due = find_due(connection, self.current(connection), now)
            store(connection, [*follow_ups.events, *due.events], now)
            follow_ups.mark(connection, now)
            due.mark(connection)
        return len(follow_ups.messages) + len(due.marks)

    def later(self, **span: float) -> None:
        """Move the clock."""
        self.clock.move(timedelta(**span))

    def rows(self, table: sa.Table, *conditions: Any) -> list[Any]:
        """Return a table's rows in the order they were made."""
        with self.database.read() as connection:
            order = list(table.primary_key.columns)
            return list(connection.execute(sa.select(table).where(*conditions).order_by(*order)))

    def limits(self, **changes: Any) -> None:
        """Change limits of dispatching."""
        self.dispatch = replace(self.dispatch, **changes)
