"""The fleet of a campaign: services, hosts that are restarted as systemd would, senders, and a view from outside."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kombu
import psycopg

from tests.crash.clients import Client, Tally
from tests.fleet.brokers import fresh_queue
from tests.fleet.hosts import Host
from tests.fleet_faults.networks import Network
from tests.fleet_faults.services import BROKERS, Postgres, RabbitMQ, Redis
from tests.load.databases import Outside
from tests.load.server import ServerFailed, configuration
from tests.load.wire import get

WEBS, WORKERS = ("web-a", "web-b"), ("workers-a", "workers-b", "workers-c")
EVERY = 3  # every so many events of a record start a timer and a follow-up
RESTART_S = 0.2  # after a supervisor ended; systemd's RestartSec is 0.1 s, and a shell's loop is no faster
PATIENCE_S = 180.0


class View(Outside):
    """Looks in from outside; a database that was restarted is asked again over a new connection."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._url = url

    def rows(self, query: str, *values: Any) -> Sequence[Any]:
        """Run a query, as often as it takes."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return super().rows(query, *values)
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
                with contextlib.suppress(psycopg.OperationalError):
                    Outside.__init__(self, self._url)


class KeptHost(Host):
    """A host whose supervisor is started again when it ends, unless it was told to stop."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._is_kept = False
        self._keeping = threading.Lock()  # whoever restarts it and the keeper must not both start one

    def keep(self) -> None:
        """Start the host, and from now on start it again whenever it ends."""
        with self._keeping:
            self._is_kept = True
            self.launch()

    def let_go(self) -> None:
        """From now on leave it ended when it ends."""
        with self._keeping:
            self._is_kept = False

    def tend(self) -> None:
        """Start it again if it ended."""
        with self._keeping:
            if self._is_kept and self._process is not None and self._process.poll() is not None:
                self.launch()

    def restart(self) -> float:
        """Stop it as a deployment does, and start it again; return how long it took to stop. Raises ServerFailed."""
        self.let_go()
        code, seconds = self.stop()
        if code:
            raise ServerFailed(f"{self.name} ended with {code} when it was asked to stop:\n{self.log_tail()}")
        self.keep()
        return seconds

    def wait_replaced(self, kind: str, pid: int, *, patience_s: float = PATIENCE_S) -> None:
        """Wait until another process stands in the place of `pid`, and lives. Raises ServerFailed."""
        deadline = time.monotonic() + patience_s
        while True:
            with contextlib.suppress(ServerFailed):
                now = self.pid_of(kind)
                if now != pid and _lives(now):
                    return
            if time.monotonic() > deadline:
                raise ServerFailed(f"{kind} of {self.name} was not started again:\n{self.log_tail()}")
            time.sleep(0.01)

    def is_whole(self) -> bool:
        """Whether every process of the host runs, and its web answers that it is ready."""
        expected = 1 if self.role == "web" else 2 + (self._workers or 1)
        children = self.children()
        if len(children) < expected or not all(map(_lives, children.values())):
            return False
        answer = get(self.port, "/readyz", host=self.address) if self.role == "web" else None
        return self.role != "web" or (answer is not None and answer.status == 200)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@dataclass
