"""While events flow a plugin is switched off and on: none is handled after the commit that says off, none skipped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from core.host.applying import apply
from core.host.configuration import Surroundings
from core.host.switches import switch
from core.host.versions import Configurations
from core.model.effects import Decide
from core.pipeline.dispatch import Dispatcher, Redo
from core.pipeline.driver_locks import Share
from core.pipeline.inbox import store
from core.pipeline.slot import CallSlot
from core.pipeline.switch_news import SwitchNews
from core.store import tables
from core.store.database import Database
from tests.pipeline.kit import Kit, plugin

SWITCHES = 60
EVENTS_BETWEEN = 8
TEXT = """
[units.new_energy]
title = "New energy"
match = { industry = ["ev"] }

[plugins.alpha]
enabled = true
[plugins.witness]
enabled = true
"""


def deciding(event: Any, ctx: Any) -> list[Any]:
    return [Decide(kind="seen", outcome="yes", summary="seen", rule="always")]


class Workers:
    """Two dispatchers in threads of their own, which work until told that no more events come."""

    def __init__(self, kit: Kit) -> None:
        self.no_more = threading.Event()
        self.failed: list[BaseException] = []
        self._kit = kit
        self._threads = [threading.Thread(target=self._work, args=(index,)) for index in range(2)]

    def __enter__(self) -> Workers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *given: object) -> None:
        self.no_more.set()
        for thread in self._threads:
            thread.join(timeout=60)
            assert not thread.is_alive()
        assert self.failed == []

    def _work(self, index: int) -> None:
        kit = self._kit
        share = Share(index=index, of=2 if kit.database.is_sqlite else 1)
        dispatcher = Dispatcher(
            kit.database, kit.clock, kit.plugins, Configurations(kit.database, kit.plugins), share=share
        )
        try:
            while True:
                is_last = self.no_more.is_set()
                try:
                    done = dispatcher.drain()
                except Redo:
                    continue
                if is_last and not done.events and not done.deliveries:
                    return
        except BaseException as error:
            self.failed.append(error)


def test_of_events_that_flow_while_a_plugin_is_switched_each_is_handled_as_the_switch_stood(
    database: Database, tmp_path: Path
) -> None:
    kit = Kit(database, {name: plugin(name, on_lead_created=deciding) for name in ("alpha", "witness")})
    path = tmp_path / "plugins.toml"
    path.write_text(TEXT)
    around = Surroundings(kit.plugins, lambda source: [])
    apply(database, path, around, clock=kit.clock, by="IT")
    state, accepted_at = {1: True}, {}
    with Workers(kit):
        for count in range(SWITCHES):
            items = [
                kit.event("lead.created", f"L{count}-{number}", industry="ev" if number % 4 else "packaging")
                for number in range(EVENTS_BETWEEN)
            ]
            with database.write() as connection:
                ids = store(connection, items, kit.clock.now()).ids
            accepted_at |= dict.fromkeys(ids, max(state))
            is_on = count % 2 == 1
            done = switch(
                database, path, around, plugin="alpha", unit="new_energy", enabled=is_on, by="IT", reason="R24",
                clock=kit.clock,
            )  # fmt: skip
            assert done.units == ("new_energy",)
            state[done.number] = is_on
    assert max(state) == SWITCHES + 1
    handled = {(row.event_id, row.plugin): row for row in kit.rows(tables.deliveries)}
    events = {row.id: row for row in kit.rows(tables.events)}
    assert len(events) == SWITCHES * EVENTS_BETWEEN
    assert {row.status for row in events.values()} == {"dispatched"}
    on = off = 0
    for event_id, event in events.items():
        number = handled[event_id, "witness"].config_version  # the same batch, so the same version, as alpha's
        assert number >= accepted_at[event_id], "decided by a version that was not in force any more"
        alpha = handled.get((event_id, "alpha"))
        if event.unit == "new_energy" and not state[number]:
            assert alpha is None, "handled after the commit that switched it off"
            off += 1
        else:
            assert alpha is not None, "skipped although it was on"
            assert (alpha.status, alpha.config_version) == ("completed", number)
            on += 1
    decided = {(row.event_id, row.plugin) for row in kit.rows(tables.decisions)}
    assert decided == set(handled)
    assert on > SWITCHES
    assert off > 0


# ------------------------------------------------------------------------ what the plugin itself is told


class Told:
    """A plugin that notes what it is told, on a database with a real configuration."""

    def __init__(self, database: Database, path: Path, **hooks: Callable[..., Any]) -> None:
        self.notes: list[tuple[str, str]] = []
        self.kit = Kit(database, {})
        made = plugin("alpha")
        for name in ("plugin_enabled", "plugin_disabled"):
            made.hooks[name] = hooks.get(name) or (lambda unit, name=name: self.notes.append((name, unit)))  # type: ignore[index]
        self.kit.plugins = {"alpha": made}
        self.path, self.around = path, Surroundings(self.kit.plugins, lambda source: [])
        path.write_text(TEXT.replace("[plugins.witness]\nenabled = true\n", ""))
        self.apply()

    def apply(self) -> None:
        apply(self.kit.database, self.path, self.around, clock=self.kit.clock, by="IT")

    def process(self) -> Callable[[], list[tuple[str, str]]]:
        """Start a worker's look at switches; each call looks once and returns what was told."""
        database = self.kit.database
        news = SwitchNews(self.kit.plugins, Configurations(database, self.kit.plugins), CallSlot())

        def look() -> list[tuple[str, str]]:
            self.notes.clear()
            with database.read() as connection:
                news.tell(connection)
            return list(self.notes)

        return look

    def switch(self, enabled: bool, unit: str | None = "new_energy") -> None:
        switch(
            self.kit.database, self.path, self.around, plugin="alpha", unit=unit, enabled=enabled, by="IT",
            reason="pilot", clock=self.kit.clock,
        )  # fmt: skip


