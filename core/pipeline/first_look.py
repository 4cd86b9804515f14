"""One statement that tells a worker whether anything waits for it, and by which configuration it would decide.

Most looks find nothing, or a single event that has just come, so each statement that is saved here counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from core.model.instants import to_micros
from core.model.outcomes import CLAIMABLE_DELIVERY, EventStatus
from core.pipeline.driver_locks import Share
from core.store.columns import status_in
from core.store.tables import config_versions, deliveries, events, quarantines
from core.store.together import Question


@dataclass(frozen=True, slots=True)
class FirstLook:
    """What a batch begins with, all of one moment."""

    now: datetime
    """The moment by which deliveries are due."""

    number: int
    """Of the newest configuration version; 0 when there is none."""

    has_events: bool
    """Whether accepted events of the share wait, be their lanes free or not."""

    has_deliveries: bool
    """Whether deliveries of the share are due."""

    has_quarantine: bool
    """Whether any plugin is in quarantine anywhere."""


@lru_cache(maxsize=64)
def look_question(share: Share) -> Question:
    """Return the question that tells what waits for the worker of a share; `looked` reads its answer."""
    # Each is a look at one end of an index, however much waits: with EXISTS the planner may prefer the table.
    return Question(
        f"SELECT (SELECT coalesce(max(number), 0) FROM {config_versions.name}),"
        f" (SELECT min(seq) FROM {events.name} WHERE {status_in(EventStatus.ACCEPTED)} AND {share.condition()}),"
        f" (SELECT min(due_at) FROM {deliveries.name} WHERE {status_in(*CLAIMABLE_DELIVERY)} AND {share.condition()}),"
        f" EXISTS (SELECT 1 FROM {quarantines.name} WHERE active)"
    )


def looked(answer: Sequence[tuple[Any, ...]], now: datetime) -> FirstLook:
    """Read the answer to `look_question`, asked at `now`."""
    [(number, event, due_at, quarantined)] = answer
    return FirstLook(
        now=now,
        number=int(number),
        has_events=event is not None,
        has_deliveries=due_at is not None and due_at <= to_micros(now),
        has_quarantine=bool(quarantined),
    )
