"""The outcomes of a handler and the steps each state machine allows."""

from __future__ import annotations

import itertools

import pytest

from core.model.outcomes import (
    CLAIMABLE_DELIVERY,
    DELIVERY_STEPS,
    OPEN_DELIVERY,
    Cancel,
    DeliveryStatus,
    Snooze,
    check_delivery_step,
)

D = DeliveryStatus


def test_every_state_has_its_steps() -> None:
    assert set(DELIVERY_STEPS) == set(D)


@pytest.mark.parametrize(("before", "after"), list(itertools.product(D, D)))
def test_a_step_is_allowed_exactly_when_the_machine_names_it(before: D, after: D) -> None:
    if after in DELIVERY_STEPS[before]:
        check_delivery_step(before, after)
    else:
        with pytest.raises(ValueError, match=f"from {before} to {after}"):
            check_delivery_step(before, after)


def test_what_is_completed_or_skipped_never_changes_again() -> None:
    assert DELIVERY_STEPS[D.COMPLETED] == DELIVERY_STEPS[D.SKIPPED] == frozenset()


def test_only_a_person_brings_back_what_was_given_up() -> None:
    assert DELIVERY_STEPS[D.DISCARDED] == DELIVERY_STEPS[D.CANCELLED] == {D.AVAILABLE}


@pytest.mark.parametrize("status", sorted(OPEN_DELIVERY))
def test_every_open_delivery_can_be_discarded_and_skipped(status: D) -> None:
    assert {D.DISCARDED, D.SKIPPED} <= DELIVERY_STEPS[status]


@pytest.mark.parametrize("status", sorted(OPEN_DELIVERY))
def test_from_every_open_state_completion_can_be_reached(status: D) -> None:
    reached, seen = {status}, set()
    while reached - seen:
        step = (reached - seen).pop()
        seen.add(step)
        reached |= DELIVERY_STEPS[step] & (OPEN_DELIVERY | {D.COMPLETED})
    assert D.COMPLETED in reached


def test_only_what_a_worker_may_take_can_be_completed() -> None:
    assert {status for status in D if D.COMPLETED in DELIVERY_STEPS[status]} == CLAIMABLE_DELIVERY


@pytest.mark.parametrize("options", [{}, {"minutes": 0}, {"seconds": -1}, {"minutes": 5e9}, {"seconds": float("nan")}])
def test_a_snooze_takes_more_than_nothing_and_at_most_a_year(options: dict[str, float]) -> None:
    with pytest.raises((ValueError, OverflowError)):
        Snooze(**options)


def test_snooze_and_cancel_say_why() -> None:
    assert Snooze(minutes=2, seconds=30).delay.total_seconds() == 150
    assert str(Snooze(minutes=1)) == "snoozed by the plugin" and str(Snooze(minutes=1, reason="夜间窗口")) == "夜间窗口"
    assert str(Cancel("重复")) == "重复"
