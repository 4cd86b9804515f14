"""Waits until nothing is left to do: every event dispatched, every delivery closed, every message sent."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence

from deploy.demo.client import Client

_GAUGE = re.compile(r"^(outrigger_[a-z_]+)(\{[^}]*\})? ([0-9.e+]+)$", re.MULTILINE)
DECIDED = ("outrigger_events_waiting", "outrigger_deliveries_open")
WATCHED = (*DECIDED, "outrigger_outbox_waiting")


def open_work(api: Client) -> dict[str, int]:
    """Return what is still open, by the server's own metrics."""
    found = dict.fromkeys(WATCHED, 0)
    for name, _, value in _GAUGE.findall(api.text("/metrics").body.decode()):
        if name in found:
            found[name] += int(float(value))
    return found


def wait_until_quiet(
    api: Client,
    progress: Callable[[dict[str, int]], None],
    limit_s: float = 60.0,
    *,
    watched: Sequence[str] = WATCHED,
) -> bool:
    """Wait until two looks in a row find nothing open; return whether that came within the limit.

    With `DECIDED` as `watched`, messages may still be on their way: one that was refused comes again seconds later.
    """
    deadline, calm = time.monotonic() + limit_s, 0
    while time.monotonic() < deadline:
        work = open_work(api)
        progress(work)
        calm = 0 if any(work[name] for name in watched) else calm + 1
        if calm == 2:
            return True
        time.sleep(0.2)
    return False
