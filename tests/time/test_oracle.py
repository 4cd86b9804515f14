"""Calendars against the slow oracle, and the laws of working time."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.time import calendar as calendar_module
from core.time.wall import first_instant
from tests.time import campaign
from tests.time.kit import Window, differences, random_day, random_span, window

NOTHING = timedelta(0)


@st.composite
def windows(draw: st.DrawFn) -> tuple[Window, random.Random]:
    """Draw a calendar with the days around something worth looking at."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    return window(rng, random_day(rng), days=8), rng


@settings(max_examples=40)
@given(windows())
def test_the_calendar_and_the_oracle_agree(drawn: tuple[Window, random.Random]) -> None:
    found, rng = drawn
    assert [fault for _ in range(10) for fault in differences(found, rng)] == []


@settings(max_examples=30)
@given(windows())
def test_working_time_keeps_its_laws(drawn: tuple[Window, random.Random]) -> None:
    found, rng = drawn
    calendar = found.calendar
    for _ in range(12):
        a, b, c = sorted(found.instant(rng) for _ in range(3))
        span, more = random_span(rng), random_span(rng)
        # measuring
        assert calendar.between(a, a) == NOTHING
        assert calendar.between(a, b) + calendar.between(b, c) == calendar.between(a, c)
        assert calendar.between(c, a) == -calendar.between(a, c)
        assert NOTHING <= calendar.between(a, b) <= b - a
        # adding is measuring turned round, and the earliest such instant
        due = calendar.add(a, span)
        assert calendar.between(a, due) == span
        assert span == NOTHING or calendar.between(a, due - timedelta(microseconds=1)) < span
        assert calendar.add(a, calendar.between(a, c)) <= c
        # adding in two steps is adding at once
        assert calendar.add(due, more) == calendar.add(a, span + more) or more == NOTHING
        # later starts and longer spans are due no earlier
        assert calendar.add(a, span) <= calendar.add(b, span) or span == NOTHING
        assert due <= calendar.add(a, span + more)
        # the next working instant
        following = calendar.next_working(a)
        assert following >= a
        assert calendar.is_working(following)
        assert calendar.next_working(following) == following
        assert calendar.between(a, following) == NOTHING
        assert (following == a) == calendar.is_working(a)


def test_the_stretches_are_the_working_time() -> None:
    rng = random.Random(5)
    for _ in range(20):
        found = window(rng, random_day(rng), days=6)
        start, end = sorted((found.instant(rng), found.instant(rng)))
        stretches = list(found.calendar.stretches(start, end))
        assert sum((b - a for a, b in stretches), NOTHING) == found.calendar.between(start, end)
        marks = [mark for stretch in stretches for mark in stretch]
        assert marks == sorted(marks) and all(start <= mark <= end for mark in marks)
        assert all(found.calendar.is_working(a) and a < b for a, b in stretches)


def test_the_campaign_counts_its_cases_and_finds_no_difference() -> None:
    result = campaign.run(250, seed=11)
    assert (result["cases"], result["calendars"], result["differences"], result["seed"]) == (250, 3, 0, 11)


def test_the_campaign_sees_a_calendar_that_is_wrong_by_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    late = timedelta(minutes=1)
    monkeypatch.setattr(calendar_module, "first_instant", lambda wall, zone: first_instant(wall, zone) + late)
    assert int(str(campaign.run(20, seed=11)["differences"])) > 0
