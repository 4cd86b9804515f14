"""The arithmetic of clocks against an oracle that walks minute by minute, and its laws."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.sla_escalation.reckoning import counted, moments_of, reached
from plugins.sla_escalation.rounds import Stretch
from plugins.sla_escalation.rules import judge
from plugins.sla_escalation.settings import Policy, policy_of
from plugins.sla_escalation.tests.making import MINUTE, at, calendar, minute_reached, minutes_counted

EXAMPLES = int(os.environ.get("OUTRIGGER_SLA_EXAMPLES", "60"))
"""A campaign sets it to 100,000."""

WINDOWS = {
    "cn": ["2018-02-08", "2019-04-28", "2020-01-18", "2021-09-17", "2022-12-29", "2023-01-20", "2024-02-02",
           "2025-09-26", "2026-02-12", "2027-09-28"],
    "always": ["2024-02-27", "2026-11-23"],
    "berlin": ["2025-03-27", "2025-10-23", "2024-02-27"],
    "berlin_nights": ["2026-03-27", "2026-10-23"],
    "new_york": ["2026-03-06", "2026-10-30"],
}  # fmt: skip
"""Where calendars are hard: make-up days, holidays across weekends, leap days, clocks moved forth and back."""


@st.composite
def scenes(draw):
    name = draw(st.sampled_from(sorted(WINDOWS)))
    start = at(draw(st.sampled_from(WINDOWS[name]))) + MINUTE * draw(st.integers(0, 3 * 24 * 60))
    cuts = sorted(draw(st.lists(st.integers(1, 4 * 24 * 60), max_size=4, unique=True)))
    edges = [start, *(start + MINUTE * cut for cut in cuts)]
    pairs = zip(edges, [*edges[1:], None], strict=True)
    first = draw(st.booleans())
    stretches = tuple(Stretch(a, b, (number % 2 == 0) is first, "") for number, (a, b) in enumerate(pairs))
    return stretches, draw(st.booleans()), calendar(name)


def policy(target: str, **more: object) -> Policy:
    values = {"clock": "c", "order": 1, "when": {}, "before": None, "warn": [], "warn_to": [], "levels": []}
    return policy_of("p", {**values, "target": target, **more})


@settings(max_examples=EXAMPLES, deadline=None)
@given(scenes(), st.integers(1, 3 * 24 * 60), st.integers(0, 8 * 24 * 60))
def test_what_counts_and_when_it_is_due_is_what_walking_minute_by_minute_finds(scene, minutes, later):
    stretches, working, hours = scene
    until = stretches[0].start + MINUTE * later
    expected = minutes_counted(stretches, until, working=working, hours=hours)
    assert counted(stretches, until, working=working, calendar=hours) == MINUTE * expected
    last = stretches[-1].start + timedelta(days=12)
    walked = minute_reached(stretches, minutes, working=working, hours=hours, last=last)
    found = reached(stretches, MINUTE * minutes, working=working, calendar=hours)
    assert walked == found or (walked is None and (found is None or found > last))


@settings(max_examples=EXAMPLES, deadline=None)
@given(scenes(), st.integers(0, 8 * 24 * 60))
def test_the_stretches_sum_up_to_the_whole(scene, later):
    stretches, working, hours = scene
    until = stretches[0].start + MINUTE * later
    parts = [counted([item], until, working=working, calendar=hours) for item in stretches]
    assert sum(parts, timedelta(0)) == counted(stretches, until, working=working, calendar=hours)
    turned = [Stretch(item.start, item.end, not item.counts, "") for item in stretches]
    whole = [Stretch(stretches[0].start, None, True, "")]
    paused = counted(turned, until, working=working, calendar=hours)
    assert sum(parts, timedelta(0)) + paused == counted(whole, until, working=working, calendar=hours)


@settings(max_examples=EXAMPLES, deadline=None)
@given(scenes(), st.integers(1, 2 * 24 * 60))
def test_a_pause_never_brings_the_due_moment_nearer(scene, minutes):
    stretches, working, hours = scene
    unpaused = [Stretch(stretches[0].start, None, True, "")]
    without = reached(unpaused, MINUTE * minutes, working=working, calendar=hours)
    paused = reached(stretches, MINUTE * minutes, working=working, calendar=hours)
    assert without is not None
    assert paused is None or paused >= without


@settings(max_examples=EXAMPLES, deadline=None)
@given(scenes(), st.integers(1, 2 * 24 * 60))
def test_at_the_due_moment_exactly_the_target_has_counted(scene, minutes):
    stretches, working, hours = scene
    due = reached(stretches, MINUTE * minutes, working=working, calendar=hours)
    if due is not None:
        assert counted(stretches, due, working=working, calendar=hours) == MINUTE * minutes
        before = due - timedelta(microseconds=1)
        assert counted(stretches, before, working=working, calendar=hours) < MINUTE * minutes


def test_eight_working_hours_over_the_national_day_week_are_due_after_it():
    start = at("2025-09-30T16:00+08:00")
    due = reached([Stretch(start, None, True, "")], timedelta(hours=8), working=True, calendar=calendar("cn"))
    assert due == at("2025-10-09T16:00+08:00")


def test_a_make_up_sunday_counts_like_a_monday():
    start = at("2025-09-28T09:00+08:00")  # a Sunday that is worked for the holiday
    until = at("2025-09-28T18:00+08:00")
    assert counted([Stretch(start, None, True, "")], until, working=True, calendar=calendar("cn")).seconds == 8 * 3600


@pytest.mark.parametrize(
    ("start", "due"),
    [
        ("2026-03-28T20:00+01:00", "2026-03-29T21:00+02:00"),  # the hour from 2 to 3 does not exist
        ("2026-10-24T20:00+02:00", "2026-10-25T19:00+01:00"),  # the hour from 2 to 3 is there twice
        ("2028-02-28T20:00+01:00", "2028-02-29T20:00+01:00"),  # a leap day
    ],
)
def test_24_hours_of_elapsed_time_are_24_hours_whatever_the_clocks_do(start, due):
    found = reached(
        [Stretch(at(start), None, True, "")], timedelta(hours=24), working=False, calendar=calendar("berlin")
    )
    assert found == at(due)


def test_warnings_are_shares_of_the_target_or_spans_before_it_is_over():
    rule = policy("10h", warn=["50%", "4h"], warn_to=["owner"], levels=[{"after": "2h", "to": ["boss"]}])
    start = at("2026-11-23T00:00")
    stretches = (Stretch(start, None, True, ""),)
    due = start + timedelta(hours=10)
    found = moments_of(rule, start, stretches, due, calendar("always"))
    assert [(item.kind, item.name, (item.at - start).total_seconds() / 3600) for item in found] == [
        ("warn", "50%", 5), ("warn", "4h", 6), ("breach", "0", 10), ("level", "2h", 12),
    ]  # fmt: skip


def test_a_clock_that_counts_back_is_due_before_its_anchor_and_warns_between_start_and_due():
    rule = policy("48h", before="promised_at", warn=["50%", "4h"], levels=[{"after": "24h", "to": ["boss"]}])
    start, anchor = at("2026-11-20T00:00"), at("2026-11-24T00:00")
    stretches = (Stretch(start, None, True, ""),)
    standing = judge(rule, start, None, stretches, anchor, calendar("cn"), start)
    assert standing.due == at("2026-11-22T00:00")
    assert [item.at for item in standing.moments] == [
        at("2026-11-21T00:00"), at("2026-11-21T20:00"), at("2026-11-22T00:00"), at("2026-11-23T00:00"),
    ]  # fmt: skip


def test_a_delay_learned_too_late_is_breached_at_once_and_warns_nobody():
    rule = policy("48h", before="promised_at", warn=["50%"])
    start, anchor = at("2026-11-23T00:00"), at("2026-11-24T00:00")
    standing = judge(rule, start, None, (Stretch(start, None, True, ""),), anchor, calendar("cn"), start)
    assert standing.state == "breached"
    assert [item.kind for item in standing.moments] == ["breach"]


@pytest.mark.parametrize(("stopped", "state"), [("09:59:59", "met"), ("10:00:00", "met"), ("10:00:01", "missed")])
def test_stopped_at_the_due_moment_itself_is_in_time(stopped, state):
    start, end = at("2026-11-23T00:00"), at(f"2026-11-23T{stopped}")
    standing = judge(policy("10h"), start, (end, "stop"), (Stretch(start, end, True, ""),), None, calendar("cn"), end)
    assert standing.state == state


def test_stopped_after_hours_when_the_time_ran_out_at_the_end_of_the_shift_is_late():
    start, end = at("2026-11-23T09:00+08:00"), at("2026-11-23T20:00+08:00")
    stretches = (Stretch(start, end, True, ""),)
    standing = judge(policy("8 working hours"), start, (end, "stop"), stretches, None, calendar("cn"), end)
    assert (standing.state, standing.due) == ("missed", at("2026-11-23T18:00+08:00"))


def test_an_open_clock_is_not_broken_a_moment_before_it_is_due():
    start = at("2026-11-23T00:00")
    stretches = (Stretch(start, None, True, ""),)
    now: datetime = start + timedelta(hours=10) - timedelta(microseconds=1)
    assert judge(policy("10h"), start, None, stretches, None, calendar("cn"), now).state == "running"
    now += timedelta(microseconds=1)
    assert judge(policy("10h"), start, None, stretches, None, calendar("cn"), now).state == "breached"
