"""What every shipped plugin owes the server, whatever comes: its tables, its words, and no failure on a valid event."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import grimp
import pytest
import sqlalchemy as sa
import structlog
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import wsgi
from core.host.configuration import Surroundings, build, resolve
from core.host.discovery import load_plugins
from core.host.plugin import Plugin, hook_of
from core.host.settings import Configuration
from core.model.errors import ItemRejected
from core.model.events import EVENT_TYPES
from core.model.outcomes import DeliveryStatus
from core.model.records import KINDS
from core.people.directory import Directory
from core.store.database import Database
from core.store.migrate import migrate
from core.testing import TableSession, event_from_body, example_events, plugin_session
from core.testing.examples import handle
from tests.house.payloads import payload

PROJECT = Path(__file__).resolve().parents[2]
PLUGINS = load_plugins([PROJECT / "plugins"], with_entry_points=False)
UNIT = "new_energy"
KNOWN: tuple[dict[str, Any] | None, ...] = (None, {})  # a record that nothing is known of, or no record at all
NO_RECORD = ("timer.due", "record.unit_changed")
every_plugin = pytest.mark.parametrize("plugin", PLUGINS.values(), ids=lambda plugin: plugin.name)


@cache
def shipped() -> Configuration:
    """Return the configuration that ships, with its people and each plugin's settings."""
    around = Surroundings(PLUGINS, wsgi.assembly().check_source, folder=PROJECT)
    return build(1, resolve((PROJECT / "plugins.toml").read_text(encoding="utf-8"), around), PLUGINS)[0]


def readme(plugin: Plugin) -> str:
    return (plugin.folder / "README.md").read_text(encoding="utf-8")


# ---------------------------------------------------------------------------------------------------- tables


@every_plugin
def test_its_migrations_make_exactly_the_tables_of_its_models_on_both_databases(
    plugin: Plugin, database: Database
) -> None:
    with database.read() as connection:
        core = set(sa.inspect(connection).get_table_names())
    assert migrate(database, [plugin]) != []
    with database.read() as connection:
        made = set(sa.inspect(connection).get_table_names()) - core - {f"{plugin.name}_alembic_version"}
        assert {name for name in made if not name.startswith(f"{plugin.name}_")} == set()
        known = made - _of_virtual_tables(connection)

        def is_compared(item: Any, name: str | None, type_: str, reflected: bool, other: Any) -> bool:
            if type_ == "index" and reflected:  # what full-text search needs; models cannot say it
                return bool(item.dialect_options["postgresql"].get("using") != "gin")
            return type_ != "table" or name in known

        options = {"compare_type": True, "include_object": is_compared}
        assert plugin.tables is not None
        assert known == set(plugin.tables.tables)
        assert compare_metadata(MigrationContext.configure(connection, opts=options), plugin.tables) == []


def _of_virtual_tables(connection: sa.Connection) -> set[str]:
    """Return the full-text tables of SQLite, with the tables behind them; models cannot say them."""
    if connection.dialect.name != "sqlite":
        return set()
    rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
    virtual = tuple(name for name, statement in rows if str(statement).upper().startswith("CREATE VIRTUAL"))
    return {name for name, _ in rows if virtual and name.startswith(virtual)}


# ---------------------------------------------------------------------------------------------------- documents


@every_plugin
def test_every_setting_stands_in_its_readme(plugin: Plugin) -> None:
    text = readme(plugin)
    missing = [key for key in plugin.config_keys if f"`{key}" not in text and f"`{key.rpartition('.')[2]}" not in text]
    assert missing == []


@every_plugin
def test_every_event_it_emits_bears_its_name_and_stands_in_its_readme(plugin: Plugin) -> None:
    text = readme(plugin)
    for name in _emitted(plugin):
        assert name.startswith(f"{plugin.name}.")
        assert f"`{name}`" in text


def _emitted(plugin: Plugin) -> set[str]:
    """Return the types its examples emit, and those that are written out in its code."""
    written = re.compile(rf'"({plugin.name}\.[a-z_]+)"')
    code = "\n".join(path.read_text(encoding="utf-8") for path in plugin.folder.glob("*.py"))
    found = set(written.findall(code))
    with opened(plugin) as call:
        for event in example_events(plugin.folder):
            if plugin.hears(event.type):
                found |= {effect.type for _, effect in call(event).effects if effect.name == "emit_event"}
    return found


def test_the_import_contracts_see_every_module_that_ships() -> None:
    """A folder without __init__.py is invisible to import-linter, and with it whatever is imported there."""
    graph = grimp.build_graph("core", "plugins", "webhooks", cache_dir=None)
    files = {
        ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")
        for package in ("core", "plugins", "webhooks")
        for path in (PROJECT / package).rglob("*.py")
        if "versions" not in path.parts and "migrations" not in path.parts
    }
    assert sorted(files - graph.modules) == []


# ---------------------------------------------------------------------------------------------------- events


