"""What each process of the server does, from its start to its end: web, worker and courier."""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import flask
import structlog
from werkzeug.middleware.proxy_fix import ProxyFix

from core import log, metrics, signals
from core.cli.changing import change_and_lift
from core.host.applying import rollback
from core.host.assembly import Assembly
from core.host.discovery import load_plugins, load_schemas
from core.host.environment import Environment
from core.host.loading import contribution
from core.host.plugin import Plugin
from core.host.secrets import resolve_secret
from core.host.settings import Configuration
from core.host.versions import Configurations
from core.model.errors import OutriggerError
from core.model.inbound import Accepted, InboundItem
from core.pipeline.completion import Written
from core.pipeline.courier import Courier
from core.pipeline.driver_locks import Share
from core.pipeline.group_commit import GroupCommit, InboxWriter
from core.pipeline.inbox import is_backlog_full
from core.pipeline.retention import Pruner, Upkeep
from core.pipeline.silence_watch import watch_for_silence
from core.pipeline.supervisor import Start
from core.pipeline.wake import Bell, listen
from core.pipeline.worker import Worker
from core.store.database import Database
from core.store.migrate import pending
from core.time.clock import SystemClock
from core.web.acknowledging import AcknowledgingDispatcher
from core.web.app import create_app
from core.web.refusals import Refusals
from core.web.server import serve
from core.web.services import Change, RollBack

if TYPE_CHECKING:
    from core.fleet.worker import LaneWorker

MEMORY_LIMIT = 512_000_000
"""Bytes a worker of a fleet may grow to before a fresh process takes its place."""

REFRESH_S = 0.5
"""How often a web process looks for a newer configuration version."""

_log = structlog.get_logger("outrigger.process")


@dataclass(frozen=True, slots=True)
class Bells:
    """The wake-ups between this machine's processes."""

    workers: Sequence[Bell]
    """One for each share of the lanes; or a single one at which all workers wait, and which wakes one of them."""

    courier: Bell = field(default_factory=Bell)
    origin: str = field(default_factory=functools.partial(secrets.token_hex, 8))
    """Names this machine's processes in notices through the database: the bells have told them already."""

    def of(self, share: Share) -> Bell:
        """Return the bell at which the worker of a share waits."""
        return self.workers[share.index % len(self.workers)]

    def ring_workers(self, lanes: Iterable[int] = ()) -> None:
        """Wake the workers whose shares hold `lanes`; without lanes, all."""
        number = len(self.workers)
        for index in {lane % number for lane in lanes} or range(number):
            self.workers[index].ring()


Wake = Callable[[Iterable[int]], None]
"""Says that these lanes have work."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process works: the parts put together by the composition root, and the environment."""

    assembly: Assembly
    environment: Environment

    def database(self, pool_size: int = 8) -> Database:
        """Open the database."""
        return Database(self.environment.database_url, pool_size=pool_size)

    def waking(self, ring: Wake) -> Wake:
        """Return what wakes workers: messages of the fleet's broker where there is one, else `ring`."""
        if self.environment.broker_url is None:
            return ring
        from core.fleet.broker import celery_app
        from core.fleet.post import LanePost

        return LanePost(
            self.database(2), SystemClock(), celery_app(self.environment.broker_url, self.environment.broker_queue)
        ).ring

    def roots(self) -> tuple[Path, ...]:
        """Return the folders that may hold plugins."""
        return self.assembly.roots(self.environment)


def web(place: Place, bells: Bells, listener: socket.socket, start: Start) -> None:
    """Acknowledge webhooks and answer the API until told to stop."""
    parts = _WebParts(place, place.waking(bells.ring_workers), start.stopping, origin=bells.origin)
    refusals = Refusals(lambda: parts.watch.configuration().sources)
    dispatcher = AcknowledgingDispatcher(parts.group_commit, parts.writer, parts.watch.is_full, refusals)
    app = parts.app(dispatcher.accept)
    _settle()
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


