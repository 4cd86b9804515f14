"""The fold of signals into rounds: its laws, and where a round stands by the built-in clocks."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.sla_escalation import rules
from plugins.sla_escalation.history import History
from plugins.sla_escalation.rounds import rounds_of
from plugins.sla_escalation.signals import KEPT, folded, signal_of
from plugins.sla_escalation.tests.making import at, calendar, config, signal

START = at("2026-11-23T01:00")
HOUR = timedelta(hours=1)
COMPLAINT_EVENTS = [
    ("complaint.opened", {"category": "quality"}),
    ("complaint.updated", {"waiting_for": "customer"}),
    ("complaint.updated", {"waiting_for": "service"}),
    ("complaint.updated", {"waiting_for": "production"}),
    ("complaint.updated", {"owner": "li"}),
    ("complaint.updated", {"severity": "complex"}),
    ("complaint.replied", {"waiting_for": "customer"}),
    ("complaint.replied", {"first_response_at": (START + HOUR).isoformat()}),
    ("complaint.resolved", {"resolution": "#1"}),
    ("complaint.reopened", {"waiting_for": "service"}),
    ("complaint.closed", {}),
]


@st.composite
def histories(draw):
    chosen = draw(st.lists(st.sampled_from(range(len(COMPLAINT_EVENTS))), min_size=1, max_size=12))
    hours = draw(st.lists(st.integers(0, 60), min_size=len(chosen), max_size=len(chosen)))
    return [
        signal(*(COMPLAINT_EVENTS[which][0], START + HOUR * hour, COMPLAINT_EVENTS[which][1]), ident=f"e{number}")
        for number, (which, hour) in enumerate(zip(chosen, hours, strict=True))
    ]


def taken_in(signals):
    """Take signals in one by one, from what was stored, as handlers do."""
    history = History()
    clocks = config().by_record["complaint"]
    for item in signals:
        history = history.with_signal(item)
        if len(history.signals) > KEPT:
            for clock in clocks:
                history.rounds_of(clock)
            history = read(history.to_store())
    return read(history.to_store()).signals


def read(stored):
    return History(stored, [signal_of(item) for item in stored])


@settings(max_examples=150, deadline=None)
@given(histories(), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_count(history, random):
    shuffled = list(history)
    random.shuffle(shuffled)
    built_in = config()
    for clock in built_in.by_record["complaint"]:
        assert rounds_of(clock, taken_in(history)) == rounds_of(clock, taken_in(shuffled))


@settings(max_examples=150, deadline=None)
@given(histories())
def test_stretches_of_a_round_join_without_gaps_and_only_the_last_round_is_open(history):
    for clock in config().by_record["complaint"]:
        rounds = rounds_of(clock, taken_in(history))
        assert [item.number for item in rounds] == list(range(1, len(rounds) + 1))
        assert all(item.end is not None for item in rounds[:-1])
        for item in rounds:
            assert item.end is None or item.end.at >= item.start.at
            edges = [(stretch.start, stretch.end) for stretch in item.stretches]
            assert all(a[1] == b[0] for a, b in itertools.pairwise(edges))
            if edges:
                assert edges[0][0] == item.start.at
                assert edges[-1][1] == (item.end.at if item.end else None)


def test_an_event_that_comes_again_changes_nothing():
    history = [signal(name, START + HOUR * number, said) for number, (name, said) in enumerate(COMPLAINT_EVENTS)]
    assert taken_in([*history, *history]) == taken_in(history)


def rounds(clock, *signals):
    return rounds_of(config().clocks[clock], taken_in(signals))


def test_a_reply_that_its_sender_dates_before_the_complaint_ends_the_clock_at_its_start():
    replied = signal("complaint.replied", START - timedelta(minutes=3))
    (only,) = rounds("complaint_first_response", replied, signal("complaint.opened", START))
    assert only.end is not None
    assert (only.end.at, only.stretches) == (START, ())


def test_a_reply_of_the_customer_is_no_answer():
    opened = signal("complaint.opened", START)
    theirs = signal("complaint.replied", START + HOUR, {"waiting_for": "service"})
    ours = signal("complaint.replied", START + 2 * HOUR, {"waiting_for": "customer"})
    (only,) = rounds("complaint_first_response", opened, theirs)
    assert only.end is None
    (only,) = rounds("complaint_first_response", opened, theirs, ours)
    assert only.end is not None
    assert only.end.at == START + 2 * HOUR


def test_a_moment_that_a_field_tells_is_never_later_than_it_was_known():
    opened = signal("complaint.opened", START)
    told = signal("complaint.replied", START + HOUR, {"first_response_at": (START + 9 * HOUR).isoformat()})
    (only,) = rounds("complaint_first_response", opened, told)
    assert only.end is not None
    assert only.end.at == START + HOUR


def test_a_reopened_complaint_starts_a_new_round():
    found = rounds(
        "complaint_resolution",
        signal("complaint.opened", START, {"owner": "li"}),
        signal("complaint.resolved", START + 5 * HOUR),
        signal("complaint.closed", START + 6 * HOUR),
        signal("complaint.reopened", START + 30 * HOUR),
    )
    assert [(item.number, item.start.at, item.end and item.end.at) for item in found] == [
        (1, START, START + 5 * HOUR), (2, START + 30 * HOUR, None),
    ]  # fmt: skip


@pytest.mark.parametrize("restart_as", ["new_round", "continue"])
def test_a_time_of_resolution_left_over_from_before_the_reopening_ends_nothing(restart_as):
    clock = config({"clocks": {"complaint_resolution": {"restart_as": restart_as}}}).clocks["complaint_resolution"]
    history = [
        signal("complaint.opened", START, {"owner": "li"}),
        signal("complaint.resolved", START + 5 * HOUR,
               {"status": "resolved", "resolved_at": (START + 5 * HOUR).isoformat()}),
        signal("complaint.reopened", START + 30 * HOUR, {"status": "open"}),
    ]  # fmt: skip
    left_over = rounds_of(clock, [*history, signal("complaint.updated", START + 50 * HOUR, {"status": "resolved"})])
    assert left_over[-1].end is not None
    assert left_over[-1].end.at == START + 50 * HOUR
    anew = {"status": "resolved", "resolved_at": (START + 40 * HOUR).isoformat()}
    told = rounds_of(clock, [*history, signal("complaint.updated", START + 50 * HOUR, anew)])
    assert told[-1].end is not None
    assert told[-1].end.at == START + 40 * HOUR


def test_a_clock_may_go_on_where_it_stopped_when_settings_say_so():
    going_on = config({"clocks": {"complaint_resolution": {"restart_as": "continue"}}})
    signals = [
        signal("complaint.opened", START, {"owner": "li"}),
        signal("complaint.resolved", START + 5 * HOUR),
        signal("complaint.reopened", START + 30 * HOUR),
    ]
    (only,) = rounds_of(going_on.clocks["complaint_resolution"], signals)
    rule, _ = going_on.rule_for("complaint_resolution", only.facts)
    assert rule is not None
    standing = rules.stand(only, rule.policy, calendar("cn"), START + 31 * HOUR)
    assert (standing.state, standing.elapsed) == ("running", 6 * HOUR)
    assert standing.due == START + 49 * HOUR


def test_time_does_not_count_while_the_customer_is_waited_for_and_the_due_moment_is_open():
    paused = (
        signal("complaint.opened", START, {"owner": "li"}),
        signal("complaint.updated", START + 4 * HOUR, {"waiting_for": "customer"}),
    )
    (only,) = rounds("complaint_resolution", *paused)
    rule, _ = config().rule_for("complaint_resolution", only.facts)
    assert rule is not None
    standing = rules.stand(only, rule.policy, calendar("cn"), START + 90 * HOUR)
    assert (standing.state, standing.elapsed, standing.due) == ("paused", 4 * HOUR, None)
    (only,) = rounds("complaint_resolution", *paused, signal("complaint.updated", START + 99 * HOUR, {"waiting_for": None}))  # fmt: skip  # noqa: E501
    assert rules.stand(only, rule.policy, calendar("cn"), START + 99 * HOUR).due == START + (99 + 20) * HOUR


def test_facts_of_the_same_instant_begin_before_they_end():
    closed, opened = signal("complaint.closed", START), signal("complaint.opened", START)
    (only,) = rounds("complaint_first_response", closed, opened)
    assert only.ended_as == "stop"


@pytest.mark.parametrize("count", [KEPT + 50, 3 * KEPT])
def test_many_repetitions_are_thinned_without_changing_what_is_known(count):
    history = [signal("complaint.opened", START, {"owner": "li"})]
    history += [
        signal("complaint.updated", START + timedelta(minutes=number), {"waiting_for": "customer"}, ident=f"u{number}")
        for number in range(count)
    ]
    history.append(signal("complaint.updated", START + 99 * HOUR, {"waiting_for": "service"}))
    known = taken_in(history)
    assert len(known) <= KEPT
    assert folded(known) == folded(history)
    clock = config().clocks["complaint_resolution"]
    assert rounds_of(clock, known) == rounds_of(clock, sorted(history, key=lambda item: item.order))


@pytest.mark.parametrize("event", ["complaint.updated", "complaint.replied"])
def test_a_record_with_very_many_signals_keeps_its_starts_its_ends_and_what_is_known(event):
    history = [
        signal("complaint.opened", START, {"category": "quality"}),
        signal("complaint.updated", START + HOUR, {"owner": "li"}),
        signal("complaint.updated", START + 2 * HOUR, {"severity": "complex"}),
    ]
    history += [
        signal(event, START + HOUR * number, {"waiting_for": ("customer", "service")[number % 2]}, ident=f"u{number}")
        for number in range(3, 2 * KEPT)
    ]
    known = taken_in(history)
    assert len(known) <= KEPT
    assert folded(known) == folded(history)
    for clock in config().by_record["complaint"]:
        found = [(item.number, item.start, item.end, item.facts) for item in rounds_of(clock, known)]
        assert found == [(item.number, item.start, item.end, item.facts) for item in rounds_of(clock, history)]


@settings(max_examples=100, deadline=None)
@given(histories())
def test_going_on_from_a_fold_gives_what_folding_anew_gives(history):
    known = History()
    clocks = config().by_record["complaint"]
    for item in history:
        known = known.with_signal(item)
        for clock in clocks:
            assert known.rounds_of(clock) == rounds_of(clock, known.signals)
        assert known.to_store() == [signal.as_json() for signal in known.signals]
