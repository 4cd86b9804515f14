"""The faults by name: each does its harm, undoes it, and waits until the fleet has recovered."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from core.store.idle_limit import IDLE_LIMIT_S, SLACK_S, session_name
from tests.fleet_faults.fleet import Fleet, KeptHost
from tests.fleet_faults.switched import Switches
from tests.load.server import ServerFailed

LEASE_S = float(IDLE_LIMIT_S + SLACK_S)  # after which the transaction of a process that says nothing is surely ended
STOP_LIMIT_S = 30.0
TAKEN_OVER_S = 3 * LEASE_S
OFF_S = 1.0
CATCH_TRIES = 400


@dataclass(slots=True)
class Lengths:
    """How long the lasting faults last, in seconds."""

    broker_s: float = 60.0
    partition_s: float = 25.0
    freeze_s: float = LEASE_S + 4.0


@dataclass(slots=True)
class Harm:
    """Does faults to one fleet, and keeps what it saw of them beside the recovery."""

    fleet: Fleet
    lengths: Lengths
    switches: Switches
    stop_s: list[float] = field(default_factory=list)  # how long each host took to stop when it was asked to
    switch_s: list[float] = field(default_factory=list)  # commit of a switch until every process of every host had it
    caught_in_the_act: int = 0  # frozen and resumed workers that held lanes inside a transaction

    def kill(self, victim: str) -> float:
        """Kill -9 one process of one host; its supervisor, or the host's service manager, starts it again."""
        fleet = self.fleet
        among = fleet.webs if victim == "web" else fleet.workers if victim != "supervisor" else fleet.hosts
        host = fleet.chance.choice(among)
        newest, began = fleet.newest(), time.monotonic()
        pid = host.kill(victim)
        host.wait_replaced(victim, pid)
        return fleet.wait_recovered(newest, since=began)

    def stop_broker(self, *, kill: bool = False) -> float:
        """Take the broker away for a while; recovered is counted from the moment it is back."""
        fleet = self.fleet
        (fleet.broker.kill if kill else fleet.broker.stop)()
        time.sleep(fleet.chance.uniform(0.5, 3.0) if kill else self.lengths.broker_s)
        fleet.broker.start()
        newest, began = fleet.newest(), time.monotonic()
        return fleet.wait_recovered(newest, since=began)

    def freeze_worker(self) -> float:
        """Stop a worker in the middle of a transaction for longer than its lease, then let it go on.

        Recovered is counted from the stop: somebody else must have done what the frozen one held. That the frozen one
        wrote nothing afterwards is what the check at the end shows. One that happened to be inside a plugin's hook is
        ended by its supervisor, as any that hangs; that does not count, and another is frozen.
        """
        while True:
            recovered, is_resumed = self._freeze_one()
            if is_resumed:
                return recovered

    def _freeze_one(self) -> tuple[float, bool]:
        fleet = self.fleet
        host = fleet.chance.choice(fleet.workers)
        pid = self._catch(host)
        newest, began = fleet.newest(), time.monotonic()
        while not fleet.is_done(newest):
            if time.monotonic() > began + TAKEN_OVER_S:
                raise ServerFailed(f"nobody did what a frozen worker of {host.name} had begun: {fleet.left()}")
            time.sleep(0.05)
        recovered = time.monotonic() - began
        time.sleep(max(self.lengths.freeze_s - recovered, 0.0))
        is_resumed = host.pid_of("worker") == pid
        if is_resumed:
            host.thaw(pid)
            self.caught_in_the_act += 1
        fleet.wait_recovered(newest, since=time.monotonic())
        return recovered, is_resumed

    def _catch(self, host: KeptHost) -> int:
        """Freeze the host's worker at a moment when it holds lanes; return its number."""
        for _ in range(CATCH_TRIES):
            pid = host.freeze("worker")
            held = self._held(host)
            if held:
                time.sleep(0.05)
                if held & self._held(host):
                    return pid
            host.thaw(pid)
            time.sleep(self.fleet.chance.uniform(0.002, 0.05))
        raise ServerFailed(f"no worker of {host.name} was ever seen to hold lanes: {self.fleet.left()}")

    def _held(self, host: KeptHost) -> set[str]:
        rows = self.fleet.outside.rows(
            "SELECT a.pid, a.xact_start FROM pg_stat_activity a WHERE a.application_name = ? AND a.state <> 'idle'"
            " AND a.wait_event_type = 'Client' AND EXISTS (SELECT 1 FROM pg_locks l WHERE l.pid = a.pid AND"
            " l.locktype = 'advisory')",
            session_name(host.name),
        )
        return {f"{row[0]} {row[1]}" for row in rows}

    def cut_off(self) -> float:
        """Lose every packet of one worker host for a while; recovered is counted from its return."""
        fleet = self.fleet
        host = fleet.chance.choice(fleet.workers)
        fleet.network.cut(host.name)
        time.sleep(self.lengths.partition_s * fleet.chance.uniform(0.2, 1.0))
        fleet.network.mend(host.name)
        newest, began = fleet.newest(), time.monotonic()
        return fleet.wait_recovered(newest, since=began)

    def crash_database(self) -> float:
        """Stop PostgreSQL `immediate` and start it again; recovered is counted from its return."""
        fleet = self.fleet
        fleet.postgres.stop("immediate")
        time.sleep(fleet.chance.uniform(0.2, 3.0))
        fleet.postgres.start()
        newest, began = fleet.newest(), time.monotonic()
        return fleet.wait_recovered(newest, since=began)

    def roll(self) -> float:
        """Restart one host after the other, each once the one before is whole; recovered is counted from the last."""
        fleet = self.fleet
        for host in fleet.hosts:
            self.stop_s.append(host.restart())
            if self.stop_s[-1] > STOP_LIMIT_S:
                raise ServerFailed(f"{host.name} took {self.stop_s[-1]:.1f} s to stop")
            began = time.monotonic()
            while not host.is_whole():
                if time.monotonic() > began + 60:
                    raise ServerFailed(f"{host.name} is not whole a minute after its restart:\n{host.log_tail()}")
                time.sleep(0.05)
        newest, began = fleet.newest(), time.monotonic()
        return fleet.wait_recovered(newest, since=began)

    def switch(self) -> float:
        """Switch a plugin off for a second and on again; recovered is counted from the second commit."""
        fleet = self.fleet
        for is_on in (False, True):
            number = self.switches.turn(fleet.hosts[0], is_on=is_on)
            began = time.monotonic()
            while late := [host.name for host in fleet.hosts if host.listeners - host.picked_up(number)]:
                if time.monotonic() > began + 60:
                    raise ServerFailed(f"{late} did not pick up version {number} within a minute")
                time.sleep(0.02)
            committed = fleet.outside.one("SELECT applied_at FROM config_versions WHERE number = ?", number) / 1e6
            self.switch_s.append(time.time() - committed)
            time.sleep(OFF_S)
        newest, began = fleet.newest(), time.monotonic()
        return fleet.wait_recovered(newest, since=began)

    def lose_messages(self) -> float:
        """Empty the broker's queue under load; recovered is counted from then: the scan must find the lanes."""
        fleet = self.fleet
        newest, began = fleet.newest(), time.monotonic()
        for _ in range(20):
            fleet.purge()
            time.sleep(0.05)
        return fleet.wait_recovered(newest, since=began)


FAULTS: dict[str, Callable[[Harm], float]] = {
    "worker_killed": lambda harm: harm.kill("worker"),
    "web_killed": lambda harm: harm.kill("web"),
    "courier_killed": lambda harm: harm.kill("courier"),
    "sweeper_killed": lambda harm: harm.kill("sweeper"),
    "supervisor_killed": lambda harm: harm.kill("supervisor"),
    "messages_lost": Harm.lose_messages,
    "plugin_switched": Harm.switch,
    "postgres_crashed": Harm.crash_database,
    "broker_killed": lambda harm: harm.stop_broker(kill=True),
    "hosts_rolled": Harm.roll,
    "worker_frozen": Harm.freeze_worker,
    "host_cut_off": Harm.cut_off,
    "broker_stopped": Harm.stop_broker,
}
"""In the order in which a campaign does them."""
