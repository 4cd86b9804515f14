"""Waits until nothing is left to do: every event dispatched, every delivery closed, every message sent."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from deploy.demo.client import Client

_GAUGE = re.compile(r"^(outrigger_[a-z_]+)(\{[^}]*\})? ([0-9.e+]+)$", re.MULTILINE)
WATCHED = ("outrigger_events_waiting", "outrigger_deliveries_open", "outrigger_outbox_waiting")


def open_work(api: Client) -> dict[str, int]:
    """Return what is still open, by the server's own metrics."""
    found = dict.fromkeys(WATCHED, 0)
    for name, _, value in _GAUGE.findall(api.text("/metrics").body.decode()):
        if name in found:
            found[name] += int(float(value))
    return found


def wait_until_quiet(api: Client, progress: Callable[[dict[str, int]], None], limit_s: float = 60.0) -> bool:
    """Wait until two looks in a row find nothing open; return whether that came within the limit."""
    deadline, calm = time.monotonic() + limit_s, 0
    while time.monotonic() < deadline:
        work = open_work(api)
        progress(work)
        calm = 0 if any(work.values()) else calm + 1
        if calm == 2:
            return True
        time.sleep(0.2)
    return False
