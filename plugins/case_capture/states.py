"""The states of a case and the only steps between them; pure."""

from __future__ import annotations

from enum import StrEnum

from core.api import Conflict


class CaseStatus(StrEnum):
    """Where a case stands."""

    DRAFT = "draft"  # written by the plugin or being worked on
    REVIEWED = "reviewed"  # a person found it right and complete
    PUBLISHED = "published"  # found by search, suggested to others
    WITHDRAWN = "withdrawn"  # kept, but no longer found


class Step(StrEnum):
    """What can be done with a case."""

    DRAFT = "draft"  # the record's facts arrive
    UPDATE = "update"  # the record's facts change
    DOUBT = "doubt"  # the record says that the case may be wrong
    MOVE = "move"  # the record goes to another business unit
    EDIT = "edit"
    REVIEW = "review"
    PUBLISH = "publish"
    WITHDRAW = "withdraw"


_C = CaseStatus
STEPS: dict[tuple[CaseStatus | None, Step], CaseStatus] = {
    (None, Step.DRAFT): _C.DRAFT,
    (_C.DRAFT, Step.UPDATE): _C.DRAFT,
    (_C.DRAFT, Step.DOUBT): _C.DRAFT,
    (_C.DRAFT, Step.EDIT): _C.DRAFT,
    (_C.DRAFT, Step.REVIEW): _C.REVIEWED,
    (_C.DRAFT, Step.WITHDRAW): _C.WITHDRAWN,
    (_C.REVIEWED, Step.UPDATE): _C.DRAFT,  # what was reviewed is no longer what the record says
    (_C.REVIEWED, Step.DOUBT): _C.DRAFT,
    (_C.REVIEWED, Step.EDIT): _C.DRAFT,
    (_C.REVIEWED, Step.PUBLISH): _C.PUBLISHED,
    (_C.REVIEWED, Step.WITHDRAW): _C.WITHDRAWN,
    (_C.PUBLISHED, Step.DOUBT): _C.PUBLISHED,  # others rely on it: marked, and a person decides
    (_C.PUBLISHED, Step.PUBLISH): _C.PUBLISHED,  # a person confirms a case in doubt
    (_C.PUBLISHED, Step.EDIT): _C.DRAFT,
    (_C.PUBLISHED, Step.WITHDRAW): _C.WITHDRAWN,
    (_C.WITHDRAWN, Step.EDIT): _C.DRAFT,
    **{(status, Step.MOVE): status for status in _C},
}


def next_status(status: str | None, step: Step) -> CaseStatus:
    """Return the state a step leads to. Raises Conflict when the step is not possible from here."""
    before = CaseStatus(status) if status is not None else None
    after = STEPS.get((before, step))
    if after is None:
        possible = sorted(str(known) for state, known in STEPS if state == before and known in _BY_PEOPLE)
        raise Conflict(f"A {status} case cannot take the step {step}; what is possible: {', '.join(possible)}.")
    return after


def can(status: str | None, step: Step) -> bool:
    """Whether a step is possible from a state."""
    return (CaseStatus(status) if status is not None else None, step) in STEPS


_BY_PEOPLE = frozenset({Step.EDIT, Step.REVIEW, Step.PUBLISH, Step.WITHDRAW})
