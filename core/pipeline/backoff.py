"""When to try again: exponential backoff with jitter, as pure functions of the attempt and a name."""

from __future__ import annotations

import hashlib
from datetime import timedelta

DELIVERY_FIRST_S = 5.0
CRASH_FIRST_S = 1.0
DELIVERY_CAP_S = 6 * 3600.0

OUTBOX_SCHEDULE_S: tuple[float, ...] = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
"""Seconds after attempt 1, 2, 3 …: the example schedule of Standard Webhooks 1.0, about three and a half days."""

JITTER = 0.2


def _spread(seconds: float, name: str, attempt: int) -> timedelta:
    # The jitter is drawn from the name, so the same history gives the same times and a herd still spreads out.
    digest = hashlib.sha256(f"{name}:{attempt}".encode()).digest()
    share = int.from_bytes(digest[:8], "big") / 2**64
    return timedelta(seconds=seconds * (1 - JITTER + 2 * JITTER * share))


def delivery_delay(attempt: int, name: str) -> timedelta:
    """Return how long to wait after failed attempt number `attempt` (from 1): 5 s, doubling, at most 6 h, ±20 %."""
    doublings = min(attempt - 1, 30)  # far beyond the cap, and not yet beyond what a float holds
    return _spread(min(DELIVERY_FIRST_S * 2**doublings, DELIVERY_CAP_S), name, attempt)


def crash_delay(attempt: int, name: str) -> timedelta:
    """Return how long to wait after attempt number `attempt` (from 1) ended with its worker.

    The first time only as long as its neighbours of the batch need: most workers that are lost were not lost by the
    plugin they were just calling, and a record should not wait for that. From the second on it waits like any other.
    """
    return _spread(CRASH_FIRST_S, name, attempt) if attempt <= 1 else delivery_delay(attempt - 1, name)


def outbox_delay(attempt: int, name: str) -> timedelta | None:
    """Return how long to wait after failed attempt number `attempt` (from 1), or None when it was the last."""
    if attempt > len(OUTBOX_SCHEDULE_S):
        return None
    return _spread(OUTBOX_SCHEDULE_S[attempt - 1], name, attempt)