class Fleet:
    """Everything that runs during a campaign."""

    network: Network
    postgres: Postgres
    broker: RabbitMQ | Redis
    hosts: list[KeptHost]
    outside: View
    queue: str
    chance: random.Random
    tally: Tally = field(default_factory=Tally)
    clients: list[Client] = field(default_factory=list)

    @property
    def webs(self) -> list[KeptHost]:
        """The hosts that receive webhooks."""
        return [host for host in self.hosts if host.role == "web"]

    @property
    def workers(self) -> list[KeptHost]:
        """The hosts that work."""
        return [host for host in self.hosts if host.role == "worker"]

    def load(self, clients: int, records: int, seed: int, pace_s: float) -> None:
        """Let CRMs send from now on."""
        doors = [(host.address, host.port) for host in self.webs]
        for number in range(clients):
            self.clients.append(Client(number, doors, records, seed, self.tally, pace_s=pace_s))
            self.clients[-1].start()

    def pause(self, is_paused: bool) -> None:
        """Have the senders rest, or go on; returns once nothing of theirs is on the way."""
        for client in self.clients:
            (client.pausing.set if is_paused else client.pausing.clear)()
        deadline = time.monotonic() + PATIENCE_S
        while is_paused and not all(client.is_resting for client in self.clients) and time.monotonic() < deadline:
            time.sleep(0.02)

    def newest(self) -> int:
        """Return the number of the newest event that is stored."""
        return int(self.outside.one("SELECT coalesce(max(seq), 0) FROM events"))

    def wait_recovered(self, newest: int, *, since: float, limit_s: float = PATIENCE_S) -> float:
        """Wait until every host is whole and every event up to `newest` is done; return the seconds `since`.

        Raises ServerFailed.
        """
        while not (self.is_done(newest) and all(host.is_whole() for host in self.hosts)):
            if time.monotonic() > since + limit_s:
                amiss = [host.name for host in self.hosts if not host.is_whole()]
                raise ServerFailed(f"not recovered after {limit_s:.0f} s; hosts not whole: {amiss}; {self.left()}")
            time.sleep(0.05)
        return time.monotonic() - since

    def is_done(self, newest: int) -> bool:
        return not self.outside.one(
            "SELECT EXISTS (SELECT 1 FROM events WHERE status = 'accepted' AND seq <= ?) OR EXISTS (SELECT 1 FROM"
            " deliveries WHERE status IN ('available', 'scheduled', 'retryable', 'waiting') AND event_seq <= ?)",
            newest, newest,
        )  # fmt: skip

    def purge(self) -> None:
        """Throw away every message that waits in the broker."""
        with kombu.Connection(self.broker.url, connect_timeout=5) as connection:
            connection.default_channel.queue_purge(self.queue)

    def left(self) -> str:
        """Say what is not done yet, and who holds lanes."""
        rows = self.outside.rows("SELECT status, count(*) FROM deliveries GROUP BY status")
        unfinished = self.outside.rows(
            "SELECT id, event_seq, plugin, status, attempts, reason, lane, waiting_for, due_at / 1e6 - extract(epoch"
            " FROM now()) FROM deliveries WHERE status IN ('available', 'scheduled', 'retryable', 'waiting')"
            " ORDER BY event_seq LIMIT 5"
        )
        accepted = self.outside.rows(
            "SELECT seq, lane, type FROM events WHERE status = 'accepted' ORDER BY seq LIMIT 5"
        )
        marks = self.outside.rows("SELECT lane, extract(epoch FROM now()) - marked_at / 1e6 FROM dirty_lanes LIMIT 5")
        held = self.outside.rows(
            "SELECT a.pid, a.application_name, a.state, a.wait_event, now() - a.state_change, count(*) FROM"
            " pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid AND l.locktype = 'advisory' GROUP BY 1, 2, 3, 4, 5"
        )
        return (
            f"{self.outside.backlog()} events accepted; deliveries: {dict(rows)}; the first unfinished {unfinished},"
            f" accepted {accepted}; marks {marks}; who holds advisory locks: {held}"
        )

    def tail(self) -> str:
        """Return the ends of all hosts' logs."""
        return "\n".join(f"--- {host.name}\n{host.log_tail()}" for host in self.hosts)


@contextlib.contextmanager
def running(folder: Path, broker: str, chance: random.Random) -> Iterator[Fleet]:
    """Run services and hosts while the block runs. Raises ServiceFailed, ServerFailed."""
    os.chmod(folder, 0o755)  # the services run as users of their own
    network = Network(chance)
    with network.up():
        postgres = Postgres(folder, network.address, network.range)
        node = BROKERS[broker](folder, network.address)
        hosts: list[KeptHost] = []
        ended = threading.Event()
        fleet = None
        try:
            postgres.start()
            node.start()
            queue = fresh_queue()
            for role, names in (("web", WEBS), ("worker", WORKERS)):
                for name in names:
                    address, space = network.join(name)
                    hosts.append(KeptHost(
                        name, role, folder, postgres.url, configuration(every=EVERY), node.url, queue,
                        address=address, namespace=space,
                    ))  # fmt: skip
            hosts[0].migrate()
            hosts[0].apply()
            for host in hosts:
                host.keep()
            threading.Thread(target=_tend, args=(hosts, ended), name="keeper", daemon=True).start()
            fleet = Fleet(network, postgres, node, hosts, View(postgres.url), queue, chance)
            fleet.wait_recovered(0, since=time.monotonic())
            yield fleet
        finally:
            for client in fleet.clients if fleet else ():
                client.stopping.set()
            ended.set()
            for host in hosts:
                host.let_go()
                host.end()
            node.kill()
            postgres.end()


def _tend(hosts: Sequence[KeptHost], ended: threading.Event) -> None:
    while not ended.wait(RESTART_S):
        for host in hosts:
            host.tend()
