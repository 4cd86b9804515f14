"""The plugin that is switched off and on while a campaign runs, and whether it acted exactly while it was on."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from tests.fleet.hosts import Host
from tests.load.databases import Outside
from tests.load.ledger import Findings

SWITCHED, WITNESS = "ledger_first", "ledger_second"
BLUR_S = 1.0
"""What was planned this close to a switch may be on either side of it; its delivery says which version decided it."""


@dataclass(slots=True)
class Switches:
    """Every switch: its version, when it was made (seconds since 1970), and whether it switched on."""

    made: list[tuple[int, float, float, bool]] = field(default_factory=list)  # version, from, until, is_on

    def turn(self, host: Host, *, is_on: bool) -> int:
        """Switch by the command of IT, as on one host of many; return the new version. Raises ServerFailed."""
        began = time.time()
        verb = "enable" if is_on else "disable"
        done = host.command("plugins", verb, SWITCHED, "--unit", "default", "--reason", "a campaign")
        number = int(done["number"])
        self.made.append((number, began, time.time(), is_on))
        return number

    def is_on_in(self, version: int) -> bool:
        """Whether the plugin is on in a configuration version."""
        state = True
        for number, _, _, is_on in self.made:
            if number <= version:
                state = is_on
        return state

    def is_surely_on_at(self, at: float) -> bool:
        """Whether it was on at a moment, and for `BLUR_S` before and after."""
        state = True
        for _, began, ended, is_on in self.made:
            if began - BLUR_S <= at <= ended + BLUR_S:
                return False
            if ended < at:
                state = is_on
        return state

    def check(self, found: Findings, outside: Outside) -> None:
        """Count effects made while it was off as doubled, and events it did not get while it was on as lost."""
        rows = dict(outside.rows(f"SELECT event_id, count(*) FROM {SWITCHED}_rows GROUP BY event_id"))
        decided = dict(
            outside.rows("SELECT event_id, count(*) FROM decisions WHERE plugin = ? GROUP BY event_id", SWITCHED)
        )
        had = {
            row[0]: row[1:]
            for row in outside.rows(
                "SELECT event_id, status, config_version FROM deliveries WHERE plugin = ?", SWITCHED
            )
        }
        for event_id, (status, version) in had.items():
            expected = 1 if status == "completed" else 0
            effects = (rows.get(event_id, 0), decided.get(event_id, 0))
            if max(effects) > expected or (expected and not self.is_on_in(version)):
                found.tell("doubled", f"{event_id}: {SWITCHED} is {status} by version {version} with {effects} effects")
            elif min(effects) < expected:
                found.tell("lost", f"{event_id}: {SWITCHED} is {status} with {effects} effects")
        planned = outside.rows(
            "SELECT d.event_id, d.created_at FROM deliveries d JOIN events e ON e.id = d.event_id"
            " WHERE d.plugin = ? AND e.type <> 'timer.due'",
            WITNESS,
        )
        for event_id, created_at in planned:
            done = event_id in had and had[event_id][0] == "completed"
            if not done and self.is_surely_on_at(created_at / 1_000_000):
                found.tell("lost", f"{event_id} was not handled by {SWITCHED}, which was on")
