"""Posts single signed events to a host, and looks from outside for what became of them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

from tests.crash.clients import PATH
from tests.fleet.hosts import Host
from tests.load.wire import Connection, event_body, signed

PATIENCE_S = 120.0
_numbers = itertools.count(1)


def post(host: Host, record: str, *, kind: str = "complaint.replied", **fields: Any) -> str:
    """Post an event about a record and return its id; it is stored when this returns."""
    number = next(_numbers)
    connection = Connection(host.port, host=host.address, patience_s=PATIENCE_S)
    try:
        answer = connection.ask(signed(PATH, f"{record}-{number}", event_body(kind, record, number, number, **fields)))
    finally:
        connection.close()
    assert answer.status == 202, answer.body
    return answer.event_ids[0]


def until(condition: Callable[[], Any], what: str) -> float:
    """Wait until a condition holds; return how many seconds that took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + PATIENCE_S, f"still waiting after {PATIENCE_S:.0f} s: {what}"
        time.sleep(0.02)
    return time.monotonic() - began
