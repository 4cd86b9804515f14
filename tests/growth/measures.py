"""What is measured of one installation: an empty one and a grown one are asked the same, in turn."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from core.host.versions import Configurations
from core.model.inbound import InboundEvent, inbound_event
from core.pipeline.inbox import store
from core.pipeline.timers import find_due, is_any_due
from core.store.database import Database
from core.store.reading.pages import encode_cursor
from core.store.tables import timers
from tests.bench.figures import Figures
from tests.bench.processes import Cpu, memory_by_child
from tests.growth.disk import Written
from tests.growth.installation import ACTING, Size, configuration, write_plugins
from tests.growth.rows import ACTOR, HOT, RARE_PLUGIN, RARE_TYPE, RARE_UNIT, Amount
from tests.growth.work import questions, work_of
from tests.load.blast import RECORDS, Options, blast
from tests.load.databases import Outside
from tests.load.server import Server
from tests.load.wire import Connection, ConnectionLost

PATIENCE_S = 120.0
DUE_TIMERS = 200
ASKED = 20
"""How often each page is asked for in one repetition."""


class _NothingKept(Exception):
    """What was measured is rolled back."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long one repetition takes."""

    burst_s: float
    events: int
    latency_s: float


class Place:
    """One installation over one database, with a server that runs."""

    def __init__(self, name: str, url: str, folder: Path, size: Size, amount: Amount) -> None:
        self.name, self.url, self.size, self.amount = name, url, size, amount
        self.server = Server(folder, url, configuration(size), plugins=write_plugins(folder, size))
        self.server.migrate()
        self.figures = Figures()
        self.outside = Outside(url)
        self.database = Database(url)
        self.configurations = Configurations(self.database)
        self._number = 0

    def start(self) -> None:
        """Start the server, and make a key for its API."""
        began = time.monotonic()
        self.server.launch()
        self.server.wait_ready(patience_s=PATIENCE_S)
        self.figures.add("start_s", time.monotonic() - began)
        made = self.server.run("keys", "create", "growth", "--role", "admin", "--json")
        self.token = json.loads(made)["token"]
        self.api = Connection(self.server.port, patience_s=120)
        self._pages = self.pages()

    def close(self) -> None:
        """Stop the server and the connections."""
        self.server.end()
        self.outside.close()
        self.database.close()

    # ---------------------------------------------------------------- webhooks

    def acknowledge(self, lengths: Lengths) -> None:
        """Acknowledge webhooks with dispatch at work beside it; then the same messages once more, as duplicates."""
        options = self._options(connections=16, seconds=lengths.burst_s)
        cpu, written = Cpu(self.server), Written(self.server, self.outside)
        with self._effects_of() as expected:
            answer = blast(options)
            expected.append(_only(answer, "202"))
            self.figures.add("ack_cpu_us", cpu.used()["web"] / answer["sent"] * 1e6)
        kilobytes, pages = written.since()
        self.figures.add("written_kb", kilobytes / answer["sent"])
        self.figures.add("written_pages", pages / answer["sent"])
        self.figures.add("ack_per_s", answer["statuses"]["202"] / answer["seconds"])
        self.figures.add("ack_p99_ms", answer["ack_p99_ms"])
        again = blast(Options(**{**_asdict(options), "count": answer["sent"], "seconds": 0.0}))
        self.figures.add("duplicates_per_s", _only(again, "200") / again["seconds"])

    def dispatch(self, lengths: Lengths) -> None:
        """Store events while the worker stands still, and let it work at them."""
        worker = self.server.pid_of("worker")
        os.kill(worker, signal.SIGSTOP)
        try:
            self._store(lengths.events)
        finally:
            began = time.monotonic()
            os.kill(worker, signal.SIGCONT)
        cpu = Cpu(self.server)
        with self._effects_of() as expected:
            expected.append(lengths.events)
        self.figures.add("dispatch_per_s", lengths.events / (time.monotonic() - began))
        self.figures.add("dispatch_cpu_us", cpu.used()["worker-0"] / lengths.events * 1e6)

    def latency(self, lengths: Lengths, prefix: str = "") -> None:
        """Post 50 events a second by the clock and look when the effects of each are committed."""
        options = self._options(rate=50.0, seconds=lengths.latency_s, connections=8)
        answer = blast(Options(**{**_asdict(options), "watch": self.url, "effects": ACTING}))
        if answer["effects"] != answer["sent"]:
            raise RuntimeError(f"only {answer['effects']} of {answer['sent']} events had their effects in time")
        for name in ("ack_p50_ms", "ack_p99_ms", "p50_ms", "p99_ms"):
            self.figures.add(f"{prefix}paced_{name}", answer[name])

    def prune_beside(self, lengths: Lengths) -> None:
        """Acknowledge by the clock while what is older than a month is removed by `outrigger retention run`."""
        for key in ("events_days", "decisions_days", "messages_days"):
            self.server.run("config", "set", f"retention.{key}", "30", "--reason", "to measure removing")
        self.latency(lengths, "kept_")
        before = self._rows_removed()
        began = time.monotonic()
        pruning = self.server.begin("retention", "run")
        try:
            while self._rows_removed() == before and pruning.poll() is None:
                time.sleep(0.02)
            self.latency(lengths, "pruned_")
            removed, took = self._rows_removed() - before, time.monotonic() - began
        finally:
            pruning.terminate()
            pruning.wait()
        if not removed:
            raise RuntimeError(f"{self.name}: nothing was removed, so nothing was measured")
        self.figures.add("removed_per_s", removed / took)

    def _rows_removed(self) -> int:
        rows = self.outside.rows("SELECT removed FROM retention_runs")
        return sum(sum(json.loads(row[0]).values()) for row in rows)

    def _options(self, **more: Any) -> Options:
        self._number += 1
        return Options(self.server.port, f"g{self._number}", departments=self.size.units, **more)

    @contextmanager
    def _effects_of(self) -> Iterator[list[int]]:
        """Wait until the events whose number the block tells have all their decisions."""
        after = self.outside.one("SELECT coalesce(max(id), 0) FROM decisions")
        expected: list[int] = []
        yield expected
        give_up = time.monotonic() + PATIENCE_S
        wanted = sum(expected) * ACTING
        while self.outside.one("SELECT count(*) FROM decisions WHERE id > ?", after) < wanted:
            if time.monotonic() > give_up:
                raise RuntimeError(f"{self.name}: {wanted} decisions were not made within {PATIENCE_S:.0f} s")
            time.sleep(0.005)

    def _store(self, count: int) -> None:
        self._number += 1
        for first in range(0, count, 500):
            with self.database.write() as connection:
                store(connection, self._items(range(first, min(first + 500, count))), datetime.now(UTC))

    def _items(self, numbers: range) -> list[InboundEvent]:
        return [
            inbound_event(
                source="crm", type="complaint.replied", dedupe_key=f"s{self._number}-{number}",
                occurred_at=datetime.now(UTC), version=number,
                data={"id": f"S-{number % RECORDS}", "severity": "high",
                      "department": f"D-{number % RECORDS % self.size.units}", "extra": {"n": number}},
            )
            for number in numbers
        ]  # fmt: skip

    # ---------------------------------------------------------------- timers

    def poll_timers(self) -> None:
        """Look for due timers as the courier does: when none is due, and when some are; nothing is kept."""
        now = datetime.now(UTC)
        with self.database.read() as reading:
            configuration = self.configurations.current(reading)
            self.figures.add("poll_idle_ms", _least_ms(lambda: is_any_due(reading, now)))
        with suppress(_NothingKept), self.database.write() as connection:
            ids = connection.execute(
                sa.select(timers.c.id).where(sa.text("status = 'pending'")).order_by(timers.c.due_at).limit(DUE_TIMERS)
            ).scalars()
            due = sa.update(timers).where(timers.c.id.in_(list(ids))).values(due_at=now - timedelta(seconds=1))
            connection.execute(due)

            def poll() -> None:
                found = find_due(connection, configuration, now)
                if len(found.events) != DUE_TIMERS:
                    raise RuntimeError(f"{len(found.events)} of {DUE_TIMERS} timers were found due")

            self.figures.add("poll_due_ms", _least_ms(poll, times=7))
            raise _NothingKept

    # ---------------------------------------------------------------- the API

    def pages(self) -> dict[str, str]:
        """Return what is asked of the API, by name."""
        middle = self.amount.events // 2
        deep = {name: encode_cursor(name, middle) for name in ("events", "deliveries", "decisions", "outbox")}
        return {
            "events": "/events",
            "events deep": f"/events?cursor={deep['events']}",
            "events of a type": "/events?type=lead.updated",
            "events of a rare type": f"/events?type={RARE_TYPE}",
            "events of a unit": "/events?unit=u3",
            "events of a closed unit": f"/events?unit={RARE_UNIT}",
            "events of a unit and type": "/events?unit=u3&type=complaint.replied",
            "events skipped": "/events?status=skipped",
            "events rejected": "/events?status=rejected",
            "events dispatched": "/events?status=dispatched",
            "events of a record": f"/events?kind=complaint&record_id={HOT}",
            "events of a source": "/events?source=nobody",
            "events of a day long ago": f"/events?until={_day(800)}",
            "one event": f"/events/{self._an_event()}",
            "deliveries": "/deliveries",
            "deliveries deep": f"/deliveries?cursor={deep['deliveries']}",
            "deliveries retryable": "/deliveries?status=retryable",
            "deliveries waiting": "/deliveries?status=waiting",
            "deliveries discarded": "/deliveries?status=discarded",
            "deliveries completed": "/deliveries?status=completed",
            "deliveries of a unit": "/deliveries?unit=u3",
            "deliveries of a closed unit": f"/deliveries?unit={RARE_UNIT}",
            "deliveries of a plugin": f"/deliveries?plugin={ACTOR}",
            "deliveries of a retired plugin": f"/deliveries?plugin={RARE_PLUGIN}",
            "decisions": "/decisions",
            "decisions deep": f"/decisions?cursor={deep['decisions']}",
            "decisions of a unit": "/decisions?unit=u3",
            "decisions of a closed unit": f"/decisions?unit={RARE_UNIT}",
            "decisions of a retired plugin": f"/decisions?plugin={RARE_PLUGIN}",
            "decisions of a kind": "/decisions?decision=lead_grade",
            "a record's journey": "/records/complaint/H-3",
            "journey of very many events": f"/records/complaint/{HOT}",
            "leads": "/leads",
            "leads of a unit": "/leads?unit=u7",
            "messages": "/outbox",
            "messages discarded": "/outbox?status=discarded",
            "messages sent": "/outbox?status=sent",
            "timers": "/timers",
            "timers of a unit": "/timers?unit=u3",
            "units": "/units",
            "metrics": "!/metrics",
            "ready": "!/readyz",
        }

    def ask(self, name: str) -> float:
        """Ask for a page once; return the milliseconds it took."""
        request = self._get(self._pages[name])
        began = time.perf_counter()
        try:
            answer = self.api.ask(request)
        except ConnectionLost:  # kept, and idle for longer than the server keeps one
            began = time.perf_counter()
            answer = self.api.ask(request)
        taken = (time.perf_counter() - began) * 1000
        if answer.status != 200:
            raise RuntimeError(f"{self.name}: {self._pages[name]} answered {answer.status}: {answer.body[:300]!r}")
        return taken

    def _get(self, path: str) -> bytes:
        path = path[1:] if path.startswith("!") else f"/api/v1{path}"
        return (f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self.token}\r\n\r\n").encode()

    def _an_event(self) -> str:
        number = self.amount.events // 2 + 1
        return str(self.outside.one("SELECT id FROM events WHERE seq = ?", number))

    def ask_for_work(self) -> None:
        """Note how much work each question is for the database; no other process disturbs that."""
        last = self.outside.one("SELECT max(seq) FROM events WHERE kind = 'complaint' AND record_id = 'H-3'")
        for name, question in questions(self._an_event(), last).items():
            self.figures.add(f"work {name}", max(work_of(self.database, question), 1))

    # ---------------------------------------------------------------- what it costs to stand there

    def memory(self) -> None:
        """Note the memory of each process, shared pages shared out, and what all of them work while nothing happens."""
        for child, mb in memory_by_child(self.server).items():
            self.figures.add(f"pss_mb {child}", mb)
        cpu, began = Cpu(self.server), time.monotonic()
        time.sleep(3.0)
        self.figures.add("idle_cpu_percent", sum(cpu.used().values()) / (time.monotonic() - began) * 100)

    def drain_rate(self, seconds: float) -> float:
        """Return how many stored deliveries a second are finished just now."""
        query = "SELECT count(*) FROM deliveries WHERE status = 'retryable'"
        before, began = self.outside.one(query), time.monotonic()
        time.sleep(seconds)
        return float((before - self.outside.one(query)) / (time.monotonic() - began))


def ask_in_turn(places: Sequence[Place]) -> None:
    """Ask every place for every page, in turn; of several times the shortest counts, the one least disturbed."""
    for name in places[0].pages():
        taken: list[list[float]] = [[] for _ in places]
        for number in range(ASKED):
            for place, times in zip(places, taken, strict=True):
                times.append(place.ask(name))
            if number == 2 and max(map(min, taken)) > 500:
                break  # asking often would not make it any clearer
        for place, times in zip(places, taken, strict=True):
            place.figures.add(f"api {name}", min(times))


def _asdict(options: Options) -> dict[str, Any]:
    return {name: getattr(options, name) for name in options.__slots__}


def _only(answer: dict[str, Any], status: str) -> int:
    refused = {other: count for other, count in answer["statuses"].items() if other != status}
    if refused:
        raise RuntimeError(f"the server answered {refused} where {status} was expected")
    return int(answer["statuses"][status])


def _least_ms(call: Any, times: int = 51) -> float:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        taken.append((time.perf_counter() - began) * 1000)
    return min(taken)


def _day(ago: int) -> str:
    return (datetime.now(UTC) - timedelta(days=ago)).strftime("%Y-%m-%dT00:00:00Z")
