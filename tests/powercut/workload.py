"""The process that is recorded: the real inbox fed by several threads, and the real dispatcher beside it.

Run as `python -m tests.powercut.workload DATABASE SECONDS` under the recorder. Two environment variables of this
harness alone change how the database is opened: POWERCUT_MODE and POWERCUT_SYNCHRONOUS.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import threading
import time
from collections.abc import Mapping

import sqlalchemy as sa

from core.host.discovery import load_plugins
from core.host.plugin import Plugin
from core.host.settings import Configuration, DispatchSettings, PluginSetting, SourceSettings, UnitSettings
from core.model.inbound import inbound_event
from core.pipeline.dispatch import Dispatcher
from core.pipeline.group_commit import GroupCommit, InboxWriter
from core.store import database as database_module
from core.store.database import Database
from core.store.migrate import migrate
from core.time.clock import SystemClock
from tests.load.server import PLUGINS

THREADS = 6
PAUSE_S = 0.004  # keeps the database small, so that thousands of images of it can be looked at


def open_database(url: str) -> Database:
    """Open the database as the product does, but for what the two variables ask to be different."""
    mode, synchronous = os.environ.get("POWERCUT_MODE"), os.environ.get("POWERCUT_SYNCHRONOUS")
    if mode:
        database_module.journal_mode = lambda: mode
    database = Database(url)
    if synchronous:

        @sa.event.listens_for(database.engine, "connect")
        def _weaken(connection: object, _record: object) -> None:
            connection.execute(f"PRAGMA synchronous={synchronous}")  # type: ignore[attr-defined]

    return database


class Configured:
    """Gives the dispatcher one configuration: one source, one unit, every ledger plugin on."""

    def __init__(self, plugins: Mapping[str, Plugin], *, every: int = 0) -> None:
        values = {"rows": True, "decisions": True, "every": every}
        settings = {}
        for name, plugin in plugins.items():
            assert plugin.error is None, plugin.error
            assert plugin.load_config is not None
            settings["default", name] = PluginSetting(name, "default", True, plugin.load_config(values))
        self._configuration = Configuration(
            number=0,
            sources={"crm": SourceSettings("crm", "standard", unit="default")},
            units={"default": UnitSettings("default", "")},
            endpoints={},
            dispatch=DispatchSettings(),
            plugins=settings,
        )

    def current(self, connection: sa.Connection, number: int | None = None) -> Configuration:
        """Return the configuration."""
        return self._configuration


def feed(inbox: InboxWriter, name: int, until: float, mark: ctypes._NamedFuncPointer) -> None:
    """Hand events to the inbox one after another; each is marked in the record when the inbox has returned."""
    number = 0
    while time.monotonic() < until:
        number += 1
        item = inbound_event(
            source="crm", type="complaint.replied", dedupe_key=f"m-{name}-{number}", occurred_at=SystemClock().now(),
            data={"id": f"C-{name}-{number % 7}", "department": f"d{number}"}, version=number,
        )  # fmt: skip
        for identity in inbox.accept([item]).event_ids:
            mark(identity.encode())
        time.sleep(PAUSE_S)


def main() -> None:
    """Run for the given time and print what the database said of itself."""
    url, seconds = f"sqlite:///{sys.argv[1]}", float(sys.argv[2])
    database = open_database(url)
    plugins = load_plugins([PLUGINS], with_entry_points=False)
    migrate(database, list(plugins.values()))
    inbox = InboxWriter(GroupCommit(database, SystemClock()))
    dispatcher = Dispatcher(database, SystemClock(), plugins, Configured(plugins))
    until = time.monotonic() + seconds
    mark = ctypes.CDLL(None).powercut_mark
    threads = [threading.Thread(target=feed, args=(inbox, name, until, mark)) for name in range(THREADS)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        written = dispatcher.drain()
        if not written.events:
            time.sleep(0.002)
    print(json.dumps(database.settings()))
    inbox.close()
    # Left open on purpose: a power cut finds a database in use, not one that was closed in peace.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