ALL_ON = [("plugin_enabled", "new_energy"), ("plugin_enabled", "default")]


def test_a_plugin_is_told_of_each_switch_once_whoever_made_it(database: Database, tmp_path: Path) -> None:
    told = Told(database, tmp_path / "plugins.toml")
    look = told.process()
    assert look() == ALL_ON
    assert look() == []
    told.switch(False)
    assert look() == [("plugin_disabled", "new_energy")]
    assert look() == []
    told.path.write_text(told.path.read_text().replace("[plugins.alpha]\nenabled = true", "[plugins.alpha]\n"))
    told.apply()
    assert look() == [("plugin_disabled", "default")]


def test_a_process_that_starts_tells_every_state_so_that_a_crash_loses_none(database: Database, tmp_path: Path) -> None:
    told = Told(database, tmp_path / "plugins.toml")
    told.process()()
    told.switch(False)  # and the process dies before it looks
    assert told.process()() == [("plugin_disabled", "new_energy"), ("plugin_enabled", "default")]


def test_a_plugin_that_fails_to_take_note_is_not_told_again_and_one_in_quarantine_when_it_is_out(
    database: Database, tmp_path: Path
) -> None:
    def failing(unit: str) -> None:
        raise RuntimeError("no")

    told = Told(database, tmp_path / "plugins.toml", plugin_disabled=failing)
    look = told.process()
    look()
    told.switch(False)
    assert look() == []
    row = {"crashes": 3, "active": True, "reason": "hung", "changed_at": told.kit.clock.now(), "changed_by": "s"}
    with database.write() as connection:
        connection.execute(sa.insert(tables.quarantines).values(unit="new_energy", plugin="alpha", **row))
    told.switch(True)
    assert look() == []
    with database.write() as connection:
        connection.execute(sa.update(tables.quarantines).values(active=False))
    assert look() == [("plugin_enabled", "new_energy")]
