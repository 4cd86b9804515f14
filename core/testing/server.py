"""A whole server for a plugin's tests, without processes: events go in, work is done by hand, the clock is moved.

It is the real thing but for its drivers: the same tables, configuration, dispatcher, timers, follow-ups, API and pages.
Nothing is sent outward; what would be sent is read from `messages()`.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from click.testing import CliRunner, Result

from core.cli.output import LetterGroup
from core.host.applying import apply
from core.host.configuration import Surroundings
from core.host.discovery import load_plugins
from core.host.loading import contribution
from core.host.plugin import Plugin
from core.host.settings import Configuration
from core.host.versions import Configurations
from core.model.errors import NotFound, PluginRefused
from core.model.inbound import inbound_event
from core.model.instants import parse_instant
from core.model.outcomes import TimerStatus
from core.pipeline.commands import Desk, use_desk
from core.pipeline.dispatch import Dispatcher
from core.pipeline.inbox import store
from core.pipeline.links import token_of
from core.pipeline.relay import find_follow_ups
from core.pipeline.replay import Replayer
from core.pipeline.timers import find_due
from core.store import tables
from core.store.database import Database
from core.testing.databases import migrated_database
from core.testing.events import NOW
from core.time.clock import FrozenClock

SOURCE = """
[sources.crm]
adapter = "standard"
secrets = ["env:TEST_SECRET"]
write_back_url = "http://127.0.0.1:9/"
"""
MAX_BATCHES = 10_000


class PluginServer:
    """One database with plugins installed and configured, and a clock that stands still until it is moved."""

    def __init__(
        self, database: Database, plugins: Mapping[str, Plugin], place: Path, now: datetime, name: str
    ) -> None:
        self.name = name
        self.database = database
        self.plugins = plugins
        self.clock = FrozenClock(now)
        self.configurations = Configurations(database, plugins)
        self.dispatcher = Dispatcher(database, self.clock, plugins, self.configurations)
        self.desk = Desk(database, self.clock, self.configuration)
        self._file = place / "plugins.toml"
        self._number = 0

    def configure(self, text: str) -> None:
        """Apply this text as plugins.toml; a source `crm` is added. Raises ConfigurationRefused with every fault."""
        self._file.write_text(SOURCE + text, encoding="utf-8")
        around = Surroundings(self.plugins, lambda source: (), folder=self._file.parent)
        apply(self.database, self._file, around, clock=self.clock, by="test", wins="file")
        self.sit_down()

    def sit_down(self) -> None:
        """Make this server's desk the one that `current_desk()` answers; a new thread has none until it says so."""
        use_desk(self.desk)

    def configuration(self) -> Configuration:
        """Return the version in force."""
        return self.configurations.read()

    def send(self, type: str, data: Mapping[str, Any], *, at: datetime | str | None = None, **envelope: Any) -> str:
        """Accept one event about a record, as a CRM's webhook would be, and work until nothing is due; return its id.

        `at` is when it occurred, by default now; `envelope` may hold `version`, `completeness`, `unit`, `dedupe_key`.
        """
        self._number += 1
        occurred = parse_instant(at) if isinstance(at, str) else at or self.clock.now()
        envelope.setdefault("dedupe_key", f"message-{self._number}")
        event = inbound_event(source="crm", type=type, data=data, occurred_at=occurred, **envelope)
        with self.database.write() as connection:
            identity = store(connection, [event], self.clock.now()).ids[0]
        self.work()
        return identity

    def replay(self, event: str, *, outward: bool = False) -> None:
        """Dispatch a stored event again, as `outrigger events replay` does, and work until nothing is due."""
        replayer = Replayer(self.database, self.clock, self.configuration, lambda: self.plugins)
        replayer.replay_event(event, outward=outward, actor="test")
        self.work()

    def work(self) -> None:
        """Dispatch until nothing is due: events, deliveries, follow-ups and timers."""
        for _ in range(MAX_BATCHES):
            written = self.dispatcher.drain()
            if not written.events and not written.deliveries and not self._pass_on():
                return
        raise AssertionError(f"there is still work to do after {MAX_BATCHES} batches")

    def _pass_on(self) -> int:
        """Do what the courier does, without its loop."""
        now = self.clock.now()
        with self.database.write() as connection:
            follow_ups = find_follow_ups(connection)
            due = find_due(connection, self.configurations.current(connection), now)
            store(connection, [*follow_ups.events, *due.events], now)
            follow_ups.mark(connection, now)
            due.mark(connection)
        return len(follow_ups.messages) + len(due.marks)

    def move_to(self, at: datetime | str) -> None:
        """Move the clock forward, stopping at every moment at which something falls due on the way."""
        end = parse_instant(at) if isinstance(at, str) else at
        while True:
            due = self._next_due()
            if due is None or due > end:
                break
            self.clock.move_to(max(due, self.clock.now()))
            self.work()
        self.clock.move_to(max(end, self.clock.now()))
        self.work()

    def later(self, **span: float) -> None:
        """Move the clock forward by a span, such as `hours=3`."""
        self.move_to(self.clock.now() + timedelta(**span))

    def jump(self, **span: float) -> None:
        """Move the clock at once, backwards too, and work only then: a server that was stopped meanwhile."""
        self.clock.move(timedelta(**span))
        self.work()

    def _next_due(self) -> datetime | None:
        timers, deliveries = tables.timers.c, tables.deliveries.c
        with self.database.read() as connection:
            found = [
                connection.execute(sa.select(sa.func.min(column)).where(status.in_(open_states))).scalar()
                for column, status, open_states in (
                    (timers.due_at, timers.status, [TimerStatus.PENDING.value]),
                    (deliveries.due_at, deliveries.status, ["available", "scheduled", "retryable"]),
                )
            ]
        return min((item for item in found if item is not None), default=None)

    def rows(self, table: sa.Table | type[Any], *conditions: Any) -> list[Any]:
        """Return the rows of a table or model, in the order of their primary key."""
        made: sa.Table = getattr(table, "__table__", table)  # type: ignore[arg-type]
        with self.database.read() as connection:
            statement = sa.select(made).where(*conditions).order_by(*made.primary_key.columns)
            return list(connection.execute(statement).fetchall())

    def events(self, record_id: str | None = None) -> list[Any]:
        """Return the events about a record, or all, in the order they were accepted, follow-ups among them."""
        where = [] if record_id is None else [tables.events.c.record_id == record_id]
        return self.rows(tables.events, *where)

    def decisions(self, record_id: str | None = None) -> list[Any]:
        """Return the decisions about a record, or all, oldest first."""
        where = [] if record_id is None else [tables.decisions.c.record_id == record_id]
        return self.rows(tables.decisions, *where)

    def messages(self, effect: str | None = None) -> list[Any]:
        """Return what waits to be sent or was kept back: write-backs, notices, webhooks; follow-ups are left out."""
        where = [tables.outbox.c.target != "inbox"] + ([tables.outbox.c.effect == effect] if effect else [])
        return self.rows(tables.outbox, *where)

    def timers(self, *, pending: bool = True) -> list[Any]:
        """Return the timers, by default those that are still to fire."""
        where = [tables.timers.c.status == TimerStatus.PENDING.value] if pending else []
        return self.rows(tables.timers, *where)

    def problems(self) -> list[str]:
        """Return every delivery that did not complete, with its reason; an empty list is what a test wants to see."""
        deliveries = tables.deliveries.c
        found = self.rows(tables.deliveries, deliveries.status != "completed")
        return [f"{row.event_id} {row.plugin}@{row.unit}: {row.status}: {row.reason}" for row in found]

    def web(self, *, role: str = "admin", units: Sequence[str] = ("*",)) -> Any:
        """Return a client of the web app; every request carries a key of this role and these units."""
        from core.testing.web import client

        return client(self, role=role, units=units)

    def commands(self) -> Any:
        """Return the plugin's own commands, as `outrigger <plugin> …` has them. Raises NotFound when it has none."""
        found = contribution(self.plugins[self.name], "cli", "register_commands")
        if found is None:
            raise NotFound(f"{self.name} contributes no commands: it has no cli.py with `register_commands`.")
        return found

    def run(self, *arguments: str) -> Result:
        """Run one of the plugin's own commands and what follows from it; see `output` and `exit_code` of the result.

        As at a terminal an error is a letter with its code, and ends the command with 1.
        """
        self.sit_down()
        group = self.commands()
        result = CliRunner().invoke(LetterGroup("outrigger", [group]), [str(group.name), *arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        self.work()
        return result

    def link(self, message: Any) -> str:
        """Return the path of the page that a message links to, one of `messages("notify")`, as its reader opens it.

        Raises NotFound when it has no link, LinkExpired and LinkUsed when that is over.
        """
        found = json.loads(message.channel_data or "{}").get("link")
        if not found:
            raise NotFound(f"The message {message.type} has no link; its Notify needs `link=Link(…)`.")
        (row,) = self.rows(tables.links, tables.links.c.id == found)
        with self.database.read() as connection:
            token = token_of(connection, found, message.id, self.clock.now())
        return f"/pages/{row.plugin.replace('_', '-')}/{row.page}/{token}"


@contextlib.contextmanager
def plugin_server(
    folder: Path, settings: str, *, postgresql: str | None = None, now: datetime = NOW, only: Sequence[str] = ()
) -> Iterator[PluginServer]:
    """Run the plugin in `folder` in an empty database, configured by `settings`, the text of a plugins.toml.

    `postgresql` is the URL of a PostgreSQL server to use instead of SQLite; `only` names further plugins beside it in
    the same parent folder. Raises ConfigurationRefused for settings with faults, PluginRefused when it cannot load.
    """
    wanted = {folder.name, *only}
    found = load_plugins([folder.parent], with_entry_points=False)
    plugins = {name: plugin for name, plugin in found.items() if name in wanted}
    for plugin in plugins.values():
        if plugin.error is not None:
            raise PluginRefused(plugin.error)
    with (
        migrated_database(list(plugins.values()), postgresql) as database,
        tempfile.TemporaryDirectory(prefix="outrigger-test-") as place,
    ):
        server = PluginServer(database, plugins, Path(place), now, folder.name)
        server.configure(settings)
        yield server
