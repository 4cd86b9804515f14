"""When a failed attempt is tried again: a table, with a spread that depends on the name alone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.pipeline.backoff import JITTER, OUTBOX_SCHEDULE_S, crash_delay, delivery_delay, outbox_delay

DELIVERIES = [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10240, 20480, 21600, 21600]
OUTBOX = [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]


@pytest.mark.parametrize(("attempt", "seconds"), list(enumerate(DELIVERIES, 1)))
def test_a_delivery_waits_twice_as_long_each_time_up_to_six_hours(attempt: int, seconds: int) -> None:
    delays = [delivery_delay(attempt, f"dlv_{number}").total_seconds() for number in range(200)]
    assert min(delays) >= seconds * (1 - JITTER) and max(delays) <= seconds * (1 + JITTER)
    assert abs(sum(delays) / len(delays) - seconds) < seconds * 0.05


@pytest.mark.parametrize(("attempt", "seconds"), list(enumerate(OUTBOX, 1)))
def test_a_message_follows_the_schedule_of_standard_webhooks(attempt: int, seconds: int) -> None:
    delay = outbox_delay(attempt, "msg_1")
    assert delay is not None
    assert seconds * (1 - JITTER) <= delay.total_seconds() <= seconds * (1 + JITTER)


def test_a_delivery_whose_worker_was_lost_is_tried_again_in_a_second_and_then_like_any_other() -> None:
    assert 0.8 <= crash_delay(1, "dlv_1").total_seconds() <= 1.2
    assert [crash_delay(attempt, "dlv_1") for attempt in (2, 3)] == [
        delivery_delay(1, "dlv_1"), delivery_delay(2, "dlv_1"),
    ]  # fmt: skip


def test_a_message_is_given_up_after_its_tenth_attempt() -> None:
    assert outbox_delay(len(OUTBOX) + 1, "msg_1") is None and tuple(OUTBOX) == OUTBOX_SCHEDULE_S
    assert timedelta(seconds=sum(OUTBOX)) < timedelta(days=4)


@given(st.integers(1, 40), st.text(max_size=20))
def test_the_same_name_and_attempt_always_wait_the_same(attempt: int, name: str) -> None:
    name = name.encode("utf-8", "replace").decode()
    assert delivery_delay(attempt, name) == delivery_delay(attempt, name)


def test_a_herd_that_failed_together_does_not_come_back_together() -> None:
    assert len({delivery_delay(1, f"dlv_{number}") for number in range(1000)}) > 990


def test_an_attempt_far_beyond_the_limit_does_not_overflow() -> None:
    assert delivery_delay(2000, "dlv_1") <= timedelta(seconds=21600 * (1 + JITTER))
