"""What a web process does, from its start to its end: it acknowledges webhooks and answers the API."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import flask
import structlog
from werkzeug.middleware.proxy_fix import ProxyFix

from core import log, metrics, signals
from core.cli.changing import change_and_lift
from core.cli.place import Bells, Place, Wake, settle
from core.host.applying import rollback
from core.host.discovery import load_schemas
from core.host.loading import contribution
from core.host.plugin import Plugin
from core.host.secrets import resolve_secret
from core.host.settings import Configuration
from core.host.versions import Configurations
from core.model.errors import OutriggerError
from core.model.inbound import Accepted, InboundItem
from core.pipeline.group_commit import GroupCommit, InboxWriter
from core.pipeline.inbox import is_backlog_full
from core.pipeline.supervisor import Start
from core.store.database import Database
from core.store.migrate import pending
from core.time.clock import SystemClock
from core.web.acknowledging import AcknowledgingDispatcher
from core.web.app import create_app
from core.web.refusals import Refusals
from core.web.server import serve
from core.web.services import Change, RollBack

REFRESH_S = 0.5
"""How often a web process looks for a newer configuration version."""

_log = structlog.get_logger("outrigger.process")


def web(place: Place, bells: Bells, listener: socket.socket, start: Start) -> None:
    """Acknowledge webhooks and answer the API until told to stop."""
    parts = _WebParts(place, place.waking(bells.ring_workers), start.stopping, origin=bells.origin)
    refusals = Refusals(lambda: parts.watch.configuration().sources)
    dispatcher = AcknowledgingDispatcher(parts.group_commit, parts.writer, parts.watch.is_full, refusals)
    app = parts.app(dispatcher.accept)
    settle()
    serve(
        app, listener, dispatcher, stopping=start.stopping, beat=start.slot.beat, finish=parts.writer.close,
        is_behind_proxy=place.environment.proxy_hops > 0,
    )  # fmt: skip


def standalone_web(place: Place) -> flask.Flask:
    """Return the web app for another WSGI server; workers are woken through the database or find work themselves."""
    log.configure()
    parts = _WebParts(place, place.waking(lambda lanes: None), lambda: False)
    return parts.app(parts.writer.accept)


class _WebParts:
    """What a web process is made of, whatever server runs its app."""

    def __init__(self, place: Place, wake: Wake, stopping: Callable[[], bool], *, origin: str = "") -> None:
        self._place = place
        self._wake = wake
        self._stopping = stopping
        self._database, self._clock = place.database(24), SystemClock()
        self._plugins = load_schemas(place.roots())
        self.watch = _Watch(self._database, Configurations(self._database, self._plugins), stopping)
        self.group_commit = GroupCommit(
            self._database, self._clock, wake=wake, observe=metrics.observe_inbox, origin=origin
        )
        self.writer = InboxWriter(self.group_commit, is_full=self.watch.is_full)

    def app(self, accept: Callable[[Sequence[InboundItem]], Accepted]) -> flask.Flask:
        """Build the app; `accept` makes items durable."""
        metrics.connect_observers()
        configuration = self.watch.configuration
        webhooks = self._place.assembly.blueprint_factory(
            sources=lambda: configuration().sources,
            accept=accept,
            secrets=resolve_secret,
            clock=self._clock,
            public_url=self._place.environment.public_url,
        )
        app = create_app(
            database=self._database,
            clock=self._clock,
            configuration=configuration,
            webhook_blueprint=webhooks,
            plugin_blueprints=[item for _, item in _contributed(self._plugins, "api", "register_api")],
            page_blueprints=dict(_contributed(self._plugins, "pages", "register_pages")),
            ready=lambda: ["draining"] if self._stopping() else [],
            plugins=lambda: self._plugins,
            change=_change(self._place, self._database, self._plugins, self.watch),
            roll_back=_roll_back(self._place, self._database, self._plugins, self.watch),
            remap=self._place.assembly.remap_factory(lambda: configuration().sources, self._clock),
            wake=lambda: self._wake(()),
            schema_fault=_SchemaCheck(list(self._plugins.values())),
        )
        hops = self._place.environment.proxy_hops
        if hops:  # the sender is whom the outermost of our own proxies names; what a sender writes stands before that
            app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops)  # type: ignore[method-assign]
        return app


class _SchemaCheck:
    """Tells what the database lacks for this release; once it lacks nothing it is not asked again."""

    def __init__(self, plugins: Sequence[Plugin]) -> None:
        self._plugins = plugins
        self._is_complete = False

    def __call__(self, database: Database) -> str | None:
        """Return what is missing, or None."""
        missing = [] if self._is_complete else pending(database, self._plugins)
        self._is_complete = not missing
        return f"migrations are missing ({', '.join(missing[:4])}); run `outrigger migrate`" if missing else None


class _Watch:
    """Looks at the database twice a second, so that requests need not ask."""

    def __init__(self, database: Database, configurations: Configurations, stopping: Callable[[], bool]) -> None:
        self._database = database
        self._configurations = configurations
        self._stopping = stopping
        self._held: Configuration | None = None
        self._full = False
        self._looking = threading.Lock()
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def configuration(self) -> Configuration:
        """Return the version in force."""
        return self._held or self._configurations.read()

    def is_full(self) -> bool:
        """Whether too many stored events wait for a worker."""
        return self._full

    def look(self) -> None:
        """Look now; who changed the configuration in this process answers with what it made of it."""
        with self._database.read() as connection:
            newest = self._configurations.current(connection)
            with self._looking:
                before = self._held
                if before is None or newest.number > before.number:  # and not what another thread saw earlier
                    self._held = newest
            self._full = is_backlog_full(connection, newest.dispatch.max_backlog)
        if before is not None and newest.number > before.number:
            _log.info("configuration_picked_up", version=newest.number)
            signals.notify_observers(signals.config_changed, "", number=newest.number)

    def _run(self) -> None:
        while not self._stopping():
            try:
                self.look()
            except Exception as error:
                # A watch that ended would leave this process with an old configuration for ever.
                _log.warning("watching_failed", reason=str(error))
            threading.Event().wait(REFRESH_S)


def _contributed(plugins: Mapping[str, Plugin], part: str, hook: str) -> Iterator[tuple[str, Any]]:
    """Yield each plugin's blueprint by its name; one that cannot be imported is left out and the server runs."""
    for plugin in plugins.values():
        if plugin.error is not None or not (plugin.folder / f"{part}.py").is_file():
            continue
        try:
            found = contribution(plugin, part, hook)
        except OutriggerError as error:
            _log.error("plugin_part_left_out", plugin=plugin.name, part=part, reason=error.message)
            continue
        if found is not None:
            yield plugin.name, found


