"""Effects have names, keys and message ids that stay the same across attempts and releases."""

from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.effects import (
    EFFECTS,
    CancelTimer,
    Decide,
    EmitEvent,
    Notify,
    SendWebhook,
    StartTimer,
    UpdateRecord,
    effect_keys,
    is_own_type,
    message_id,
)


def notify(key: str = "") -> Notify:
    return Notify(key=key, to="sales", template="hot_lead")


def test_a_message_keeps_the_id_that_earlier_releases_gave_it() -> None:
    known = message_id("evt_1", "lead_scoring@new_energy", "notify#0", 0)
    assert known == "msg_a71700ad80a4bf7ec26acf06e4c53704"


PART = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x1f"), max_size=4)
NAMES = st.tuples(PART, PART, PART, st.integers(0, 3))


@given(NAMES, NAMES)
def test_two_messages_have_one_id_only_if_they_are_the_same(
    one: tuple[str, str, str, int], other: tuple[str, str, str, int]
) -> None:
    assert (message_id(*one) == message_id(*other)) == (one == other)


def test_a_replay_is_a_new_message_and_a_retry_is_not() -> None:
    assert message_id("e", "p", "k", 0) == message_id("e", "p", "k", 0) != message_id("e", "p", "k", 1)
    assert re.fullmatch(r"msg_[0-9a-f]{32}", message_id("e", "p", "k", 0))


def test_effects_without_a_key_are_numbered_by_kind() -> None:
    effects = [notify(), Decide(kind="k", outcome="o", summary="", rule="r"), notify(), notify("boss")]
    assert effect_keys(effects) == ["notify#0", "decide#0", "notify#1", "notify:boss"]


def test_a_named_effect_keeps_its_key_when_others_come_and_go() -> None:
    assert effect_keys([notify(), notify("boss")])[1] == effect_keys([notify("boss")])[0]


def test_the_allow_list_knows_every_effect_by_its_name() -> None:
    kinds = {Decide, UpdateRecord, Notify, SendWebhook, StartTimer, CancelTimer, EmitEvent}
    assert set(EFFECTS.values()) == kinds and all(name == kind.name for name, kind in EFFECTS.items())


@pytest.mark.parametrize("effect", list(EFFECTS.values()))
def test_effects_are_frozen_values(effect: type) -> None:
    options = effect.__dataclass_params__  # type: ignore[attr-defined]
    assert options.frozen and dataclasses.is_dataclass(effect)


@pytest.mark.parametrize(
    ("event_type", "is_own"),
    [
        ("alpha.graded", True),
        ("alpha.lead.graded", True),
        ("alpha.评级", True),
        ("alpha", False),
        ("alpha.", False),
        ("alpha..x", False),
        ("alpha.x y", False),
        ("beta.graded", False),
        ("alphabet.graded", False),
        ("lead.created", False),
    ],
)
def test_a_plugin_emits_events_of_its_own_name(event_type: str, is_own: bool) -> None:
    assert is_own_type(event_type, "alpha") is is_own
