"""One campaign on one database: a server, senders, switches, and the count of what went wrong."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.cli.changing import change_and_lift
from core.host.configuration import Surroundings
from core.host.discovery import load_schemas
from core.host.switches import switch_path
from core.store.database import Database
from core.time.clock import SystemClock
from core.web.keys import ApiKeys
from tests.load.databases import Outside, fresh_database
from tests.serving.served import CONFIG, Served, served

PLUGINS = Path(__file__).parents[1] / "load" / "plugins"
SWITCHED, WITNESS, UNIT = "ledger_first", "ledger_second", "new_energy"
SENDERS = 2
PAUSE_S = 0.01
PATIENCE_S = 10.0
SETTINGS = f"""
[plugins.{SWITCHED}]
enabled = true
[plugins.{WITNESS}]
enabled = true
"""


@dataclass
class Report:
    """What one campaign saw."""

    database: str
    switches: int = 0
    events: int = 0
    handled_on: int = 0
    not_handled_off: int = 0
    handled_disabled: int = 0
    skipped: int = 0
    refused: int = 0
    web_s: list[float] = field(default_factory=list)
    worker_s: list[float] = field(default_factory=list)

    @property
    def slowest_s(self) -> float:
        """The slowest pick-up of any process."""
        return max([*self.web_s, *self.worker_s], default=0.0)

    @property
    def is_clean(self) -> bool:
        """Whether every promise was kept, and something was there to keep."""
        wrong = self.handled_disabled or self.skipped or self.refused or self.slowest_s > 2.0
        return not wrong and self.handled_on > 0 and self.not_handled_off > 0

    def as_json(self) -> dict[str, Any]:
        """Return the figures."""
        return {
            "database": self.database, "switches": self.switches, "events": self.events,
            "handled_while_on": self.handled_on, "left_alone_while_off": self.not_handled_off,
            "handled_by_the_disabled_plugin": self.handled_disabled, "skipped": self.skipped, "refused": self.refused,
            "slowest_pick_up_s": {"web": round(max(self.web_s), 3), "worker": round(max(self.worker_s), 3)},
            "clean": self.is_clean,
        }  # fmt: skip


def run(kind: str, switches: int, folder: Path, tell: Callable[[str], None]) -> Report:
    """Run a campaign of so many switches on a database of this kind."""
    folder.mkdir(parents=True, exist_ok=True)
    with fresh_database(kind, folder) as url, served(folder, url, config=CONFIG + SETTINGS, plugins=PLUGINS) as server:
        return _Campaign(kind, server, url).run(switches, tell)


class _Campaign:
    def __init__(self, kind: str, server: Served, url: str) -> None:
        self._server = server
        self._database = Database(url, pool_size=2)
        self._outside = Outside(url)
        self._report = Report(kind)
        self._accepted: dict[str, int] = {}  # event -> the version in force when it was sent
        self._state = {1: True}
        self._ended = threading.Event()
        self._around = Surroundings(load_schemas([PLUGINS], with_entry_points=False), lambda source: [])
        token, _ = ApiKeys(self._database, SystemClock()).create("switcher", role="admin", created_by="campaign")
        self._key = {"Authorization": f"Bearer {token}"}

    def run(self, switches: int, tell: Callable[[str], None]) -> Report:
        senders = [threading.Thread(target=self._send, args=(number,)) for number in range(SENDERS)]
        for sender in senders:
            sender.start()
        try:
            for count in range(switches):
                self._switch(is_on=count % 2 == 1, by_api=count % 4 >= 2)
                if count % 100 == 99:
                    tell(f"{self._report.database}: {count + 1} switches, {len(self._accepted)} events")
        finally:
            self._ended.set()
            for sender in senders:
                sender.join()
        waiting = "SELECT count(*) FROM events WHERE status = 'accepted'"
        self._server.until(lambda: self._outside.one(waiting) == 0, "every event is dispatched", 120)
        self._count()
        self._database.close()
        return self._report

    def _send(self, sender: int) -> None:
        number = 0
        while not self._ended.is_set():
            number += 1
            name = f"{sender}-{number}"
            industry = "ev" if number % 4 else "packaging"
            known = max(self._state)
            try:
                status, answer = self._server.post("lead.created", f"L-{name}", message=f"m-{name}", industry=industry)
            except (OSError, http.client.HTTPException):
                status, answer = 0, {}
            if status == 202:
                self._accepted[answer["event_ids"][0]] = known
            else:
                self._report.refused += 1
            self._ended.wait(PAUSE_S)

    def _switch(self, *, is_on: bool, by_api: bool) -> None:
        """Switch, and wait until the web process and a worker have taken it up."""
        number = self._by_api(is_on) if by_api else self._by_command(is_on)
        committed = time.monotonic()
        self._state[number] = is_on
        self._report.switches += 1
        decided = "SELECT 1 FROM deliveries WHERE config_version >= ? LIMIT 1"
        waits = {
            "web": (self._report.web_s, lambda: self._version_of_web() >= number),
            "worker": (self._report.worker_s, lambda: self._outside.one(decided, number) is not None),
        }
        while waits and time.monotonic() - committed < PATIENCE_S:
            for name, (seen, is_there) in list(waits.items()):
                if is_there():
                    seen.append(time.monotonic() - committed)
                    del waits[name]
            time.sleep(0.005)
        for seen, _ in waits.values():
            seen.append(PATIENCE_S)

    def _by_command(self, is_on: bool) -> int:
        done, _ = change_and_lift(
            self._database, self._server.config, self._around, changes={switch_path(SWITCHED, UNIT): is_on},
            by="campaign", reason="R24", clock=SystemClock(),
        )  # fmt: skip
        return done.number

    def _by_api(self, is_on: bool) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=10)
        try:
            body = json.dumps({"enabled": is_on, "reason": "R24"})
            headers = {**self._key, "Content-Type": "application/json"}
            connection.request("PATCH", f"/api/v1/units/{UNIT}/plugins/{SWITCHED}", body, headers)
            answer = connection.getresponse()
            said = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != 200:
            raise AssertionError(f"the switch was refused: {answer.status} {said}")
        return int(said["config_version"])

    def _version_of_web(self) -> int:
        status, body = self._server.get(f"/api/v1/units/{UNIT}/plugins/{SWITCHED}", self._key)
        return int(json.loads(body)["config_version"]) if status == 200 else 0

    def _count(self) -> None:
        rows = self._outside.rows("SELECT event_id, plugin, unit, config_version, status FROM deliveries")
        handled = {(row[0], row[1]): row for row in rows}
        units = dict(self._outside.rows("SELECT id, unit FROM events"))
        self._report.events = len(self._accepted)
        for event, known in self._accepted.items():
            witness, switched = handled.get((event, WITNESS)), handled.get((event, SWITCHED))
            if witness is None:
                self._report.skipped += 1
                continue
            version = witness[3]
            is_on = self._state[version] or units[event] != UNIT
            if switched is not None and (not is_on or switched[3] != version or version < known):
                self._report.handled_disabled += 1
            elif switched is None and is_on:
                self._report.skipped += 1
            elif is_on:
                self._report.handled_on += 1
            else:
                self._report.not_handled_off += 1