def _change(place: Place, database: Database, plugins: dict[str, Plugin], watch: _Watch) -> Change:
    def changed(*, changes: Mapping[tuple[str, ...], Any], reason: str, actor: str, expected: int | None = None) -> int:
        around = place.assembly.surroundings(plugins, place.environment)
        done, _ = change_and_lift(
            database, place.environment.config_path, around, changes=changes,
            by=actor, reason=reason, clock=SystemClock(), expected=expected,
        )  # fmt: skip
        for unit, plugin, enabled in done.switched:
            moment = signals.plugin_enabled if enabled else signals.plugin_disabled
            signals.notify_observers(moment, unit, plugin=plugin, actor=actor, reason=reason)
        with contextlib.suppress(OutriggerError):  # it is committed; the watch sees it when the database is back
            watch.look()
        return done.number

    return changed


def _roll_back(place: Place, database: Database, plugins: dict[str, Plugin], watch: _Watch) -> RollBack:
    def rolled_back(number: int, *, reason: str, actor: str, expected: int | None = None) -> int:
        around = place.assembly.surroundings(plugins, place.environment)
        done = rollback(
            database, place.environment.config_path, around, number,
            clock=SystemClock(), by=actor, reason=reason, expected=expected,
        )  # fmt: skip
        with contextlib.suppress(OutriggerError):  # it is committed; the watch sees it when the database is back
            watch.look()
        return done.number

    return rolled_back