class Opened:
    """A plugin with its tables, called as the server calls it; writes are made, so that events build on one another."""

    def __init__(self, plugin: Plugin, session: TableSession) -> None:
        self.plugin = plugin
        self.session = session
        setting = shipped().plugins[UNIT, plugin.name]
        built_in = plugin.load_config({}) if plugin.load_config else None
        self.ways: list[tuple[Any, Directory | None]] = [(built_in, None), (setting.config, shipped().directory)]

    def __call__(self, event: Any, way: int = 0) -> Any:
        config, people = self.ways[way]
        outcome = handle(self.plugin, config, event, self.session, people=people)
        assert outcome.status is not DeliveryStatus.RETRYABLE, f"{event.type} {event.data}: {outcome.reason}"
        self.session.writes = list(outcome.writes)
        self.session.apply()
        return outcome


class opened:  # noqa: N801 - used as a context manager, as `open` is
    """Open a plugin with empty tables; its own log is not printed."""

    def __init__(self, plugin: Plugin) -> None:
        self._plugin = plugin
        self._session = plugin_session(plugin.folder)

    def __enter__(self) -> Opened:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
        return Opened(self._plugin, self._session.__enter__())

    def __exit__(self, *problem: Any) -> None:
        self._session.__exit__(*problem)
        structlog.reset_defaults()


def heard(plugin: Plugin) -> list[str]:
    return [name for name in EVENT_TYPES if plugin.hears(name)]


def body(type: str, data: dict[str, Any], **more: Any) -> Any:
    return event_from_body({"type": type, "data": data, **more})


@every_plugin
def test_an_event_that_says_nothing_but_its_record_is_no_failure(plugin: Plugin) -> None:
    with opened(plugin) as call:
        for way in (0, 1):
            for name in heard(plugin):
                if name not in NO_RECORD:
                    call(body(name, {"id": f"bare-{name}-{way}"}), way)


@pytest.mark.parametrize(
    "plugin", [item for item in PLUGINS.values() if item.hears("timer.due")], ids=lambda plugin: plugin.name
)
def test_a_timer_that_it_never_started_or_that_no_longer_stands_is_no_failure(plugin: Plugin) -> None:
    with opened(plugin) as call:
        started: list[tuple[Any, Any]] = []
        for event in example_events(plugin.folder):
            if plugin.hears(event.type):
                started += [(event, item) for _, item in call(event, 1).effects if item.name == "start_timer"]
        for kind in KINDS:
            for timer in {"whatever", *(item.timer for _, item in started)}:
                due = {"id": "nobody", "plugin": plugin.name, "timer": timer, "due_at": "2026-11-23T01:30:00Z"}
                for record in KNOWN:
                    call(body("timer.due", dict(due), kind=kind, record=record))
        for event, item in started:  # each timer twice, long after: the second finds that nothing stands any more
            due = {"id": event.record_id, "plugin": plugin.name, "timer": item.timer, "due_at": "2027-11-23T01:30:00Z"}
            for _ in range(2):
                call(body("timer.due", {**due, "data": dict(item.data), "late": True}, kind=event.kind, record={}), 1)
    assert started, "no example starts a timer, so nothing was tried"


@every_plugin
def test_a_record_that_moves_is_no_failure_known_or_not(plugin: Plugin) -> None:
    with opened(plugin) as call:
        for number, kind in enumerate(KINDS):
            for told in (UNIT, "packaging"):
                for record in KNOWN:
                    moved = {"id": f"M-{number}", "from_unit": "packaging", "to_unit": told, "reason": None}
                    call(body("record.unit_changed", moved, kind=kind, record=record), 1)
        for event in example_events(plugin.folder):
            if plugin.hears(event.type):
                call(event, 1)
                if event.kind in KINDS:
                    moved = {"id": event.record_id, "from_unit": event.unit, "to_unit": UNIT}
                    call(body("record.unit_changed", moved, kind=event.kind, record={}), 1)


def hooks() -> Iterator[tuple[Plugin, str]]:
    for plugin in PLUGINS.values():
        for name in plugin.hooks:
            if any(_calls(plugin, name, item) for item in EVENT_TYPES):
                yield plugin, name


def _calls(plugin: Plugin, hook: str, type: str) -> bool:
    if type in NO_RECORD:
        return False
    return hook == "on_event" or hook_of(plugin.name, type) == hook


@pytest.mark.parametrize(("plugin", "hook"), list(hooks()), ids=lambda item: getattr(item, "name", item))
def test_no_valid_payload_makes_a_hook_fail(plugin: Plugin, hook: str) -> None:
    types = [name for name in EVENT_TYPES if _calls(plugin, hook, name)]
    numbers = iter(range(1_000_000))

    @settings(
        max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
    )
    @given(st.data())
    def check(data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(types), "type")
        kind = str(EVENT_TYPES[name].kind)
        before = data.draw(st.none() | st.sampled_from([item for item in heard(plugin) if item.startswith(kind)]))
        record = {"id": f"H-{next(numbers)}"}  # of its own, so that no example depends on another
        way = data.draw(st.sampled_from([0, 1]), "settings")
        for item in filter(None, (before, name)):
            try:
                event = body(item, {**record, **data.draw(payload(kind))}, timestamp=data.draw(TIMES))
            except ItemRejected:
                continue  # refused at the door, so it never reaches a plugin
            call(event, way)

    with opened(plugin) as call:
        check()


TIMES = st.sampled_from(["2026-11-20T01:30:00Z", "2026-11-23T01:30:00Z", "2026-11-30T23:59:59.999999Z"])
