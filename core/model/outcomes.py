"""The words for how a delivery ends, the exceptions that choose one, and each state machine's allowed steps."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

LONGEST_SNOOZE = timedelta(days=366)


class Snooze(Exception):
    """Raised by a handler to be called again later; the attempt is not counted."""

    def __init__(self, *, minutes: float = 0, seconds: float = 0, reason: str = "") -> None:
        self.delay = timedelta(minutes=minutes, seconds=seconds)
        self.reason = reason or "snoozed by the plugin"
        if not timedelta(0) < self.delay <= LONGEST_SNOOZE:
            raise ValueError("Snooze needs a delay above zero and of at most a year")
        super().__init__(self.reason)


class Cancel(Exception):
    """Raised by a handler to end the delivery without effects and without a retry."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class EventStatus(StrEnum):
    """Where an accepted event stands."""

    ACCEPTED = "accepted"  # durable, not yet dispatched
    DISPATCHED = "dispatched"  # merged into its record, one delivery per enabled plugin exists
    SKIPPED = "skipped"  # starts nothing: superseded, an echo of our own write, or too deep
    REJECTED = "rejected"  # authentic, but does not map; kept with its reason for replay


class DeliveryStatus(StrEnum):
    """Where one event for one plugin stands."""

    AVAILABLE = "available"  # ready to run
    SCHEDULED = "scheduled"  # snoozed until due_at
    RETRYABLE = "retryable"  # failed, runs again at due_at
    WAITING = "waiting"  # held back by an earlier delivery of the same record and plugin
    QUARANTINED = "quarantined"  # the plugin crashed too often here, or cannot be loaded; kept in order for later
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    DISCARDED = "discarded"  # gave up after the last attempt, or a person discarded it
    SKIPPED = "skipped"  # the plugin was switched off before the delivery was recorded


OPEN_DELIVERY = frozenset(
    {
        DeliveryStatus.AVAILABLE,
        DeliveryStatus.SCHEDULED,
        DeliveryStatus.RETRYABLE,
        DeliveryStatus.WAITING,
        DeliveryStatus.QUARANTINED,
    }
)
CLAIMABLE_DELIVERY = frozenset({DeliveryStatus.AVAILABLE, DeliveryStatus.SCHEDULED, DeliveryStatus.RETRYABLE})

ATTENTION = frozenset(
    {DeliveryStatus.DISCARDED, DeliveryStatus.QUARANTINED, DeliveryStatus.WAITING, DeliveryStatus.CANCELLED}
)
"""The states of a delivery that somebody may want to look at."""

_FINAL = frozenset(DeliveryStatus) - OPEN_DELIVERY
_D = DeliveryStatus
DELIVERY_STEPS: dict[DeliveryStatus, frozenset[DeliveryStatus]] = {
    _D.AVAILABLE: _FINAL | {_D.SCHEDULED, _D.RETRYABLE, _D.QUARANTINED, _D.WAITING},
    _D.SCHEDULED: _FINAL | {_D.SCHEDULED, _D.RETRYABLE, _D.QUARANTINED, _D.AVAILABLE, _D.WAITING},
    _D.RETRYABLE: _FINAL | {_D.SCHEDULED, _D.RETRYABLE, _D.QUARANTINED, _D.AVAILABLE, _D.WAITING},
    _D.WAITING: frozenset({_D.AVAILABLE, _D.DISCARDED, _D.SKIPPED, _D.QUARANTINED}),
    _D.QUARANTINED: frozenset({_D.AVAILABLE, _D.WAITING, _D.DISCARDED, _D.SKIPPED}),
    _D.COMPLETED: frozenset(),
    _D.CANCELLED: frozenset({_D.AVAILABLE}),  # only a person's retry
    _D.DISCARDED: frozenset({_D.AVAILABLE}),  # only a person's retry
    _D.SKIPPED: frozenset(),
}


class OutboxStatus(StrEnum):
    """Where one message on its way out stands."""

    AVAILABLE = "available"
    RETRYABLE = "retryable"
    SENT = "sent"
    DISCARDED = "discarded"
    SUPPRESSED = "suppressed"  # a replay whose outward effects are off, or a destination that is not configured


NO_LONGER_TRUE = "no longer true: "
"""How the reason begins of a message that was suppressed since things had changed before it was sent."""


class TimerStatus(StrEnum):
    """Where a timer stands."""

    PENDING = "pending"
    HELD = "held"  # its plugin is switched off in its unit; fires late when switched on again
    FIRED = "fired"
    CANCELLED = "cancelled"


DONE_TIMER = (TimerStatus.CANCELLED, TimerStatus.FIRED)
"""The states of a timer that does not run any more."""


def check_delivery_step(before: DeliveryStatus, after: DeliveryStatus) -> None:
    """Raise ValueError when a delivery may not go from `before` to `after`."""
    if after not in DELIVERY_STEPS[before]:
        raise ValueError(f"a delivery cannot go from {before} to {after}")
