"""The states of a request and of the people it asks, and the only steps between them; pure."""

from __future__ import annotations

from enum import StrEnum

from core.api import Conflict


class Status(StrEnum):
    """Where a request stands."""

    PENDING = "pending"  # people are asked
    ASKED = "asked"  # an approver asked the owner a question
    APPROVED = "approved"
    REJECTED = "rejected"
    RETURNED = "returned"  # incomplete or inconsistent; nobody was asked
    VOID = "void"  # the quote changed, or moved to another unit
    CLOSED = "closed"  # the customer accepted or declined, or the quote expired, before it was decided


class Step(StrEnum):
    """What can happen to a request."""

    ASK = "ask"  # a quote is routed to people
    APPROVE_BY_RULE = "approve_by_rule"
    RETURN = "return"
    AGREE = "agree"  # somebody agrees, and others are still needed
    APPROVE = "approve"  # the last one needed agrees
    REJECT = "reject"
    ASK_BACK = "ask_back"
    ANSWER = "answer"
    CHANGE = "change"  # the quote's content, its unit or (while it is open) its owner changes
    END = "end"  # the quote is accepted, declined or expired


_S = Status
STEPS: dict[tuple[Status | None, Step], Status] = {
    (None, Step.ASK): _S.PENDING,
    (None, Step.APPROVE_BY_RULE): _S.APPROVED,
    (None, Step.RETURN): _S.RETURNED,
    (_S.PENDING, Step.AGREE): _S.PENDING,
    (_S.PENDING, Step.APPROVE): _S.APPROVED,
    (_S.PENDING, Step.REJECT): _S.REJECTED,
    (_S.PENDING, Step.ASK_BACK): _S.ASKED,
    (_S.ASKED, Step.ANSWER): _S.PENDING,
    (_S.PENDING, Step.CHANGE): _S.VOID,
    (_S.ASKED, Step.CHANGE): _S.VOID,
    (_S.APPROVED, Step.CHANGE): _S.VOID,
    (_S.PENDING, Step.END): _S.CLOSED,
    (_S.ASKED, Step.END): _S.CLOSED,
}
OPEN = (_S.PENDING, _S.ASKED)
BY_PEOPLE = {"approve": Step.APPROVE, "reject": Step.REJECT, "ask": Step.ASK_BACK, "answer": Step.ANSWER}
"""What a person may send as a decision, and its step; an approval others must join is the step `agree`."""


def can(status: str | None, step: Step) -> bool:
    """Whether a step is possible from a state."""
    return (Status(status) if status is not None else None, step) in STEPS


def next_status(status: str | None, step: Step) -> Status:
    """Return the state a step leads to. Raises Conflict naming what a person can still do."""
    after = STEPS.get((Status(status) if status is not None else None, step))
    if after is None:
        possible = [name for name, known in BY_PEOPLE.items() if can(status, known)]
        said = f"possible: {', '.join(possible)}" if possible else "nothing is left to decide"
        raise Conflict(f"This request is {status}; {said}.")
    return after
