"""The Prometheus metrics: counters fed by observers, and gauges read from the database when it is scraped."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter as Counts
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

from core import signals
from core.model.inbound import InboundItem
from core.store.database import Database
from core.store.reading.counts import Standing, standing

REGISTRY = CollectorRegistry()

QUICK_S = 0.02
"""A count that took less is taken for every scrape."""
REST = 50
"""How many times as long as it took a count stands."""

events_total = Counter(
    "outrigger_events_total", "Events by source and result: accepted, duplicate, rejected.", ["source", "result"],
    registry=REGISTRY,
)  # fmt: skip
refusals_total = Counter(
    "outrigger_webhook_refusals_total", "Webhook requests refused, by source (or unknown) and code.",
    ["source", "code"], registry=REGISTRY,
)  # fmt: skip
deliveries_total = Counter(
    "outrigger_deliveries_total", "Deliveries by unit, plugin and outcome.", ["unit", "plugin", "outcome"],
    registry=REGISTRY,
)  # fmt: skip
hook_seconds = Histogram(
    "outrigger_hook_seconds", "Time a plugin's handler took.", ["plugin"], registry=REGISTRY,
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)  # fmt: skip
outbox_total = Counter(
    "outrigger_outbox_total", "Messages on their way out, by effect and result of an attempt.", ["effect", "result"],
    registry=REGISTRY,
)  # fmt: skip
switches_total = Counter(
    "outrigger_plugin_switches_total", "Plugins switched on or off by a person.", ["plugin", "to"], registry=REGISTRY
)


def observe_inbox(items: Sequence[InboundItem], stored: Any) -> None:
    """Count what a durable commit stored; fits `InboxWriter(observe=…)`."""
    results = (
        "duplicate" if not is_new else "rejected" if is_rejected else "accepted"
        for is_new, is_rejected in zip(stored.is_new, stored.is_rejected, strict=True)
    )
    for (source, result), count in Counts(zip((item.source for item in items), results, strict=True)).items():
        events_total.labels(source, result).inc(count)


def on_event_accepted(sender: str, *, count: int = 1, **_: Any) -> None:
    """Count accepted events that came by another way than a webhook."""
    events_total.labels(sender, "accepted").inc(count)


def on_event_duplicated(sender: str, *, count: int = 1, **_: Any) -> None:
    """Count duplicates."""
    events_total.labels(sender, "duplicate").inc(count)


def on_event_rejected(sender: str, *, count: int = 1, **_: Any) -> None:
    """Count items that were kept as rejected."""
    events_total.labels(sender, "rejected").inc(count)


def on_webhook_refused(sender: str, *, code: str, **_: Any) -> None:
    """Count a refused webhook request."""
    refusals_total.labels(sender, code).inc()


def on_delivery_completed(sender: str, *, plugin: str, seconds: float | None = None, **_: Any) -> None:
    """Count a completed delivery and the time its handler took."""
    deliveries_total.labels(sender, plugin, "completed").inc()
    if seconds is not None:
        hook_seconds.labels(plugin).observe(seconds)


def on_delivery_failed(sender: str, *, plugin: str, outcome: str = "retryable", **_: Any) -> None:
    """Count a delivery that runs again or was cancelled."""
    deliveries_total.labels(sender, plugin, outcome).inc()


def on_delivery_discarded(sender: str, *, plugin: str, **_: Any) -> None:
    """Count a delivery that was given up."""
    deliveries_total.labels(sender, plugin, "discarded").inc()


def on_effect_sent(sender: str, *, effect: str, result: str = "sent", **_: Any) -> None:
    """Count one attempt to send a message."""
    outbox_total.labels(effect, result).inc()


def on_plugin_enabled(sender: str, *, plugin: str, **_: Any) -> None:
    """Count a plugin switched on."""
    switches_total.labels(plugin, "on").inc()


def on_plugin_disabled(sender: str, *, plugin: str, **_: Any) -> None:
    """Count a plugin switched off."""
    switches_total.labels(plugin, "off").inc()


def connect_observers() -> None:
    """Let the metrics listen to the signals; calling it twice changes nothing."""
    signals.event_accepted.connect(on_event_accepted)
    signals.event_duplicated.connect(on_event_duplicated)
    signals.event_rejected.connect(on_event_rejected)
    signals.webhook_refused.connect(on_webhook_refused)
    signals.delivery_completed.connect(on_delivery_completed)
    signals.delivery_failed.connect(on_delivery_failed)
    signals.delivery_discarded.connect(on_delivery_discarded)
    signals.effect_sent.connect(on_effect_sent)
    signals.plugin_enabled.connect(on_plugin_enabled)
    signals.plugin_disabled.connect(on_plugin_disabled)


class _DatabaseCollector:
    """Yields the gauges of one look at the database."""

    def __init__(self, found: Standing, now: datetime) -> None:
        self._found = found
        self._now = now

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the gauges; called by the registry."""
        found = self._found
        age = (self._now - found.oldest_accepted_at).total_seconds() if found.oldest_accepted_at else 0.0
        yield _gauge("outrigger_events_waiting", "Accepted events not yet dispatched.", found.accepted)
        yield _gauge("outrigger_events_oldest_wait_seconds", "How long the oldest of them waits.", max(age, 0.0))
        open_now = GaugeMetricFamily("outrigger_deliveries_open", "Open deliveries by status.", labels=["status"])
        for status, number in sorted(found.deliveries.items()):
            open_now.add_metric([status], number)
        yield open_now
        yield _gauge("outrigger_outbox_waiting", "Messages that wait to be sent.", found.outbox)
        yield _gauge("outrigger_timers_pending", "Timers that will fall due.", found.timers)
        yield _gauge("outrigger_quarantines_active", "Plugins quarantined in a unit.", found.quarantines)
        stored = (self._now - found.oldest_event_at).total_seconds() if found.oldest_event_at else 0.0
        yield _gauge("outrigger_events_oldest_age_seconds", "Age of the oldest event that is kept.", max(stored, 0.0))
        yield _gauge("outrigger_config_version", "The configuration version that counts.", found.config_version)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


class _Counted:
    """The last count of what stands open. One that took long is not taken again for REST times as long.

    So a backlog of millions, which takes its time to count, costs a small share of one core however often it is asked
    for; with little to count every scrape counts anew.
    """

    def __init__(self) -> None:
        self._found: tuple[Database, Standing] | None = None
        self._again_at = 0.0
        self._counting = threading.Lock()

    def standing(self, database: Database) -> Standing:
        """Return what is open, as of now or of a moment ago."""
        with self._counting:
            held = self._found
            if held is not None and held[0] is database and time.monotonic() < self._again_at:
                return held[1]
            began = time.monotonic()
            with database.read() as connection:
                found = standing(connection)
            took = time.monotonic() - began
            self._found = (database, found)
            self._again_at = time.monotonic() + (took * REST if took > QUICK_S else 0.0)
            return found


_counted = _Counted()


def exposition(database: Database, now: Callable[[], datetime]) -> bytes:
    """Return the text Prometheus scrapes of a web process: the counters, and what stands open in the database."""
    gauges = _DatabaseCollector(_counted.standing(database), now())
    scrape = CollectorRegistry()
    scrape.register(gauges)
    return counters() + generate_latest(scrape)


def counters() -> bytes:
    """Return the counters of this process, or of all processes of this machine's server in multiprocess mode."""
    own: CollectorRegistry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        own = CollectorRegistry()
        MultiProcessCollector(own)  # type: ignore[no-untyped-call]
    return generate_latest(own)
