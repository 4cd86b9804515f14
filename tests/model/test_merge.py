"""Merging: whatever order a record's events arrive in, the same is known of it in the end."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model.merge import RecordState, merge, set_own

Said = tuple[str, str, dict[str, Any]]
"""Version, completeness and data of one event."""


def fold(events: list[Said], state: RecordState | None = None) -> RecordState:
    state = state or RecordState()
    for version, completeness, data in events:
        state = merge(state, data, version, completeness=completeness).state
    return state


def plain(state: RecordState) -> dict[str, Any]:
    return json.loads(json.dumps(state.snapshot, sort_keys=True))  # type: ignore[no-any-return]


VALUES = st.sampled_from([None, "甲", "乙", "丙"])
MEMBERS = st.dictionaries(st.sampled_from(["name", "phone", "a.b", "*"]), VALUES, max_size=2)
ACTIVITY = st.fixed_dictionaries(
    {"type": st.sampled_from(["visit", "call"]), "at": st.sampled_from(["2026-01", "2026-02"])}
)
DATA = st.fixed_dictionaries(
    {"id": st.just("L1")},
    optional={
        "name": VALUES,
        "status": VALUES,
        "contact": st.none() | MEMBERS,
        "extra": st.none() | MEMBERS,
        "counters": st.none() | st.dictionaries(st.sampled_from(["visits"]), st.integers(0, 2), max_size=1),
        "activities": st.none() | st.lists(ACTIVITY, max_size=2),
    },
)
HISTORY = st.lists(st.tuples(st.sampled_from(["full", "delta", "delta", "id_only"]), DATA), max_size=6).map(
    lambda items: [(f"v{number:020d}", kind, data) for number, (kind, data) in enumerate(items)]
)


@settings(max_examples=400, deadline=None)
@given(HISTORY, st.randoms(use_true_random=False))
def test_any_order_of_arrival_gives_the_record_of_the_order_of_versions(history: list[Said], random: Any) -> None:
    shuffled = list(history)
    random.shuffle(shuffled)
    assert plain(fold(shuffled)) == plain(fold(history))


@settings(max_examples=200, deadline=None)
@given(HISTORY)
def test_an_event_heard_twice_changes_nothing_the_second_time(history: list[Said]) -> None:
    once = fold(history)
    for version, completeness, data in history:
        again = merge(once, data, version, completeness=completeness)
        assert plain(again.state) == plain(once) and not again.changed


@settings(max_examples=200, deadline=None)
@given(HISTORY, DATA)
def test_a_delta_never_touches_what_it_omits(history: list[Said], data: dict[str, Any]) -> None:
    before = fold(history)
    merged = merge(before, data, "v" + "9" * 20, completeness="delta")
    for name, value in before.snapshot.items():
        if name not in data:
            assert merged.state.snapshot[name] == value
        elif isinstance(value, dict) and data[name] is not None:
            kept = {member: inner for member, inner in value.items() if member not in data[name]}
            assert kept.items() <= merged.state.snapshot.get(name, {}).items()
    assert merged.changed <= set(data)


@settings(max_examples=200, deadline=None)
@given(HISTORY, DATA, st.integers(-1, 6))
def test_changed_names_exactly_the_fields_whose_value_is_another_now(
    history: list[Said], data: dict[str, Any], version: int
) -> None:
    before = fold(history)
    after = merge(before, data, f"v{version + 1:020d}", completeness="full")
    names = set(before.snapshot) | set(after.state.snapshot)
    absent = object()
    differing = {name for name in names if before.snapshot.get(name, absent) != after.state.snapshot.get(name, absent)}
    assert after.changed == differing


@settings(max_examples=200, deadline=None)
@given(HISTORY)
def test_merging_leaves_what_it_was_given_as_it_was(history: list[Said]) -> None:
    before = json.dumps(history)
    state = fold(history)
    kept = json.dumps([state.snapshot, state.versions])
    for version, completeness, data in history:
        merge(state, data, version, completeness=completeness)
        set_own(state, {key: value for key, value in data.items() if key != "id"})
    assert json.dumps(history) == before and json.dumps([state.snapshot, state.versions]) == kept


def test_every_order_of_four_events_gives_one_record() -> None:
    history: list[Said] = [
        ("v1", "full", {"id": "L1", "name": "甲", "status": "new", "contact": {"name": "李", "phone": "1"}}),
        ("v2", "delta", {"id": "L1", "status": "hot", "contact": {"phone": "2"}}),
        ("v3", "full", {"id": "L1", "name": "乙"}),
        ("v4", "delta", {"id": "L1", "contact": {"name": "王"}}),
    ]
    found = {json.dumps(plain(fold(list(order)))) for order in itertools.permutations(history)}
    assert [json.loads(item) for item in found] == [{"id": "L1", "name": "乙", "contact": {"name": "王"}}]


def test_an_older_event_is_superseded_and_a_partly_newer_one_is_not() -> None:
    state = fold([("v5", "delta", {"id": "L1", "name": "新", "status": "hot"})])
    assert merge(state, {"id": "L1", "name": "旧"}, "v4", completeness="delta").superseded
    assert not merge(state, {"id": "L1", "name": "旧", "owner": "李"}, "v4", completeness="delta").superseded
    assert not merge(state, {"id": "L1", "name": "新新"}, "v6", completeness="delta").superseded
    assert not merge(state, {"id": "L1"}, "v1", completeness="id_only").superseded


def test_of_two_events_of_one_version_the_later_word_counts() -> None:
    state = fold([("v5", "delta", {"id": "L1", "name": "先"}), ("v5", "delta", {"id": "L1", "name": "后"})])
    assert state.snapshot["name"] == "后"


def test_an_explicit_null_clears_a_field_and_keeps_older_values_away() -> None:
    state = fold([("v2", "delta", {"id": "L1", "owner": None}), ("v1", "delta", {"id": "L1", "owner": "李"})])
    assert state.snapshot["owner"] is None


def test_a_null_for_the_whole_contact_removes_each_of_its_members() -> None:
    state = fold([("v1", "delta", {"id": "L1", "contact": {"name": "李", "phone": "1"}})])
    emptied = merge(state, {"id": "L1", "contact": None}, "v2", completeness="delta")
    assert "contact" not in emptied.state.snapshot and emptied.changed == {"contact"}
    late = merge(emptied.state, {"id": "L1", "contact": {"phone": "1"}}, "v1", completeness="delta")
    assert late.superseded and "contact" not in late.state.snapshot


# --------------------------------------------------------------------------- what we set ourselves


def graded() -> RecordState:
    return set_own(fold([("v1", "full", {"id": "L1", "name": "甲"})]), {"score": 88, "grade": "A"})


def test_our_own_values_reported_back_are_an_echo_once() -> None:
    first = merge(graded(), {"id": "L1", "score": 88, "grade": "A"}, "v2", completeness="delta")
    assert first.echo and not first.changed and not first.superseded
    again = merge(first.state, {"id": "L1", "score": 88, "grade": "A"}, "v3", completeness="delta")
    assert not again.echo and not again.changed


def test_an_echo_that_says_more_than_we_wrote_is_no_echo() -> None:
    merged = merge(graded(), {"id": "L1", "score": 88, "grade": "A", "status": "hot"}, "v2", completeness="delta")
    assert not merged.echo and merged.changed == {"status"}


def test_the_crms_next_word_on_our_value_wins() -> None:
    merged = merge(graded(), {"id": "L1", "grade": "B"}, "v2", completeness="delta")
    assert merged.state.snapshot["grade"] == "B" and merged.changed == {"grade"} and merged.state.own == {"score"}


def test_a_full_event_that_omits_what_we_set_keeps_it() -> None:
    merged = merge(graded(), {"id": "L1", "name": "甲"}, "v2", completeness="full")
    assert merged.state.snapshot == {"id": "L1", "name": "甲", "score": 88, "grade": "A"} and not merged.changed


def test_an_older_event_does_not_undo_what_we_set_after_a_newer_one() -> None:
    state = set_own(fold([("v5", "delta", {"id": "L1", "owner": "李"})]), {"owner": "王"})
    merged = merge(state, {"id": "L1", "owner": "赵"}, "v4", completeness="delta")
    assert merged.superseded and merged.state.snapshot["owner"] == "王" and merged.state.own == {"owner"}


def test_a_part_of_the_contact_that_we_set_is_its_own_echo() -> None:
    state = set_own(fold([("v1", "delta", {"id": "L1", "contact": {"name": "李"}})]), {"contact": {"phone": "1"}})
    merged = merge(state, {"id": "L1", "contact": {"phone": "1"}}, "v2", completeness="delta")
    assert merged.echo and merged.state.snapshot["contact"] == {"name": "李", "phone": "1"}


def test_activities_we_added_are_recognised_when_they_come_back() -> None:
    visit = {"type": "visit", "at": "2026-01-01T00:00:00Z"}
    state = set_own(fold([("v1", "delta", {"id": "L1", "name": "甲"})]), {"activities": [visit]})
    merged = merge(state, {"id": "L1", "activities": [visit]}, "v2", completeness="delta")
    assert merged.echo and not merged.state.own


@pytest.mark.parametrize("completeness", ["full", "delta", "id_only"])
def test_the_id_is_always_known(completeness: str) -> None:
    assert fold([("v1", completeness, {"id": "L1"})]).snapshot == {"id": "L1"}