def worker(place: Place, bells: Bells, share: Share, start: Start) -> None:
    """Drain this worker's share of the lanes until told to stop."""
    database = place.database(4)
    plugins = _loaded(place)
    bell = bells.of(share)
    if not share.index:  # one listener is enough: what it rings wakes whichever worker has nothing to do
        listen(database, bell, own=bells.origin)
    metrics.connect_observers()
    _settle()
    Worker(
        database=database,
        clock=SystemClock(),
        plugins=plugins,
        configurations=Configurations(database, plugins),
        share=share if database.is_sqlite else replace(share, index=share.index, of=1),
        slot=start.slot,
        own_bell=bell,
        wake_courier=bells.courier.ring,
        stopping=start.stopping,
        holder=f"{socket.gethostname()}:{os.getpid()}",
        crash=start.crash,
        observe=observe_written,
    ).run()


def fleet_worker(place: Place, bells: Bells, index: int, start: Start) -> None:
    """Drain the lanes that the broker's messages name, until told to stop."""
    _lane_worker(place, bells, f"worker-{index}", start).run()


def sweeper(place: Place, bells: Bells, start: Start) -> None:
    """Look after lanes that no message came for, until told to stop."""
    from core.fleet.sweeper import Sweeper

    Sweeper(_lane_worker(place, bells, "sweeper", start)).run()


def _lane_worker(place: Place, bells: Bells, name: str, start: Start) -> LaneWorker:
    from core.fleet.broker import celery_app
    from core.fleet.worker import LaneWorker

    assert place.environment.broker_url is not None
    database = place.database(4)
    plugins = _loaded(place)
    metrics.connect_observers()
    _settle()
    return LaneWorker(
        database=database,
        clock=SystemClock(),
        plugins=plugins,
        configurations=Configurations(database, plugins),
        app=celery_app(place.environment.broker_url, place.environment.broker_queue),
        slot=start.slot,
        wake_courier=bells.courier.ring,
        stopping=start.stopping,
        name=name,
        memory_limit=MEMORY_LIMIT,
        crash=start.crash,
        observe=observe_written,
    )


def _loaded(place: Place) -> dict[str, Plugin]:
    plugins = load_plugins(place.roots())
    for plugin in plugins.values():
        if plugin.error is not None:
            _log.error("plugin_not_loaded", plugin=plugin.name, reason=plugin.error)
    return plugins


def _settle() -> None:
    """Take all that is loaded for good out of the garbage collector's sight.

    Else a whole collection, which comes about once in a while, goes through it and stops the process for 60 ms or more.
    """
    gc.collect()
    gc.freeze()


def observe_written(written: Written) -> None:
    """Tell observers what a batch finished."""
    for unit, plugin, status, event_id, seconds in written.finished:
        if status == "completed":
            signals.notify_observers(
                signals.delivery_completed, unit, plugin=plugin, event_id=event_id, seconds=seconds
            )
        elif status == "discarded":
            signals.notify_observers(signals.delivery_discarded, unit, plugin=plugin, event_id=event_id, reason="")
        else:
            signals.notify_observers(
                signals.delivery_failed, unit, plugin=plugin, event_id=event_id, outcome=status, reason=""
            )


def courier(place: Place, bells: Bells, start: Start) -> None:
    """Fire timers, relay follow-ups and send the outbox until told to stop."""
    database = place.database(4)
    metrics.connect_observers()

    def observe(effect: str, result: str) -> None:
        signals.notify_observers(signals.effect_sent, "", effect=effect, result=result)

    watch_for_silence(database, stopping=start.stopping)
    configurations = Configurations(database)
    pruner = Pruner(database, SystemClock(), lambda: configurations.read().retention)
    _settle()
    Courier(
        database=database,
        clock=SystemClock(),
        configurations=configurations,
        slot=start.slot,
        own_bell=bells.courier,
        wake_workers=place.waking(bells.ring_workers),
        stopping=start.stopping,
        observe=observe,
        upkeep=Upkeep(pruner).step,
        origin=bells.origin,
    ).run()
