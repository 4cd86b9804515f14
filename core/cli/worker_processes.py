"""What the processes of a worker host do, from their start to their end: workers, sweeper and courier."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from core import metrics, signals
from core.cli.place import Bells, Place, settle
from core.host.discovery import load_plugins
from core.host.plugin import Plugin
from core.host.versions import Configurations
from core.pipeline.completion import Written
from core.pipeline.courier import Courier
from core.pipeline.driver_locks import Share
from core.pipeline.retention import Pruner, Upkeep
from core.pipeline.silence_watch import watch_for_silence
from core.pipeline.supervisor import Start
from core.pipeline.wake import listen
from core.pipeline.worker import Worker
from core.time.clock import SystemClock
from core.web.counters_server import serve_counters

if TYPE_CHECKING:
    from core.fleet.worker import LaneWorker

MEMORY_LIMIT = 512_000_000
"""Bytes a worker of a fleet may grow to before a fresh process takes its place."""

_log = structlog.get_logger("outrigger.process")


def worker(place: Place, bells: Bells, share: Share, start: Start) -> None:
    """Drain this worker's share of the lanes until told to stop."""
    database = place.database(4)
    plugins = _loaded(place)
    bell = bells.of(share)
    if not share.index:  # one listener is enough: what it rings wakes whichever worker has nothing to do
        listen(database, bell, own=bells.origin)
    metrics.connect_observers()
    settle()
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
    settle()
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


def courier(place: Place, bells: Bells, counters: socket.socket | None, start: Start) -> None:
    """Fire timers, relay follow-ups and send the outbox until told to stop.

    It also answers Prometheus at the socket `counters`, as it runs no plugin code that could keep it from that.
    """
    database = place.database(4)
    metrics.connect_observers()
    if counters is not None:
        serve_counters(counters)

    def observe(effect: str, result: str) -> None:
        signals.notify_observers(signals.effect_sent, "", effect=effect, result=result)

    watch_for_silence(database, stopping=start.stopping)
    configurations = Configurations(database)
    pruner = Pruner(database, SystemClock(), lambda: configurations.read().retention)
    settle()
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
