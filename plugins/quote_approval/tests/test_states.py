"""The states of a request, and that nothing but the drawn steps is possible."""

from __future__ import annotations

import itertools

import pytest

from core.api import Conflict
from plugins.quote_approval.states import BY_PEOPLE, OPEN, STEPS, Status, Step, can, next_status


@pytest.mark.parametrize(("status", "step"), list(itertools.product([None, *Status], Step)))
def test_only_the_drawn_steps_are_possible(status, step):
    if (status, step) in STEPS:
        assert next_status(status, step) is STEPS[status, step]
    else:
        with pytest.raises(Conflict):
            next_status(status, step)


def test_what_is_over_stays_over():
    ended = {Status.REJECTED, Status.RETURNED, Status.VOID, Status.CLOSED}
    assert not any(can(status, step) for status in ended for step in Step)


def test_an_approval_only_ends_by_a_change():
    assert [step for step in Step if can(Status.APPROVED, step)] == [Step.CHANGE]


def test_people_decide_only_what_is_open():
    for status, step in itertools.product(Status, BY_PEOPLE.values()):
        assert not can(status, step) or status in OPEN


def test_a_refusal_names_what_is_still_possible():
    with pytest.raises(Conflict, match="possible: answer"):
        next_status("asked", Step.APPROVE)
    with pytest.raises(Conflict, match="nothing is left"):
        next_status("approved", Step.APPROVE)
